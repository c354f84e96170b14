//! What is asked.

use crate::constraint::Constraint;
use crate::decode::{Generation, Sampling};
use crate::error::Result;
use crate::preprocess::PixelBox;

/// A question, with the boxes that it names for the first time.
#[derive(Clone, Debug)]
pub struct Request {
    /// The question; `<region1>`, `<region2>`, ... stand for boxes in their order.
    pub question: String,
    /// New boxes, in pixels of the upright image.
    pub boxes: Vec<PixelBox>,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Longest answer, in tokens.
    pub max_tokens: usize,
    /// What the answer must be, if not whatever the model likes to write.
    pub constraint: Option<Constraint>,
}

impl Request {
    /// A question with the original's settings: temperature 0.2, at most 1024 tokens.
    pub fn new(question: impl Into<String>) -> Request {
        Request {
            question: question.into(),
            boxes: Vec::new(),
            sampling: Sampling::default(),
            max_tokens: 1024,
            constraint: None,
        }
    }

    /// Adds a box.
    #[must_use]
    pub fn with_box(mut self, b: PixelBox) -> Request {
        self.boxes.push(b);
        self
    }

    /// How to answer it.
    pub(super) fn generation(&self) -> Result<Generation> {
        Generation::new(self.sampling, self.max_tokens, self.constraint.clone())
    }
}
