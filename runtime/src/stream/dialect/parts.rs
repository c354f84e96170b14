//! What dialects have in common.

use serde::{Deserialize, Deserializer};

use super::Refused;
use super::error::Fault;
use crate::dataset::{Failed, Id, RegionBox, pixels, shortened};
use crate::preprocess::BoxFormat;
use crate::stream::{Detection, Detections, FrameRef, MAX_DETECTIONS};

/// Longest label, track or camera, in characters.
pub(super) const MAX_NAME: usize = 256;
/// Longest question, in characters.
pub(super) const MAX_QUESTION: usize = 4096;

/// A detection without its box, as most dialects have it.
#[derive(Default)]
pub(super) struct Named {
    pub(super) label: Option<String>,
    pub(super) score: Option<f64>,
    pub(super) track: Option<String>,
    pub(super) question: Option<String>,
    pub(super) priority: Option<f64>,
}

impl Named {
    /// The detection, if nothing about it is too long.
    pub(super) fn at(self, shape: RegionBox) -> Result<Detection, Fault> {
        let Named { label, score, track, question, priority } = self;
        check("label", label.as_deref(), MAX_NAME)?;
        check("track", track.as_deref(), MAX_NAME)?;
        check("question", question.as_deref(), MAX_QUESTION)?;
        Ok(Detection { shape, label, score, track, question, priority })
    }
}

/// A box in pixels, of edges or in another format.
pub(super) fn boxed(field: &str, values: [f64; 4], format: BoxFormat) -> Result<RegionBox, Fault> {
    pixels(values, format).map_err(Fault::field(field))
}

/// How sure a detector is, where it says so from 0 to 1.
pub(super) fn score(field: &'static str, value: Option<f64>) -> Result<Option<f64>, Fault> {
    match value {
        Some(v) if !(0.0..=1.0).contains(&v) => Err(Fault::Score { field, value: v.to_string() }),
        value => Ok(value),
    }
}

/// Refuses a text of more than `most` characters.
pub(super) fn check(field: &'static str, text: Option<&str>, most: usize) -> Result<(), Fault> {
    match text.map_or(0, |text| text.chars().count()) {
        n if n > most => Err(Fault::TooLong { field, n, most }),
        _ => Ok(()),
    }
}

/// A camera's name.
pub(super) fn camera(name: Option<String>) -> Result<String, Fault> {
    check("camera", name.as_deref(), MAX_NAME)?;
    Ok(name.unwrap_or_default())
}

/// A value of a line that was parsed already.
pub(super) fn typed<'de, T: Deserialize<'de>>(
    value: impl Deserializer<'de, Error = serde_json::Error>,
) -> Result<T, Fault> {
    serde_path_to_error::deserialize(value).map_err(|e| Failed::from(e).into())
}

/// A finite number that is written as text.
pub(super) fn finite(field: &str, text: &str) -> Result<f64, Fault> {
    let value: Option<f64> = text.trim().parse().ok();
    let reason = || format!("`{}` is not a finite number", shortened(text));
    value.filter(|v| v.is_finite()).ok_or_else(|| Fault::field(field)(reason()))
}

/// Detections one by one, and what is wrong with those that cannot be used.
pub(super) fn each<T>(
    items: Vec<T>,
    read: impl Fn(T) -> Result<Detection, Fault>,
) -> Result<(Vec<Detection>, Vec<Refused>), Fault> {
    if items.len() > MAX_DETECTIONS {
        return Err(Fault::TooMany { n: items.len(), most: MAX_DETECTIONS });
    }
    let (mut usable, mut refused) = (Vec::new(), Vec::new());
    for (i, item) in items.into_iter().enumerate() {
        match read(item) {
            Ok(detection) => usable.push(detection),
            Err(fault) => refused.push(Refused::Detection(i, fault)),
        }
    }
    Ok((usable, refused))
}

/// A frame's number where it is called by one.
pub(super) fn number(id: &Id) -> Option<u64> {
    id.to_string().parse().ok()
}

/// Detections that come one by one and belong to a frame together.
#[derive(Default)]
pub(super) struct Group {
    open: Option<(String, Detections)>,
}

impl Group {
    /// Goes on with the frame of that name. Gives the frame before, if this is another one.
    pub(super) fn turn_to(
        &mut self,
        name: String,
        frame: impl FnOnce() -> FrameRef,
    ) -> Option<Detections> {
        if self.open.as_ref().is_some_and(|(open, _)| *open == name) {
            return None;
        }
        let next = (name, Detections { frame: frame(), items: Vec::new() });
        self.open.replace(next).map(|(_, done)| done)
    }

    /// Adds to the frame that is open.
    ///
    /// # Errors
    /// If there are too many in it.
    pub(super) fn add(&mut self, item: Detection) -> Result<(), Fault> {
        match &mut self.open {
            Some((_, open)) if open.items.len() == MAX_DETECTIONS => {
                Err(Fault::TooMany { n: MAX_DETECTIONS + 1, most: MAX_DETECTIONS })
            }
            Some((_, open)) => {
                open.items.push(item);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The frame that is open.
    pub(super) fn take(&mut self) -> Option<Detections> {
        self.open.take().map(|(_, frame)| frame)
    }
}
