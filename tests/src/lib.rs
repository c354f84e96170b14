//! What the integration tests stand on: small models, pictures, programs and golden data.
//!
//! Models are generated from seeds; nothing is downloaded and no weights lie in the repository.
//! Everything here is for tests and panics when something does not work; [`eval`], which the
//! program `demo-eval` stands on, has errors instead.
#![forbid(unsafe_code)]

pub mod dino;
pub mod eval;
pub mod goldens;
pub mod kv;
pub mod mutate;
pub mod pages;
pub mod pictures;
pub mod programs;
pub mod raw;
pub mod small;
pub mod tiny;
pub mod worker;

use gpt4roi::{Engine, EngineOptions, Request, Sampling};
use std::path::{Path, PathBuf};

/// The two files of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The language model.
    pub model: PathBuf,
    /// The mmproj file.
    pub mmproj: PathBuf,
}

impl Pair {
    /// Options that open this pair with one thread: tests run side by side,
    /// and ggml's threads wait for each other by spinning.
    pub fn options(&self) -> EngineOptions {
        EngineOptions { n_threads: 1, ..EngineOptions::new(&self.model, &self.mmproj) }
    }

    /// Opens the pair.
    ///
    /// # Panics
    /// If it cannot be opened.
    pub fn open(&self) -> Engine {
        Engine::open(&self.options()).unwrap_or_else(|e| panic!("{e}"))
    }
}

/// A request for the `n` likeliest tokens.
pub fn greedy(question: &str, n: usize) -> Request {
    Request { sampling: Sampling::Greedy, max_tokens: n, ..Request::new(question) }
}

/// A request for `n` tokens drawn at random with a fixed seed: unlike the likeliest ones, they
/// depend on every small change of the predictions.
pub fn drawn(question: &str, n: usize) -> Request {
    let sampling = Sampling::Random { temperature: 1.0, top_k: 0, top_p: 1.0, seed: Some(7) };
    Request { sampling, ..greedy(question, n) }
}

/// The root of the workspace.
pub fn workspace() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("a crate below the workspace")
}

/// A folder for this suite's files below cargo's target folder; made if absent.
///
/// # Panics
/// If it cannot be made.
pub fn scratch() -> PathBuf {
    let dir = programs::target_dir().join("tmp").join("suite");
    std::fs::create_dir_all(&dir).expect("a scratch folder");
    dir
}
