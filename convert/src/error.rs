//! The crate's error type.

use gpt4roi_models::HparamsError;
use std::path::PathBuf;

/// What can go wrong in a conversion. Messages name file and tensor, and say what to do.
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
    /// Something that a checkpoint must have is not there.
    #[error("{}: {what} not found: {remedy}", path.display())]
    NotFound {
        /// The file or directory.
        path: PathBuf,
        /// What is missing.
        what: String,
        /// What to do.
        remedy: String,
    },
    /// A file is malformed.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A tensor is absent.
    #[error("{}: tensor `{name}` is missing: {remedy}", path.display())]
    MissingTensor {
        /// The checkpoint.
        path: PathBuf,
        /// The tensor's name there.
        name: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A tensor belongs to no part of the model.
    #[error(
        "{}: tensor `{name}` is unknown: this checkpoint is not a GPT4RoI model that this program \
         knows, and dropping weights silently would change its answers", path.display()
    )]
    UnknownTensor {
        /// The file that holds it.
        path: PathBuf,
        /// The tensor's name there.
        name: String,
    },
    /// A tensor has the wrong shape.
    #[error(
        "{}: tensor `{name}` has shape {got:?} where {expected:?} is needed (PyTorch order): \
         weights and configuration are of different models", path.display()
    )]
    Shape {
        /// The file that holds it.
        path: PathBuf,
        /// The tensor's name there.
        name: String,
        /// The shape that configuration and other tensors ask for.
        expected: Vec<u64>,
        /// The shape in the file.
        got: Vec<u64>,
    },
    /// A tensor has a type that holds no weights.
    #[error("{}: tensor `{name}` has type {got}: weights are float16, bfloat16 or float32",
        path.display())]
    ElementType {
        /// The file that holds it.
        path: PathBuf,
        /// The tensor's name there.
        name: String,
        /// The type in the file.
        got: String,
    },
    /// A delta and its base do not fit.
    #[error("{}: tensor `{name}` cannot be merged with its base: {reason}", path.display())]
    Delta {
        /// The delta's file.
        path: PathBuf,
        /// The tensor's name.
        name: String,
        /// Why not.
        reason: String,
    },
    /// The sizes read from a checkpoint do not make a usable model.
    #[error("{}: {source}", path.display())]
    Hparams {
        /// The checkpoint.
        path: PathBuf,
        /// What is wrong.
        source: HparamsError,
    },
    /// A tensor could not be converted or written.
    #[error("tensor `{name}`: {source}")]
    Tensor {
        /// The tensor's name in the GGUF file.
        name: String,
        /// What happened.
        source: ggml_ext::Error,
    },
    /// A GGUF file could not be read or written.
    #[error(transparent)]
    Gguf(#[from] ggml_ext::Error),
    /// The user asked to stop.
    #[error("cancelled")]
    Cancelled,
}

impl Error {
    /// An operating-system error about `path`.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.into();
        |source| Error::Io { path, source }
    }

    /// A malformed file.
    pub(crate) fn malformed(path: impl Into<PathBuf>, reason: impl ToString) -> Error {
        Error::Malformed { path: path.into(), reason: reason.to_string() }
    }
}

/// Shorthand for this crate's results.
pub type Result<T> = std::result::Result<T, Error>;
