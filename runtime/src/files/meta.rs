//! GGUF metadata as the `models` crate wants to see it.

use ggml_ext::gguf::{Gguf, Kind, Value as Stored};
use gpt4roi_models::{KeyValues, Value};

/// An open file's metadata.
pub(super) struct Meta<'a>(pub(super) &'a Gguf);

impl KeyValues for Meta<'_> {
    fn value(&self, key: &str) -> Option<Value> {
        convert(self.0.get(key)?)
    }
}

fn convert(stored: Stored) -> Option<Value> {
    Some(match stored {
        Stored::U32(v) => Value::U32(v),
        Stored::I32(v) => Value::I32(v),
        Stored::F32(v) => Value::F32(v),
        Stored::Bool(v) => Value::Bool(v),
        Stored::Str(v) => Value::Str(v),
        Stored::Array(kind, items) => convert_array(kind, items)?,
        _ => return None,
    })
}

fn convert_array(kind: Kind, items: Vec<Stored>) -> Option<Value> {
    macro_rules! all {
        ($variant:ident) => {
            items
                .into_iter()
                .map(|v| if let Stored::$variant(v) = v { Some(v) } else { None })
                .collect::<Option<Vec<_>>>()?
        };
    }
    Some(match kind {
        Kind::U32 => Value::U32s(all!(U32)),
        Kind::I32 => Value::I32s(all!(I32)),
        Kind::F32 => Value::F32s(all!(F32)),
        Kind::Bool => Value::Bools(all!(Bool)),
        Kind::Str => Value::Strs(all!(Str)),
        _ => return None,
    })
}
