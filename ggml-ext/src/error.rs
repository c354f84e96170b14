//! The crate's error type.

use std::path::PathBuf;

/// What can go wrong in this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A GGUF file is malformed.
    #[error("{}: not a usable GGUF file: {reason}", path.display())]
    Gguf {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and where.
        reason: String,
    },
    /// A value cannot be held by the C library (interior NUL, over-long name).
    #[error("`{what}` cannot be stored: {reason}")]
    Unrepresentable {
        /// The offending name or key.
        what: String,
        /// Why not.
        reason: String,
    },
    /// No device of that name is registered.
    #[error("no device `{name}`: this build knows {known}")]
    UnknownDevice {
        /// What was asked for.
        name: String,
        /// The registered names, comma-separated.
        known: String,
    },
    /// The CPU backend is a module, and none could be loaded.
    #[error(
        "no module of ggml's CPU backend runs on this machine: looked for libggml-cpu-*.so in {folders}; install the \
         package as a whole, libraries included"
    )]
    NoCpu {
        /// Where the modules should be.
        folders: String,
    },
    /// The C library refused to create something.
    #[error("ggml could not {action}")]
    Create {
        /// What it was asked to do.
        action: String,
    },
    /// A device has no kernel for a node; nothing falls back silently.
    #[error("device `{device}` cannot run node `{node}` ({op})")]
    Unsupported {
        /// The device.
        device: String,
        /// The node's name.
        node: String,
        /// The ggml operation.
        op: String,
    },
    /// A graph run failed.
    #[error("computing graph `{graph}` failed: {reason}")]
    Compute {
        /// The graph's name.
        graph: String,
        /// The status that ggml returned.
        reason: String,
    },
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// A language model could not be loaded.
    #[error("{}: llama.cpp cannot load this model: {reason}", path.display())]
    ModelLoad {
        /// The file.
        path: PathBuf,
        /// The first error that the library logged, or what is known otherwise.
        reason: String,
    },
    /// A batch could not be processed.
    #[error("decoding a batch of {n_tokens} positions failed: {reason}")]
    Decode {
        /// Positions in the batch.
        n_tokens: usize,
        /// What llama.cpp returned, in words.
        reason: String,
    },
    /// A region box cannot be sampled.
    #[error("box {index}: {reason}")]
    Box {
        /// Its index among the boxes.
        index: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A buffer of the wrong size was handed over.
    #[error("`{name}`: expected {expected} elements, got {got}")]
    Length {
        /// The tensor.
        name: String,
        /// Elements that it holds.
        expected: usize,
        /// Elements that were given.
        got: usize,
    },
}

/// Shorthand for this crate's results.
pub type Result<T> = std::result::Result<T, Error>;
