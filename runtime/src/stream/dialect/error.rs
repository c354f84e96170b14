//! Errors of lines.

use super::Dialect;
use crate::dataset::{Failed, MAX_RECORD_BYTES};

/// A line, or a detection of it, that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No dialect has this name.
    #[error("`{name}` is no dialect; choose one of {}", Dialect::ALL.map(Dialect::name).join(", "))]
    UnknownDialect {
        /// The name.
        name: String,
    },
    /// A line is longer than any that is read.
    #[error("the line is too long: {} MiB are the most; send pictures by path, or smaller", MAX_RECORD_BYTES >> 20)]
    TooLong,
    /// A line is in no dialect that is known.
    #[error("{reason}; name the dialect of the input (--dialect) if this line is right")]
    Unrecognised {
        /// What it looks like.
        reason: String,
    },
    /// A line cannot be read in any dialect.
    #[error("{fault}")]
    Unreadable {
        /// What is wrong with it.
        fault: Fault,
    },
    /// A command cannot be obeyed.
    #[error("command: {fault}")]
    Command {
        /// What is wrong with it.
        fault: Fault,
    },
    /// A line cannot be used.
    #[error("as `{dialect}`: {fault}")]
    Line {
        /// What it was read as.
        dialect: Dialect,
        /// What is wrong with it.
        fault: Fault,
    },
    /// A detection cannot be used; others of its line can.
    #[error("as `{dialect}`: detection {index}: {fault}")]
    Detection {
        /// What its line was read as.
        dialect: Dialect,
        /// Its place in the line, from 0.
        index: usize,
        /// What is wrong with it.
        fault: Fault,
    },
    /// So many detections of a line cannot be used that the others were not read.
    #[error(
        "as `{dialect}`: too many mistakes: {n} more detections are not read; correct the line"
    )]
    NotRead {
        /// What the line was read as.
        dialect: Dialect,
        /// How many.
        n: usize,
    },
}

impl Error {
    /// Whether nothing of the line can be used.
    pub fn is_of_whole_line(&self) -> bool {
        !matches!(self, Error::Detection { .. } | Error::NotRead { .. })
    }
}

/// What is wrong with a line, a detection or a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// It is not written as it should be.
    #[error("{reason}")]
    Form {
        /// What is wrong.
        reason: String,
    },
    /// A field has no usable value.
    #[error("field `{field}`: {reason}")]
    Field {
        /// The field, with the way to it.
        field: String,
        /// What is wrong with it, and what would be right.
        reason: String,
    },
    /// A number is larger than any that can be computed with.
    #[error("field `{field}`: the number is out of range; give one below 1.7e308, or leave it out")]
    OutOfRange {
        /// The field, with the way to it.
        field: String,
    },
    /// A score is none.
    #[error("field `{field}`: {value} is no score; give a number from 0 to 1, or leave it out")]
    Score {
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
    },
    /// A text is too long.
    #[error("field `{field}`: {n} characters are more than {most}; shorten it")]
    TooLong {
        /// The field.
        field: &'static str,
        /// Its length.
        n: usize,
        /// The most that are allowed.
        most: usize,
    },
    /// A frame holds too much.
    #[error("{n} detections in a frame are more than {most}; send the likeliest of them only")]
    TooMany {
        /// How many.
        n: usize,
        /// The most that are allowed.
        most: usize,
    },
    /// Of two fields only one can be meant.
    #[error("fields `{0}` and `{1}` exclude each other; leave one of them out")]
    Both(&'static str, &'static str),
    /// A text has too few parts.
    #[error("{n} {parts}; {needed} are needed")]
    Parts {
        /// How many.
        n: usize,
        /// What they are called.
        parts: &'static str,
        /// All that are needed.
        needed: &'static str,
    },
}

impl Fault {
    pub(super) fn form(reason: impl Into<String>) -> Fault {
        Fault::Form { reason: reason.into() }
    }

    /// For `map_err` on reasons in words.
    pub(super) fn field<E: ToString>(field: &str) -> impl Fn(E) -> Fault {
        move |reason| Fault::Field { field: field.into(), reason: reason.to_string() }
    }
}

impl From<Failed> for Fault {
    fn from(failed: Failed) -> Fault {
        match (&failed.field, failed.words()) {
            (None, words) => Fault::form(words),
            (Some(field), words) if words == "number out of range" => {
                Fault::OutOfRange { field: field.clone() }
            }
            (Some(field), words) => Fault::field(field)(words),
        }
    }
}
