//! From hidden states to one map a level: coordinates, 1x1 convolution, upsampling.
//!
//! The original upsamples first. A 1x1 convolution commutes with bilinear interpolation, whose
//! weights sum to one, and the coordinates are linear along the map, so that interpolating them
//! gives the finer map's coordinates: the convolution runs on the small grid, exactly.

use super::super::vision::state_name;
use crate::error::Result;
use crate::trace::Taps;
use crate::weights::Weights;
use ggml_ext::Tensor;
use ggml_ext::graph::Builder;
use gpt4roi_models::hparams::MmprojHparams;
use gpt4roi_models::names::gguf;

/// x and y of every cell of a `grid x grid` map, -1 to 1 from the first cell to the last:
/// `[2, grid * grid]`.
pub(super) fn coords(grid: usize) -> Vec<f32> {
    let step = 2.0 / (grid.max(2) - 1) as f64;
    let at = |i: usize| (-1.0 + i as f64 * step) as f32;
    (0..grid * grid).flat_map(|i| [at(i % grid), at(i / grid)]).collect()
}

/// The map of every level, `[S, S, C]`, finest first.
pub(super) fn maps<'g>(
    g: &Builder<'g>,
    w: &Weights<'_, 'g>,
    hp: &MmprojHparams,
    states: &Weights<'_, 'g>,
    coords: Tensor<'g>,
    mut taps: Option<&mut Taps>,
) -> Result<Vec<Tensor<'g>>> {
    let (grid, n) = (hp.vision.grid() as usize, hp.vision.n_patches() as usize);
    let mut maps = Vec::new();
    for (l, &size) in hp.region.level_sizes.iter().enumerate() {
        let size = size as usize;
        let patches = g.slice(states.tensor(&state_name(l))?, 1, 1, n);
        let x = g.concat(patches, coords, 0); // [D + 2, n]
        let y = w.linear(x, &gguf::input_conv(l as u32))?; // [C, n]
        let upsample = |t| g.resize_aligned(to_map(g, t, grid), size, size);
        let map = upsample(y);
        if let Some(taps) = taps.as_deref_mut() {
            let name = format!("conv_in.{l}");
            taps.0.push((name.clone(), g.output(upsample(x), &name)));
            let name = format!("input_conv.{l}");
            taps.0.push((name.clone(), g.output(map, &name)));
        }
        maps.push(map);
    }
    Ok(maps)
}

/// Channels-last `[C, grid * grid]` to a map `[grid, grid, C]`.
fn to_map<'g>(g: &Builder<'g>, x: Tensor<'g>, grid: usize) -> Tensor<'g> {
    let c = x.ne()[0];
    g.reshape(g.cont(g.permute(x, [1, 0, 2, 3])), &[grid, grid, c])
}

#[cfg(test)]
mod tests {
    #[test]
    fn coordinates_run_from_corner_to_corner() {
        let c = super::coords(16);
        assert_eq!(c[..2], [-1.0, -1.0]);
        assert_eq!(c[30..32], [1.0, -1.0], "x varies along the width");
        assert_eq!(c[c.len() - 2..], [1.0, 1.0]);
    }
}
