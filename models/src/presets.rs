//! Sizes of known models, and of a tiny one for tests.

use crate::hparams::{
    Gelu, LlmHparams, MmprojHparams, RegionHparams, SpecialTokens, VisionHparams,
};
use crate::synthetic::tokenizer;
use std::fmt;
use std::str::FromStr;

/// A known set of sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// The published model: LLaMA 7B with CLIP ViT-L/14.
    B7,
    /// The same with LLaMA 13B.
    B13,
    /// Small widths and depths, for tests.
    Tiny,
    /// The same with a tower like DINOv2, tapped to its last block.
    TinyDino,
}

impl Preset {
    /// Every preset.
    pub const ALL: [Preset; 4] = [Preset::B7, Preset::B13, Preset::Tiny, Preset::TinyDino];

    /// The name used on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Preset::B7 => "7b",
            Preset::B13 => "13b",
            Preset::Tiny => "tiny",
            Preset::TinyDino => "tiny-dino",
        }
    }

    fn is_tiny(self) -> bool {
        matches!(self, Preset::Tiny | Preset::TinyDino)
    }

    /// Pieces of the SentencePiece vocabulary, without added tokens.
    pub fn n_pieces(self) -> u32 {
        if self.is_tiny() { 1024 } else { 32000 }
    }

    /// Sizes of the language model.
    pub fn llm(self) -> LlmHparams {
        let (n_embd, n_layer, n_head, n_ff) = match self {
            Preset::B7 => (4096, 32, 32, 11008),
            Preset::B13 => (5120, 40, 40, 13824),
            Preset::Tiny | Preset::TinyDino => (128, 2, 4, 352),
        };
        LlmHparams {
            name: format!("gpt4roi-{self}"),
            n_vocab: self.n_pieces() + tokenizer::ADDED.len() as u32,
            n_ctx_train: 2048,
            n_embd,
            n_layer,
            n_ff,
            n_head,
            n_head_kv: n_head,
            rms_eps: 1e-6,
            rope_theta: 10000.0,
        }
    }

    /// Everything in the mmproj file.
    pub fn mmproj(self) -> MmprojHparams {
        MmprojHparams {
            name: format!("gpt4roi-{self}"),
            vision: self.vision(),
            region: self.region(),
            tokens: self.tokens(),
        }
    }

    fn vision(self) -> VisionHparams {
        let (n_embd, n_head, n_ff, n_layer) = match self {
            Preset::B7 | Preset::B13 => (1024, 16, 4096, 24),
            Preset::Tiny => (64, 4, 128, 12),
            Preset::TinyDino => (64, 4, 128, 10),
        };
        let clip = VisionHparams {
            n_embd,
            n_head,
            n_ff,
            n_layer,
            image_size: 224,
            patch_size: 14,
            ln_eps: 1e-5,
            image_mean: CLIP_MEAN,
            image_std: CLIP_STD,
            projection_dim: self.llm().n_embd,
            gelu: Gelu::Quick,
            pre_norm: true,
            patch_bias: false,
            layer_scale: false,
        };
        if self == Preset::TinyDino { as_dino(clip) } else { clip }
    }

    fn region(self) -> RegionHparams {
        let (n, n_pos_hidden) = if self.is_tiny() { (64, 32) } else { (1024, 256) };
        let n_layer = self.vision().n_layer;
        let (last, step) = if self == Preset::TinyDino { (n_layer, 2) } else { (n_layer - 1, 3) };
        RegionHparams {
            taps: vec![last - 3 * step, last - 2 * step, last - step, last],
            image_tap: last,
            level_sizes: vec![128, 64, 32, 16],
            n_channels: n,
            n_mid: n,
            n_pos_hidden,
            n_fuse: 5,
            gn_groups: 64,
            gn_eps: 1e-5,
            ln_eps: 1e-5,
            roi_output_size: 14,
            roi_sampling_ratio: 2,
            n_embd_out: self.llm().n_embd,
        }
    }

    fn tokens(self) -> SpecialTokens {
        tokenizer::special_tokens(self.n_pieces())
    }
}

/// A tower of the same sizes with DINOv2's parts and constants.
fn as_dino(clip: VisionHparams) -> VisionHparams {
    VisionHparams {
        ln_eps: 1e-6,
        image_mean: IMAGENET_MEAN,
        image_std: IMAGENET_STD,
        gelu: Gelu::Erf,
        pre_norm: false,
        patch_bias: true,
        layer_scale: true,
        ..clip
    }
}

/// Mean of each colour channel in OpenAI's models.
pub const CLIP_MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
/// Standard deviation of each colour channel in OpenAI's models.
pub const CLIP_STD: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];
/// Mean of each colour channel in ImageNet, which DINOv2 goes by.
pub const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// Standard deviation of each colour channel in ImageNet.
pub const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Preset {
    type Err = String;

    fn from_str(s: &str) -> Result<Preset, String> {
        let known = Preset::ALL.into_iter().find(|p| p.name() == s);
        known.ok_or_else(|| format!("unknown preset `{s}`: there are 7b, 13b, tiny and tiny-dino"))
    }
}
