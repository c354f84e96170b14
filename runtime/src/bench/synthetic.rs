//! Files of noise, of a known model's sizes. They are written to the directory for temporary files, and
//! deleted when the measurement ends.

use super::BenchSource;
use crate::error::{Error, Result};
use ggml_ext::gguf::{Kind as GgufKind, Value as Stored, Writer};
use ggml_ext::{CancelToken, DType, quant};
use gpt4roi_models::specs::{Kind, Part, TensorSpec, llm_specs, mmproj_specs};
use gpt4roi_models::synthetic::tokenizer;
use gpt4roi_models::synthetic::weights::Noise;
use gpt4roi_models::{Preset, Value};
use half::f16;
use std::path::{Path, PathBuf};

/// Values that are converted; larger tensors repeat them.
const CHUNK: usize = 1 << 20;

/// A model's files, which are removed with this if they were made for it.
pub(super) struct Files {
    pub(super) model: Option<PathBuf>,
    pub(super) mmproj: Option<PathBuf>,
    made: Option<PathBuf>,
}

impl Drop for Files {
    fn drop(&mut self) {
        if let Some(dir) = &self.made {
            // Nobody is left to be told.
            let _ = std::fs::remove_dir_all(dir);
        }
    }
}

impl Files {
    pub(super) fn of(source: &BenchSource, cancel: &CancelToken) -> Result<Files> {
        match source {
            BenchSource::Files { model, mmproj } => {
                Ok(Files { model: model.clone(), mmproj: mmproj.clone(), made: None })
            }
            BenchSource::Preset { preset, llm_layers } => Files::made(*preset, *llm_layers, cancel),
        }
    }

    fn made(preset: Preset, llm_layers: u32, cancel: &CancelToken) -> Result<Files> {
        let name = format!("gpt4roi-bench-{}-{:p}", std::process::id(), cancel);
        let dir = std::env::temp_dir().join(name);
        let io = |e| Error::internal(format!("{}: {e}", dir.display()));
        std::fs::create_dir_all(&dir).map_err(io)?;
        let (model, mmproj) = (dir.join("model.gguf"), dir.join("mmproj.gguf"));
        let files = Files {
            model: Some(model.clone()),
            mmproj: Some(mmproj.clone()),
            made: Some(dir.clone()),
        };
        let hp = preset.mmproj();
        write(&mmproj, hp.to_kv(), &mmproj_specs(&hp), cancel)?;
        let mut llm = preset.llm();
        if !(1..=llm.n_layer).contains(&llm_layers) {
            let (value, allowed) = (llm_layers.to_string(), "1 to as many as the preset has");
            return Err(Error::Option { option: "llm-layers", value, allowed });
        }
        llm.n_layer = llm_layers;
        let keys = [llm.to_kv(), tokenizer::gguf_keys(preset.n_pieces())].concat();
        write(&model, keys, &llm_specs(&llm), cancel)?;
        Ok(files)
    }
}

fn write(
    path: &Path,
    keys: Vec<(String, Value)>,
    specs: &[TensorSpec],
    cancel: &CancelToken,
) -> Result<()> {
    let keys: Vec<_> = keys.into_iter().map(|(k, v)| (k, stored(v))).collect();
    let tensors = specs.iter().map(|s| (s.name.as_str(), dtype(s), s.shape.as_slice()));
    let mut writer = Writer::create(path, &keys, tensors)?;
    for spec in specs {
        if cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let n = spec.n_elements() as usize;
        let row = spec.n_per_row() as usize;
        let mut values = vec![f16::ZERO; n.min(CHUNK.next_multiple_of(row))];
        Noise::new(spec, 1).fill(&mut values);
        let floats: Vec<f32> = values.iter().map(|v| v.to_f32()).collect();
        let mut bytes = Vec::new();
        quant::quantize(dtype(spec), &floats, row, 1, &mut bytes)?;
        let mut left = bytes.len() / floats.len().div_ceil(row) * n.div_ceil(row);
        while left > 0 {
            let part = left.min(bytes.len());
            writer.write(&bytes[..part])?;
            left -= part;
        }
    }
    Ok(writer.finish()?)
}

/// The usual mix: half precision for the image side, 4-bit blocks for the language model.
fn dtype(spec: &TensorSpec) -> DType {
    match (spec.kind, spec.part) {
        (kind, _) if kind.is_always_f32() => DType::F32,
        (Kind::Conv, _) | (_, Part::Vision | Part::Region) => DType::F16,
        (Kind::Output, _) if spec.n_per_row().is_multiple_of(256) => DType::Q6K,
        _ if spec.n_per_row().is_multiple_of(256) => DType::Q4K,
        _ => DType::Q8_0,
    }
}

fn stored(value: Value) -> Stored {
    match value {
        Value::U32(v) => Stored::U32(v),
        Value::I32(v) => Stored::I32(v),
        Value::F32(v) => Stored::F32(v),
        Value::Bool(v) => Stored::Bool(v),
        Value::Str(v) => Stored::Str(v),
        Value::U32s(v) => Stored::Array(GgufKind::U32, v.into_iter().map(Stored::U32).collect()),
        Value::I32s(v) => Stored::Array(GgufKind::I32, v.into_iter().map(Stored::I32).collect()),
        Value::F32s(v) => Stored::Array(GgufKind::F32, v.into_iter().map(Stored::F32).collect()),
        Value::Strs(v) => Stored::Array(GgufKind::Str, v.into_iter().map(Stored::Str).collect()),
        Value::Bools(v) => Stored::Array(GgufKind::Bool, v.into_iter().map(Stored::Bool).collect()),
    }
}
