//! The crate's error type.

use crate::{caption, constraint, dataset, preprocess, prompt};
use std::path::PathBuf;

/// Why something failed. [`Error::kind`] sorts the reasons into what a caller can do about them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A picture or a box cannot be used.
    #[error(transparent)]
    Preprocess(#[from] preprocess::Error),
    /// A question cannot be used.
    #[error(transparent)]
    Prompt(#[from] prompt::Error),
    /// A set of images with boxes cannot be used.
    #[error(transparent)]
    Dataset(#[from] dataset::Error),
    /// Captions of a set of images cannot be made or written.
    #[error(transparent)]
    Caption(#[from] caption::Error),
    /// A grammar or a JSON schema cannot be used.
    #[error(transparent)]
    Constraint(#[from] constraint::Error),
    /// A constraint leads to where no token of the model can go on.
    #[error(
        "the grammar allows no token here: the model cannot spell what must come, or there are too \
         many ways to read what it wrote"
    )]
    Stuck,
    /// A model file cannot be used.
    #[error("{}: {reason}", path.display())]
    ModelFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what would help.
        reason: String,
    },
    /// The two files are not of one model.
    #[error(
        "{} and {} are not of one model: {reason}; convert both from one checkpoint",
        model.display(), mmproj.display()
    )]
    Mismatch {
        /// The language model.
        model: PathBuf,
        /// The mmproj file.
        mmproj: PathBuf,
        /// Where they disagree.
        reason: String,
    },
    /// The prompt does not fit.
    #[error(
        "the prompt has {n_prompt} positions but the context holds {n_ctx} (one must stay free \
         for the answer): ask with a larger context or start a new conversation"
    )]
    ContextFull {
        /// Positions of the prompt.
        n_prompt: usize,
        /// Positions of the context.
        n_ctx: usize,
    },
    /// An option makes no sense.
    #[error("option `{option}` is {value}: {allowed}")]
    Option {
        /// Name of the option.
        option: &'static str,
        /// Its value.
        value: String,
        /// What would be right.
        allowed: &'static str,
    },
    /// Reference data for a comparison cannot be used.
    #[error("{}: {reason}", path.display())]
    Golden {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A device has too little free memory for what was asked to be on it.
    #[error(
        "{what} takes {} on {device}, where {} are free: {remedy}", mib(*need), mib(*free)
    )]
    DoesNotFit {
        /// What was to be there.
        what: String,
        /// The device.
        device: String,
        /// Bytes that it takes.
        need: usize,
        /// Bytes that are free, less what drivers need.
        free: usize,
        /// What would fit.
        remedy: String,
    },
    /// The device or llama.cpp failed.
    #[error(transparent)]
    Compute(ggml_ext::Error),
    /// What several questions were to be answered from failed.
    #[error("{reason}")]
    Shared {
        /// What can be done about it.
        kind: ErrorKind,
        /// What it was.
        reason: String,
    },
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// A broken promise inside this crate; please report it.
    #[error("internal error: {0}")]
    Internal(String),
}

/// What a caller can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Picture, box, question or option: ask differently.
    Input,
    /// Model files: get other files.
    Model,
    /// Memory, device, driver: another machine or smaller settings.
    Resources,
    /// Stopped on request.
    Cancelled,
    /// A defect of this crate.
    Internal,
}

impl Error {
    /// What can be done about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Preprocess(_) | Error::Prompt(_) | Error::ContextFull { .. } => ErrorKind::Input,
            Error::Dataset(_) | Error::Caption(_) => ErrorKind::Input,
            Error::Option { .. } | Error::Golden { .. } => ErrorKind::Input,
            Error::Constraint(_) | Error::Stuck => ErrorKind::Input,
            Error::ModelFile { .. } | Error::Mismatch { .. } => ErrorKind::Model,
            Error::DoesNotFit { .. } | Error::Compute(_) => ErrorKind::Resources,
            Error::Shared { kind, .. } => *kind,
            Error::Cancelled => ErrorKind::Cancelled,
            Error::Internal(_) => ErrorKind::Internal,
        }
    }

    /// The same error once more, for another who has to hear of it.
    pub(crate) fn again(&self) -> Error {
        match self {
            Error::Cancelled => Error::Cancelled,
            other => Error::Shared { kind: other.kind(), reason: other.to_string() },
        }
    }

    pub(crate) fn internal(what: impl Into<String>) -> Error {
        Error::Internal(what.into())
    }
}

impl From<ggml_ext::Error> for Error {
    fn from(e: ggml_ext::Error) -> Error {
        use ggml_ext::Error as E;
        match e {
            E::Cancelled => Error::Cancelled,
            E::Gguf { path, reason } => {
                Error::ModelFile { path, reason: format!("not a usable GGUF file: {reason}") }
            }
            E::Io { path, source } => Error::ModelFile { path, reason: source.to_string() },
            E::ModelLoad { path, reason } => {
                Error::ModelFile { path, reason: format!("llama.cpp cannot load it: {reason}") }
            }
            other => Error::Compute(other),
        }
    }
}

/// Shorthand for this crate's results.
pub type Result<T> = std::result::Result<T, Error>;

/// Bytes for people.
pub(crate) fn mib(bytes: usize) -> String {
    format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20))
}
