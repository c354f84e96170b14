//! What stands beside a finished output: how it was made, and which lines are whose.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::paths::{sidecar_path, writing_path};
use super::{Error, Mark, Meta};

/// The content of `FILE.meta.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sidecar {
    /// How it was made.
    #[serde(flatten)]
    pub meta: Meta,
    /// Images of the whole data set.
    pub n_images: usize,
    /// Images of this output in their order.
    pub images: Vec<ImageLines>,
}

/// How many lines an image has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageLines {
    /// The number of lines.
    pub lines: usize,
    /// Its id in the data set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

impl Sidecar {
    pub(super) fn new(meta: &Meta, n_images: usize, done: &[Mark]) -> Sidecar {
        let lines = |m: &Mark| ImageLines { lines: m.lines, id: m.image_id.clone() };
        Sidecar { meta: meta.clone(), n_images, images: done.iter().map(lines).collect() }
    }

    /// Reads what stands beside `output`; `None` if nothing does.
    ///
    /// # Errors
    /// [`Error::Read`], or [`Error::Damaged`] for a file of another kind.
    pub fn read(output: &Path) -> Result<Option<Sidecar>, Error> {
        let path = sidecar_path(output);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::read(&path)(e)),
        };
        let parsed = serde_json::from_reader(BufReader::new(file));
        let damaged = |e: serde_json::Error| {
            let (line, reason) = (e.line() as u64, e.to_string());
            Error::Damaged { path, line, reason }
        };
        parsed.map(Some).map_err(damaged)
    }

    /// Writes it beside `output`.
    pub(super) fn write(&self, output: &Path) -> Result<(), Error> {
        let path = sidecar_path(output);
        let beside = writing_path(&path);
        let text = serde_json::to_string(self).map_err(std::io::Error::from);
        let written = text.and_then(|t| fs::write(&beside, t + "\n"));
        written.and_then(|()| fs::rename(&beside, &path)).map_err(Error::write(&path))
    }
}
