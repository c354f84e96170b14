//! A question set through the engine.

use super::answers::Answers;
use super::error::Result;
use super::question::{Question, QuestionSet};
use gpt4roi::{Conversation, Engine, PixelBox, Request, Sampling, Stage, StageTimings, load_image};
use std::time::Duration;

/// Longest answer in tokens; references are cut there too.
const MAX_TOKENS: usize = 64;

/// Where the time of a run went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Speed {
    /// Images that were encoded.
    pub n_images: usize,
    /// Turns that were answered.
    pub n_turns: usize,
    /// Time for the images, up to their maps.
    pub images: Duration,
    /// Time for everything else.
    pub turns: Duration,
}

impl Speed {
    /// Seconds an image.
    pub fn an_image(&self) -> f64 {
        self.images.as_secs_f64() / self.n_images.max(1) as f64
    }

    /// Seconds a turn, without those for the image.
    pub fn a_turn(&self) -> f64 {
        self.turns.as_secs_f64() / self.n_turns.max(1) as f64
    }

    fn add(&mut self, timings: &StageTimings) {
        let encoding = [Stage::Preprocess, Stage::Vision, Stage::Pyramid];
        let images: Duration = encoding.map(|stage| timings.get(stage)).iter().sum();
        self.images += images;
        self.turns += timings.total() - images;
        self.n_turns += 1;
        self.n_images += usize::from(!timings.get(Stage::Vision).is_zero());
    }
}

/// Asks all questions of a set, each image encoded once. `on_question` is called after each.
///
/// # Errors
/// [`Error::Line`](super::Error::Line) with the question that could not be asked.
pub fn ask(
    engine: &mut Engine,
    set: &QuestionSet,
    mut on_question: impl FnMut(),
) -> Result<(Answers, Speed)> {
    let (mut answers, mut speed) = (Answers::default(), Speed::default());
    for group in set.by_image() {
        let image = load_image(&set.image(group[0])).map_err(|e| set.error(group[0], e))?;
        let mut conversation = engine.conversation(image);
        for question in group {
            conversation.restart();
            let texts = dialogue(engine, &mut conversation, question, &mut speed);
            answers.insert(question.id, texts.map_err(|e| set.error(question, e))?);
            on_question();
        }
    }
    Ok((answers, speed))
}

fn dialogue(
    engine: &mut Engine,
    conversation: &mut Conversation,
    question: &Question,
    speed: &mut Speed,
) -> Result<Vec<String>, gpt4roi::Error> {
    let mut texts = Vec::new();
    for turn in &question.turns {
        let boxes = turn.boxes.iter().map(|&[x1, y1, x2, y2]| PixelBox::new(x1, y1, x2, y2));
        let request = Request {
            boxes: boxes.collect(),
            sampling: Sampling::Greedy,
            max_tokens: MAX_TOKENS,
            ..Request::new(&turn.question)
        };
        let answer = engine.ask(conversation, &request, |_| ())?;
        speed.add(&answer.timings_ms);
        texts.push(answer.text);
    }
    Ok(texts)
}
