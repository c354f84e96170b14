//! Errors of captioning a set of images.

use std::io;
use std::path::{Path, PathBuf};

use super::{Target, Task};

/// Why captions cannot be made, written or put together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read.
    #[error("cannot read `{}`: {reason}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        reason: io::Error,
    },
    /// A file could not be written.
    #[error("cannot write `{}`: {reason}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        reason: io::Error,
    },
    /// Another process has the journal.
    #[error(
        "`{}` is in use by another process; wait for it, or write to another file (--output)",
        path.display()
    )]
    Locked {
        /// The journal.
        path: PathBuf,
    },
    /// The output is there, and nothing says how it was made.
    #[error(
        "`{}` exists already; replace it (--restart), or write to another file (--output)",
        path.display()
    )]
    Exists {
        /// The output.
        path: PathBuf,
    },
    /// What is there was made with other options.
    #[error(
        "`{}` was begun with another `{field}`: {before} then, {now} now; use the same, begin again \
         (--restart), or write to another file (--output)",
        path.display()
    )]
    OtherOptions {
        /// The journal, the output, or another part.
        path: PathBuf,
        /// Which option differs.
        field: String,
        /// Its value in the file.
        before: String,
        /// Its value now.
        now: String,
    },
    /// A journal, or what stands beside an output, is damaged.
    #[error("{}, line {line}: {reason}; begin again (--restart)", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The data set is not the one that the journal is of.
    #[error(
        "`{}`: the data set changed: its image {number} was {before} and is {now}; begin again \
         (--restart), or write to another file (--output)",
        path.display()
    )]
    Changed {
        /// The journal.
        path: PathBuf,
        /// Number of the image, from 1.
        number: usize,
        /// What the image was called.
        before: String,
        /// What it is called.
        now: String,
    },
    /// A question that is not about one region.
    #[error(
        "the question `{question}` {reason}; `<region1>` stands for the region, as in `Describe \
         <region1>.`, and must be there once (call it `region1` where it comes again)"
    )]
    Question {
        /// The question.
        question: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A task that does not exist.
    #[error("task `{text}` is unknown; use one of {}", Task::names())]
    Task {
        /// What was given.
        text: String,
    },
    /// An output format that does not exist.
    #[error("output format `{text}` is unknown; use one of {}", Target::names())]
    Target {
        /// What was given.
        text: String,
    },
    /// A shard that does not exist.
    #[error("shard `{text}`: write I/N, the I-th of N, as in 1/4 to 4/4")]
    Shard {
        /// What was given.
        text: String,
    },
    /// An image or region that cannot be captioned, where none may be left out.
    #[error("{reason}; leave --strict out to go on without it")]
    Broken {
        /// Which, and why.
        reason: String,
    },
    /// A picture of an image and its captions cannot be made.
    #[error("`{}`: {reason}", path.display())]
    Picture {
        /// The picture.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Parts that are not the shards of one run.
    #[error("{}: {reason}", path.display())]
    Part {
        /// The part.
        path: PathBuf,
        /// What is wrong with it, and what would help.
        reason: String,
    },
}

impl Error {
    pub(super) fn read(path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_path_buf();
        |reason| Error::Read { path, reason }
    }

    pub(super) fn write(path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_path_buf();
        |reason| Error::Write { path, reason }
    }

    pub(super) fn part(path: &Path, reason: impl Into<String>) -> Error {
        Error::Part { path: path.into(), reason: reason.into() }
    }
}
