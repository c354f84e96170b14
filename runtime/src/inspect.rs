//! What a GGUF file contains.

use crate::error::Result;
use ggml_ext::gguf::Gguf;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// A file's metadata and tensors.
#[derive(Clone, Debug, Serialize)]
pub struct Contents {
    /// Keys and values; long arrays are cut.
    pub metadata: BTreeMap<String, String>,
    /// The tensors in file order.
    pub tensors: Vec<TensorEntry>,
    /// Bytes of all tensors.
    pub bytes: usize,
}

/// A tensor of the file.
#[derive(Clone, Debug, Serialize)]
pub struct TensorEntry {
    /// Its name.
    pub name: String,
    /// Its element type.
    pub dtype: String,
    /// Its shape in ggml order (fastest first).
    pub shape: Vec<u64>,
    /// Its size.
    pub bytes: usize,
}

/// Reads a file's header.
///
/// # Errors
/// [`crate::Error::ModelFile`] if it is not a usable GGUF file.
pub fn inspect(path: &Path) -> Result<Contents> {
    let gguf = Gguf::open(path)?;
    let entry = |key: &str| Some((key.to_owned(), gguf.get(key)?.to_string()));
    let tensors: Vec<_> = gguf
        .tensors()
        .iter()
        .map(|t| TensorEntry {
            name: t.name.clone(),
            dtype: t.type_name(),
            shape: t.shape().to_vec(),
            bytes: t.nbytes,
        })
        .collect();
    let bytes = tensors.iter().map(|t| t.bytes).sum();
    Ok(Contents { metadata: gguf.keys().filter_map(entry).collect(), tensors, bytes })
}
