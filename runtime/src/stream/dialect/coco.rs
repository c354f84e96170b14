//! COCO results: an object a detection, `[left, top, width, height]`, one a line or all of a list. Neighbours with the same
//! `image_id` are a frame.
//!
//! The numbers of categories say nothing without their table, so labels are those of `category_name`, where there are any.

use serde::Deserialize;
use serde_json::Value;

use super::error::Fault;
use super::parts::{Group, Named, boxed, number, score, typed};
use super::{Parsed, Refused};
use crate::dataset::{Id, parse_line};
use crate::preprocess::BoxFormat;
use crate::stream::{Detection, Detections, FrameRef, MAX_DETECTIONS, Picture};

/// Which frame a detection is in.
#[derive(Deserialize)]
struct About {
    image_id: Id,
    file_name: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    bbox: [f64; 4],
    score: Option<f64>,
    category_name: Option<String>,
    track_id: Option<Id>,
}

pub(super) fn parse(line: &[u8], group: &mut Group) -> Result<Parsed, Fault> {
    let mut parsed = Parsed::default();
    match parse_line(line)? {
        Value::Array(items) => {
            let n = items.len();
            for (i, value) in items.into_iter().enumerate() {
                let added = item(value, group, &mut parsed.frames);
                parsed.refused.extend(added.err().map(|fault| Refused::Detection(i, fault)));
                if parsed.refused.len() >= MAX_DETECTIONS {
                    // Reasons are bounded; frames that are complete stay.
                    parsed.refused.push(Refused::NotRead(n - i - 1));
                    break;
                }
            }
            parsed.frames.extend(group.take());
        }
        value => {
            let added = item(value, group, &mut parsed.frames);
            parsed.refused.extend(added.err().map(Refused::Line));
        }
    }
    Ok(parsed)
}

/// Adds a detection to its frame. The frame before it is complete with the first of another, even if that cannot be used.
fn item(value: Value, group: &mut Group, complete: &mut Vec<Detections>) -> Result<(), Fault> {
    let about: About = typed(&value)?;
    let picture = about.file_name.map(|name| Picture::Path(name.into()));
    let frame = || FrameRef { seq: number(&about.image_id), picture, ..FrameRef::default() };
    complete.extend(group.turn_to(about.image_id.to_string(), frame));
    group.add(detection(typed(value)?)?)
}

fn detection(item: Item) -> Result<Detection, Fault> {
    let shape = boxed("bbox", item.bbox, BoxFormat::Xywh)?;
    let (label, score) = (item.category_name, score("score", item.score)?);
    let track = item.track_id.map(|id| id.to_string());
    Named { label, score, track, ..Named::default() }.at(shape)
}
