//! A line of the output.

use serde::{Deserialize, Serialize};

use crate::{Answer, FinishReason, PixelBox, Stage};

/// What came out for one region and question, or what went wrong with it.
///
/// The order of the fields is that of the keys in JSON; what is absent is left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The image, as the data set calls it; absent for a part of the data set that cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The region's id within the image; absent if the whole image failed, as are those that follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its label in the data set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Left, top, right and bottom in pixels of the upright image.
    #[serde(default, rename = "box", skip_serializing_if = "Option::is_none")]
    pub edges: Option<[f64; 4]>,
    /// The question, as the user or the data set words it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// The answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// Mean log-probability of its tokens; absent if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logprob: Option<f32>,
    /// Why it ended: `stop`, `length` or `context_full`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish: Option<String>,
    /// Its tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_generated: Option<usize>,
    /// Where time went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timings_ms: Option<Timings>,
    /// What went wrong; then there is no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// The image side, which all answers about the image share.
    pub encode: f64,
    /// All that was done for this answer.
    pub total: f64,
}

impl Record {
    /// An image, or a part of the data set, that failed as a whole.
    pub(super) fn broken(image: Option<&str>, error: String) -> Record {
        Record { image: image.map(Into::into), error: Some(error), ..Record::default() }
    }

    pub(super) fn about(image: &str, id: &str, label: Option<&str>, b: PixelBox) -> Record {
        Record {
            image: Some(image.into()),
            id: Some(id.into()),
            label: label.map(Into::into),
            edges: Some([b.x1, b.y1, b.x2, b.y2]),
            ..Record::default()
        }
    }

    pub(super) fn answered(self, answer: &Answer, encode: f64) -> Record {
        Record {
            answer: Some(answer.text.clone()),
            logprob: Some(answer.logprob).filter(|v| v.is_finite()),
            finish: Some(finish(answer.finish).into()),
            n_generated: Some(answer.n_generated),
            timings_ms: Some(Timings { encode, total: ms(answer.timings_ms.total()) }),
            ..self
        }
    }
}

/// Milliseconds that the stages spent which depend on the image alone.
pub(super) fn encode_ms(answer: &Answer) -> f64 {
    let stages = [Stage::Preprocess, Stage::Vision, Stage::Pyramid];
    ms(stages.into_iter().map(|s| answer.timings_ms.get(s)).sum())
}

fn ms(d: std::time::Duration) -> f64 {
    (d.as_secs_f64() * 1e6).round() / 1e3
}

fn finish(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop => "stop",
        FinishReason::Length => "length",
        FinishReason::ContextFull => "context_full",
    }
}
