//! The spine: which stage follows which. Nothing else knows the order.
//!
//! image + boxes -> preprocess -> vision -> pyramid -> region -> prompt -> decode -> text

use crate::compare::LAYER_OUTPUT;
use crate::decode::{
    Generated, Generation, Listener, Session, Step, Task, Vectors, Writer, generate, generate_many,
    score,
};
use crate::error::{Error, Result};
use crate::files::MmprojFile;
use crate::preprocess::{self, PreprocessOptions, RgbImage8};
use crate::prompt::{self, Candidates, Dialogue, Prompt, Slot};
use crate::pyramid::{Pyramid, PyramidStage};
use crate::region::RegionStage;
use crate::trace::{Stage, StageTimings, Trace};
use crate::vision::{HiddenStates, Vision};
use crate::vocabulary::Vocabulary;
use ggml_ext::Backend;
use ggml_ext::roi_align::RoiBox;

/// The stages from pixels to region vectors, on one device.
pub(crate) struct ImageSide {
    preprocess: PreprocessOptions,
    vision: Vision,
    pyramid: PyramidStage,
    region: RegionStage,
}

impl ImageSide {
    /// Builds the graphs.
    pub(crate) fn new(
        backend: &Backend,
        mmproj: &MmprojFile,
        preprocess: PreprocessOptions,
        tracing: bool,
        low_memory: bool,
    ) -> Result<ImageSide> {
        if low_memory {
            backend.limit_scratch(LOW_SCRATCH);
        }
        let (hp, weights) = (&mmproj.hparams, &mmproj.weights);
        let vision = Vision::new(backend, hp, weights)?;
        let pyramid = PyramidStage::new(backend, hp, weights, vision.levels(), tracing)?;
        let region = RegionStage::new(backend, hp, weights, pyramid.levels(), tracing, low_memory);
        Ok(ImageSide { preprocess, vision, pyramid, region })
    }
}

/// All stages of a model, and what they computed for the current image.
pub(crate) struct Pipeline {
    side: ImageSide,
    vocabulary: Vocabulary,
    session: Session,
    /// Used last, last.
    encoded: Vec<Encoded>,
    /// What the stages hold of the image that they worked on last.
    live: Option<Live>,
    trace: Option<Trace>,
}

/// Bytes of the convolutions' scratch space where memory is short.
pub(crate) const LOW_SCRATCH: usize = 36_000_000;
/// Images whose vectors are kept.
const MAX_IMAGES: usize = 4;
/// Region vectors that are kept of an image; those of the question at hand always are.
const MAX_REGIONS: usize = 256;

/// The image side's results for one image.
struct Encoded {
    image_id: u64,
    image_embeds: Vec<f32>,
    /// Region vectors computed so far; a vector depends on nothing but image and box.
    regions: Vec<(RoiBox, Vec<f32>)>,
}

/// What more region vectors of an image are made from. The next image overwrites it.
struct Live {
    image_id: u64,
    states: HiddenStates,
    /// Made when a question first has boxes.
    pyramid: Option<Pyramid>,
}

/// An image with what identifies its content.
#[derive(Clone, Copy)]
pub(crate) struct ImageRef<'a> {
    pub(crate) id: u64,
    pub(crate) pixels: &'a RgbImage8,
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
        let trace = tracing.then(Trace::default);
        Pipeline { side, vocabulary, session, encoded: Vec::new(), live: None, trace }
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
        self.encode(question.image, &mut timings)?;
        let regions = self.regions(question.image, question.dialogue.boxes(), &mut timings)?;
        let n_reused =
            timings.time(Stage::Prefill, || self.prefill(question, &prompt, &regions))?;
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
        if let Err(e) = self.answer_all(image, &mut report) {
            report.fail(&e);
        }
    }

    fn answer_all(&mut self, image: ImageRef, report: &mut Report) -> Result<()> {
        let asked = report.asked;
        self.encode(image, &mut report.timings)?;
        let mut all: Vec<RoiBox> = Vec::new();
        for b in asked.iter().flat_map(|a| a.dialogue.boxes()) {
            if !all.contains(b) {
                all.push(*b);
            }
        }
        let rows = self.regions(image, &all, &mut report.timings)?;
        let n_embd = rows.len() / all.len().max(1);
        let row =
            |b: &RoiBox| all.iter().position(|k| k == b).map(|i| &rows[i * n_embd..][..n_embd]);
        let regions: Vec<Vec<f32>> = asked
            .iter()
            .map(|a| a.dialogue.boxes().iter().filter_map(row).flatten().copied().collect())
            .collect();
        let embeds = self.encoded.last().map_or(&[][..], |e| &e.image_embeds);
        let mut tasks = Vec::new();
        for (a, regions) in asked.iter().zip(&regions) {
            let boxes = a.dialogue.boxes();
            let vectors = Vectors { image_id: image.id, image: embeds, regions, boxes };
            let writer = Writer::new(&self.vocabulary, a.generation);
            tasks.push(Task { slots: &a.prompt.slots, vectors, writer });
        }
        generate_many(&mut self.session, tasks, report)
    }

    /// Encodes an image and pools the boxes, so that no question about them has to.
    pub(crate) fn look_at_boxes(
        &mut self,
        image: ImageRef,
        boxes: &[RoiBox],
        timings: &mut StageTimings,
    ) -> Result<()> {
        self.encode(image, timings)?;
        self.regions(image, boxes, timings).map(|_| ())
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
        self.encode(image, timings)?;
        let boxes = dialogue.boxes();
        let regions = self.regions(image, boxes, timings)?;
        let embeds = self.encoded.last().map_or(&[][..], |e| &e.image_embeds);
        let vectors = Vectors { image_id: image.id, image: embeds, regions: &regions, boxes };
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

    /// Sees to it that the image's vectors are known, and last in `encoded`.
    fn encode(&mut self, image: ImageRef, timings: &mut StageTimings) -> Result<()> {
        if let Some(i) = self.encoded.iter().position(|e| e.image_id == image.id) {
            self.encoded[i..].rotate_left(1);
            return Ok(());
        }
        let image_embeds = self.look_at(image, timings)?;
        // A trace is of the image that was looked at last: no other is known then.
        let kept = if self.trace.is_some() { 0 } else { MAX_IMAGES - 1 };
        self.encoded.drain(..self.encoded.len().saturating_sub(kept));
        self.encoded.push(Encoded { image_id: image.id, image_embeds, regions: Vec::new() });
        Ok(())
    }

    /// Runs the vision tower; gives the image's vectors.
    fn look_at(&mut self, image: ImageRef, timings: &mut StageTimings) -> Result<Vec<f32>> {
        // The stages overwrite their results in place: nothing of the old image may be used.
        self.live = None;
        let pixels = timings
            .time(Stage::Preprocess, || preprocess::run(image.pixels, &self.side.preprocess))?;
        if let Some(trace) = &mut self.trace {
            trace.clear();
            trace.record("pixel_values", pixels.size as usize, pixels.data.clone());
        }
        let mut states =
            timings.time(Stage::Vision, || self.side.vision.run(&pixels, self.trace.as_mut()))?;
        let image_embeds = std::mem::take(&mut states.image_embeds);
        self.live = Some(Live { image_id: image.id, states, pyramid: None });
        Ok(image_embeds)
    }

    /// The vectors of all boxes of the image that was encoded last, `[H, n]`; computes those that are
    /// not known yet.
    fn regions(
        &mut self,
        image: ImageRef,
        boxes: &[RoiBox],
        timings: &mut StageTimings,
    ) -> Result<Vec<f32>> {
        if self.trace.is_some() {
            self.known().clear(); // a trace shows all boxes of the question
        }
        let known = self.known();
        let is_known = |b: &RoiBox| known.iter().any(|(k, _)| k == b);
        let missing: Vec<RoiBox> = boxes.iter().filter(|b| !is_known(b)).copied().collect();
        if !missing.is_empty() {
            let embeds = self.pool(image, &missing, timings)?;
            let rows = embeds.chunks(embeds.len() / missing.len()).map(<[f32]>::to_vec);
            let known = self.known();
            known.extend(missing.into_iter().zip(rows));
            let mut surplus = known.len().saturating_sub(MAX_REGIONS);
            known.retain(|(b, _)| {
                let goes = surplus > 0 && !boxes.contains(b);
                surplus -= usize::from(goes);
                !goes
            });
        }
        let known = self.known();
        let row = |b: &RoiBox| known.iter().find(|(k, _)| k == b);
        Ok(boxes.iter().filter_map(row).flat_map(|(_, v)| v).copied().collect())
    }

    /// Region vectors of the image that was encoded last.
    fn known(&mut self) -> &mut Vec<(RoiBox, Vec<f32>)> {
        let last = self.encoded.len() - 1;
        &mut self.encoded[last].regions
    }

    /// Runs the region stage, and what it needs of those before.
    fn pool(
        &mut self,
        image: ImageRef,
        boxes: &[RoiBox],
        timings: &mut StageTimings,
    ) -> Result<Vec<f32>> {
        if self.live.as_ref().is_none_or(|l| l.image_id != image.id) {
            self.look_at(image, timings)?;
        }
        let (side, mut trace) = (&mut self.side, self.trace.as_mut());
        let live = self.live.as_mut().ok_or_else(|| Error::internal("no image"))?;
        let pyramid = match live.pyramid.take() {
            Some(pyramid) => pyramid,
            None => timings
                .time(Stage::Pyramid, || side.pyramid.run(&live.states, trace.as_deref_mut()))?,
        };
        let pyramid = live.pyramid.insert(pyramid);
        let tokens = timings.time(Stage::Region, || side.region.run(pyramid, boxes, trace))?;
        Ok(tokens.embeds)
    }

    fn prefill(&mut self, q: &Question, prompt: &Prompt, regions: &[f32]) -> Result<usize> {
        let image = self.encoded.last().map_or(&[][..], |e| &e.image_embeds);
        let vectors = Vectors { image_id: q.image.id, image, regions, boxes: q.dialogue.boxes() };
        self.session.prefill(&prompt.slots, &vectors)
    }

    /// Keeps what the language model made of the prompt's last position.
    fn record_predictions(&mut self) -> Result<()> {
        let Some(trace) = &mut self.trace else {
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
        self.trace.as_ref()
    }

    /// Forgets all images and empties the cache.
    pub(crate) fn forget(&mut self) {
        self.encoded.clear();
        self.live = None;
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
