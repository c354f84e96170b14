//! Sizes and parts of the vision tower.

use crate::config::{self, TowerConfig};
use crate::error::{Error, Result};
use crate::source::Tensors;
use gpt4roi_models::names::tower::Layout;
use gpt4roi_models::presets::{CLIP_MEAN, CLIP_STD, IMAGENET_MEAN, IMAGENET_STD};
use gpt4roi_models::{Gelu, VisionHparams};
use std::path::Path;

/// The tower's hyper-parameters; `projection_dim` is the language model's width.
pub fn vision(tower: &dyn Tensors, projection_dim: u32) -> Result<VisionHparams> {
    let dir = tower.path();
    let h = match config::tower(dir)? {
        TowerConfig::Clip(c) => VisionHparams {
            n_embd: c.hidden_size,
            n_head: c.num_attention_heads,
            n_ff: c.intermediate_size,
            n_layer: c.num_hidden_layers,
            image_size: c.image_size,
            patch_size: c.patch_size,
            ln_eps: c.layer_norm_eps,
            image_mean: CLIP_MEAN,
            image_std: CLIP_STD,
            projection_dim,
            gelu: gelu(dir, &c.hidden_act)?,
            pre_norm: true,
            patch_bias: false,
            layer_scale: false,
        },
        TowerConfig::Dinov2(c) => VisionHparams {
            n_embd: c.hidden_size,
            n_head: c.num_attention_heads,
            n_ff: c.n_ff(dir)?,
            n_layer: c.num_hidden_layers,
            image_size: c.image_size,
            patch_size: c.patch_size,
            ln_eps: c.layer_norm_eps,
            image_mean: IMAGENET_MEAN,
            image_std: IMAGENET_STD,
            projection_dim,
            gelu: gelu(dir, &c.hidden_act)?,
            pre_norm: false,
            patch_bias: true,
            layer_scale: true,
        },
    };
    if h.patch_size == 0 || h.grid() == 0 {
        let reason = "image_size and patch_size leave no patches";
        return Err(Error::malformed(dir.join("config.json"), reason));
    }
    check_positions(tower, &h)?;
    let p = config::preprocessor(dir)?;
    Ok(VisionHparams {
        image_mean: p.image_mean.unwrap_or(h.image_mean),
        image_std: p.image_std.unwrap_or(h.image_std),
        ..h
    })
}

fn gelu(dir: &Path, hidden_act: &str) -> Result<Gelu> {
    match hidden_act {
        "quick_gelu" => Ok(Gelu::Quick),
        "gelu" => Ok(Gelu::Erf),
        other => {
            let reason = format!("hidden_act `{other}` is neither quick_gelu nor gelu");
            Err(Error::malformed(dir.join("config.json"), reason))
        }
    }
}

/// Towers often come with positions for larger pictures, which their own code resamples.
fn check_positions(tower: &dyn Tensors, h: &VisionHparams) -> Result<()> {
    let name = Layout::of(h).positions;
    // A missing table and odd dimensions are reported with all other tensors.
    let Some(meta) = tower.meta(name) else { return Ok(()) };
    let [.., got, _] = meta.shape[..] else { return Ok(()) };
    let (image, patch, grid) = (h.image_size, h.patch_size, h.grid());
    let needed = u64::from(grid) * u64::from(grid) + 1;
    if got == needed {
        return Ok(());
    }
    let side = got.saturating_sub(1).isqrt();
    let reason = format!(
        "tensor `{name}` has {got} positions ({side}x{side} patches and the class token), but \
         image_size {image} and patch_size {patch} need {needed} ({grid}x{grid} patches): resample \
         the table, or correct config.json"
    );
    Err(Error::malformed(meta.path, reason))
}
