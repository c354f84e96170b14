//! Metadata values, independent of how a file stores them.

use std::collections::HashMap;

/// One metadata value of a GGUF file.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Unsigned 32-bit integer.
    U32(u32),
    /// Signed 32-bit integer.
    I32(i32),
    /// 32-bit float.
    F32(f32),
    /// Truth value.
    Bool(bool),
    /// UTF-8 text.
    Str(String),
    /// Array of unsigned integers.
    U32s(Vec<u32>),
    /// Array of signed integers.
    I32s(Vec<i32>),
    /// Array of floats.
    F32s(Vec<f32>),
    /// Array of texts.
    Strs(Vec<String>),
    /// Array of truth values.
    Bools(Vec<bool>),
}

impl Value {
    /// The kind of value, in words for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::U32(_) => "unsigned integer",
            Value::I32(_) => "signed integer",
            Value::F32(_) => "float",
            Value::Bool(_) => "truth value",
            Value::Str(_) => "text",
            Value::U32s(_) => "array of unsigned integers",
            Value::I32s(_) => "array of signed integers",
            Value::F32s(_) => "array of floats",
            Value::Strs(_) => "array of texts",
            Value::Bools(_) => "array of truth values",
        }
    }
}

/// Something that answers for a key with a value, such as an open GGUF file.
pub trait KeyValues {
    /// The value under `key`, or `None` if there is none of a kind that [`Value`] can hold.
    fn value(&self, key: &str) -> Option<Value>;
}

impl KeyValues for HashMap<String, Value> {
    fn value(&self, key: &str) -> Option<Value> {
        self.get(key).cloned()
    }
}

impl KeyValues for [(String, Value)] {
    fn value(&self, key: &str) -> Option<Value> {
        self.iter().find(|(k, _)| k == key).map(|(_, v)| v.clone())
    }
}
