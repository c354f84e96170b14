//! What comes out.

use crate::decode::FinishReason;
use crate::trace::StageTimings;
use serde::Serialize;

/// The answer to one question.
#[derive(Clone, Debug, Serialize)]
pub struct Answer {
    /// The text, without role names and stop marks; `answer` in JSON.
    #[serde(rename = "answer")]
    pub text: String,
    /// Why it ended.
    pub finish: FinishReason,
    /// Positions of the prompt, image and regions included.
    pub n_prompt: usize,
    /// How many of them were still in the cache.
    pub n_reused: usize,
    /// Tokens generated.
    pub n_generated: usize,
    /// Mean log-probability of the generated tokens, by the model's own distribution (temperature 1).
    pub logprob: f32,
    /// Remarks on the request, e.g. a box that reaches over the border.
    pub warnings: Vec<String>,
    /// Time spent, by stage.
    pub timings_ms: StageTimings,
    /// The generated token ids.
    #[serde(skip)]
    pub tokens: Vec<i32>,
    /// The log-probability of each.
    #[serde(skip)]
    pub token_logprobs: Vec<f32>,
}
