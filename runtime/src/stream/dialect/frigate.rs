//! Frigate's events: one tracked object a line, as it is now.
//!
//! An event that ends, or that was a false positive, is a frame without detections.

use serde::Deserialize;

use super::Parsed;
use super::error::Fault;
use super::parts::{Named, boxed, camera, score};
use crate::dataset::parse_line;
use crate::preprocess::BoxFormat;
use crate::stream::{Detections, FrameRef};

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "type")]
    kind: Kind,
    after: After,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    New,
    Update,
    End,
}

#[derive(Deserialize)]
struct After {
    id: String,
    camera: Option<String>,
    frame_time: Option<f64>,
    label: Option<String>,
    score: Option<f64>,
    false_positive: Option<bool>,
    #[serde(rename = "box")]
    edges: Option<[f64; 4]>,
}

pub(super) fn parse(line: &[u8]) -> Result<Parsed, Fault> {
    let Line { kind, after } = parse_line(line)?;
    let (camera, time) = (camera(after.camera)?, after.frame_time);
    let frame = FrameRef { camera, time, ..FrameRef::default() };
    let mut items = Vec::new();
    if kind != Kind::End && after.false_positive != Some(true) {
        let missing = || Fault::field("after.box")("missing; an event needs one until its end");
        let shape = boxed("after.box", after.edges.ok_or_else(missing)?, BoxFormat::Xyxy)?;
        let (track, label) = (Some(after.id), after.label);
        let score = score("after.score", after.score)?;
        items.push(Named { label, score, track, ..Named::default() }.at(shape)?);
    }
    Ok(Parsed::frame(Detections { frame, items }))
}
