//! ggml and llama.cpp, made safe.
//!
//! Everything that touches the C libraries lives here, and nothing here knows what model is run.
//! Shapes are given in ggml order (fastest index first); where a PyTorch name helps, its order
//! follows in brackets.
//!
//! * [`devices`], [`Backend`]: what ggml can compute on, and what it would take ([`Rehearsal`]);
//! * [`graph`], [`nn`]: graphs that are built once and run many times;
//! * [`maps`]: feature maps of several levels, in the layout that suits the backend;
//! * [`roi_align`]: RoIAlign with its lowerings;
//! * [`winograd`], [`interpolated`]: 3x3 convolutions on the CPU;
//! * `quant_gemm`, `float_gemm`, `attention`: products of matrices, and attention, on the CPU;
//! * [`filter`]: rows of pixels, resampled;
//! * [`gguf`]: reading and writing model files;
//! * [`quant`]: between f32 and the types of tensors;
//! * [`weights`]: tensors mapped from a file or allocated on a device;
//! * [`llama`]: language models, with batches that mix tokens and embeddings;
//! * [`numeric`]: how far two arrays are apart;
//! * [`pages`]: large arrays;
//! * [`peak`]: what the processor reaches at best.

mod attention;
mod backend;
mod barrier;
mod cancel;
mod cpu;
mod custom;
mod device;
mod dtype;
mod error;
mod file_type;
pub mod filter;
mod float_gemm;
pub mod gguf;
pub mod graph;
pub mod interpolated;
pub mod llama;
mod logging;
pub mod maps;
mod memory;
#[cfg(feature = "dynamic-cpu")]
mod modules;
pub mod nn;
pub mod numeric;
pub mod pages;
pub mod peak;
mod product;
pub mod quant;
#[cfg_attr(not(target_arch = "x86_64"), path = "no_quant_gemm.rs")]
mod quant_gemm;
mod rehearsal;
mod replace;
pub mod roi_align;
mod scratch;
mod simd;
mod stable_box;
mod sys;
mod tensor;
pub mod weights;
pub mod winograd;

pub use backend::Backend;
pub use cancel::CancelToken;
pub use device::{CPU, DeviceInfo, DeviceKind, devices};
pub use dtype::DType;
pub use error::{Error, Result};
pub use file_type::FileType;
pub use rehearsal::{GraphPlan, NodePlan, Rehearsal};
pub use tensor::Tensor;
