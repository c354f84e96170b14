//! The language model's file. llama.cpp loads it, but ends the process on some malformed
//! metadata, so everything that it relies on is checked here first.

use super::meta::Meta;
use super::{bad, find};
use crate::error::Result;
use ggml_ext::DType;
use ggml_ext::gguf::Gguf;
use ggml_ext::llama::{LoadOptions, Model};
use gpt4roi_models::hparams::LlmHparams;
use gpt4roi_models::keys;
use gpt4roi_models::names::gguf as names;
use gpt4roi_models::specs::llm_specs;
use gpt4roi_models::{KeyValues, Value};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// A language model's file that llama.cpp may load.
pub(crate) struct LlmFile {
    pub(crate) path: PathBuf,
    pub(crate) hparams: LlmHparams,
    /// Types of the quantisable tensors.
    pub(crate) types: Vec<DType>,
    /// Whether the vocabulary puts a blank in front of text.
    pub(crate) dummy_prefix: bool,
    pub(crate) bytes: LayerBytes,
}

/// Bytes of a language model's weights, by what is placed on a device together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LayerBytes {
    /// The embedding table, which stays on the host.
    pub(crate) embedding: usize,
    pub(crate) blocks: Vec<usize>,
    /// The last norm and the output matrix.
    pub(crate) output: usize,
}

impl LlmFile {
    /// Loads the model.
    pub(crate) fn load(
        &self,
        options: &LoadOptions,
        progress: &mut dyn FnMut(f32) -> bool,
    ) -> Result<Model> {
        Ok(Model::load(&self.path, options, progress)?)
    }
}

/// Checks the file; no weights are read.
pub(crate) fn check_llm(path: &Path) -> Result<LlmFile> {
    let gguf = Gguf::open(path)?;
    let meta = Meta(&gguf);
    if meta.value(keys::ARCHITECTURE) == Some(Value::Str(keys::ARCH_CLIP.into())) {
        let reason = "this is an mmproj file; the language model is the other one of the pair";
        return Err(bad(&gguf, reason));
    }
    let hparams = LlmHparams::from_kv(&meta).map_err(|e| bad(&gguf, e))?;
    let mut check = check_keys(&gguf);
    check = check.and_then(|()| check_vocabulary(&meta, hparams.n_vocab as usize));
    check.map_err(|reason| bad(&gguf, reason))?;
    let types = check_tensors(&gguf, &hparams)?;
    let bytes = layer_bytes(&gguf, &hparams);
    // llama.cpp's own default for SentencePiece vocabularies.
    let dummy_prefix = meta.value(keys::TOKENIZER_ADD_SPACE_PREFIX) != Some(Value::Bool(false));
    Ok(LlmFile { path: path.into(), hparams, types, dummy_prefix, bytes })
}

/// Keys that change how llama.cpp reads a model (experts, splits, rope scaling, ...) are refused
/// unless this project writes them.
fn check_keys(gguf: &Gguf) -> std::result::Result<(), String> {
    match gguf.keys().find(|k| !keys::is_note(k) && !keys::ALL.contains(k)) {
        None => Ok(()),
        Some(key) => Err(format!("key `{key}` belongs to no model that this runtime knows")),
    }
}

fn check_tensors(gguf: &Gguf, hparams: &LlmHparams) -> Result<Vec<DType>> {
    let specs = llm_specs(hparams);
    if let Some(extra) =
        gguf.tensors().iter().find(|t| !specs.iter().any(|spec| spec.name == t.name))
    {
        return Err(bad(gguf, format!("tensor `{}` belongs to no such model", extra.name)));
    }
    let mut types = Vec::new();
    for spec in &specs {
        let (_, dtype) = find(gguf, spec)?;
        if spec.kind.is_quantizable() {
            types.push(dtype);
        }
    }
    Ok(types)
}

fn layer_bytes(gguf: &Gguf, hparams: &LlmHparams) -> LayerBytes {
    let sum = |prefix: &str| {
        let of_layer = gguf.tensors().iter().filter(|t| t.name.starts_with(prefix));
        of_layer.map(|t| t.nbytes).sum()
    };
    LayerBytes {
        embedding: sum(names::TOKEN_EMBD),
        blocks: (0..hparams.n_layer).map(|il| sum(&names::llm_block(il, ""))).collect(),
        output: sum(names::OUTPUT),
    }
}

/// What llama.cpp's SentencePiece tokenizer takes for granted.
fn check_vocabulary(meta: &Meta, n_vocab: usize) -> std::result::Result<(), String> {
    let wrong = |key: &str, what: &str| Err(format!("key `{key}`: {what}"));
    match meta.value(keys::TOKENIZER_MODEL) {
        Some(Value::Str(m)) if m == keys::TOKENIZER_LLAMA => {}
        _ => {
            return wrong(keys::TOKENIZER_MODEL, "only SentencePiece vocabularies are supported");
        }
    }
    let Some(Value::Strs(tokens)) = meta.value(keys::TOKENIZER_TOKENS) else {
        return wrong(keys::TOKENIZER_TOKENS, "no list of texts");
    };
    if tokens.len() != n_vocab {
        return wrong(keys::TOKENIZER_TOKENS, "not as many as the vocabulary has");
    }
    if tokens.iter().any(|t| t.is_empty() || t.contains('\0')) {
        return wrong(keys::TOKENIZER_TOKENS, "an empty token, or one with a NUL");
    }
    let unique: HashSet<&str> = tokens.iter().map(String::as_str).collect();
    if unique.len() != tokens.len() {
        return wrong(keys::TOKENIZER_TOKENS, "a token occurs twice");
    }
    if (0..=255u8).any(|b| !unique.contains(format!("<0x{b:02X}>").as_str())) {
        return wrong(keys::TOKENIZER_TOKENS, "not all 256 byte tokens are there");
    }
    match meta.value(keys::TOKENIZER_SCORES) {
        Some(Value::F32s(s)) if s.len() == n_vocab && s.iter().all(|v| v.is_finite()) => {}
        _ => return wrong(keys::TOKENIZER_SCORES, "not one finite score a token"),
    }
    match meta.value(keys::TOKENIZER_TOKEN_TYPE) {
        Some(Value::I32s(t)) if t.len() == n_vocab && t.iter().all(|v| (1..=6).contains(v)) => {}
        _ => return wrong(keys::TOKENIZER_TOKEN_TYPE, "not one type of 1 to 6 a token"),
    }
    for &key in keys::TOKENIZER_IDS {
        match meta.value(key) {
            None => {}
            Some(Value::U32(id)) if (id as usize) < n_vocab => {}
            Some(_) => return wrong(key, "not an id of the vocabulary"),
        }
    }
    Ok(())
}
