//! What is in a GGUF file, for people and for programs.

use ggml_ext::gguf::{Gguf, Kind, TensorInfo, Value};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Characters of a text, or elements of an array, that are shown.
const SHOWN: usize = 60;
/// Elements of an array that are shown.
const SHOWN_ITEMS: usize = 8;

/// Bytes and number of tensors of each type.
fn by_type(tensors: &[TensorInfo]) -> BTreeMap<String, (usize, usize)> {
    let mut types = BTreeMap::new();
    for t in tensors {
        let entry: &mut (usize, usize) = types.entry(t.type_name()).or_default();
        entry.0 += 1;
        entry.1 += t.nbytes;
    }
    types
}

/// A table of keys and tensors.
pub fn text(file: &Gguf) -> String {
    let mut out = format!("{} ({} bytes)\n\nkeys\n", file.path().display(), file.map().len());
    for key in file.keys() {
        let value = file.get(key).map_or_else(String::new, |v| brief(&v));
        let _ = writeln!(out, "  {key:<44} {value}");
    }
    out.push_str("\ntensors\n");
    for t in file.tensors() {
        let (name, kind, n) = (&t.name, t.type_name(), t.nbytes);
        let _ = writeln!(out, "  {name:<36} {kind:<6} {n:>12}  {:?}", t.shape());
    }
    out.push_str("\ntypes\n");
    for (name, (count, bytes)) in by_type(file.tensors()) {
        let _ = writeln!(out, "  {name:<6} {count:>5} tensors {bytes:>14} bytes");
    }
    out
}

/// One JSON object with everything but long arrays, of which kind and length are given.
pub fn json(file: &Gguf) -> Json {
    let keys: serde_json::Map<String, Json> =
        file.keys().filter_map(|k| Some((k.to_owned(), key_json(&file.get(k)?)))).collect();
    let tensors: Vec<Json> = file
        .tensors()
        .iter()
        .map(|t| {
            json!({"name": t.name, "type": t.type_name(), "shape": t.shape(),
                "offset": t.offset, "bytes": t.nbytes})
        })
        .collect();
    json!({"file": file.path(), "bytes": file.map().len(), "keys": keys, "tensors": tensors})
}

fn key_json(v: &Value) -> Json {
    match v {
        Value::Array(kind, items) if items.len() > SHOWN => {
            json!({"array_of": format!("{kind:?}").to_lowercase(), "length": items.len()})
        }
        Value::Array(_, items) => Json::Array(items.iter().map(key_json).collect()),
        Value::Str(v) => json!(v),
        Value::Bool(v) => json!(v),
        // The shortest decimal that reads back as the same f32.
        Value::F32(v) => json!(v.to_string().parse::<f64>().unwrap_or(f64::from(*v))),
        Value::F64(v) => json!(v),
        Value::U64(v) => json!(v),
        Value::I64(v) => json!(v),
        Value::U8(v) => json!(v),
        Value::I8(v) => json!(v),
        Value::U16(v) => json!(v),
        Value::I16(v) => json!(v),
        Value::U32(v) => json!(v),
        Value::I32(v) => json!(v),
    }
}

/// A value on one line.
fn brief(v: &Value) -> String {
    match v {
        Value::Array(kind, items) => {
            let shown: Vec<_> = items.iter().take(SHOWN_ITEMS).map(brief).collect();
            let dots = if items.len() > SHOWN_ITEMS { ", ..." } else { "" };
            let kind = if *kind == Kind::Str { "texts" } else { "values" };
            format!("[{}{dots}] ({} {kind})", shown.join(", "), items.len())
        }
        Value::Str(s) if s.chars().count() > SHOWN => {
            format!("{:?}...", s.chars().take(SHOWN).collect::<String>())
        }
        Value::Str(s) => format!("{s:?}"),
        other => match key_json(other) {
            // A non-finite float has no JSON.
            Json::Null => format!("{other:?}"),
            json => json.to_string(),
        },
    }
}
