//! What dialects have in common.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::dataset::{Id, RegionBox, pixels};
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
    pub(super) fn at(self, shape: RegionBox) -> Result<Detection, String> {
        let Named { label, score, track, question, priority } = self;
        check("label", label.as_deref(), MAX_NAME)?;
        check("track", track.as_deref(), MAX_NAME)?;
        check("question", question.as_deref(), MAX_QUESTION)?;
        Ok(Detection { shape, label, score, track, question, priority })
    }
}

/// A box in pixels: left, top, right, bottom.
pub(super) fn xyxy(edges: [f64; 4]) -> Result<RegionBox, String> {
    pixels(edges, BoxFormat::Xyxy)
}

/// Refuses a text of more than `most` characters.
pub(super) fn check(field: &str, text: Option<&str>, most: usize) -> Result<(), String> {
    match text.map_or(0, |text| text.chars().count()) {
        n if n > most => Err(format!("field `{field}`: {n} characters are more than {most}")),
        _ => Ok(()),
    }
}

/// A camera's name.
pub(super) fn camera(name: Option<String>) -> Result<String, String> {
    check("camera", name.as_deref(), MAX_NAME)?;
    Ok(name.unwrap_or_default())
}

/// A value of a line that was parsed already; errors name the field.
pub(super) fn typed<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_path_to_error::deserialize(value).map_err(|e| match e.path().to_string() {
        path if path == "." => e.inner().to_string(),
        path => format!("field `{path}`: {}", e.inner()),
    })
}

/// Detections one by one: a reason for each that cannot be used, with its index.
pub(super) fn each<T>(
    items: Vec<T>,
    read: impl Fn(T) -> Result<Detection, String>,
) -> Result<(Vec<Detection>, Vec<String>), String> {
    if items.len() > MAX_DETECTIONS {
        let n = items.len();
        return Err(format!("{n} detections in a frame are more than {MAX_DETECTIONS}"));
    }
    let (mut usable, mut refused) = (Vec::new(), Vec::new());
    for (i, item) in items.into_iter().enumerate() {
        match read(item) {
            Ok(detection) => usable.push(detection),
            Err(reason) => refused.push(format!("detection {i}: {reason}")),
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
    /// Adds to the frame of that name. Gives the frame before, if this is another one.
    ///
    /// # Errors
    /// If there are too many in the frame.
    pub(super) fn add(
        &mut self,
        name: String,
        frame: impl FnOnce() -> FrameRef,
        item: Detection,
    ) -> Result<Option<Detections>, String> {
        let done = match &self.open {
            Some((open, _)) if *open == name => None,
            _ => self.take(),
        };
        let begin = || (name, Detections { frame: frame(), items: Vec::new() });
        let (_, open) = self.open.get_or_insert_with(begin);
        if open.items.len() == MAX_DETECTIONS {
            return Err(format!("a frame has more than {MAX_DETECTIONS} detections"));
        }
        open.items.push(item);
        Ok(done)
    }

    /// The frame that is open.
    pub(super) fn take(&mut self) -> Option<Detections> {
        self.open.take().map(|(_, frame)| frame)
    }
}
