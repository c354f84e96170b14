//! Ultralytics' `results.to_json()`: the list of a frame's detections, alone or in an object beside the frame's number or path.
//!
//! Boxes are in pixels; if no value of a frame is above 1, they were written with `normalize=True`.

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

use super::Parsed;
use super::error::Fault;
use super::parts::{Named, boxed, each, score, typed};
use crate::dataset::{Id, RegionBox, fractions, hull, parse_line};
use crate::preprocess::BoxFormat;
use crate::stream::{Detection, Detections, FrameRef, Picture};

#[derive(Deserialize)]
struct Frame {
    #[serde(alias = "frame_id", alias = "seq")]
    frame: Option<u64>,
    #[serde(alias = "timestamp")]
    time: Option<f64>,
    #[serde(alias = "path")]
    image: Option<PathBuf>,
    #[serde(alias = "predictions", alias = "detections")]
    results: Vec<Value>,
}

#[derive(Deserialize)]
struct Item {
    name: Option<String>,
    confidence: Option<f64>,
    #[serde(rename = "box")]
    corners: Corners,
    track_id: Option<Id>,
}

/// Two corners, or the four of a turned box.
#[derive(Deserialize)]
struct Corners {
    x1: f64,
    y1: f64,
    x2: f64,
    y2: f64,
    x3: Option<f64>,
    y3: Option<f64>,
    x4: Option<f64>,
    y4: Option<f64>,
}

impl Corners {
    fn edges(&self) -> Result<[f64; 4], Fault> {
        let more = [(self.x3, self.y3), (self.x4, self.y4)];
        let more: Vec<_> = more.into_iter().filter_map(|(x, y)| Some([x?, y?])).collect();
        let plain = [self.x1, self.y1, self.x2, self.y2];
        match more.is_empty() {
            true => Ok(plain),
            false => hull(&[&[[self.x1, self.y1], [self.x2, self.y2]], &more[..]].concat())
                .map_err(Fault::field("box")),
        }
    }
}

pub(super) fn parse(line: &[u8]) -> Result<Parsed, Fault> {
    let line: Value = parse_line(line)?;
    let (frame, items) = match line {
        Value::Array(items) => (FrameRef::default(), items),
        other => {
            let Frame { frame, time, image, results } = typed(other)?;
            let picture = image.map(Picture::Path);
            (FrameRef { seq: frame, time, picture, ..FrameRef::default() }, results)
        }
    };
    let (items, refused) = each(items, item)?;
    let items =
        if items.iter().all(is_small) { items.into_iter().map(scaled).collect() } else { items };
    Ok(Parsed { refused, ..Parsed::frame(Detections { frame, items }) })
}

fn item(value: Value) -> Result<Detection, Fault> {
    let Item { name, confidence, corners, track_id } = typed(value)?;
    let shape = boxed("box", corners.edges()?, BoxFormat::Xyxy)?;
    let (score, track) = (score("confidence", confidence)?, track_id.map(|id| id.to_string()));
    Named { label: name, score, track, ..Named::default() }.at(shape)
}

fn is_small(detection: &Detection) -> bool {
    matches!(detection.shape, RegionBox::Pixels(b)
        if b.x1 >= 0.0 && b.y1 >= 0.0 && b.x2 <= 1.0 && b.y2 <= 1.0)
}

/// The same numbers as fractions.
fn scaled(detection: Detection) -> Detection {
    let shape = match detection.shape {
        RegionBox::Pixels(b) => fractions([b.x1, b.y1, b.x2, b.y2], BoxFormat::Xyxy),
        shape => Ok(shape),
    };
    // The numbers have been checked.
    Detection { shape: shape.unwrap_or(detection.shape), ..detection }
}
