//! Typed, range-checked access to a key-value block.

use super::HparamsError;
use crate::value::{KeyValues, Value};
use std::fmt::{Debug, Display};
use std::ops::RangeInclusive;

/// Largest width of a layer.
pub const MAX_WIDTH: u32 = 1 << 16;
/// Largest number of blocks in a stack.
pub const MAX_LAYERS: u32 = 1024;

type Result<T> = std::result::Result<T, HparamsError>;

/// Reads keys; each getter fails with the key's name.
pub struct Reader<'a, K: ?Sized>(&'a K);

macro_rules! getter {
    ($(#[$doc:meta])* $name:ident, $variant:ident, $type:ty, $expected:literal) => {
        $(#[$doc])*
        pub fn $name(&self, key: &str) -> Result<$type> {
            match self.get(key)? {
                Value::$variant(v) => Ok(v),
                other => Err(kind(key, $expected, &other)),
            }
        }
    };
}

impl<'a, K: KeyValues + ?Sized> Reader<'a, K> {
    pub fn new(kv: &'a K) -> Self {
        Reader(kv)
    }

    getter!(text, Str, String, "text");
    getter!(bool, Bool, bool, "truth value");
    getter!(f32, F32, f32, "float");
    getter!(u32s, U32s, Vec<u32>, "array of unsigned integers");
    getter!(f32s, F32s, Vec<f32>, "array of floats");
    getter!(texts, Strs, Vec<String>, "array of texts");
    getter!(bools, Bools, Vec<bool>, "array of truth values");
    getter!(u32, U32, u32, "unsigned integer");

    pub fn has(&self, key: &str) -> bool {
        self.0.value(key).is_some()
    }

    pub fn u32_in(&self, key: &str, allowed: RangeInclusive<u32>) -> Result<u32> {
        let v = self.u32(key)?;
        let words = format!("{} to {}", allowed.start(), allowed.end());
        require(key, &v, allowed.contains(&v), words)?;
        Ok(v)
    }

    /// An epsilon: positive and at most 1.
    pub fn epsilon(&self, key: &str) -> Result<f32> {
        let v = self.f32(key)?;
        require(key, &v, v > 0.0 && v <= 1.0, "above 0, at most 1")?;
        Ok(v)
    }

    pub fn text_or(&self, key: &str, default: &str) -> Result<String> {
        if self.has(key) { self.text(key) } else { Ok(default.to_owned()) }
    }

    pub fn bool_or(&self, key: &str, default: bool) -> Result<bool> {
        if self.has(key) { self.bool(key) } else { Ok(default) }
    }

    pub fn text_equal(&self, key: &str, wanted: &str) -> Result<()> {
        let got = self.text(key)?;
        require(key, &got, got == wanted, format!("`{wanted}`"))
    }

    fn get(&self, key: &str) -> Result<Value> {
        let remedy = "this is not a file made by gpt4roi-convert; convert the checkpoint with it";
        self.0.value(key).ok_or_else(|| HparamsError::Missing { key: key.to_owned(), remedy })
    }
}

fn kind(key: &str, expected: &'static str, got: &Value) -> HparamsError {
    HparamsError::Kind { key: key.to_owned(), expected, got: got.kind() }
}

/// Fails with `key`, `value` and what is `allowed` unless `ok`.
pub fn require(key: &str, value: &impl Debug, ok: bool, allowed: impl Display) -> Result<()> {
    if ok {
        return Ok(());
    }
    // Arrays from outside may be long: show their beginning.
    let mut value = format!("{value:?}");
    if value.chars().count() > 100 {
        value = value.chars().take(100).collect::<String>() + "...";
    }
    Err(HparamsError::Range { key: key.to_owned(), value, allowed: allowed.to_string() })
}
