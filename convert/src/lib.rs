//! From a GPT4RoI checkpoint to the two GGUF files that the runtime reads.
//!
//! [`Plan::new`] opens the checkpoints, reads configuration and tokenizer, and checks that every
//! tensor is there with the right shape; nothing is written until all of that is known to be good.
//! [`Plan::run`] then streams one tensor after the other, so that memory stays far below the size
//! of a model. [`verify`] compares a written file with its source, [`synth`] writes a checkpoint of
//! noise in the published layout.
#![forbid(unsafe_code)]

mod config;
mod error;
mod hparams;
pub mod inspect;
mod mix;
mod pipeline;
mod plan;
mod source;
pub mod synth;
mod tokenizer;
pub mod verify;

pub use error::{Error, Result};
pub use ggml_ext::FileType;
pub use plan::{FilePlan, Options, Plan, TensorPlan};

use std::sync::atomic::{AtomicBool, Ordering};

/// Hears about the progress of a long operation, and may stop it.
pub trait Observer: Sync {
    /// `bytes` more of the source have been dealt with, while working on tensor `name`.
    fn advance(&self, name: &str, bytes: u64);

    /// Whether to stop as soon as possible.
    fn is_cancelled(&self) -> bool;
}

/// An observer that only carries a flag to stop.
#[derive(Debug, Default)]
pub struct Quiet(pub AtomicBool);

impl Observer for Quiet {
    fn advance(&self, _name: &str, _bytes: u64) {}

    fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
