//! A synthetic checkpoint in the published layout: noise of any preset's shapes and names.

use crate::Observer;
use crate::error::{Error, Result};
use gpt4roi_models::synthetic::{Noise, files};
use gpt4roi_models::{Checkpoint, Preset, TensorSpec, llm_specs, mmproj_specs};
use half::f16;
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Values that are made at a time; a multiple of the generator's step.
const PIECE: usize = 5 << 18;
/// Bytes of weights in one shard.
const SHARD: u64 = 5 << 30;

/// The directories of a synthetic model below `out`: language checkpoint, then vision tower.
pub fn directories(out: &Path) -> [PathBuf; 2] {
    [out.join("checkpoint"), out.join("clip")]
}

/// Bytes of weights in a synthetic model of that preset.
pub fn n_bytes(preset: Preset) -> u64 {
    specs(preset).iter().map(|s| s.n_elements() * 2).sum()
}

/// Writes a synthetic checkpoint and its vision tower into two new directories below `out`. Its weights are noise
/// of a seed; without one they are left out and read as zeros, which take no room where the file system has holes.
///
/// # Errors
/// If a directory exists already or cannot be written, or if the observer asks to stop; the
/// directories are then removed again.
pub fn write(preset: Preset, seed: Option<u64>, out: &Path, observer: &dyn Observer) -> Result<()> {
    let dirs = directories(out);
    if let Some(taken) = dirs.iter().find(|d| d.exists()) {
        let reason = "exists already: remove it, or give another --out";
        return Err(Error::malformed(taken, reason));
    }
    let written = write_all(preset, seed, &dirs, observer);
    if written.is_err() {
        // The first error is the one to report.
        dirs.iter().for_each(|d| drop(std::fs::remove_dir_all(d)));
    }
    written
}

fn write_all(
    preset: Preset,
    seed: Option<u64>,
    [language, clip]: &[PathBuf; 2],
    observer: &dyn Observer,
) -> Result<()> {
    let all = specs(preset);
    let parts = [
        (language, Checkpoint::Language, files::language_files(preset)),
        (clip, Checkpoint::Clip, files::clip_files(preset)),
    ];
    for (dir, checkpoint, small) in parts {
        std::fs::create_dir_all(dir).map_err(Error::io(dir))?;
        for (name, bytes) in small {
            let path = dir.join(name);
            std::fs::write(&path, bytes).map_err(Error::io(&path))?;
        }
        let specs: Vec<&TensorSpec> =
            all.iter().filter(|s| s.source.checkpoint == checkpoint).collect();
        write_weights(dir, &specs, seed, observer)?;
    }
    Ok(())
}

fn specs(preset: Preset) -> Vec<TensorSpec> {
    let mut specs = llm_specs(&preset.llm());
    specs.extend(mmproj_specs(&preset.mmproj()));
    specs
}

/// Writes one file, or shards with an index.
fn write_weights(
    dir: &Path,
    specs: &[&TensorSpec],
    seed: Option<u64>,
    observer: &dyn Observer,
) -> Result<()> {
    let shards = split(specs);
    let mut map = Map::new();
    for (i, shard) in shards.iter().enumerate() {
        let name = match shards.len() {
            1 => "model.safetensors".to_owned(),
            n => format!("model-{:05}-of-{n:05}.safetensors", i + 1),
        };
        map.extend(shard.iter().map(|s| (s.source.name.clone(), json!(name))));
        let path = dir.join(name);
        write_shard(&path, shard, seed, observer)?;
    }
    if shards.len() > 1 {
        let total: u64 = specs.iter().map(|s| s.n_elements() * 2).sum();
        let index = json!({"metadata": {"total_size": total}, "weight_map": map});
        let path = dir.join("model.safetensors.index.json");
        std::fs::write(&path, format!("{index:#}\n")).map_err(Error::io(&path))?;
    }
    Ok(())
}

fn split<'a>(specs: &[&'a TensorSpec]) -> Vec<Vec<&'a TensorSpec>> {
    let (mut shards, mut bytes) = (vec![Vec::new()], 0);
    for spec in specs {
        let n = spec.n_elements() * 2;
        if bytes + n > SHARD && bytes > 0 {
            shards.push(Vec::new());
            bytes = 0;
        }
        bytes += n;
        let last = shards.len() - 1;
        shards[last].push(*spec);
    }
    shards
}

fn write_shard(
    path: &Path,
    specs: &[&TensorSpec],
    seed: Option<u64>,
    observer: &dyn Observer,
) -> Result<()> {
    let file = File::create_new(path).map_err(Error::io(path))?;
    let head = header(specs);
    let Some(seed) = seed else {
        let n_bytes: u64 = specs.iter().map(|s| s.n_elements() * 2).sum();
        let written = (&file).write_all(&head);
        let grown = written.and_then(|()| file.set_len(head.len() as u64 + n_bytes));
        return grown.map_err(Error::io(path));
    };
    let mut out = BufWriter::with_capacity(1 << 20, file);
    out.write_all(&head).map_err(Error::io(path))?;
    let mut values = vec![f16::ZERO; PIECE];
    let mut bytes = Vec::new();
    for spec in specs {
        let mut noise = Noise::new(spec, seed);
        let mut left = spec.n_elements() as usize;
        while left > 0 {
            if observer.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let values = &mut values[..left.min(PIECE)];
            noise.fill(values);
            bytes.clear();
            bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
            out.write_all(&bytes).map_err(Error::io(path))?;
            left -= values.len();
            observer.advance(&spec.source.name, bytes.len() as u64);
        }
    }
    out.flush().map_err(Error::io(path))
}

/// The beginning of a safetensors file, padded to a multiple of eight as the format's own library
/// does it.
fn header(specs: &[&TensorSpec]) -> Vec<u8> {
    let mut tensors = Map::new();
    tensors.insert("__metadata__".into(), json!({"format": "pt"}));
    let mut at = 0;
    for spec in specs {
        let end = at + spec.n_elements() * 2;
        let entry: Value =
            json!({"dtype": "F16", "shape": spec.source.shape, "data_offsets": [at, end]});
        tensors.insert(spec.source.name.clone(), entry);
        at = end;
    }
    let mut text = Value::Object(tensors).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut out = (text.len() as u64).to_le_bytes().to_vec();
    out.extend(text);
    out
}
