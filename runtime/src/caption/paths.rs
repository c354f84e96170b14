//! Files beside an output.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::Error;

/// The journal of a run that writes `output`.
pub fn partial_path(output: &Path) -> PathBuf {
    with_ending(output, ".partial")
}

/// What says how a finished `output` was made.
pub fn sidecar_path(output: &Path) -> PathBuf {
    with_ending(output, ".meta.json")
}

/// Where a file is written before it gets its name, so that nobody ever sees half of it.
pub(super) fn writing_path(path: &Path) -> PathBuf {
    with_ending(path, ".writing")
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

/// Removes a file that may not be there.
pub(super) fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::write(path)(e)),
        _ => Ok(()),
    }
}
