//! Which of given answers is the likeliest.

use crate::preprocess::PixelBox;
use crate::trace::StageTimings;
use serde::Serialize;

/// What long answers are spared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Normalise {
    /// Nothing: the score is the log-likelihood of the whole answer. Each further token makes an answer less likely, as in the
    /// model's own writing.
    #[default]
    None,
    /// The score is the mean log-likelihood of the answer's tokens, its end among them.
    Length,
}

/// A question with the answers to choose from.
#[derive(Clone, Debug)]
pub struct ChooseRequest {
    /// The question; `<region1>`, `<region2>`, ... stand for boxes in their order.
    pub question: String,
    /// New boxes, in pixels of the upright image.
    pub boxes: Vec<PixelBox>,
    /// The answers, each as the model would word it. White space around them does not count.
    pub labels: Vec<String>,
    /// What long answers are spared.
    pub normalise: Normalise,
    /// Subtract what each answer scores for regions that say nothing, the whole picture in each box's place. An
    /// answer that the model likes to give anyway then loses that advantage. This is the pointwise mutual information
    /// of answer and region (Holtzman et al. 2021, "Surface Form Competition"), with the picture as the neutral
    /// input of contextual calibration (Zhao et al. 2021, "Calibrate Before Use").
    pub prior: bool,
}

impl ChooseRequest {
    /// A question with answers to choose from; without boxes, normalisation and prior.
    pub fn new<L: Into<String>>(
        question: impl Into<String>,
        labels: impl IntoIterator<Item = L>,
    ) -> ChooseRequest {
        ChooseRequest {
            question: question.into(),
            boxes: Vec::new(),
            labels: labels.into_iter().map(Into::into).collect(),
            normalise: Normalise::None,
            prior: false,
        }
    }

    /// Adds a box.
    #[must_use]
    pub fn with_box(mut self, b: PixelBox) -> ChooseRequest {
        self.boxes.push(b);
        self
    }
}

/// One of the answers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Candidate {
    /// Its text, as it was given; `answer` in JSON.
    #[serde(rename = "answer")]
    pub label: String,
    /// Its share of what all of them have: softmax of the scores.
    pub probability: f64,
    /// What it is chosen by: its log-likelihood, less the prior's, a token if so asked.
    pub score: f64,
    /// Log-likelihood of all its tokens and of its end, natural logarithm.
    pub logprob: f64,
    /// The same for the whole picture in the place of each box.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prior: Option<f64>,
    /// Its tokens, with those of its end.
    pub n_tokens: usize,
}

/// How likely each answer is.
#[derive(Clone, Debug, Serialize)]
pub struct Choice {
    /// The answers in the order in which they were given. Their probabilities add up to 1.
    pub candidates: Vec<Candidate>,
    /// Their indices, the likeliest first; equals in the order in which they were given.
    pub ranked: Vec<usize>,
    /// Remarks on the request, e.g. a box that reaches over the border.
    pub warnings: Vec<String>,
    /// Time spent, by stage.
    pub timings_ms: StageTimings,
}

impl Choice {
    /// The answers, the likeliest first.
    pub fn best_first(&self) -> impl Iterator<Item = &Candidate> {
        self.ranked.iter().map(|&i| &self.candidates[i])
    }
}

/// What is known of an answer before it is compared with the others.
pub(crate) struct Scored {
    pub(crate) label: String,
    pub(crate) n_tokens: usize,
    pub(crate) logprob: f64,
    pub(crate) prior: Option<f64>,
}

/// Probabilities and ranks of the answers.
pub(crate) fn compare(scored: Vec<Scored>, normalise: Normalise) -> (Vec<Candidate>, Vec<usize>) {
    let score = |s: &Scored| {
        let gain = s.logprob - s.prior.unwrap_or(0.0);
        match normalise {
            Normalise::None => gain,
            Normalise::Length => gain / s.n_tokens as f64,
        }
    };
    let scores: Vec<f64> = scored.iter().map(score).collect();
    let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = scores.iter().map(|s| (s - max).exp()).sum();
    let candidate = |(s, score): (Scored, f64)| Candidate {
        probability: (score - max).exp() / sum,
        score,
        label: s.label,
        logprob: s.logprob,
        prior: s.prior,
        n_tokens: s.n_tokens,
    };
    let candidates: Vec<Candidate> = scored.into_iter().zip(scores).map(candidate).collect();
    let mut ranked: Vec<usize> = (0..candidates.len()).collect();
    ranked.sort_by(|&a, &b| candidates[b].score.total_cmp(&candidates[a].score));
    (candidates, ranked)
}
