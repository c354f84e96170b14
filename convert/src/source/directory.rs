//! A directory in the layout of the Hugging Face hub: one file of weights, or shards with an index.

use super::pytorch::Pytorch;
use super::safetensors::Safetensors;
use super::{Meta, Stream, Tensors};
use crate::error::{Error, Result};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// Layouts in order of preference: a whole file, the index of shards.
const LAYOUTS: [(&str, &str); 2] = [
    ("model.safetensors", "model.safetensors.index.json"),
    ("pytorch_model.bin", "pytorch_model.bin.index.json"),
];

/// The weights of a directory.
pub struct Directory {
    path: PathBuf,
    files: Vec<Weights>,
    /// Which file holds each tensor.
    index: HashMap<String, usize>,
}

enum Weights {
    Safetensors(Safetensors),
    Pytorch(Pytorch),
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Directory {
    /// Opens all files of weights in a directory; reads their headers only.
    ///
    /// # Errors
    /// If there are none, if a shard that the index names is missing, if a tensor that the index
    /// names is not in its shard, or if a file is malformed.
    pub fn open(path: &Path) -> Result<Directory> {
        for (whole, index) in LAYOUTS {
            if path.join(index).is_file() {
                return open_shards(path, &path.join(index));
            }
            if path.join(whole).is_file() {
                let file = Weights::open(&path.join(whole))?;
                let index = file.names().into_iter().map(|n| (n.to_owned(), 0)).collect();
                return Ok(Directory { path: path.to_owned(), files: vec![file], index });
            }
        }
        Err(Error::NotFound {
            path: path.to_owned(),
            what: "a file of weights".into(),
            remedy: "expected is a directory with model.safetensors, pytorch_model.bin, or shards \
                of either with their .index.json"
                .into(),
        })
    }
}

fn open_shards(dir: &Path, index_path: &Path) -> Result<Directory> {
    let text = std::fs::read(index_path).map_err(Error::io(index_path))?;
    let index: Index = serde_json::from_slice(&text)
        .map_err(|e| Error::malformed(index_path, format!("not an index of shards: {e}")))?;
    let names: BTreeSet<&String> = index.weight_map.values().collect();
    let mut files = Vec::new();
    let mut numbers = HashMap::new();
    for name in names {
        let path = shard_path(dir, index_path, name)?;
        numbers.insert(name.clone(), files.len());
        files.push(Weights::open(&path)?);
    }
    let mut known = HashMap::new();
    for (i, file) in files.iter().enumerate() {
        // All of a shard's tensors, so that one which the index forgot is noticed.
        known.extend(file.names().into_iter().map(|n| (n.to_owned(), i)));
    }
    for (tensor, shard) in &index.weight_map {
        // Where two shards hold a name, the index decides.
        known.insert(tensor.clone(), numbers[shard]);
        if files[numbers[shard]].meta(tensor).is_none() {
            return Err(Error::MissingTensor {
                path: dir.join(shard),
                name: tensor.clone(),
                remedy: "the index names it here; fetch the checkpoint again",
            });
        }
    }
    Ok(Directory { path: dir.to_owned(), files, index: known })
}

/// The path of a shard, which must be a plain name in the same directory.
fn shard_path(dir: &Path, index: &Path, name: &str) -> Result<PathBuf> {
    if Path::new(name).file_name() != Some(name.as_ref()) {
        return Err(Error::malformed(index, format!("`{name}` is not the name of a shard")));
    }
    let path = dir.join(name);
    if !path.is_file() {
        let what = "a shard that the index names".to_owned();
        return Err(Error::NotFound { path, what, remedy: "fetch the missing file".into() });
    }
    Ok(path)
}

impl Weights {
    fn open(path: &Path) -> Result<Weights> {
        if path.extension().is_some_and(|e| e == "safetensors") {
            return Safetensors::open(path).map(Weights::Safetensors);
        }
        Pytorch::open(path).map(Weights::Pytorch)
    }

    fn names(&self) -> Vec<&str> {
        match self {
            Weights::Safetensors(f) => f.names().collect(),
            Weights::Pytorch(f) => f.names().collect(),
        }
    }

    fn meta(&self, name: &str) -> Option<Meta> {
        match self {
            Weights::Safetensors(f) => f.meta(name).cloned(),
            Weights::Pytorch(f) => f.meta(name),
        }
    }
}

impl Tensors for Directory {
    fn path(&self) -> &Path {
        &self.path
    }

    fn names(&self) -> Vec<&str> {
        self.index.keys().map(String::as_str).collect()
    }

    fn meta(&self, name: &str) -> Option<Meta> {
        self.files[*self.index.get(name)?].meta(name)
    }

    fn open<'a>(&'a self, name: &str) -> Result<Box<dyn Stream + 'a>> {
        let missing = || Error::MissingTensor {
            path: self.path.clone(),
            name: name.to_owned(),
            remedy: "fetch the checkpoint again",
        };
        let stream: Box<dyn Stream> =
            match &self.files[*self.index.get(name).ok_or_else(missing)?] {
                Weights::Safetensors(f) => f.stream(name)?,
                Weights::Pytorch(f) => f.stream(name)?,
            };
        Ok(stream)
    }
}
