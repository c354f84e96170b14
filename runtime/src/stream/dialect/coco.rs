//! COCO results: an object a detection, `[left, top, width, height]`, one a line or all of a list. Neighbours with the same
//! `image_id` are a frame.
//!
//! The numbers of categories say nothing without their table, so labels are those of `category_name`, where there are any.

use serde::Deserialize;
use serde_json::Value;

use super::Parsed;
use super::parts::{Group, Named, number, typed};
use crate::dataset::{Id, parse_line, pixels};
use crate::preprocess::BoxFormat;
use crate::stream::{Detection, Detections, FrameRef, MAX_DETECTIONS, Picture};

#[derive(Deserialize)]
struct Item {
    image_id: Id,
    bbox: [f64; 4],
    score: Option<f64>,
    category_name: Option<String>,
    track_id: Option<Id>,
    file_name: Option<String>,
}

pub(super) fn parse(line: &[u8], group: &mut Group) -> Result<Parsed, String> {
    let mut parsed = Parsed::default();
    match parse_line(line)? {
        Value::Array(items) => {
            let n = items.len();
            for (i, value) in items.into_iter().enumerate() {
                match item(value, group) {
                    Ok(frame) => parsed.frames.extend(frame),
                    Err(reason) => parsed.refused.push(format!("detection {i}: {reason}")),
                }
                if parsed.refused.len() >= MAX_DETECTIONS {
                    // Reasons are bounded; frames that are complete stay.
                    let rest = n - i - 1;
                    parsed.refused.push(format!("too many mistakes: {rest} more are not read"));
                    break;
                }
            }
            parsed.frames.extend(group.take());
        }
        value => parsed.frames.extend(item(value, group)?),
    }
    Ok(parsed)
}

/// Adds a detection to its frame; gives the frame before it, if that is complete.
fn item(value: Value, group: &mut Group) -> Result<Option<Detections>, String> {
    let item: Item = typed(value)?;
    let shape = pixels(item.bbox, BoxFormat::Xywh).map_err(|e| format!("field `bbox`: {e}"))?;
    let (label, score) = (item.category_name, item.score);
    let track = item.track_id.map(|id| id.to_string());
    let detection: Detection = Named { label, score, track, ..Named::default() }.at(shape)?;
    let picture = item.file_name.map(|name| Picture::Path(name.into()));
    let frame = || FrameRef { seq: number(&item.image_id), picture, ..FrameRef::default() };
    group.add(item.image_id.to_string(), frame, detection)
}
