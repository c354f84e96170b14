//! One safetensors file. Only the header is held; data are read when asked for.

use super::{ElementType, Meta, Stream, element_size};
use crate::error::{Error, Result};
use ggml_ext::DType;
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Largest header, as the format's own library has it.
const MAX_HEADER: u64 = 100_000_000;

/// A safetensors file whose header was read and checked against the file's length.
pub struct Safetensors {
    path: PathBuf,
    tensors: HashMap<String, Entry>,
}

struct Entry {
    meta: Meta,
    /// From the beginning of the file.
    at: u64,
}

#[derive(Deserialize)]
struct Raw {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

impl Safetensors {
    /// Reads the header of a file.
    pub fn open(path: &Path) -> Result<Safetensors> {
        let mut file = File::open(path).map_err(Error::io(path))?;
        let len = file.metadata().map_err(Error::io(path))?.len();
        let bad = |reason: String| Error::malformed(path, reason);
        let mut size = [0; 8];
        file.read_exact(&mut size).map_err(|_| bad("too short for a safetensors file".into()))?;
        let size = u64::from_le_bytes(size);
        if size > MAX_HEADER || size + 8 > len {
            let reason =
                format!("a header of {size} bytes does not fit: not safetensors, or cut off");
            return Err(bad(reason));
        }
        let mut header = vec![0; size as usize];
        file.read_exact(&mut header).map_err(Error::io(path))?;
        let header: HashMap<String, Value> = serde_json::from_slice(&header)
            .map_err(|e| bad(format!("its header is not valid JSON: {e}")))?;
        let mut tensors = HashMap::new();
        for (name, value) in header.into_iter().filter(|(name, _)| name != "__metadata__") {
            let raw: Raw = serde_json::from_value(value)
                .map_err(|e| bad(format!("tensor `{name}`: bad description: {e}")))?;
            let entry = entry(path, &name, raw, 8 + size, len)?;
            tensors.insert(name, entry);
        }
        Ok(Safetensors { path: path.to_owned(), tensors })
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    pub fn meta(&self, name: &str) -> Option<&Meta> {
        self.tensors.get(name).map(|e| &e.meta)
    }

    pub fn stream(&self, name: &str) -> Result<Box<dyn Stream>> {
        let missing = || Error::malformed(&self.path, format!("no weights named `{name}`"));
        let entry = self.tensors.get(name).ok_or_else(missing)?;
        let ElementType::Float(dtype) = entry.meta.element else {
            return Err(missing());
        };
        let mut file = File::open(&self.path).map_err(Error::io(&self.path))?;
        file.seek(SeekFrom::Start(entry.at)).map_err(Error::io(&self.path))?;
        Ok(Box::new(FileStream { path: self.path.clone(), name: name.to_owned(), file, dtype }))
    }
}

fn entry(path: &Path, name: &str, raw: Raw, data: u64, len: u64) -> Result<Entry> {
    let bad = |reason| Err(Error::malformed(path, format!("tensor `{name}`: {reason}")));
    let element = match raw.dtype.as_str() {
        "F32" => ElementType::Float(DType::F32),
        "F16" => ElementType::Float(DType::F16),
        "BF16" => ElementType::Float(DType::Bf16),
        other => ElementType::Other(other.to_owned()),
    };
    let [begin, end] = raw.data_offsets;
    if begin > end || end > len - data {
        return bad("its data reach beyond the end: the file is truncated, fetch it again");
    }
    let count = raw.shape.iter().try_fold(1u64, |n, &e| n.checked_mul(e));
    if let ElementType::Float(dtype) = element {
        let bytes = count.and_then(|n| n.checked_mul(element_size(dtype) as u64));
        if bytes != Some(end - begin) {
            return bad("its shape and the length of its data disagree");
        }
    }
    let meta = Meta { path: path.to_owned(), shape: raw.shape, element };
    Ok(Entry { meta, at: data + begin })
}

/// Reads on from a place in a file.
struct FileStream {
    path: PathBuf,
    name: String,
    file: File,
    dtype: DType,
}

impl Stream for FileStream {
    fn dtype(&self) -> DType {
        self.dtype
    }

    fn read(&mut self, n: usize, out: &mut Vec<u8>) -> Result<()> {
        let n = n * element_size(self.dtype);
        let got =
            (&mut self.file).take(n as u64).read_to_end(out).map_err(Error::io(&self.path))?;
        if got < n {
            let reason = format!("tensor `{}`: the file ended while it was read", self.name);
            return Err(Error::malformed(&self.path, reason));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn open(header: &str, data: &[u8]) -> Result<Safetensors> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
        file.write_all(header.as_bytes()).unwrap();
        file.write_all(data).unwrap();
        Safetensors::open(file.path())
    }

    #[test]
    fn lying_headers_are_errors() {
        let good = r#"{"a":{"dtype":"F16","shape":[2,2],"data_offsets":[0,8]}}"#;
        assert!(open(good, &[0; 8]).is_ok());
        let cases = [
            (good, 7, "truncated"),
            (r#"{"a":{"dtype":"F16","shape":[2,3],"data_offsets":[0,8]}}"#, 8, "disagree"),
            (r#"{"a":{"dtype":"F16","shape":[2,2],"data_offsets":[8,0]}}"#, 8, "truncated"),
            (
                r#"{"a":{"dtype":"F16","shape":[4294967296,4294967296,4],"data_offsets":[0,0]}}"#,
                8,
                "disagree",
            ),
            (r#"{"a":{"dtype":"F16","shape":[-1],"data_offsets":[0,8]}}"#, 8, "bad description"),
            (r#"{"a":"#, 8, "JSON"),
        ];
        for (header, n, message) in cases {
            let err = open(header, &vec![0; n]).err().expect(header).to_string();
            assert!(err.contains(message), "{err}");
        }
    }

    #[test]
    fn a_length_beyond_the_file_is_an_error() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&[0xff; 16]).unwrap();
        assert!(Safetensors::open(file.path()).is_err());
    }
}
