//! This project's own dialect, version 1: a frame a line.
//!
//! ```json
//! {"v": 1, "seq": 7, "image": "7.jpg", "detections": [{"box": [1, 2, 3, 4], "label": "dog", "track": "a"}]}
//! ```

use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::Value;

use super::Parsed;
use super::error::Fault;
use super::parts::{Named, camera, each, score, typed};
use crate::dataset::{Id, RegionBox, fractions, parse_line, pixels};
use crate::preprocess::BoxFormat;
use crate::stream::{Detection, Detections, FrameRef, Picture};

const VERSION: u32 = 1;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    v: Option<u32>,
    camera: Option<String>,
    seq: Option<u64>,
    time: Option<f64>,
    image: Option<PathBuf>,
    jpeg: Option<String>,
    size: Option<[u32; 2]>,
    box_format: Option<String>,
    normalized: Option<bool>,
    detections: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    #[serde(rename = "box")]
    values: [f64; 4],
    label: Option<String>,
    score: Option<f64>,
    track: Option<Id>,
    question: Option<String>,
    priority: Option<f64>,
}

pub(super) fn parse(line: &[u8]) -> Result<Parsed, Fault> {
    let line: Line = parse_line(line)?;
    if let Some(v) = line.v.filter(|v| *v != VERSION) {
        let reason = format!("version {v} is not known; write version {VERSION}");
        return Err(Fault::field("v")(reason));
    }
    let picture = picture(line.image, line.jpeg)?;
    let size = match line.size {
        Some([w, h]) if w == 0 || h == 0 => {
            return Err(Fault::field("size")("a side is zero; give width and height in pixels"));
        }
        size => size.map(|[w, h]| (w, h)),
    };
    let format = match line.box_format.as_deref() {
        None => BoxFormat::Xyxy,
        Some(text) => text.parse().map_err(|_| {
            Fault::field("box_format")(format!("`{text}` is none of xyxy, xywh, cxcywh"))
        })?,
    };
    let shape = if line.normalized == Some(true) { fractions } else { pixels };
    let (items, refused) = each(line.detections, |value| item(value, |b| shape(b, format)))?;
    let camera = camera(line.camera)?;
    let frame = FrameRef { camera, seq: line.seq, time: line.time, picture, size };
    Ok(Parsed { refused, ..Parsed::frame(Detections { frame, items }) })
}

fn picture(image: Option<PathBuf>, jpeg: Option<String>) -> Result<Option<Picture>, Fault> {
    Ok(match (image, jpeg) {
        (Some(_), Some(_)) => return Err(Fault::Both("image", "jpeg")),
        (Some(path), None) => Some(Picture::Path(path)),
        (None, Some(text)) => {
            let bytes = BASE64_STANDARD.decode(text).map_err(|e| format!("not base64: {e}"));
            Some(Picture::Bytes(bytes.map_err(Fault::field("jpeg"))?))
        }
        (None, None) => None,
    })
}

fn item(
    value: Value,
    shape: impl Fn([f64; 4]) -> Result<RegionBox, String>,
) -> Result<Detection, Fault> {
    let item: Item = typed(value)?;
    let shape = shape(item.values).map_err(Fault::field("box"))?;
    let Item { label, track, question, priority, .. } = item;
    let (score, track) = (score("score", item.score)?, track.map(|id| id.to_string()));
    Named { label, score, track, question, priority }.at(shape)
}
