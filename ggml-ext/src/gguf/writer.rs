//! Writing a GGUF file, one tensor at a time.

use super::header::TensorInfo;
use super::value::{Value, write_text};
use super::{KEY_ALIGNMENT, MAGIC, MAX_DIMS, MAX_NAME, VERSION};
use crate::{DType, Error, Result};
use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Alignment of tensor data that is written, in bytes.
pub const DEFAULT_ALIGNMENT: usize = 32;
/// Bytes gathered before they go to the operating system.
const BUFFER: usize = 1 << 20;

/// Writes a GGUF file: header first, then the data of each tensor in the order of the header.
///
/// Everything goes to a temporary file beside the target, which [`finish`](Writer::finish) renames
/// and which disappears if the writer is dropped before.
pub struct Writer {
    target: PathBuf,
    partial: Partial,
    out: BufWriter<File>,
    tensors: Vec<TensorInfo>,
    /// The tensor being written, and how many of its bytes are.
    current: usize,
    written: usize,
}

impl Writer {
    /// Begins a file with these keys and tensors (name, type, shape in ggml order).
    ///
    /// # Errors
    /// [`Error::Unrepresentable`] for a name, key or shape that a file cannot hold, [`Error::Io`]
    /// if the file cannot be created or the header not be written.
    pub fn create<'a>(
        target: impl AsRef<Path>,
        keys: &[(String, Value)],
        tensors: impl IntoIterator<Item = (&'a str, DType, &'a [u64])>,
    ) -> Result<Writer> {
        let tensors = lay_out(tensors)?;
        let head = header(keys, &tensors)?;
        let target = target.as_ref().to_owned();
        let (partial, file) = Partial::create(&target)?;
        let out = BufWriter::with_capacity(BUFFER, file);
        let mut writer = Writer { target, partial, out, tensors, current: 0, written: 0 };
        writer.put(&head)?;
        Ok(writer)
    }

    /// The tensors, with offsets from the beginning of the tensor data.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// The temporary file that is being written.
    pub fn partial_path(&self) -> &Path {
        &self.partial.path
    }

    /// Appends data of the current tensor; the next one begins by itself when it is complete.
    ///
    /// # Errors
    /// [`Error::Length`] if the tensor is over-full, [`Error::Io`] if writing fails, as on a full
    /// disk.
    pub fn write(&mut self, data: &[u8]) -> Result<()> {
        let full =
            |name: &str, expected, got| Err(Error::Length { name: name.to_owned(), expected, got });
        let Some(info) = self.tensors.get(self.current) else {
            return full("data after the last tensor", 0, data.len());
        };
        let (nbytes, total) = (info.nbytes, self.written + data.len());
        if total > nbytes {
            return full(&info.name, nbytes, total);
        }
        self.put(data)?;
        self.written = total;
        if total == nbytes {
            let padding = nbytes.next_multiple_of(DEFAULT_ALIGNMENT) - nbytes;
            self.put(&[0; DEFAULT_ALIGNMENT][..padding])?;
            self.current += 1;
            self.written = 0;
        }
        Ok(())
    }

    /// Completes the file on disk under its temporary name.
    ///
    /// # Errors
    /// [`Error::Length`] if a tensor is incomplete, [`Error::Io`] if the disk refuses.
    pub fn seal(mut self) -> Result<Sealed> {
        if let Some(info) = self.tensors.get(self.current) {
            let (name, expected) = (info.name.clone(), info.nbytes);
            return Err(Error::Length { name, expected, got: self.written });
        }
        let path = self.partial.path.clone();
        let synced = self.out.flush().and_then(|()| self.out.get_ref().sync_all());
        synced.map_err(|source| Error::Io { path, source })?;
        Ok(Sealed { target: self.target, partial: self.partial })
    }

    /// Completes the file without the data that is missing: it reads as zeros, which take no room where the file system
    /// has holes.
    ///
    /// # Errors
    /// As [`seal`](Writer::seal).
    pub fn outline(mut self) -> Result<Sealed> {
        if let Some(missing) = self.tensors.get(self.current..).filter(|t| !t.is_empty()) {
            let padded = |t: &TensorInfo| t.nbytes.next_multiple_of(DEFAULT_ALIGNMENT) as u64;
            let n = missing.iter().map(padded).sum::<u64>() - self.written as u64;
            let file = self.out.flush().map(|()| self.out.get_ref());
            let grown = file.and_then(|file| file.set_len(file.metadata()?.len() + n));
            let path = self.partial.path.clone();
            grown.map_err(|source| Error::Io { path, source })?;
        }
        self.current = self.tensors.len();
        self.seal()
    }

    /// Completes the file and gives it its name, replacing a file that has it.
    ///
    /// # Errors
    /// As [`seal`](Writer::seal) and [`Sealed::publish`].
    pub fn finish(self) -> Result<()> {
        self.seal()?.publish()
    }

    fn put(&mut self, data: &[u8]) -> Result<()> {
        let path = &self.partial.path;
        self.out.write_all(data).map_err(|source| Error::Io { path: path.clone(), source })
    }
}

/// A complete file that does not have its name yet. Dropping it removes it.
pub struct Sealed {
    target: PathBuf,
    partial: Partial,
}

impl Sealed {
    /// Gives the file its name, replacing a file that has it.
    ///
    /// # Errors
    /// [`Error::Io`] if the operating system refuses.
    pub fn publish(mut self) -> Result<()> {
        let renamed = std::fs::rename(&self.partial.path, &self.target);
        renamed.map_err(|source| Error::Io { path: self.target.clone(), source })?;
        self.partial.keep = true;
        sync_directory(&self.target);
        Ok(())
    }
}

/// A rename is durable only once the directory is; where directories cannot be synced, it is as
/// durable as it gets.
fn sync_directory(file: &Path) {
    if let Some(dir) = file.parent().and_then(|dir| File::open(dir).ok()) {
        let _ = dir.sync_all();
    }
}

/// A temporary file that is removed on drop unless kept.
struct Partial {
    path: PathBuf,
    keep: bool,
}

impl Partial {
    /// Creates a file of a new name beside `target`.
    fn create(target: &Path) -> Result<(Partial, File)> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut path = target.as_os_str().to_owned();
        path.push(format!(".{}-{n}.partial", std::process::id()));
        let path = PathBuf::from(path);
        match File::create_new(&path) {
            Ok(file) => Ok((Partial { path, keep: false }, file)),
            Err(source) => Err(Error::Io { path, source }),
        }
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.keep {
            // Nothing to do about a failure: the error that led here is the one to report.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Checks names and shapes, and gives each tensor its offset in the data.
fn lay_out<'a>(
    tensors: impl IntoIterator<Item = (&'a str, DType, &'a [u64])>,
) -> Result<Vec<TensorInfo>> {
    let (mut out, mut seen, mut offset) = (Vec::new(), HashSet::new(), 0);
    for (name, dtype, shape) in tensors {
        let refuse = |reason: &str| {
            Err(Error::Unrepresentable { what: name.to_owned(), reason: reason.to_owned() })
        };
        if name.is_empty() || name.len() > MAX_NAME || name.contains('\0') || !seen.insert(name) {
            return refuse("names have 1 to 63 bytes, no NUL, and occur once");
        }
        let Some((ne, nbytes)) = measure(dtype, shape) else {
            return refuse("shapes have 1 to 4 positive extents, rows of whole blocks");
        };
        let (n_dims, raw_type) = (shape.len(), dtype.raw() as _);
        let (name, dtype) = (name.to_owned(), Some(dtype));
        out.push(TensorInfo { name, raw_type, dtype, ne, n_dims, offset, nbytes });
        offset += nbytes.next_multiple_of(DEFAULT_ALIGNMENT);
    }
    Ok(out)
}

fn measure(dtype: DType, shape: &[u64]) -> Option<([u64; MAX_DIMS], usize)> {
    if shape.is_empty() || shape.len() > MAX_DIMS || shape.contains(&0) {
        return None;
    }
    let mut ne = [1; MAX_DIMS];
    ne[..shape.len()].copy_from_slice(shape);
    let row = dtype.row_size(usize::try_from(ne[0]).ok()?)? as u64;
    let nbytes = ne[1..].iter().try_fold(row, |n, &e| n.checked_mul(e))?;
    // Leaves room for the sum of all tensors.
    (nbytes < 1 << 48).then_some((ne, nbytes as usize))
}

/// The bytes before the tensor data, padding included.
fn header(keys: &[(String, Value)], tensors: &[TensorInfo]) -> Result<Vec<u8>> {
    let mut out = MAGIC.to_vec();
    out.extend(VERSION.to_le_bytes());
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend((keys.len() as u64).to_le_bytes());
    let mut seen = HashSet::new();
    for (key, value) in keys {
        if key.is_empty() || key.contains('\0') || key == KEY_ALIGNMENT || !seen.insert(key) {
            let reason =
                "keys are not empty, hold no NUL, occur once, and do not set the alignment";
            return Err(Error::Unrepresentable { what: key.clone(), reason: reason.into() });
        }
        write_text(key, &mut out);
        out.extend(value.kind().number().to_le_bytes());
        value.write(&mut out);
    }
    for t in tensors {
        write_text(&t.name, &mut out);
        out.extend((t.n_dims as u32).to_le_bytes());
        t.shape().iter().for_each(|n| out.extend(n.to_le_bytes()));
        out.extend(t.raw_type.to_le_bytes());
        out.extend((t.offset as u64).to_le_bytes());
    }
    out.resize(out.len().next_multiple_of(DEFAULT_ALIGNMENT), 0);
    Ok(out)
}
