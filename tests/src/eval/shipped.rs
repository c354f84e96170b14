//! The model that lies in the tree.

use super::error::{Error, Result};
use crate::Pair;
use std::path::{Path, PathBuf};

/// The model of a folder: one language model and one mmproj file.
///
/// # Errors
/// [`Error::File`] if there are none or several.
pub fn shipped(dir: &Path) -> Result<Pair> {
    let entries = std::fs::read_dir(dir).map_err(Error::io(dir))?;
    let paths = entries.flatten().map(|e| e.path());
    let files = paths.filter(|p| p.extension().is_some_and(|e| e == "gguf"));
    let is_mmproj = |p: &PathBuf| {
        p.file_name().is_some_and(|name| name.to_string_lossy().starts_with("mmproj"))
    };
    let (mmproj, model): (Vec<_>, Vec<_>) = files.partition(is_mmproj);
    match (<[_; 1]>::try_from(model), <[_; 1]>::try_from(mmproj)) {
        (Ok([model]), Ok([mmproj])) => Ok(Pair { model, mmproj }),
        _ => Err(Error::file(dir, "not one language model and one mmproj-*.gguf in it")),
    }
}
