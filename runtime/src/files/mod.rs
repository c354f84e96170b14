//! Opening the two files of a model. Every file is taken as hostile: sizes, types, shapes and ids
//! are checked before anything is computed or handed to llama.cpp.

mod llm;
mod meta;
mod mmproj;

pub(crate) use llm::{LlmFile, check_llm};
pub(crate) use mmproj::{MmprojFile, open_mmproj};

use crate::error::{Error, Result};
use ggml_ext::DType;
use ggml_ext::gguf::{Gguf, TensorInfo};
use gpt4roi_models::specs::TensorSpec;

/// Wraps a reason as an error about a file.
fn bad(gguf: &Gguf, reason: impl ToString) -> Error {
    Error::ModelFile { path: gguf.path().into(), reason: reason.to_string() }
}

/// Finds the tensor that `spec` describes and checks its shape and type.
fn find<'a>(gguf: &'a Gguf, spec: &TensorSpec) -> Result<(&'a TensorInfo, DType)> {
    let name = &spec.name;
    let Some(info) = gguf.tensor(name) else {
        return Err(bad(gguf, format!("tensor `{name}` is missing; convert the checkpoint again")));
    };
    // Trailing dimensions of size one are not always written.
    let mut wanted = spec.shape.clone();
    wanted.resize(info.ne.len(), 1);
    if info.ne[..] != wanted[..] {
        let (got, wanted) = (info.shape(), &spec.shape);
        let reason = format!("tensor `{name}` has shape {got:?} where {wanted:?} belongs");
        return Err(bad(gguf, reason));
    }
    let dtype = info.dtype.filter(|&t| is_allowed(spec, t));
    let dtype = dtype.ok_or_else(|| {
        let got = info.type_name();
        bad(gguf, format!("tensor `{name}` cannot be of type {got}"))
    })?;
    Ok((info, dtype))
}

fn is_allowed(spec: &TensorSpec, dtype: DType) -> bool {
    match dtype {
        DType::I32 => false,
        DType::F32 => true,
        _ if spec.kind.is_always_f32() => false,
        DType::F16 => true,
        _ => spec.kind.is_quantizable(),
    }
}
