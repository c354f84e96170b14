//! Prompt to text: prefill, and token after token until the answer ends.

mod generate;
mod session;

pub use generate::{FinishReason, Sampling};
pub(crate) use generate::{Generated, Generation, generate};
pub(crate) use session::{Session, Vectors};
