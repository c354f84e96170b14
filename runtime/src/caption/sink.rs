//! Where the lines of an image go when it is done.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::{Error, Mark, Record};

/// Takes images when they are done.
pub trait Sink {
    /// What it has of earlier runs.
    fn done(&self) -> &[Mark];

    /// Takes an image; when this returns, the image is safe.
    ///
    /// # Errors
    /// [`Error::Write`].
    fn put(&mut self, mark: Mark, records: &[Record]) -> Result<(), Error>;

    /// What messages call it.
    fn path(&self) -> &Path;
}

/// Lines on a stream, such as standard output: nothing can be resumed from it.
pub struct Lines<W> {
    out: W,
    name: PathBuf,
}

impl<W: Write> Lines<W> {
    /// A stream, and what messages call it.
    pub fn new(out: W, name: impl Into<PathBuf>) -> Lines<W> {
        Lines { out, name: name.into() }
    }
}

impl<W: Write> Sink for Lines<W> {
    fn done(&self) -> &[Mark] {
        &[]
    }

    fn put(&mut self, _: Mark, records: &[Record]) -> Result<(), Error> {
        let written = text(records).and_then(|text| {
            self.out.write_all(text.as_bytes())?;
            self.out.flush()
        });
        written.map_err(Error::write(&self.name))
    }

    fn path(&self) -> &Path {
        &self.name
    }
}

/// The lines of records.
pub(super) fn text(records: &[Record]) -> std::io::Result<String> {
    let mut text = String::new();
    for record in records {
        text += &serde_json::to_string(record)?;
        text.push('\n');
    }
    Ok(text)
}
