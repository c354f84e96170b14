//! GGUF files: a reader for files from anywhere and a writer that streams.
//!
//! Both are plain Rust. The C library's loader trusts its getters' callers and ends the process
//! when a type or index is wrong; here every length, count and offset of a file is checked before
//! it is used, and what [`Gguf::open`] accepts, the C loader accepts as well.

mod cursor;
mod header;
mod reader;
#[cfg(test)]
mod tests;
mod value;
mod writer;

pub use header::{Header, TensorInfo};
pub use reader::Gguf;
pub use value::{Kind, Value};
pub use writer::{DEFAULT_ALIGNMENT, Sealed, Writer};

/// First bytes of every GGUF file.
const MAGIC: &[u8; 4] = b"GGUF";
/// Version of the format that is written; 2 differs from it in nothing that matters here.
const VERSION: u32 = 3;
/// Key that sets the alignment of tensor data.
const KEY_ALIGNMENT: &str = "general.alignment";
/// Most dimensions of a tensor.
const MAX_DIMS: usize = 4;
/// Longest name of a tensor, in bytes (the C library keeps a terminating NUL in 64).
const MAX_NAME: usize = 63;
