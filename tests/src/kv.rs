//! Between the metadata of the `models` crate and that of GGUF files.

use ggml_ext::gguf::{Gguf, Kind, Value as Stored};
use gpt4roi_models::{KeyValues, Value};

/// As a file stores it.
pub fn stored(value: &Value) -> Stored {
    match value.clone() {
        Value::U32(v) => v.into(),
        Value::I32(v) => v.into(),
        Value::F32(v) => v.into(),
        Value::Bool(v) => v.into(),
        Value::Str(v) => v.into(),
        Value::U32s(v) => v.into(),
        Value::I32s(v) => v.into(),
        Value::F32s(v) => v.into(),
        Value::Strs(v) => v.into(),
        Value::Bools(v) => v.into(),
    }
}

/// The metadata of an open file.
pub struct Meta<'a>(pub &'a Gguf);

impl KeyValues for Meta<'_> {
    fn value(&self, key: &str) -> Option<Value> {
        macro_rules! list {
            ($items:expr, $from:ident, $to:ident) => {{
                let one = |v| match v {
                    Stored::$from(v) => Some(v),
                    _ => None,
                };
                Value::$to($items.into_iter().map(one).collect::<Option<_>>()?)
            }};
        }
        Some(match self.0.get(key)? {
            Stored::U32(v) => Value::U32(v),
            Stored::I32(v) => Value::I32(v),
            Stored::F32(v) => Value::F32(v),
            Stored::Bool(v) => Value::Bool(v),
            Stored::Str(v) => Value::Str(v),
            Stored::Array(Kind::U32, items) => list!(items, U32, U32s),
            Stored::Array(Kind::I32, items) => list!(items, I32, I32s),
            Stored::Array(Kind::F32, items) => list!(items, F32, F32s),
            Stored::Array(Kind::Str, items) => list!(items, Str, Strs),
            Stored::Array(Kind::Bool, items) => list!(items, Bool, Bools),
            _ => return None,
        })
    }
}
