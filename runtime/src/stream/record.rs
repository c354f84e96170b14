//! Lines of the output.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use half::f16;
use serde::Serialize;

use super::Detection;
use super::link::LinkStats;
use super::schedule::{Counters, Fate, Frame, Reason, Said, Settled, Why};
use crate::dataset::RegionBox;
use crate::{Answer, FinishReason, StageTimings};

/// Version of the form of lines.
pub const OUTPUT_VERSION: u32 = 1;

/// A line of the output. `event` comes first in JSON, and the other keys in this order; what is absent is left out.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Record {
    /// The model is open; the first line.
    Ready {
        /// [`OUTPUT_VERSION`].
        v: u32,
        /// The model's name.
        model: String,
        /// The question that is asked unless a detection brings its own.
        question: String,
    },
    /// A region was described.
    Answer(Box<Region>),
    /// A region is known.
    Repeat(Box<Region>),
    /// A region was left out.
    Drop(Box<Region>),
    /// More of an answer on its way.
    Partial(Box<Region>),
    /// A region's embedding.
    Embedding(Box<Region>),
    /// How likely labels are for a region.
    Choices(Box<Region>),
    /// The counters.
    Stats(Box<Stats>),
    /// A line that cannot be used, or a detection of it.
    Error {
        /// Its number, from 1.
        #[serde(skip_serializing_if = "Option::is_none")]
        line: Option<u64>,
        /// What is wrong.
        error: String,
    },
}

/// What is said about a region.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Region {
    /// The camera; absent if the input names none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub camera: String,
    /// The frame's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// The frame's time in seconds, by the input's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<f64>,
    /// The detector's track.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub track: Option<String>,
    /// The detector's label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The detector's score.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Left, top, right and bottom, as the input gave them.
    #[serde(rename = "box")]
    pub edges: [f64; 4],
    /// The box is in fractions of the picture.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub normalized: bool,
    /// The detection's own question, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// What was answered, or the next piece of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// Mean log-probability of the answer's tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logprob: Option<f32>,
    /// Why the answer ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish: Option<FinishReason>,
    /// Its tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_generated: Option<usize>,
    /// Why it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<Why>,
    /// Why it was left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What was written before it was left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partial: Option<String>,
    /// The embedding, as base64 of float16 in little-endian order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding: Option<String>,
    /// Labels and their probabilities, the likeliest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub choices: Option<Vec<(String, f64)>>,
    /// Seconds since the frame that the answer is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age: Option<f64>,
    /// Milliseconds since the frame arrived.
    pub latency_ms: f64,
    /// Milliseconds by stage, up to this answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timings_ms: Option<StageTimings>,
}

/// The counters, and what is known besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Stats {
    /// Seconds since the stream began.
    pub uptime: f64,
    /// Lines of the input.
    pub lines: u64,
    /// Those that cannot be used.
    pub bad_lines: u64,
    /// Detections of usable lines that cannot be used.
    pub bad_detections: u64,
    /// Frames of the video.
    pub video_frames: u64,
    /// Those that cannot be used, and those in whose place there was something else.
    pub bad_video_frames: u64,
    /// Frames and detections.
    #[serde(flatten)]
    pub counters: Counters,
    /// The connection to a broker, if there is one.
    #[serde(flatten)]
    pub link: Option<LinkStats>,
}

impl Region {
    /// A detection of a frame, `now` being the time since the stream began.
    pub(super) fn about(frame: &Frame, detection: &Detection, now: std::time::Duration) -> Region {
        let (edges, normalized) = match detection.shape {
            RegionBox::Pixels(b) => ([b.x1, b.y1, b.x2, b.y2], false),
            RegionBox::Fractions(edges) => (edges, true),
        };
        Region {
            camera: frame.about.camera.clone(),
            seq: frame.about.seq,
            time: frame.about.time,
            track: detection.track.clone(),
            label: detection.label.clone(),
            score: detection.score,
            question: detection.question.clone(),
            edges,
            normalized,
            latency_ms: milliseconds(now.saturating_sub(frame.arrived)),
            ..Region::default()
        }
    }

    fn answered(self, why: Why, answer: &Answer) -> Region {
        Region {
            answer: Some(answer.text.clone()),
            logprob: Some(answer.logprob).filter(|v| v.is_finite()),
            finish: Some(answer.finish),
            n_generated: Some(answer.n_generated),
            why: Some(why),
            timings_ms: Some(answer.timings_ms),
            ..self
        }
    }

    fn repeated(self, said: &Said, now: std::time::Duration) -> Region {
        Region {
            answer: Some(said.answer.clone()),
            logprob: Some(said.logprob).filter(|v| v.is_finite()),
            age: Some((now.saturating_sub(said.seen).as_secs_f64() * 1e3).round() / 1e3),
            ..self
        }
    }
}

impl From<&Settled> for Record {
    fn from(settled: &Settled) -> Record {
        let Settled { frame, detection, fate, at } = settled;
        let region = Region::about(frame, detection, *at);
        match fate {
            Fate::Answered { why, answer } => {
                Record::Answer(Box::new(region.answered(*why, answer)))
            }
            Fate::Repeated(said) => Record::Repeat(Box::new(region.repeated(said, *at))),
            Fate::Dropped { reason, error, partial } => Record::Drop(Box::new(Region {
                reason: Some(*reason),
                error: error.clone(),
                partial: Some(partial.clone()).filter(|p| !p.is_empty()),
                ..region
            })),
        }
    }
}

/// An embedding as text.
pub(super) fn encoded(embedding: &[f32]) -> String {
    let bytes: Vec<u8> = embedding.iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()).collect();
    BASE64_STANDARD.encode(bytes)
}

fn milliseconds(d: std::time::Duration) -> f64 {
    (d.as_secs_f64() * 1e4).round() / 10.0
}
