//! Why an evaluation cannot be done.

use std::path::{Path, PathBuf};

/// What is wrong, and in which file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file as a whole cannot be used.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it, and what would help.
        reason: String,
    },
    /// A line of a file cannot be used.
    #[error("{}:{line}: {reason}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The model cannot be used.
    #[error(transparent)]
    Model(#[from] gpt4roi::Error),
}

/// Shorthand for the results of an evaluation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(super) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.to_owned();
        |source| Error::Io { path, source }
    }

    pub(super) fn file(path: &Path, reason: impl Into<String>) -> Error {
        Error::File { path: path.to_owned(), reason: reason.into() }
    }

    pub(super) fn line(path: &Path, line: usize, reason: impl ToString) -> Error {
        Error::Line { path: path.to_owned(), line, reason: reason.to_string() }
    }
}

/// Reads a file of one JSON value a line, with the numbers of the lines; empty lines are skipped.
pub(super) fn read_lines<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Vec<(usize, T)>> {
    let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
    let lines = text.lines().enumerate().map(|(i, line)| (i + 1, line));
    let parse = |(number, line)| match serde_json::from_str(line) {
        Ok(value) => Ok((number, value)),
        Err(e) => Err(Error::line(path, number, without_line(&e))),
    };
    lines.filter(|(_, line)| !line.trim().is_empty()).map(parse).collect()
}

/// The parser sees one line at a time: its own line number is always 1.
fn without_line(e: &serde_json::Error) -> String {
    let text = e.to_string();
    let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
    format!("column {}: {message}", e.column())
}
