//! The part of a GGUF file before the tensor data: parsing and its checks.

use super::cursor::{Cursor, Result};
use super::value::{Kind, Value};
use super::{KEY_ALIGNMENT, MAGIC, MAX_DIMS, MAX_NAME, VERSION};
use crate::DType;
use crate::sys;
use std::collections::HashMap;

/// Longest key, in bytes.
const MAX_KEY: usize = 65535;
/// Largest alignment of tensor data.
const MAX_ALIGNMENT: u32 = 1 << 20;

/// Where one tensor lies, and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Name, at most 63 bytes, no NUL.
    pub name: String,
    /// ggml's number for the type.
    pub raw_type: u32,
    /// The type, if it is one that this crate computes with.
    pub dtype: Option<DType>,
    /// Extents in ggml order; those beyond `n_dims` are 1.
    pub ne: [u64; MAX_DIMS],
    /// Number of dimensions.
    pub n_dims: usize,
    /// Where the data begin, in bytes from the beginning of the file.
    pub offset: usize,
    /// Bytes of data; `offset + nbytes` lies inside the file.
    pub nbytes: usize,
}

impl TensorInfo {
    /// Extents in ggml order.
    pub fn shape(&self) -> &[u64] {
        &self.ne[..self.n_dims]
    }

    /// Number of elements.
    pub fn n_elements(&self) -> u64 {
        self.ne.iter().product()
    }

    /// Usual lower-case name of the type, also of types that this crate does not compute with.
    pub fn type_name(&self) -> String {
        match self.dtype {
            Some(t) => t.name().to_owned(),
            None => format!("ggml type {}", self.raw_type),
        }
    }
}

/// Keys and tensor table of a GGUF file. Parsing checks everything and copies no value.
#[derive(Debug)]
pub struct Header {
    /// Keys in file order.
    keys: Vec<Entry>,
    key_index: HashMap<String, usize>,
    tensors: Vec<TensorInfo>,
    tensor_index: HashMap<String, usize>,
    alignment: usize,
    data_offset: usize,
}

/// A key and where its value lies.
#[derive(Debug)]
struct Entry {
    key: String,
    kind: Kind,
    at: usize,
}

impl Header {
    /// Parses the header of the file whose whole content is `bytes`.
    ///
    /// # Errors
    /// Says what is wrong, and at which key, tensor or byte. Never panics, whatever the bytes.
    pub fn parse(bytes: &[u8]) -> Result<Header> {
        let mut cur = Cursor { bytes, at: 0 };
        if cur.take(4, "the magic number")? != MAGIC {
            return Err("it does not begin with `GGUF`".into());
        }
        let version = cur.u32("the version")?;
        if !(2..=VERSION).contains(&version) {
            return Err(format!("version {version} is not supported (2 and 3 are)"));
        }
        let n_tensors = cur.u64("the number of tensors")?;
        let n_keys = cur.u64("the number of keys")?;
        let (keys, key_index) = parse_keys(&mut cur, n_keys)?;
        let alignment = alignment(bytes, &keys)?;
        let mut tensors = parse_tensors(&mut cur, n_tensors)?;
        let data_offset = cur.at.next_multiple_of(alignment);
        place(&mut tensors, data_offset, alignment, bytes.len())?;
        let tensor_index = index(&tensors)?;
        Ok(Header { keys, key_index, tensors, tensor_index, alignment, data_offset })
    }

    /// All keys, in file order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|e| e.key.as_str())
    }

    /// The value under `key`; `bytes` must be what the header was parsed from.
    pub fn get(&self, bytes: &[u8], key: &str) -> Option<Value> {
        let entry = &self.keys[*self.key_index.get(key)?];
        Cursor { bytes, at: entry.at }.value(entry.kind).ok()
    }

    /// All tensors, in file order.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// The tensor of that name.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.tensor_index.get(name).map(|&i| &self.tensors[i])
    }

    /// Alignment of tensor data in bytes, a power of two from 8 on.
    pub fn alignment(&self) -> usize {
        self.alignment
    }

    /// Where tensor data begin, in bytes from the beginning of the file.
    pub fn data_offset(&self) -> usize {
        self.data_offset
    }
}

fn parse_keys(cur: &mut Cursor, n: u64) -> Result<(Vec<Entry>, HashMap<String, usize>)> {
    // No allocation by a count from the file: it may lie.
    let (mut keys, mut index) = (Vec::new(), HashMap::new());
    for i in 0..n {
        let key = cur.text(&format!("key {i}"))?;
        if key.is_empty() || key.len() > MAX_KEY || key.contains('\0') {
            return Err(format!("key {i} is empty, too long or holds a NUL"));
        }
        let kind = cur.kind(&key)?;
        let at = cur.at;
        cur.skip(kind, &key)?;
        if index.insert(key.clone(), keys.len()).is_some() {
            return Err(format!("key `{key}` occurs twice"));
        }
        keys.push(Entry { key, kind, at });
    }
    Ok((keys, index))
}

fn alignment(bytes: &[u8], keys: &[Entry]) -> Result<usize> {
    let Some(entry) = keys.iter().find(|e| e.key == KEY_ALIGNMENT) else {
        return Ok(super::DEFAULT_ALIGNMENT);
    };
    match (Cursor { bytes, at: entry.at }).value(entry.kind)? {
        Value::U32(v) if v.is_power_of_two() && (8..=MAX_ALIGNMENT).contains(&v) => Ok(v as usize),
        other => Err(format!("`{KEY_ALIGNMENT}` is {other:?}, not a power of two from 8 on")),
    }
}

fn parse_tensors(cur: &mut Cursor, n: u64) -> Result<Vec<TensorInfo>> {
    let mut tensors = Vec::new();
    for i in 0..n {
        let name = cur.text(&format!("the name of tensor {i}"))?;
        if name.len() > MAX_NAME || name.contains('\0') {
            return Err(format!("the name of tensor {i} is longer than {MAX_NAME} or holds a NUL"));
        }
        tensors.push(parse_tensor(cur, name)?);
    }
    Ok(tensors)
}

/// Reads one row of the tensor table; the offset is still relative to the data.
fn parse_tensor(cur: &mut Cursor, name: String) -> Result<TensorInfo> {
    let n_dims = cur.u32(&name)? as usize;
    if n_dims > MAX_DIMS {
        return Err(format!("tensor `{name}` has {n_dims} dimensions, {MAX_DIMS} are possible"));
    }
    let mut ne = [1; MAX_DIMS];
    for extent in &mut ne[..n_dims] {
        *extent = cur.u64(&name)?;
    }
    let raw_type = cur.u32(&name)?;
    let (block, block_bytes) = type_layout(raw_type)
        .ok_or_else(|| format!("tensor `{name}` has the unknown type {raw_type}"))?;
    let nbytes = size(ne, block, block_bytes)
        .ok_or_else(|| format!("tensor `{name}`: a shape of {ne:?} is impossible for its type"))?;
    let offset = usize::try_from(cur.u64(&name)?)
        .map_err(|_| format!("tensor `{name}` lies beyond what can be addressed"))?;
    let dtype = DType::from_raw(raw_type as sys::ggml_type);
    Ok(TensorInfo { name, raw_type, dtype, ne, n_dims, offset, nbytes })
}

/// Elements and bytes of one block of a type; `None` for numbers that mean nothing (any more).
fn type_layout(raw: u32) -> Option<(u64, usize)> {
    if raw >= sys::GGML_TYPE_COUNT as _ {
        return None;
    }
    // SAFETY: table look-ups, valid for every number below the count.
    let (block, bytes) = unsafe {
        (sys::ggml_blck_size(raw as sys::ggml_type), sys::ggml_type_size(raw as sys::ggml_type))
    };
    (block > 0 && bytes > 0).then_some((block as u64, bytes))
}

/// Bytes of a tensor; `None` if blocks do not divide rows, an extent is 0, or on overflow.
fn size(ne: [u64; MAX_DIMS], block: u64, block_bytes: usize) -> Option<usize> {
    if !ne[0].is_multiple_of(block) || ne.contains(&0) {
        return None;
    }
    let n = ne.iter().try_fold(1u64, |n, &e| n.checked_mul(e))?;
    // The C library counts elements and bytes in signed 64-bit integers.
    let bytes = (n / block).checked_mul(block_bytes as u64)?;
    (n <= i64::MAX as u64 / 2 && bytes <= i64::MAX as u64 / 2).then_some(bytes as usize)
}

/// Checks that tensors follow each other without gap, as the C library demands, and makes offsets
/// absolute.
fn place(tensors: &mut [TensorInfo], data: usize, alignment: usize, len: usize) -> Result<()> {
    let mut expected = 0usize;
    for t in tensors {
        if t.offset != expected {
            let (name, offset) = (&t.name, t.offset);
            return Err(format!("tensor `{name}` is at offset {offset}, not at {expected}"));
        }
        let end = data.checked_add(t.offset).and_then(|at| at.checked_add(t.nbytes));
        if end.is_none_or(|end| end > len) {
            return Err(format!(
                "the data of tensor `{}` reach beyond the end of the file: it is \
                truncated; fetch or convert it again",
                t.name
            ));
        }
        // Cannot overflow: both are below the file's length, and alignments are small.
        expected += t.nbytes.next_multiple_of(alignment);
        t.offset += data;
    }
    Ok(())
}

fn index(tensors: &[TensorInfo]) -> Result<HashMap<String, usize>> {
    let mut index = HashMap::with_capacity(tensors.len());
    for (i, t) in tensors.iter().enumerate() {
        if index.insert(t.name.clone(), i).is_some() {
            return Err(format!("tensor `{}` occurs twice", t.name));
        }
    }
    Ok(index)
}
