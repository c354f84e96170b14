//! MOT Challenge: `frame, id, left, top, width, height, confidence, ...`, a line a detection.
//!
//! Frames are counted from 1 there and from 0 here, and so are pixels. An id or confidence of -1 is none; other confidences
//! are in whatever unit the detector has, as in that benchmark's own files.

use super::error::Fault;
use super::parts::{Group, Named, boxed, finite};
use super::{Parsed, Refused};
use crate::preprocess::BoxFormat;
use crate::stream::{Detection, FrameRef};

/// What stands for nothing.
const NONE: f64 = -1.0;

pub(super) fn parse(line: &[u8], group: &mut Group) -> Result<Parsed, Fault> {
    let text = std::str::from_utf8(line).map_err(|_| Fault::form("not UTF-8"))?;
    let fields: Vec<&str> = text.split(',').collect();
    let seq = index(fields[0])
        .ok_or_else(|| Fault::field("frame")("not the number of a frame; count them from 1"))?;
    let about = || FrameRef { seq: Some(seq), ..FrameRef::default() };
    // Whatever is wrong with the rest of the line, the frame before is complete.
    let frames = group.turn_to(seq.to_string(), about).into_iter().collect();
    let added = detection(&fields).and_then(|d| group.add(d));
    Ok(Parsed { frames, refused: added.err().map(Refused::Line).into_iter().collect() })
}

fn detection(fields: &[&str]) -> Result<Detection, Fault> {
    let &[_, id, left, top, width, height, ..] = fields else {
        let needed = "frame,id,left,top,width,height";
        return Err(Fault::Parts { n: fields.len(), parts: "fields", needed });
    };
    let track = match finite("id", id)? {
        NONE => None,
        number => Some(number.to_string()),
    };
    let corner = [finite("left", left)? - 1.0, finite("top", top)? - 1.0];
    let size = [finite("width", width)?, finite("height", height)?];
    let values = [corner[0], corner[1], size[0], size[1]];
    let shape = boxed("left,top,width,height", values, BoxFormat::Xywh)?;
    let score = fields.get(6).map(|text| finite("confidence", text)).transpose()?;
    let score = score.filter(|s| *s != NONE);
    Named { score, track, ..Named::default() }.at(shape)
}

/// A frame's index from 0; numpy writes whole numbers as `1.000e+00`.
fn index(text: &str) -> Option<u64> {
    /// Whole numbers up to here are exact.
    const MOST: f64 = 9e15;
    let number: f64 = text.trim().parse().ok()?;
    (number.fract() == 0.0 && (1.0..=MOST).contains(&number)).then(|| number as u64 - 1)
}
