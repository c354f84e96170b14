//! Reading reference data: `golden.json` and `golden.safetensors` of one directory.

use crate::engine::Request;
use crate::error::{Error, Result};
use crate::preprocess::{PixelBox, RgbImage8};
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// A reference run.
pub(super) struct Golden {
    dir: PathBuf,
    /// Questions, prompts, ids and tokens of every round.
    pub(super) rounds: Vec<Round>,
    /// Statistics of maps too large to be stored.
    pub(super) stats: HashMap<String, MapStats>,
    image: String,
    tensors: Vec<u8>,
}

#[derive(Deserialize)]
struct Json {
    image: ImageJson,
    rounds: Vec<Round>,
    #[serde(default)]
    full_map_stats: HashMap<String, MapStats>,
}

#[derive(Deserialize)]
struct ImageJson {
    file: String,
}

/// One question and what the reference made of it.
#[derive(Deserialize)]
pub(super) struct Round {
    question: String,
    new_boxes_px: Vec<[f64; 4]>,
    pub(super) assistant_reply_fed_back: Option<String>,
    pub(super) prompt: String,
    pub(super) input_ids: Vec<i32>,
    pub(super) greedy_tokens: Vec<i32>,
}

impl Round {
    /// The question as a request for as many tokens as the reference has.
    pub(super) fn request(&self) -> Request {
        let boxes = self.new_boxes_px.iter().map(|&[a, b, c, d]| PixelBox::new(a, b, c, d));
        Request {
            boxes: boxes.collect(),
            max_tokens: self.greedy_tokens.len(),
            ..Request::new(&self.question)
        }
    }
}

/// Sums over a whole map.
#[derive(Deserialize)]
pub(super) struct MapStats {
    /// Square root of the sum of squares.
    pub(super) l2: f64,
    /// Sum with weights that depend on the element's place, see [`probe`].
    pub(super) probe: f64,
}

impl Golden {
    pub(super) fn open(dir: &Path) -> Result<Golden> {
        let json = read(&dir.join("golden.json"))?;
        let json: Json = serde_json::from_slice(&json)
            .map_err(|e| Error::Golden { path: dir.join("golden.json"), reason: e.to_string() })?;
        let tensors = read(&dir.join("golden.safetensors"))?;
        let golden = Golden {
            dir: dir.into(),
            rounds: json.rounds,
            stats: json.full_map_stats,
            image: json.image.file,
            tensors,
        };
        golden.parse()?;
        Ok(golden)
    }

    /// Checks that the named tensors are there, those of rounds for every round.
    pub(super) fn require(&self, names: &[&str], of_round: &[&str]) -> Result<()> {
        let rounds = 0..self.rounds.len();
        let of_rounds = rounds.flat_map(|r| of_round.iter().map(move |n| format!("round{r}.{n}")));
        let mut names = names.iter().map(ToString::to_string).chain(of_rounds);
        match names.find(|name| self.floats(name).is_none()) {
            None => Ok(()),
            Some(name) => Err(Error::Golden {
                path: self.dir.join("golden.safetensors"),
                reason: format!("no reference tensor `{name}`"),
            }),
        }
    }

    fn parse(&self) -> Result<SafeTensors<'_>> {
        SafeTensors::deserialize(&self.tensors).map_err(|e| Error::Golden {
            path: self.dir.join("golden.safetensors"),
            reason: e.to_string(),
        })
    }

    /// The picture.
    pub(super) fn image(&self) -> Result<RgbImage8> {
        Ok(crate::preprocess::load(&self.dir.join(&self.image))?)
    }

    /// Shape of a reference tensor in PyTorch order.
    pub(super) fn shape(&self, name: &str) -> Option<Vec<usize>> {
        Some(self.parse().ok()?.tensor(name).ok()?.shape().to_vec())
    }

    /// A reference tensor, or `None` if this golden has none of that name.
    pub(super) fn floats(&self, name: &str) -> Option<Vec<f32>> {
        let tensors = self.parse().ok()?;
        let view = tensors.tensor(name).ok()?;
        let data = view.data();
        match view.dtype() {
            Dtype::F32 => {
                let floats = data.as_chunks::<4>().0;
                Some(floats.iter().map(|b| f32::from_le_bytes(*b)).collect())
            }
            Dtype::U8 => Some(data.iter().map(|&b| f32::from(b)).collect()),
            _ => None,
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| Error::Golden { path: path.into(), reason: e.to_string() })
}

/// Sum of all elements, each with a weight between -0.5 and 0.5 that depends on its index.
pub(super) fn probe(map: &[f32]) -> f64 {
    let weight = |i: usize| ((i * 7919) % 1009) as f64 / 1009.0 - 0.5;
    map.iter().enumerate().map(|(i, &x)| f64::from(x) * weight(i)).sum()
}

/// Every map's 16 rows and columns that goldens keep: `round(i * (side - 1) / 15)`, ties to even.
pub(super) fn subsample(map: &[f32], side: usize) -> Vec<f32> {
    let at: Vec<usize> = (0..16)
        .map(|i| (i as f64 * (side as f64 - 1.0) / 15.0).round_ties_even() as usize)
        .collect();
    let planes = map.chunks(side * side);
    let pick = |plane: &[f32]| -> Vec<f32> {
        at.iter()
            .flat_map(|&y| at.iter().map(move |&x| (x, y)))
            .map(|(x, y)| plane[y * side + x])
            .collect()
    };
    planes.flat_map(pick).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subsample_keeps_corners() {
        let map: Vec<f32> = (0..32 * 32).map(|i| i as f32).collect();
        let sub = subsample(&map, 32);
        assert_eq!(sub.len(), 256);
        assert_eq!((sub[0], sub[15], sub[255]), (0.0, 31.0, 1023.0));
    }

    #[test]
    fn probe_sees_order() {
        assert_ne!(probe(&[1.0, 2.0, 3.0]), probe(&[3.0, 2.0, 1.0]));
    }
}
