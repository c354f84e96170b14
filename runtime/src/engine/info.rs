//! What is known of an open model.

use crate::files::{LlmFile, MmprojFile};
use crate::placement::Placement;
use ggml_ext::DType;

/// What is known of an open model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelInfo {
    /// Its name, as the files give it.
    pub name: String,
    /// Side of its input image in pixels.
    pub image_size: u32,
    /// Levels of its pyramid.
    pub n_levels: usize,
    /// Width of the language model.
    pub n_embd: usize,
    /// Blocks of the language model.
    pub n_layer: usize,
    /// Entries of the vocabulary.
    pub n_vocab: usize,
    /// Positions of the open context.
    pub n_ctx: usize,
    /// Worker threads.
    pub n_threads: usize,
    /// Where its halves are.
    pub placement: Placement,
    /// Types of the language model's matrices, without repetition.
    pub model_types: Vec<String>,
    /// Types of the mmproj file's matrices, without repetition.
    pub mmproj_types: Vec<String>,
}

/// What the two files say.
pub(super) fn model_info(llm: &LlmFile, mmproj: &MmprojFile) -> ModelInfo {
    let unique = |types: &[DType]| {
        let mut types = types.to_vec();
        types.sort();
        types.dedup();
        types.iter().map(ToString::to_string).collect()
    };
    ModelInfo {
        name: llm.hparams.name.clone(),
        image_size: mmproj.hparams.vision.image_size,
        n_levels: mmproj.hparams.region.taps.len(),
        n_embd: llm.hparams.n_embd as usize,
        n_layer: llm.hparams.n_layer as usize,
        n_vocab: llm.hparams.n_vocab as usize,
        model_types: unique(&llm.types),
        mmproj_types: unique(&mmproj.types),
        ..ModelInfo::default()
    }
}
