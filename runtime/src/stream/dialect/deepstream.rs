//! DeepStream's minimal message schema: objects as text, their parts between bars.
//!
//! `trackingId|left|top|right|bottom|class`, and behind a `#` attributes of a sub-object, of which the last may be how sure
//! the classifier is.

use serde::Deserialize;

use super::Parsed;
use super::error::Fault;
use super::parts::{Named, boxed, camera, each, finite, number};
use super::time::seconds;
use crate::dataset::{Id, parse_line};
use crate::preprocess::BoxFormat;
use crate::stream::{Detection, Detections, FrameRef};

/// What the id of an object is that no tracker has seen: all bits set.
const UNTRACKED: &str = "18446744073709551615";

#[derive(Deserialize)]
struct Line {
    id: Option<Id>,
    #[serde(rename = "@timestamp")]
    timestamp: Option<String>,
    #[serde(rename = "sensorId")]
    sensor: Option<Id>,
    objects: Vec<String>,
}

pub(super) fn parse(line: &[u8]) -> Result<Parsed, Fault> {
    let line: Line = parse_line(line)?;
    let time = line.timestamp.as_deref().map(seconds).transpose();
    let time = time.map_err(Fault::field("@timestamp"))?;
    let (items, refused) = each(line.objects, |text| item(&text))?;
    let camera = camera(line.sensor.map(|s| s.to_string()))?;
    let seq = line.id.as_ref().and_then(number);
    let frame = FrameRef { camera, seq, time, ..FrameRef::default() };
    Ok(Parsed { refused, ..Parsed::frame(Detections { frame, items }) })
}

fn item(text: &str) -> Result<Detection, Fault> {
    let (object, attributes) = match text.split_once('#') {
        Some((object, attributes)) => (object, attributes),
        None => (text, ""),
    };
    let parts: Vec<&str> = object.split('|').map(str::trim).collect();
    let [id, left, top, right, bottom, label, ..] = parts[..] else {
        let needed = "trackingId|left|top|right|bottom|class";
        return Err(Fault::Parts { n: parts.len(), parts: "parts", needed });
    };
    let edges = [("left", left), ("top", top), ("right", right), ("bottom", bottom)];
    let mut values = [0.0; 4];
    for (value, (field, text)) in values.iter_mut().zip(edges) {
        *value = finite(field, text)?;
    }
    let last = attributes.rsplit('|').map(str::trim).find(|part| !part.is_empty());
    let score = last.and_then(|part| part.parse().ok()).filter(|s| (0.0..=1.0).contains(s));
    let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let track = filled(id).filter(|id| id != UNTRACKED && id != "-1");
    let shape = boxed("objects", values, BoxFormat::Xyxy)?;
    Named { label: filled(label), score, track, ..Named::default() }.at(shape)
}
