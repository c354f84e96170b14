//! Errors of reading a set of images with boxes.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::Format;

/// Why a data set, or one image of it, cannot be used.
///
/// Messages name the file, the line or element, the field, and what would be right.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A format that does not exist.
    #[error("format `{text}` is unknown; use one of {}", Format::names())]
    Format {
        /// What was given.
        text: String,
    },
    /// A file or folder that is of no format.
    #[error(
        "cannot tell the format of `{}`: {reason}; if it is one of {}, name it",
        path.display(), Format::names()
    )]
    Unrecognised {
        /// The file or folder.
        path: PathBuf,
        /// What was looked for.
        reason: String,
    },
    /// What a file or folder says cannot be used.
    #[error("{}{place}: {reason}", path.display())]
    Content {
        /// The file or folder.
        path: PathBuf,
        /// Where in it.
        place: Place,
        /// Which field, what is wrong with it, and what would be right.
        reason: String,
    },
}

impl Error {
    pub(super) fn read(path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_path_buf();
        |source| Error::Read { path, source }
    }

    pub(super) fn whole(path: &Path, reason: impl Into<String>) -> Error {
        Error::Content { path: path.into(), place: Place::Whole, reason: reason.into() }
    }

    pub(super) fn line(path: &Path, line: u64, reason: impl Into<String>) -> Error {
        Error::Content { path: path.into(), place: Place::Line(line), reason: reason.into() }
    }

    pub(super) fn element(path: &Path, element: String, reason: impl Into<String>) -> Error {
        Error::Content { path: path.into(), place: Place::Element(element), reason: reason.into() }
    }
}

/// Where in a file something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// No particular place.
    Whole,
    /// A line, counted from 1.
    Line(u64),
    /// An element of a JSON list, as in `annotations[7]`, counted from 0.
    Element(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Whole => Ok(()),
            Place::Line(line) => write!(f, ", line {line}"),
            Place::Element(element) => write!(f, ", {element}"),
        }
    }
}
