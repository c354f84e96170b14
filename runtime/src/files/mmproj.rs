//! The mmproj file: vision tower, projector, region extractor and their constants.

use super::meta::Meta;
use super::{bad, find};
use crate::error::Result;
use ggml_ext::gguf::Gguf;
use ggml_ext::weights::{Residence, StoredTensor, TensorSet};
use ggml_ext::{Backend, DType};
use gpt4roi_models::hparams::MmprojHparams;
use gpt4roi_models::keys;
use gpt4roi_models::names::gguf::vision_block;
use gpt4roi_models::specs::{Checkpoint, TensorSpec, foreign_vision_tensors, mmproj_specs};
use gpt4roi_models::{KeyValues, Value};
use std::path::Path;
use std::sync::Arc;

/// An open mmproj file.
pub(crate) struct MmprojFile {
    pub(crate) hparams: MmprojHparams,
    pub(crate) weights: Arc<TensorSet>,
    /// Types of the quantisable tensors.
    pub(crate) types: Vec<DType>,
}

/// Opens and checks the file and makes its tensors available on `backend`.
pub(crate) fn open_mmproj(
    path: &Path,
    backend: &Backend,
    residence: Residence,
) -> Result<MmprojFile> {
    let gguf = Gguf::open(path)?;
    let meta = Meta(&gguf);
    if meta.value(keys::ARCHITECTURE) == Some(Value::Str(keys::ARCH_LLAMA.into())) {
        let reason = "this is a language model; the mmproj file is the other one of the pair";
        return Err(bad(&gguf, reason));
    }
    let hparams = MmprojHparams::from_kv(&meta).map_err(|e| bad(&gguf, e))?;
    refuse_foreign(&gguf, &hparams)?;
    let mut stored = Vec::new();
    let mut types = Vec::new();
    for spec in mmproj_specs(&hparams).iter().filter(|s| is_needed(s, &hparams)) {
        let (info, dtype) = find(&gguf, spec)?;
        if spec.kind.is_quantizable() {
            types.push(dtype);
        }
        stored.push(StoredTensor {
            name: info.name.clone(),
            dtype,
            ne: info.shape().iter().map(|&n| n as usize).collect(),
            offset: info.offset,
            n_bytes: info.nbytes,
        });
    }
    let weights = Arc::new(TensorSet::load(path, gguf.map(), &stored, backend, residence)?);
    Ok(MmprojFile { hparams, weights, types })
}

/// Fails if the file holds tensors of another tower than its keys describe.
fn refuse_foreign(gguf: &Gguf, hp: &MmprojHparams) -> Result<()> {
    match foreign_vision_tensors(&hp.vision).iter().find(|name| gguf.tensor(name).is_some()) {
        None => Ok(()),
        Some(name) => {
            let reason = format!(
                "tensor `{name}` belongs to another vision tower than the keys describe; convert the \
                 checkpoint again"
            );
            Err(bad(gguf, reason))
        }
    }
}

/// Blocks above the last hidden state that anybody reads stay on the disk, and so does what the file
/// has for other programs only.
fn is_needed(spec: &TensorSpec, hp: &MmprojHparams) -> bool {
    if spec.source.checkpoint == Checkpoint::Generated {
        return false;
    }
    let mut unused = hp.region.last_tap()..hp.vision.n_layer;
    !unused.any(|il| spec.name.starts_with(&vision_block(il, "")))
}
