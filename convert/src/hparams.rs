//! Sizes of a model, from configuration files and from the shapes of its tensors.

mod vision;

use crate::config::LanguageConfig;
use crate::error::{Error, Result};
use crate::source::Tensors;
use gpt4roi_models::names::{self, hf};
use gpt4roi_models::{
    HparamsError, LlmHparams, MmprojHparams, RegionHparams, SpecialTokens, VisionHparams,
    level_sizes,
};
use std::path::Path;

/// Epsilon of the region extractor's norms: the default of the original's library.
const NORM_EPS: f32 = 1e-5;
/// Samples on a side of a bin: a constant of the original code.
const SAMPLING_RATIO: u32 = 2;

/// The language model's sizes, checked.
pub fn llm(dir: &Path, name: &str, c: &LanguageConfig) -> Result<LlmHparams> {
    let h = LlmHparams {
        name: name.to_owned(),
        n_vocab: c.vocab_size,
        n_ctx_train: c.max_position_embeddings,
        n_embd: c.hidden_size,
        n_layer: c.num_hidden_layers,
        n_ff: c.intermediate_size,
        n_head: c.num_attention_heads,
        n_head_kv: c.num_key_value_heads.unwrap_or(c.num_attention_heads),
        rms_eps: c.rms_norm_eps,
        rope_theta: c.rope_theta.unwrap_or(10000.0),
    };
    // Head widths divide by the head count, which no check has seen yet.
    if h.n_head == 0 {
        return Err(Error::malformed(dir.join("config.json"), "num_attention_heads is 0"));
    }
    checked(dir, LlmHparams::from_kv(h.to_kv().as_slice()))
}

/// Everything in the mmproj file, checked.
pub fn mmproj(
    language: &dyn Tensors,
    tower: &dyn Tensors,
    c: &LanguageConfig,
    name: &str,
    tokens: SpecialTokens,
) -> Result<MmprojHparams> {
    let vision = vision::vision(tower, c.hidden_size)?;
    let region = region(language, c, &vision)?;
    let h = MmprojHparams { name: name.to_owned(), vision, region, tokens };
    checked(language.path(), MmprojHparams::from_kv(h.to_kv().as_slice()))
}

/// What the runtime will check is checked before anything is written.
fn checked<T>(path: &Path, h: std::result::Result<T, HparamsError>) -> Result<T> {
    h.map_err(|source| Error::Hparams { path: path.to_owned(), source })
}

/// The region extractor's sizes are in no configuration: tensors tell.
fn region(
    language: &dyn Tensors,
    c: &LanguageConfig,
    vision: &VisionHparams,
) -> Result<RegionHparams> {
    // First, since a checkpoint without a region extractor fails here with a message that says so.
    let n_channels = extent(language, &names::weight(&hf::input_conv(0)), 0)?;
    let n_levels = count(language, |l| names::weight(&hf::input_conv(l)));
    let image_tap = image_tap(language.path(), c.mm_vision_select_layer, vision.n_layer)?;
    let taps = taps(language.path(), image_tap, c.mm_vision_level_step, n_levels)?;
    let flatten = names::weight(hf::FLATTEN_LINEAR);
    Ok(RegionHparams {
        level_sizes: level_sizes(vision.grid(), n_levels as usize),
        taps,
        image_tap,
        n_channels,
        n_mid: extent(language, &flatten, 0)?,
        n_pos_hidden: extent(language, &names::weight(&hf::pos_embedd(0)), 0)?,
        n_fuse: count(language, |f| names::weight(&hf::fuse_conv(f))),
        gn_groups: c.mm_region_norm_groups,
        gn_eps: NORM_EPS,
        ln_eps: NORM_EPS,
        roi_output_size: roi_side(language.path(), extent(language, &flatten, 1)?, n_channels)?,
        roi_sampling_ratio: SAMPLING_RATIO,
        n_embd_out: c.hidden_size,
    })
}

/// How many tensors of a numbered family there are.
fn count(tensors: &dyn Tensors, name: impl Fn(u32) -> String) -> u32 {
    (0..).take_while(|&i| tensors.meta(&name(i)).is_some()).count() as u32
}

/// One extent of a tensor's shape (PyTorch order).
fn extent(tensors: &dyn Tensors, name: &str, dim: usize) -> Result<u32> {
    let Some(meta) = tensors.meta(name) else {
        return Err(Error::MissingTensor {
            path: tensors.path().to_owned(),
            name: name.to_owned(),
            remedy: "this checkpoint has no region extractor: it is LLaMA or LLaVA, not GPT4RoI",
        });
    };
    let n = meta.shape.get(dim).and_then(|&n| u32::try_from(n).ok());
    n.ok_or_else(|| Error::malformed(meta.path, format!("tensor `{name}` has an odd shape")))
}

/// The hidden state that a possibly negative index means; there is one more than blocks.
fn image_tap(dir: &Path, select_layer: i64, n_layer: u32) -> Result<u32> {
    let n_states = i64::from(n_layer) + 1;
    match u32::try_from(select_layer.rem_euclid(n_states)) {
        Ok(tap) if tap > 0 && select_layer.unsigned_abs() <= n_states.unsigned_abs() => Ok(tap),
        _ => {
            let reason = format!("mm_vision_select_layer {select_layer} names no vision block");
            Err(Error::malformed(dir.join("config.json"), reason))
        }
    }
}

/// Hidden states of the levels: back from the image's in equal steps, ascending.
fn taps(dir: &Path, image_tap: u32, step: u32, n_levels: u32) -> Result<Vec<u32>> {
    if step == 0 {
        let reason = "mm_vision_level_step is 0: levels take hidden states 1 or more apart";
        return Err(Error::malformed(dir.join("config.json"), reason));
    }
    let back = |l: u32| l.checked_mul(step).and_then(|d| image_tap.checked_sub(d));
    let taps: Option<Vec<u32>> = (0..n_levels).rev().map(back).collect();
    taps.filter(|t| !t.is_empty()).ok_or_else(|| {
        let reason = format!(
            "a vision tower tapped at {image_tap} and each {step} states before is too \
                shallow for {n_levels} levels"
        );
        Error::malformed(dir, reason)
    })
}

/// The side of RoIAlign's output, from the length of the flattened RoI.
fn roi_side(dir: &Path, n_flat: u32, n_channels: u32) -> Result<u32> {
    let cells = n_flat.checked_div(n_channels).unwrap_or(0);
    let side = cells.isqrt();
    if side == 0 || u64::from(side * side) * u64::from(n_channels) != u64::from(n_flat) {
        let reason = format!("{n_flat} flattened values are not a square of {n_channels} channels");
        return Err(Error::malformed(dir, reason));
    }
    Ok(side)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_of_the_published_model() {
        let dir = Path::new("x");
        assert_eq!(image_tap(dir, -2, 24).unwrap(), 23);
        assert_eq!(taps(dir, 23, 3, 4).unwrap(), [14, 17, 20, 23]);
        assert_eq!(taps(dir, 9, 3, 4).unwrap(), [0, 3, 6, 9]);
        assert_eq!(level_sizes(16, 4), [128, 64, 32, 16]);
        assert_eq!(roi_side(dir, 1024 * 196, 1024).unwrap(), 14);
    }

    #[test]
    fn levels_that_reach_the_last_block_in_other_steps() {
        let dir = Path::new("x");
        assert_eq!(image_tap(dir, -1, 10).unwrap(), 10);
        assert_eq!(taps(dir, 10, 2, 4).unwrap(), [4, 6, 8, 10]);
        assert_eq!(taps(dir, 3, 1, 4).unwrap(), [0, 1, 2, 3]);
    }

    #[test]
    fn impossible_sizes_are_errors() {
        let dir = Path::new("x");
        assert!(image_tap(dir, 0, 24).is_err());
        assert!(image_tap(dir, -25, 24).is_err());
        assert!(image_tap(dir, i64::MIN + 1, 24).is_err());
        assert!(taps(dir, 8, 3, 4).is_err());
        assert!(taps(dir, 23, 3, 0).is_err());
        assert!(taps(dir, 23, 0, 4).is_err());
        assert!(taps(dir, 23, u32::MAX, 4).is_err());
        assert!(roi_side(dir, 1000, 0).is_err());
        assert!(roi_side(dir, 1000, 3).is_err());
    }
}
