//! ggml and llama.cpp, made safe.
//!
//! Everything that touches the C libraries lives here, and nothing here knows what model is run.
//! Shapes are given in ggml order (fastest index first); where a PyTorch name helps, its order
//! follows in brackets.



mod dtype;
mod error;
mod sys;

pub use dtype::DType;
pub use error::{Error, Result};
