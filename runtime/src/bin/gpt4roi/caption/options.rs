//! What the answers depend on: a run that goes on must have the same.

use super::Caption;
use crate::constraint;
use anyhow::Context;
use gpt4roi::caption::Meta;
use gpt4roi::{EngineOptions, KvType};
use serde_json::{Map, Value, json};
use std::path::Path;

/// The options by the names that they have on the command line.
///
/// Threads, devices and how the files are loaded are left out: they change the time, and the answers
/// by no more than rounding.
pub(crate) fn meta(args: &Caption, engine: &EngineOptions) -> anyhow::Result<Meta> {
    let picked = [
        ("input", json!(args.input)),
        ("images", json!(args.images)),
        ("format", json!(args.format.map_or("auto", |f| f.name()))),
        ("split", json!(args.split)),
        ("box", json!(args.boxes)),
        ("box-format", json!(format!("{:?}", args.box_format).to_lowercase())),
        ("normalized", json!(args.normalized)),
        ("clip-boxes", json!(args.clip_boxes)),
        ("model", file(&engine.model)?),
        ("mmproj", file(&engine.mmproj)?),
        ("prompt", json!(args.prompt)),
        ("task", task(args)),
        ("class-hint", json!(args.class_hint)),
        ("sampling", sampling(args)),
        ("max-tokens", json!(args.max_tokens)),
        ("grammar", content(args.grammar.as_deref())?),
        ("json-schema", content(args.json_schema.as_deref())?),
        ("ctx", json!(args.ctx)),
        ("kv-type", json!(kv_type(args.kv_type))),
        ("training-preprocess", json!(args.training_preprocess)),
        ("to", json!(args.to.name())),
    ];
    let options: Map<String, Value> = picked.map(|(k, v)| (k.to_owned(), v)).into_iter().collect();
    Ok(Meta::new(options, args.shard))
}

/// What a file says, wherever it lies.
fn content(path: Option<&Path>) -> anyhow::Result<Value> {
    Ok(json!(path.map(constraint::text).transpose()?))
}

/// A model file, which may lie elsewhere when the run goes on.
fn file(path: &Path) -> anyhow::Result<Value> {
    let metadata = path.metadata().with_context(|| format!("cannot read {}", path.display()))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(json!({ "name": name, "bytes": metadata.len() }))
}

fn task(args: &Caption) -> Value {
    match args.prompt.as_slice() {
        [] => json!(args.task.unwrap_or_default().name()),
        _ => Value::Null,
    }
}

fn sampling(args: &Caption) -> Value {
    if args.greedy {
        return json!("greedy");
    }
    let Caption { temperature, top_k, top_p, seed, .. } = args;
    let exact = |v: &f32| v.to_string();
    json!({
        "temperature": exact(temperature), "top-k": top_k, "top-p": exact(top_p), "seed": seed,
    })
}

fn kv_type(t: KvType) -> &'static str {
    match t {
        KvType::F32 => "f32",
        KvType::F16 => "f16",
        KvType::Q8_0 => "q8_0",
    }
}
