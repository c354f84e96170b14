//! Language models of llama.cpp.
//!
//! llama-cpp-2 loads models, tokenises and samples. What it lacks is here: contexts whose batches
//! mix tokens and embeddings, that can be cancelled and whose inner values can be watched.

pub mod bare;
mod batch;
mod capture;
mod context;
mod in_place;
mod measure;
mod model;
mod quantize;
mod sampler;

pub use batch::Batch;
pub use context::{Context, ContextParams, KvType};
pub use measure::compute_buffers;
pub use model::{LoadOptions, Model, Token, TokenKind};
pub use quantize::quantize_file;
pub use sampler::{Sampler, Sampling};
