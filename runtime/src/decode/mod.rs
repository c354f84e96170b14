//! Prompt to text: prefill, and token after token until the answer ends; of one question, or of several at once.

mod generate;
mod guide;
mod pool;
mod score;
mod session;

pub use generate::{FinishReason, Sampling};
pub(crate) use generate::{Generated, Generation, Writer, generate};
pub(crate) use pool::{Listener, Step, Task, generate_many};
pub(crate) use score::score;
pub(crate) use session::{Session, Vectors};
