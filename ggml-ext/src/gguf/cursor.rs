//! Reading a header's bytes, front to back, without trusting them.

use super::value::{Kind, Value};

/// Most elements of a metadata array; the largest vocabularies have a quarter of a million.
const MAX_ARRAY: u64 = 1 << 24;

/// What is wrong with a file, in words.
pub type Result<T> = std::result::Result<T, String>;

/// Reads forward through the bytes of a header.
pub struct Cursor<'a> {
    pub bytes: &'a [u8],
    pub at: usize,
}

impl<'a> Cursor<'a> {
    pub fn take(&mut self, n: usize, what: &str) -> Result<&'a [u8]> {
        let end = self.at.checked_add(n).filter(|&end| end <= self.bytes.len());
        let end = end.ok_or_else(|| format!("the file ends within {what}"))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N, what)?);
        Ok(out)
    }

    pub fn u32(&mut self, what: &str) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub fn u64(&mut self, what: &str) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    fn text_bytes(&mut self, what: &str) -> Result<&'a [u8]> {
        let n = self.u64(what)?;
        // The C library refuses longer ones.
        let n = usize::try_from(n).ok().filter(|&n| n <= 1 << 30);
        self.take(n.ok_or_else(|| format!("the file ends within {what}"))?, what)
    }

    pub fn text(&mut self, what: &str) -> Result<String> {
        let bytes = self.text_bytes(what)?;
        Ok(std::str::from_utf8(bytes).map_err(|_| format!("{what} is not UTF-8"))?.to_owned())
    }

    pub fn kind(&mut self, key: &str) -> Result<Kind> {
        let number = self.u32(key)?;
        Kind::from_number(number).ok_or_else(|| format!("`{key}` has the unknown kind {number}"))
    }

    /// Element kind and length of an array, checked against the bytes that are left.
    fn array_head(&mut self, key: &str) -> Result<(Kind, usize)> {
        let kind = self.kind(key)?;
        let n = self.u64(key)?;
        if kind == Kind::Array || n > MAX_ARRAY {
            return Err(format!("`{key}` is an array of arrays, or of {n} elements"));
        }
        if n as usize * kind.min_size() > self.bytes.len() - self.at {
            return Err(format!("the file ends within `{key}`"));
        }
        Ok((kind, n as usize))
    }

    /// Steps over a value.
    pub fn skip(&mut self, kind: Kind, key: &str) -> Result<()> {
        let (kind, n) = if kind == Kind::Array { self.array_head(key)? } else { (kind, 1) };
        if kind != Kind::Str {
            return self.take(n * kind.min_size(), key).map(drop);
        }
        // Broken text is found here, so that reading a value later cannot fail.
        (0..n).try_for_each(|_| {
            let bytes = self.text_bytes(key)?;
            std::str::from_utf8(bytes).map(drop).map_err(|_| format!("`{key}` is not UTF-8"))
        })
    }

    pub fn value(&mut self, kind: Kind) -> Result<Value> {
        const WHAT: &str = "a value";
        Ok(match kind {
            Kind::U8 => Value::U8(self.array::<1>(WHAT)?[0]),
            Kind::I8 => Value::I8(i8::from_le_bytes(self.array(WHAT)?)),
            Kind::U16 => Value::U16(u16::from_le_bytes(self.array(WHAT)?)),
            Kind::I16 => Value::I16(i16::from_le_bytes(self.array(WHAT)?)),
            Kind::U32 => Value::U32(self.u32(WHAT)?),
            Kind::I32 => Value::I32(i32::from_le_bytes(self.array(WHAT)?)),
            Kind::F32 => Value::F32(f32::from_le_bytes(self.array(WHAT)?)),
            Kind::Bool => Value::Bool(self.array::<1>(WHAT)?[0] != 0),
            Kind::Str => Value::Str(self.text(WHAT)?),
            Kind::U64 => Value::U64(self.u64(WHAT)?),
            Kind::I64 => Value::I64(i64::from_le_bytes(self.array(WHAT)?)),
            Kind::F64 => Value::F64(f64::from_le_bytes(self.array(WHAT)?)),
            Kind::Array => {
                let (kind, n) = self.array_head(WHAT)?;
                let items = (0..n).map(|_| self.value(kind)).collect::<Result<_>>()?;
                Value::Array(kind, items)
            }
        })
    }
}
