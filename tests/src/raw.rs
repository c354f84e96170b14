//! GGUF values as bytes, for files that the product's own writer would refuse to write.

use ggml_ext::gguf::{Kind, Value};

/// Appends a text with its length.
pub fn put_text(text: &str, out: &mut Vec<u8>) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

/// Appends a value without its kind.
pub fn put(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::U8(v) => out.push(*v),
        Value::I8(v) => out.extend(v.to_le_bytes()),
        Value::U16(v) => out.extend(v.to_le_bytes()),
        Value::I16(v) => out.extend(v.to_le_bytes()),
        Value::U32(v) => out.extend(v.to_le_bytes()),
        Value::I32(v) => out.extend(v.to_le_bytes()),
        Value::F32(v) => out.extend(v.to_le_bytes()),
        Value::Bool(v) => out.push(u8::from(*v)),
        Value::Str(v) => put_text(v, out),
        Value::U64(v) => out.extend(v.to_le_bytes()),
        Value::I64(v) => out.extend(v.to_le_bytes()),
        Value::F64(v) => out.extend(v.to_le_bytes()),
        Value::Array(kind, items) => {
            out.extend(number(*kind).to_le_bytes());
            out.extend((items.len() as u64).to_le_bytes());
            items.iter().for_each(|v| put(v, out));
        }
    }
}

/// The format's number for a kind of value.
pub fn number(kind: Kind) -> u32 {
    match kind {
        Kind::U8 => 0,
        Kind::I8 => 1,
        Kind::U16 => 2,
        Kind::I16 => 3,
        Kind::U32 => 4,
        Kind::I32 => 5,
        Kind::F32 => 6,
        Kind::Bool => 7,
        Kind::Str => 8,
        Kind::Array => 9,
        Kind::U64 => 10,
        Kind::I64 => 11,
        Kind::F64 => 12,
    }
}
