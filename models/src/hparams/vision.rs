//! Hyper-parameters of the vision tower: OpenAI's CLIP, OpenCLIP's variants of it, or DINOv2.

use super::checks::{MAX_LAYERS, MAX_WIDTH, Reader, require};
use super::{HparamsError, pair};
use crate::keys;
use crate::value::{KeyValues, Value};

/// Largest side of the input image, in pixels.
const MAX_IMAGE_SIZE: u32 = 4096;
/// Largest number of patches on a side.
const MAX_GRID: u32 = 256;

/// Activation between the two feed-forward layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gelu {
    /// z * sigmoid(1.702 z), OpenAI's models.
    Quick,
    /// The exact one, with the error function: OpenCLIP and DINOv2.
    Erf,
}

/// Sizes, constants and parts of the vision tower.
#[derive(Clone, Debug, PartialEq)]
pub struct VisionHparams {
    /// Width D.
    pub n_embd: u32,
    /// Attention heads.
    pub n_head: u32,
    /// Inner width of the feed-forward part.
    pub n_ff: u32,
    /// Blocks; hidden state k is the output of block k counted from 1.
    pub n_layer: u32,
    /// Side of the square input image, in pixels.
    pub image_size: u32,
    /// Side of a square patch, in pixels.
    pub patch_size: u32,
    /// Epsilon of the layer norms.
    pub ln_eps: f32,
    /// Mean of each colour channel (RGB, of values 0 to 1).
    pub image_mean: [f32; 3],
    /// Standard deviation of each colour channel.
    pub image_std: [f32; 3],
    /// Width of projected image vectors; equal to the language model's width.
    pub projection_dim: u32,
    /// Activation of the feed-forward part.
    pub gelu: Gelu,
    /// Whether a norm stands before the first block, as in CLIP.
    pub pre_norm: bool,
    /// Whether the patch convolution has a bias, as in DINOv2.
    pub patch_bias: bool,
    /// Whether each channel of what attention and feed-forward part add is scaled (LayerScale), as
    /// in DINOv2.
    pub layer_scale: bool,
}

impl VisionHparams {
    /// Patches on a side of the image.
    pub fn grid(&self) -> u32 {
        self.image_size / self.patch_size
    }

    /// Patches of the image, without the class token.
    pub fn n_patches(&self) -> u32 {
        self.grid() * self.grid()
    }

    /// Rows of a hidden state: the class token, then the patches.
    pub fn n_positions(&self) -> u32 {
        self.n_patches() + 1
    }

    pub(super) fn to_kv(&self) -> Vec<(String, Value)> {
        let mut kv = vec![
            pair(keys::CLIP_HAS_VISION, Value::Bool(true)),
            pair(keys::CLIP_PROJECTOR_TYPE, Value::Str(keys::PROJECTOR_MLP.into())),
            pair(keys::VISION_IMAGE_SIZE, Value::U32(self.image_size)),
            pair(keys::VISION_PATCH_SIZE, Value::U32(self.patch_size)),
            pair(keys::VISION_EMBEDDING_LENGTH, Value::U32(self.n_embd)),
            pair(keys::VISION_FEED_FORWARD_LENGTH, Value::U32(self.n_ff)),
            pair(keys::VISION_BLOCK_COUNT, Value::U32(self.n_layer)),
            pair(keys::VISION_HEAD_COUNT, Value::U32(self.n_head)),
            pair(keys::VISION_LN_EPS, Value::F32(self.ln_eps)),
            pair(keys::VISION_PROJECTION_DIM, Value::U32(self.projection_dim)),
            pair(keys::VISION_IMAGE_MEAN, Value::F32s(self.image_mean.to_vec())),
            pair(keys::VISION_IMAGE_STD, Value::F32s(self.image_std.to_vec())),
            pair(keys::VISION_PRE_NORM, Value::Bool(self.pre_norm)),
            pair(keys::VISION_PATCH_BIAS, Value::Bool(self.patch_bias)),
            pair(keys::VISION_LAYER_SCALE, Value::Bool(self.layer_scale)),
        ];
        // llama.cpp takes the quick GELU when the key is absent.
        if self.gelu == Gelu::Erf {
            kv.push(pair(keys::CLIP_USE_GELU, Value::Bool(true)));
        }
        kv
    }

    pub(super) fn read<K: KeyValues + ?Sized>(r: &Reader<K>) -> Result<Self, HparamsError> {
        let n_embd = r.u32_in(keys::VISION_EMBEDDING_LENGTH, 1..=MAX_WIDTH)?;
        let n_head = r.u32_in(keys::VISION_HEAD_COUNT, 1..=n_embd)?;
        let divides = n_embd % n_head == 0;
        require(keys::VISION_HEAD_COUNT, &n_head, divides, format!("a divisor of {n_embd}"))?;
        let (image_size, patch_size) = read_grid(r)?;
        Ok(VisionHparams {
            n_embd,
            n_head,
            n_ff: r.u32_in(keys::VISION_FEED_FORWARD_LENGTH, 1..=4 * MAX_WIDTH)?,
            n_layer: r.u32_in(keys::VISION_BLOCK_COUNT, 1..=MAX_LAYERS)?,
            image_size,
            patch_size,
            ln_eps: r.epsilon(keys::VISION_LN_EPS)?,
            image_mean: read_rgb(r, keys::VISION_IMAGE_MEAN, -1e3)?,
            image_std: read_rgb(r, keys::VISION_IMAGE_STD, 1e-6)?,
            projection_dim: r.u32_in(keys::VISION_PROJECTION_DIM, 1..=MAX_WIDTH)?,
            gelu: read_gelu(r)?,
            // Files from before these keys are of CLIP.
            pre_norm: r.bool_or(keys::VISION_PRE_NORM, true)?,
            patch_bias: r.bool_or(keys::VISION_PATCH_BIAS, false)?,
            layer_scale: r.bool_or(keys::VISION_LAYER_SCALE, false)?,
        })
    }
}

fn read_grid<K: KeyValues + ?Sized>(r: &Reader<K>) -> Result<(u32, u32), HparamsError> {
    let image_size = r.u32_in(keys::VISION_IMAGE_SIZE, 1..=MAX_IMAGE_SIZE)?;
    let patch_size = r.u32_in(keys::VISION_PATCH_SIZE, 1..=image_size)?;
    let fits = image_size % patch_size == 0 && image_size / patch_size <= MAX_GRID;
    let allowed = format!("a divisor of {image_size} giving at most {MAX_GRID} patches on a side");
    require(keys::VISION_PATCH_SIZE, &patch_size, fits, allowed)?;
    Ok((image_size, patch_size))
}

fn read_gelu<K: KeyValues + ?Sized>(r: &Reader<K>) -> Result<Gelu, HparamsError> {
    Ok(if r.bool_or(keys::CLIP_USE_GELU, false)? { Gelu::Erf } else { Gelu::Quick })
}

/// Three finite values, one a colour, none below `min`.
fn read_rgb<K: KeyValues + ?Sized>(
    r: &Reader<K>,
    key: &str,
    min: f32,
) -> Result<[f32; 3], HparamsError> {
    let v = r.f32s(key)?;
    let fits = v.len() == 3 && v.iter().all(|x| x.is_finite() && *x >= min);
    require(key, &v, fits, format!("three finite values, none below {min}"))?;
    Ok([v[0], v[1], v[2]])
}
