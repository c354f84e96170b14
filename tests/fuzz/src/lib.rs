//! What the fuzz targets share.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tempfile::TempDir;

/// A folder of this process, gone when it ends normally; in memory where there is such a file
/// system.
pub fn scratch() -> &'static Path {
    static DIR: OnceLock<TempDir> = OnceLock::new();
    DIR.get_or_init(|| {
        let memory = Path::new("/dev/shm");
        let made = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
        made.expect("a temporary folder")
    })
    .path()
}

/// Writes `bytes` to a file of that name in [`scratch`].
///
/// The old file is removed first: it may still be mapped, and a mapped file must not change.
pub fn write(name: &str, bytes: &[u8]) -> PathBuf {
    let path = scratch().join(name);
    let _ = fs::remove_file(&path);
    fs::create_dir_all(path.parent().expect("below the folder")).expect("a folder");
    fs::write(&path, bytes).expect("room for a file");
    path
}

/// The seeds that `make fuzz-seeds` wrote.
pub fn seeds() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds")
}
