//! A GGUF file, mapped into memory.

use super::header::{Header, TensorInfo};
use super::value::Value;
use crate::{Error, Result};
use memmap2::Mmap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An open GGUF file. Opening maps the file and reads its header, no tensor data.
pub struct Gguf {
    path: PathBuf,
    map: Arc<Mmap>,
    header: Header,
}

impl Gguf {
    /// Opens and checks a file.
    ///
    /// The file must not be shortened while it is open: the operating system ends a process that
    /// reads a mapped page which no longer exists. All users of mapped model files share this
    /// limit; changed bytes do no more harm than wrong weights.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Gguf`] if it is malformed.
    pub fn open(path: impl AsRef<Path>) -> Result<Gguf> {
        let path = path.as_ref().to_owned();
        let map = map(&path).map_err(|source| Error::Io { path: path.clone(), source })?;
        let header =
            Header::parse(&map).map_err(|reason| Error::Gguf { path: path.clone(), reason })?;
        Ok(Gguf { path, map: Arc::new(map), header })
    }

    /// The file's path, as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The mapping of the whole file; offsets in [`TensorInfo`] count from its beginning.
    pub fn map(&self) -> &Arc<Mmap> {
        &self.map
    }

    /// All keys, in file order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.header.keys()
    }

    /// The value under `key`.
    pub fn get(&self, key: &str) -> Option<Value> {
        self.header.get(&self.map, key)
    }

    /// All tensors, in file order.
    pub fn tensors(&self) -> &[TensorInfo] {
        self.header.tensors()
    }

    /// The tensor of that name.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.header.tensor(name)
    }

    /// The data of the tensor of that name, as the file holds them.
    pub fn tensor_bytes(&self, name: &str) -> Option<&[u8]> {
        self.tensor(name).map(|t| &self.map[t.offset..t.offset + t.nbytes])
    }

    /// Alignment of tensor data in bytes.
    pub fn alignment(&self) -> usize {
        self.header.alignment()
    }

    /// Where tensor data begin, in bytes from the beginning of the file.
    pub fn data_offset(&self) -> usize {
        self.header.data_offset()
    }
}

impl std::fmt::Debug for Gguf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gguf").field("path", &self.path).field("len", &self.map.len()).finish()
    }
}

fn map(path: &Path) -> std::io::Result<Mmap> {
    // Asked before opening: to open a pipe would wait for its writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let file = File::open(path)?;
    // SAFETY: the mapping is private and read-only. That nobody shortens the file meanwhile is the
    // documented duty of whoever opens it.
    unsafe { Mmap::map(&file) }
}
