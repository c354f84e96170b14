//! What a GPT4RoI model file contains: keys, tensor names, hyper-parameters, tensor specs, presets.
//!
//! A model is two GGUF files. The language model (architecture `llama`) is what any llama.cpp tool
//! loads. The multimodal projector file (architecture `clip`, "mmproj" below) holds the vision
//! tower and the image projector under llama.cpp's own names, and the region extractor under ours.
//!
//! This crate only describes: it reads and writes no file and calls no C code. Converter, runtime
//! and synthetic generator all take names, shapes and limits from here, so they cannot disagree.
//! Shapes are in ggml order (fastest index first) unless a comment says PyTorch.
#![forbid(unsafe_code)]

pub mod hparams;
pub mod keys;
pub mod names;
pub mod presets;
pub mod specs;
pub mod synthetic;
pub mod value;

pub use hparams::{
    Gelu, HparamsError, LlmHparams, MmprojHparams, RegionHparams, SpecialTokens, SplitToken,
    VisionHparams, level_sizes,
};
pub use presets::Preset;
pub use specs::{Checkpoint, Kind, Part, Source, TensorSpec, Transform, llm_specs, mmproj_specs};
pub use value::{KeyValues, Value};
