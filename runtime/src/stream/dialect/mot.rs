//! MOT Challenge: `frame, id, left, top, width, height, confidence, ...`, a line a detection.
//!
//! Frames are counted from 1 there and from 0 here, and so are pixels. An id or confidence of -1 is none.

use super::Parsed;
use super::parts::{Group, Named};
use crate::dataset::{finite, pixels};
use crate::preprocess::BoxFormat;
use crate::stream::FrameRef;

/// What stands for nothing.
const NONE: f64 = -1.0;

pub(super) fn parse(line: &[u8], group: &mut Group) -> Result<Parsed, String> {
    let text = std::str::from_utf8(line).map_err(|_| "not UTF-8".to_owned())?;
    let fields: Vec<&str> = text.split(',').collect();
    let [frame, id, left, top, width, height, ..] = fields[..] else {
        let n = fields.len();
        return Err(format!("{n} fields; frame,id,left,top,width,height are needed"));
    };
    let seq = index(frame).ok_or("field `frame`: not a number of a frame, from 1")?;
    let track = match finite("id", id)? {
        NONE => None,
        number => Some(number.to_string()),
    };
    let corner = [finite("left", left)? - 1.0, finite("top", top)? - 1.0];
    let size = [finite("width", width)?, finite("height", height)?];
    let shape = pixels([corner[0], corner[1], size[0], size[1]], BoxFormat::Xywh)?;
    let score = fields.get(6).map(|text| finite("confidence", text)).transpose()?;
    let score = score.filter(|s| *s != NONE);
    let detection = Named { score, track, ..Named::default() }.at(shape)?;
    let about = || FrameRef { seq: Some(seq), ..FrameRef::default() };
    let done = group.add(seq.to_string(), about, detection)?;
    Ok(done.map_or_else(Parsed::default, Parsed::frame))
}

/// A frame's index from 0; numpy writes whole numbers as `1.000e+00`.
fn index(text: &str) -> Option<u64> {
    /// Whole numbers up to here are exact.
    const MOST: f64 = 9e15;
    let number: f64 = text.trim().parse().ok()?;
    (number.fract() == 0.0 && (1.0..=MOST).contains(&number)).then(|| number as u64 - 1)
}
