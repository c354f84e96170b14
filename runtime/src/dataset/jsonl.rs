//! JSON Lines of this project: an image a line.
//!
//! ```json
//! {"image": "a.jpg", "regions": [{"id": "7", "box": [1, 2, 3, 4], "label": "dog", "question": "?"}]}
//! ```
//!
//! `regions` and all but the box of a region may be missing; `questions` is a list. The line may
//! say `"box_format": "xywh"` (or `"cxcywh"`) and `"normalized": true`. A field of another name is
//! an error: it may be a slip of the pen.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::entry::Regions;
use super::input::{self, Line, Lines, MAX_RECORD_BYTES};
use super::json::{Id, parse_line};
use super::{Entry, Error, Opened, Region, Source, Warnings, folder, shape};
use crate::preprocess::BoxFormat;

pub(super) fn open(path: &Path, images: Option<&Path>) -> Result<Opened, Error> {
    let lines = Lines::new(input::open(path)?);
    let folder = images.unwrap_or_else(|| folder::of(path)).into();
    Ok(Opened::streamed(Jsonl { path: path.into(), folder, lines, ended: false }))
}

struct Jsonl {
    path: PathBuf,
    folder: PathBuf,
    lines: Lines<BufReader<File>>,
    ended: bool,
}

impl Source for Jsonl {
    fn next_entry(&mut self, _: &mut Warnings) -> Option<Result<Entry, Error>> {
        let mut line = Vec::new();
        while !self.ended {
            let result = match self.lines.read(&mut line) {
                Ok(Some(Line::Whole)) if line.trim_ascii().is_empty() => continue,
                Ok(Some(Line::Whole)) => entry(&line, &self.folder),
                Ok(Some(Line::TooLong)) => Err(too_long()),
                Ok(None) => break,
                Err(source) => {
                    self.ended = true;
                    return Some(Err(Error::read(&self.path)(source)));
                }
            };
            let fail = |reason| Error::line(&self.path, self.lines.number(), reason);
            return Some(result.map_err(fail));
        }
        None
    }
}

fn too_long() -> String {
    format!("longer than {MAX_RECORD_BYTES} bytes; split the image's regions over several lines")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ImageLine {
    image: String,
    #[serde(default)]
    regions: Vec<RegionLine>,
    box_format: Option<String>,
    #[serde(default)]
    normalized: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RegionLine {
    id: Option<Id>,
    #[serde(rename = "box")]
    values: [f64; 4],
    label: Option<String>,
    question: Option<String>,
    questions: Option<Vec<String>>,
}

fn entry(line: &[u8], folder: &Path) -> Result<Entry, String> {
    let line: ImageLine = parse_line(line)?;
    if line.image.is_empty() {
        return Err("field `image`: empty".into());
    }
    let format = match &line.box_format {
        Some(text) => text.parse().map_err(|e| format!("field `box_format`: {e}"))?,
        None => BoxFormat::default(),
    };
    let mut regions = Regions::default();
    for (index, given) in line.regions.into_iter().enumerate() {
        let added = region(given, format, line.normalized)
            .and_then(|(id, region)| regions.push(id, region));
        added.map_err(|reason| format!("field `regions[{index}]`: {reason}"))?;
    }
    let image = folder.join(&line.image);
    Ok(Entry::new(image, line.image, regions.into_list()))
}

fn region(
    given: RegionLine,
    format: BoxFormat,
    normalized: bool,
) -> Result<(Option<String>, Region), String> {
    let shape = match normalized {
        true => shape::fractions(given.values, format)?,
        false => shape::pixels(given.values, format)?,
    };
    let questions = match (given.question, given.questions) {
        (Some(_), Some(_)) => return Err("has `question` and `questions`; write one".into()),
        (question, questions) => questions.unwrap_or_else(|| question.into_iter().collect()),
    };
    let region = Region { label: given.label, questions, ..Region::new(shape) };
    Ok((given.id.map(|id| id.to_string()), region))
}
