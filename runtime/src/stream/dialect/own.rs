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
use super::parts::{Named, camera, each, typed};
use crate::dataset::{Id, RegionBox, fractions, parse_line, pixels};
use crate::preprocess::BoxFormat;
use crate::stream::{Detection, Detections, FrameRef, Picture};

const VERSION: u32 = 1;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(default = "version")]
    v: u32,
    camera: Option<String>,
    seq: Option<u64>,
    time: Option<f64>,
    image: Option<PathBuf>,
    jpeg: Option<String>,
    size: Option<[u32; 2]>,
    box_format: Option<String>,
    #[serde(default)]
    normalized: bool,
    detections: Vec<Value>,
}

fn version() -> u32 {
    VERSION
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

pub(super) fn parse(line: &[u8]) -> Result<Parsed, String> {
    let line: Line = parse_line(line)?;
    if line.v != VERSION {
        return Err(format!("field `v`: version {} is not known, only {VERSION}", line.v));
    }
    let picture = match (line.image, line.jpeg) {
        (Some(_), Some(_)) => return Err("`image` and `jpeg` exclude each other".into()),
        (Some(path), None) => Some(Picture::Path(path)),
        (None, Some(text)) => {
            let bytes = BASE64_STANDARD.decode(text);
            Some(Picture::Bytes(bytes.map_err(|e| format!("field `jpeg`: not base64: {e}"))?))
        }
        (None, None) => None,
    };
    let size = match line.size {
        Some([w, h]) if w == 0 || h == 0 => return Err("field `size`: a side is zero".into()),
        size => size.map(|[w, h]| (w, h)),
    };
    let format = match line.box_format.as_deref() {
        None => BoxFormat::Xyxy,
        Some(text) => text
            .parse()
            .map_err(|_| format!("field `box_format`: `{text}` is none of xyxy, xywh, cxcywh"))?,
    };
    let shape = if line.normalized { fractions } else { pixels };
    let (items, refused) = each(line.detections, |value| item(value, |b| shape(b, format)))?;
    let camera = camera(line.camera)?;
    let frame = FrameRef { camera, seq: line.seq, time: line.time, picture, size };
    Ok(Parsed { refused, ..Parsed::frame(Detections { frame, items }) })
}

fn item(
    value: Value,
    shape: impl Fn([f64; 4]) -> Result<RegionBox, String>,
) -> Result<Detection, String> {
    let Item { values, label, score, track, question, priority } = typed(value)?;
    let shape = shape(values).map_err(|e| format!("field `box`: {e}"))?;
    let track = track.map(|id| id.to_string());
    Named { label, score, track, question, priority }.at(shape)
}
