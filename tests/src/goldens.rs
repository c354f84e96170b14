//! Reference data, which is not in the repository.

use crate::workspace;
use safetensors::SafeTensors;
use std::path::{Path, PathBuf};

/// The folder of golden data: `GPT4ROI_GOLDENS`, or `../shared/goldens` beside the workspace.
/// Prints that a test is skipped if it is not there.
pub fn folder() -> Option<PathBuf> {
    let default = workspace().join("../shared/goldens");
    let dir = std::env::var_os("GPT4ROI_GOLDENS").map_or(default, PathBuf::from);
    let found = dir.join("README.md").is_file();
    if !found {
        eprintln!("skipped: no goldens in {} (GPT4ROI_GOLDENS)", dir.display());
    }
    found.then_some(dir)
}

/// A safetensors file's floats by name.
pub struct Floats(Vec<u8>);

impl Floats {
    /// Reads the file.
    ///
    /// # Panics
    /// If it cannot be read.
    pub fn open(path: &Path) -> Floats {
        Floats(std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
    }

    /// Shape (PyTorch order) and values of a tensor.
    ///
    /// # Panics
    /// If there is no such tensor.
    pub fn get(&self, name: &str) -> (Vec<usize>, Vec<f32>) {
        let file = SafeTensors::deserialize(&self.0).expect("a safetensors file");
        let t = file.tensor(name).expect(name);
        assert_eq!(t.dtype(), safetensors::Dtype::F32, "{name}");
        let floats = t.data().as_chunks::<4>().0;
        let values = floats.iter().map(|b| f32::from_le_bytes(*b)).collect();
        (t.shape().to_vec(), values)
    }
}
