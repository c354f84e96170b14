//! Finds the reference data, which is not part of the repository.

use std::path::PathBuf;

/// The folder of reference data, or `None` after a line that says what is skipped.
pub fn goldens() -> Option<PathBuf> {
    let default = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/goldens");
    let root = std::env::var_os("GPT4ROI_GOLDENS").map_or(default, PathBuf::from);
    if root.is_dir() {
        return Some(root);
    }
    println!("skip: no reference data at {} (set GPT4ROI_GOLDENS)", root.display());
    None
}
