//! The spine: which stage follows which. Nothing else knows the order.
//!
//! image + boxes -> preprocess -> vision -> pyramid -> region -> prompt -> decode -> text

mod sight;

pub use sight::Image;
pub(crate) use sight::{ImageRef, ImageSide, LOW_SCRATCH};

use crate::compare::LAYER_OUTPUT;
use crate::decode::{
    Generated, Generation, Listener, Session, Step, Task, Vectors, Writer, generate, generate_many,
    score,
};
use crate::error::{Error, Result};
use crate::prompt::{self, Candidates, Dialogue, Prompt, Slot};
use crate::trace::{Stage, StageTimings, Trace};
use crate::vocabulary::Vocabulary;
use ggml_ext::graph::PlacedNode;
use ggml_ext::roi_align::RoiBox;
use sight::{Seen, Sight};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// All stages of a model, and what they computed for the current image.
pub(crate) struct Pipeline {
    sight: Sight,
    vocabulary: Vocabulary,
    session: Session,
}

/// A question ready to be answered: the last turn of a dialogue whose boxes are fractions of the
/// image.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) image: ImageRef<'a>,
    pub(crate) dialogue: &'a Dialogue<RoiBox>,
}

/// What a run produced.
pub(crate) struct Outcome {
    pub(crate) generated: Generated,
    pub(crate) prompt: Prompt,
    pub(crate) n_reused: usize,
    pub(crate) timings: StageTimings,
}

/// What is heard of one question of several.
pub(crate) enum Progress<'a> {
    /// More text.
    Text(&'a str),
    /// What became of it.
    Done(Box<Result<Outcome>>),
}

/// A question of several, whose prompt is known.
struct Asked<'a> {
    i: usize,
    dialogue: &'a Dialogue<RoiBox>,
    generation: &'a Generation,
    prompt: Prompt,
}

/// What to look at while answers are written: asked again and again until they are complete.
pub(crate) type Ahead<'a> = &'a mut (dyn FnMut() -> Option<(Image, Vec<RoiBox>)> + Send);

/// How often it is asked.
const AHEAD_POLL: Duration = Duration::from_millis(5);

/// Does the work, and meanwhile looks at what comes next. What goes wrong with that is left to who needs it.
fn meanwhile<R>(sight: &mut Sight, ahead: Ahead, work: impl FnOnce() -> R) -> R {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let Some((image, boxes)) = ahead() else {
                    std::thread::sleep(AHEAD_POLL);
                    continue;
                };
                let looked = sight.look(image.reference(), &boxes, &mut StageTimings::default());
                if let Err(e) = looked {
                    tracing::debug!("looking ahead: {e}");
                }
            }
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        result
    })
}

/// Brings what becomes of several questions to who asked them.
struct Report<'a> {
    timings: StageTimings,
    asked: &'a [Asked<'a>],
    done: Vec<bool>,
    /// Positions that all prompts have in common.
    n_shared: usize,
    on_event: &'a mut dyn FnMut(usize, Progress),
}

impl Report<'_> {
    /// Every question that is not done yet has failed.
    fn fail(&mut self, e: &Error) {
        for task in 0..self.asked.len() {
            if !self.done[task] {
                self.done(task, Err(e.again()));
            }
        }
    }
}

impl Listener for Report<'_> {
    fn shared(&mut self, n: usize) {
        self.n_shared = n;
    }

    fn text(&mut self, task: usize, text: &str) {
        (self.on_event)(self.asked[task].i, Progress::Text(text));
    }

    fn done(&mut self, task: usize, result: Result<Generated>) {
        self.done[task] = true;
        let Asked { i, prompt, .. } = &self.asked[task];
        let (timings, n_reused) = (self.timings, self.n_shared);
        let outcome = |generated| Outcome { generated, prompt: prompt.clone(), n_reused, timings };
        (self.on_event)(*i, Progress::Done(Box::new(result.map(outcome))));
    }

    fn step<R>(&mut self, step: Step, run: impl FnOnce() -> R) -> R {
        let stage = match step {
            Step::Prefill => Stage::Prefill,
            Step::Decode => Stage::Decode,
        };
        self.timings.time(stage, run)
    }
}

impl Pipeline {
    pub(crate) fn new(
        side: ImageSide,
        vocabulary: Vocabulary,
        session: Session,
        tracing: bool,
    ) -> Pipeline {
        Pipeline { sight: Sight::new(side, tracing), vocabulary, session }
    }

    /// Answers a question. `on_text` receives the answer piece by piece.
    pub(crate) fn run(
        &mut self,
        question: &Question,
        generation: &Generation,
        on_text: &mut dyn FnMut(&str),
    ) -> Result<Outcome> {
        let mut timings = StageTimings::default();
        // The prompt's positions need no vectors yet: one that is too long fails here, before the
        // image side has worked for it.
        let prompt = timings.time(Stage::Prompt, || self.prompt(question.dialogue))?;
        let seen = self.sight.look(question.image, question.dialogue.boxes(), &mut timings)?;
        let n_reused = timings.time(Stage::Prefill, || self.prefill(question, &prompt, &seen))?;
        self.record_predictions()?;
        let (session, vocabulary) = (&mut self.session, &self.vocabulary);
        let generated =
            timings.time(Stage::Decode, || generate(session, vocabulary, generation, on_text))?;
        Ok(Outcome { generated, prompt, n_reused, timings })
    }

    /// Answers several questions about one image at once. `on_event` receives each answer piece by piece, by
    /// the question's number, and what became of it.
    pub(crate) fn run_many(
        &mut self,
        image: ImageRef,
        questions: &[(&Dialogue<RoiBox>, &Generation)],
        ahead: Option<Ahead>,
        on_event: &mut dyn FnMut(usize, Progress),
    ) {
        let mut timings = StageTimings::default();
        let mut prompts = Vec::new();
        for (i, (dialogue, generation)) in questions.iter().enumerate() {
            match timings.time(Stage::Prompt, || self.prompt(dialogue)) {
                Ok(prompt) => prompts.push(Asked { i, dialogue, generation, prompt }),
                Err(e) => on_event(i, Progress::Done(Box::new(Err(e)))),
            }
        }
        let mut report = Report {
            timings,
            asked: &prompts,
            done: vec![false; prompts.len()],
            n_shared: 0,
            on_event,
        };
        if let Err(e) = self.answer_all(image, ahead, &mut report) {
            report.fail(&e);
        }
    }

    fn answer_all(
        &mut self,
        image: ImageRef,
        ahead: Option<Ahead>,
        report: &mut Report,
    ) -> Result<()> {
        let asked = report.asked;
        let mut all: Vec<RoiBox> = Vec::new();
        for b in asked.iter().flat_map(|a| a.dialogue.boxes()) {
            if !all.contains(b) {
                all.push(*b);
            }
        }
        let seen = self.sight.look(image, &all, &mut report.timings)?;
        let n_embd = seen.regions.len() / all.len().max(1);
        let row = |b: &RoiBox| {
            all.iter().position(|k| k == b).map(|i| &seen.regions[i * n_embd..][..n_embd])
        };
        let regions: Vec<Vec<f32>> = asked
            .iter()
            .map(|a| a.dialogue.boxes().iter().filter_map(row).flatten().copied().collect())
            .collect();
        let mut tasks = Vec::new();
        for (a, regions) in asked.iter().zip(&regions) {
            let boxes = a.dialogue.boxes();
            let vectors = Vectors { image_id: image.id, image: &seen.image, regions, boxes };
            let writer = Writer::new(&self.vocabulary, a.generation);
            tasks.push(Task { slots: &a.prompt.slots, vectors, writer });
        }
        let (sight, session) = (&mut self.sight, &mut self.session);
        match ahead {
            None => generate_many(session, tasks, report),
            Some(ahead) => meanwhile(sight, ahead, || generate_many(session, tasks, report)),
        }
    }

    /// Encodes an image and pools the boxes, so that no question about them has to. Gives the boxes' vectors, `[H, n]`.
    pub(crate) fn look_at_boxes(
        &mut self,
        image: ImageRef,
        boxes: &[RoiBox],
        timings: &mut StageTimings,
    ) -> Result<Vec<f32>> {
        Ok(self.sight.look(image, boxes, timings)?.regions)
    }

    /// The log-likelihood of each candidate as the answer to the dialogue's last question.
    pub(crate) fn score(
        &mut self,
        image: ImageRef,
        dialogue: &Dialogue<RoiBox>,
        candidates: &Candidates,
        timings: &mut StageTimings,
    ) -> Result<Vec<f64>> {
        let mut slots = timings.time(Stage::Prompt, || self.prompt(dialogue))?.slots;
        slots.extend(candidates.role.iter().map(|&id| Slot::Token(id)));
        let boxes = dialogue.boxes();
        let Seen { image: embeds, regions } = self.sight.look(image, boxes, timings)?;
        let vectors = Vectors { image_id: image.id, image: &embeds, regions: &regions, boxes };
        let session = &mut self.session;
        timings.time(Stage::Prefill, || session.prefill(&slots, &vectors))?;
        timings.time(Stage::Decode, || score(session, &slots, &vectors, &candidates.answers))
    }

    /// Ids and slots of the whole dialogue.
    fn prompt(&self, dialogue: &Dialogue<RoiBox>) -> Result<Prompt> {
        let v = &self.vocabulary;
        // One position stays free for the answer.
        let limit = self.session.n_ctx().saturating_sub(1);
        Ok(prompt::plan(dialogue, v.special(), v.n_patches(), v, limit)?)
    }

    fn prefill(&mut self, q: &Question, prompt: &Prompt, seen: &Seen) -> Result<usize> {
        let Seen { image, regions } = seen;
        let vectors = Vectors { image_id: q.image.id, image, regions, boxes: q.dialogue.boxes() };
        self.session.prefill(&prompt.slots, &vectors)
    }

    /// Keeps what the language model made of the prompt's last position.
    fn record_predictions(&mut self) -> Result<()> {
        let Some(trace) = self.sight.trace_mut() else {
            return Ok(());
        };
        let logits = self.session.logits()?;
        trace.record("logits_last", logits.len(), logits.to_vec());
        let layer = |il| self.session.captured(&format!("{LAYER_OUTPUT}-{il}"));
        let layers: Vec<f32> = (0..).map_while(layer).flatten().copied().collect();
        trace.record("llm_layers_last", layers.len(), layers);
        Ok(())
    }

    /// Inner values of the last run; `None` unless the pipeline was made for tracing.
    pub(crate) fn trace(&self) -> Option<&Trace> {
        self.sight.trace()
    }

    /// The nodes of the image side that are built, and those of the language model that were computed while tracing.
    pub(crate) fn nodes(&self) -> Result<[Vec<PlacedNode>; 2]> {
        Ok([self.sight.nodes()?, self.session.nodes()])
    }

    /// Forgets all images and empties the cache.
    pub(crate) fn forget(&mut self) {
        self.sight.forget();
        self.session.clear();
    }

    /// Questions that can be answered at once.
    pub(crate) fn n_parallel(&self) -> usize {
        self.session.n_parallel()
    }

    /// Positions of the context.
    pub(crate) fn n_ctx(&self) -> usize {
        self.session.n_ctx()
    }

    pub(crate) fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }
}
