//! The spine: which stage follows which. Nothing else knows the order.
//!
//! image + boxes -> preprocess -> vision -> pyramid -> region -> prompt -> decode -> text

use crate::compare::LAYER_OUTPUT;
use crate::decode::{Generated, Generation, Session, Vectors, generate};
use crate::error::Result;
use crate::files::MmprojFile;
use crate::preprocess::{self, PreprocessOptions, RgbImage8};
use crate::prompt::{self, Dialogue, Prompt};
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
    ) -> Result<ImageSide> {
        let (hp, weights) = (&mmproj.hparams, &mmproj.weights);
        let vision = Vision::new(backend, hp, weights)?;
        let pyramid = PyramidStage::new(backend, hp, weights, vision.levels(), tracing)?;
        let region = RegionStage::new(backend, hp, weights, pyramid.levels(), tracing);
        Ok(ImageSide { preprocess, vision, pyramid, region })
    }
}

/// All stages of a model, and what they computed for the current image.
pub(crate) struct Pipeline {
    side: ImageSide,
    vocabulary: Vocabulary,
    session: Session,
    encoded: Option<Encoded>,
    trace: Option<Trace>,
}

/// The image side's results, kept while questions are about the same image.
struct Encoded {
    image_id: u64,
    states: HiddenStates,
    /// Made when a question first has boxes.
    pyramid: Option<Pyramid>,
    /// Region vectors computed so far; a vector depends on nothing but image and box.
    regions: Vec<(RoiBox, Vec<f32>)>,
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

impl Pipeline {
    pub(crate) fn new(
        side: ImageSide,
        vocabulary: Vocabulary,
        session: Session,
        tracing: bool,
    ) -> Pipeline {
        let trace = tracing.then(Trace::default);
        Pipeline { side, vocabulary, session, encoded: None, trace }
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
        let regions = self.regions(question.dialogue.boxes(), &mut timings)?;
        let n_reused =
            timings.time(Stage::Prefill, || self.prefill(question, &prompt, &regions))?;
        self.record_predictions()?;
        let (session, vocabulary) = (&mut self.session, &self.vocabulary);
        let generated =
            timings.time(Stage::Decode, || generate(session, vocabulary, generation, on_text))?;
        Ok(Outcome { generated, prompt, n_reused, timings })
    }

    /// Ids and slots of the whole dialogue.
    fn prompt(&self, dialogue: &Dialogue<RoiBox>) -> Result<Prompt> {
        let v = &self.vocabulary;
        // One position stays free for the answer.
        let limit = self.session.n_ctx().saturating_sub(1);
        Ok(prompt::plan(dialogue, v.special(), v.n_patches(), v, limit)?)
    }

    /// Runs the vision tower, unless its results are there already.
    fn encode(&mut self, image: ImageRef, timings: &mut StageTimings) -> Result<()> {
        if self.encoded.as_ref().is_some_and(|e| e.image_id == image.id) {
            return Ok(());
        }
        // The stages overwrite their results in place: nothing of the old image may be used.
        self.encoded = None;
        let pixels = timings
            .time(Stage::Preprocess, || preprocess::run(image.pixels, &self.side.preprocess))?;
        if let Some(trace) = &mut self.trace {
            trace.clear();
            trace.record("pixel_values", pixels.size as usize, pixels.data.clone());
        }
        let states =
            timings.time(Stage::Vision, || self.side.vision.run(&pixels, self.trace.as_mut()))?;
        let (image_id, regions) = (image.id, Vec::new());
        self.encoded = Some(Encoded { image_id, states, pyramid: None, regions });
        Ok(())
    }

    /// The vectors of all boxes, `[H, n]`; computes those that are not known yet.
    fn regions(&mut self, boxes: &[RoiBox], timings: &mut StageTimings) -> Result<Vec<f32>> {
        let Some(encoded) = &mut self.encoded else {
            return Ok(Vec::new());
        };
        if self.trace.is_some() {
            encoded.regions.clear(); // a trace shows all boxes of the question
        }
        let known = |b: &RoiBox, e: &Encoded| e.regions.iter().any(|(k, _)| k == b);
        let missing: Vec<RoiBox> = boxes.iter().filter(|b| !known(b, encoded)).copied().collect();
        if !missing.is_empty() {
            let (side, mut trace) = (&mut self.side, self.trace.as_mut());
            let pyramid = match encoded.pyramid.take() {
                Some(pyramid) => pyramid,
                None => timings.time(Stage::Pyramid, || {
                    side.pyramid.run(&encoded.states, trace.as_deref_mut())
                })?,
            };
            let pyramid = encoded.pyramid.insert(pyramid);
            let tokens =
                timings.time(Stage::Region, || side.region.run(pyramid, &missing, trace))?;
            let rows = tokens.embeds.chunks(tokens.embeds.len() / missing.len());
            encoded.regions.extend(missing.into_iter().zip(rows.map(<[f32]>::to_vec)));
        }
        // Only the boxes of the present conversation are kept.
        encoded.regions.retain(|(b, _)| boxes.contains(b));
        let row = |b: &RoiBox| encoded.regions.iter().find(|(k, _)| k == b);
        Ok(boxes.iter().filter_map(row).flat_map(|(_, v)| v).copied().collect())
    }

    fn prefill(&mut self, q: &Question, prompt: &Prompt, regions: &[f32]) -> Result<usize> {
        let image = self.encoded.as_ref().map_or(&[][..], |e| &e.states.image_embeds);
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

    /// Positions of the context.
    pub(crate) fn n_ctx(&self) -> usize {
        self.session.n_ctx()
    }

    pub(crate) fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }
}
