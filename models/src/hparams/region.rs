//! Hyper-parameters of the region extractor.

use super::checks::{MAX_WIDTH, Reader, require};
use super::{HparamsError, VisionHparams, pair};
use crate::keys;
use crate::value::{KeyValues, Value};

/// Largest number of levels.
const MAX_LEVELS: usize = 8;
/// Largest number of elements that the maps of all levels may have together.
const MAX_MAP_ELEMENTS: u64 = 1 << 28;
/// Largest number of fuse convolutions.
const MAX_FUSE: u32 = 64;
/// Largest side of RoIAlign's output.
const MAX_ROI_OUTPUT: u32 = 64;
/// Largest number of samples on a side of a bin.
const MAX_SAMPLING_RATIO: u32 = 32;

/// Sizes and constants of the region extractor.
#[derive(Clone, Debug, PartialEq)]
pub struct RegionHparams {
    /// Index of the hidden state that feeds each level, ascending: the shallowest makes the finest
    /// map. Hidden state k is the output of vision block k counted from 1.
    pub taps: Vec<u32>,
    /// Index of the hidden state that feeds the image projector.
    pub image_tap: u32,
    /// Side of each level's map, finest first: grid * 2^k, down to the grid itself.
    pub level_sizes: Vec<u32>,
    /// Channels C of the fused maps.
    pub n_channels: u32,
    /// Width M between the two parts of the region vector.
    pub n_mid: u32,
    /// Inner width of the box embedding.
    pub n_pos_hidden: u32,
    /// Number of fuse convolutions.
    pub n_fuse: u32,
    /// Groups of the group norms.
    pub gn_groups: u32,
    /// Epsilon of the group norms.
    pub gn_eps: f32,
    /// Epsilon of the box embedding's layer norms.
    pub ln_eps: f32,
    /// Bins on a side of RoIAlign's output.
    pub roi_output_size: u32,
    /// Samples on a side of a bin; 0 lets the box decide.
    pub roi_sampling_ratio: u32,
    /// Width H of region vectors: that of the language model.
    pub n_embd_out: u32,
}

impl RegionHparams {
    /// Number of levels.
    pub fn n_levels(&self) -> u32 {
        self.taps.len() as u32
    }

    /// Deepest hidden state that anything reads: vision blocks above it need not run.
    pub fn last_tap(&self) -> u32 {
        self.taps.iter().copied().max().unwrap_or(0).max(self.image_tap)
    }

    /// Values of one box after RoIAlign, flattened: C * out * out.
    pub fn n_flat(&self) -> u32 {
        // `from_kv` bounds C by 2^16 and the side by 2^6, so this fits.
        self.n_channels * self.roi_output_size * self.roi_output_size
    }

    pub(super) fn to_kv(&self) -> Vec<(String, Value)> {
        vec![
            pair(keys::TAPS, Value::U32s(self.taps.clone())),
            pair(keys::IMAGE_TAP, Value::U32(self.image_tap)),
            pair(keys::LEVEL_SIZES, Value::U32s(self.level_sizes.clone())),
            pair(keys::N_CHANNELS, Value::U32(self.n_channels)),
            pair(keys::N_MID, Value::U32(self.n_mid)),
            pair(keys::N_POS_HIDDEN, Value::U32(self.n_pos_hidden)),
            pair(keys::N_FUSE, Value::U32(self.n_fuse)),
            pair(keys::GN_GROUPS, Value::U32(self.gn_groups)),
            pair(keys::GN_EPS, Value::F32(self.gn_eps)),
            pair(keys::LN_EPS, Value::F32(self.ln_eps)),
            pair(keys::ROI_OUTPUT_SIZE, Value::U32(self.roi_output_size)),
            pair(keys::ROI_SAMPLING_RATIO, Value::U32(self.roi_sampling_ratio)),
            pair(keys::N_EMBD_OUT, Value::U32(self.n_embd_out)),
        ]
    }

    pub(super) fn read<K: KeyValues + ?Sized>(
        r: &Reader<K>,
        vision: &VisionHparams,
    ) -> Result<Self, HparamsError> {
        let taps = read_taps(r, vision.n_layer)?;
        let n_channels = r.u32_in(keys::N_CHANNELS, 4..=MAX_WIDTH)?;
        let quarters = n_channels % 4 == 0;
        require(keys::N_CHANNELS, &n_channels, quarters, "a multiple of 4")?;
        let gn_groups = r.u32_in(keys::GN_GROUPS, 1..=n_channels)?;
        let divides = n_channels % gn_groups == 0;
        require(keys::GN_GROUPS, &gn_groups, divides, format!("a divisor of {n_channels}"))?;
        let widest = n_channels.max(vision.n_embd + 2);
        let n_embd_out = r.u32_in(keys::N_EMBD_OUT, 1..=MAX_WIDTH)?;
        let same = n_embd_out == vision.projection_dim;
        let allowed = format!("{}, the width of image vectors", vision.projection_dim);
        require(keys::N_EMBD_OUT, &n_embd_out, same, allowed)?;
        Ok(RegionHparams {
            level_sizes: read_level_sizes(r, vision.grid(), taps.len(), widest)?,
            taps,
            image_tap: r.u32_in(keys::IMAGE_TAP, 1..=vision.n_layer)?,
            n_channels,
            n_mid: r.u32_in(keys::N_MID, 1..=MAX_WIDTH)?,
            n_pos_hidden: r.u32_in(keys::N_POS_HIDDEN, 1..=MAX_WIDTH)?,
            n_fuse: r.u32_in(keys::N_FUSE, 0..=MAX_FUSE)?,
            gn_groups,
            gn_eps: r.epsilon(keys::GN_EPS)?,
            ln_eps: r.epsilon(keys::LN_EPS)?,
            roi_output_size: r.u32_in(keys::ROI_OUTPUT_SIZE, 1..=MAX_ROI_OUTPUT)?,
            roi_sampling_ratio: r.u32_in(keys::ROI_SAMPLING_RATIO, 0..=MAX_SAMPLING_RATIO)?,
            n_embd_out,
        })
    }
}

fn read_taps<K: KeyValues + ?Sized>(r: &Reader<K>, n_layer: u32) -> Result<Vec<u32>, HparamsError> {
    let taps = r.u32s(keys::TAPS)?;
    let fits = (1..=MAX_LEVELS).contains(&taps.len())
        && taps.windows(2).all(|w| w[0] < w[1])
        && taps.iter().all(|t| (0..=n_layer).contains(t));
    let allowed = format!("1 to {MAX_LEVELS} strictly ascending values from 0 to {n_layer}");
    require(keys::TAPS, &taps, fits, allowed)?;
    Ok(taps)
}

fn read_level_sizes<K: KeyValues + ?Sized>(
    r: &Reader<K>,
    grid: u32,
    n_levels: usize,
    widest: u32,
) -> Result<Vec<u32>, HparamsError> {
    let sizes = r.u32s(keys::LEVEL_SIZES)?;
    // A single cell has no corners to align: nothing could be upsampled.
    let allowed = "levels need a grid of at least 2 patches on a side";
    require(keys::LEVEL_SIZES, &sizes, grid > 1 || n_levels == 1, allowed)?;
    let wanted = level_sizes(grid, n_levels);
    require(keys::LEVEL_SIZES, &sizes, sizes == wanted, format!("{wanted:?}"))?;
    let cells: u64 = sizes.iter().map(|&s| u64::from(s) * u64::from(s)).sum();
    let fits = cells * u64::from(widest) <= MAX_MAP_ELEMENTS;
    let allowed = format!("at most {MAX_MAP_ELEMENTS} map elements, channels included");
    require(keys::LEVEL_SIZES, &sizes, fits, allowed)?;
    Ok(sizes)
}

/// Sides of `n` maps over a `grid`, finest first: each twice the next, the last the grid. Sides that
/// no file may have saturate.
pub fn level_sizes(grid: u32, n: usize) -> Vec<u32> {
    (0..n.min(16)).rev().map(|k| grid.saturating_mul(1 << k)).collect()
}
