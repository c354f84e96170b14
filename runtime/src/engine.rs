//! Opening a model and asking it.

mod choose;
mod conversation;
mod info;
mod many;
mod request;

pub use conversation::Conversation;
pub use info::ModelInfo;
pub use request::Request;

use crate::answer::Answer;
use crate::choice::{Choice, ChooseRequest};
use crate::decode::{Generation, Session};
use crate::error::{Error, Result};
use crate::files::{LlmFile, MmprojFile, check_llm};
use crate::pipeline::{Image, Outcome, Pipeline, Question};
use crate::placement::{self, DeviceOptions, Placement, open_image_side};
use crate::preprocess::{BoxPolicy, PixelBox, PreprocessMode, check_boxes};
use crate::prompt::Dialogue;
use crate::trace::{StageTimings, Trace};
use crate::vocabulary::Vocabulary;
use ggml_ext::graph::PlacedNode;
use ggml_ext::llama::{ContextParams, KvType, LoadOptions};
use ggml_ext::roi_align::RoiBox;
use ggml_ext::{Backend, CancelToken, DType};
use info::model_info;
use std::path::PathBuf;

/// Context length unless asked otherwise: what the published model was trained with.
pub const DEFAULT_CONTEXT: usize = 2048;
/// Questions that are answered at once unless asked otherwise.
pub const DEFAULT_PARALLEL: usize = 32;
/// Most questions that can be answered at once: llama.cpp knows 256 sequences, and one is for what they share.
const MAX_PARALLEL: usize = 255;
/// Largest context length that can be asked for.
const MAX_CONTEXT: usize = 1 << 20;
/// Most positions that one batch holds.
const MAX_BATCH: usize = 2048;
/// The same where memory is short.
const LOW_BATCH: usize = 256;

/// How to open a model.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// The language model's GGUF file.
    pub model: PathBuf,
    /// The mmproj GGUF file of the same model.
    pub mmproj: PathBuf,
    /// Worker threads; 0 means one a processor.
    pub n_threads: usize,
    /// Worker threads of the image side; 0 means as many as [`EngineOptions::n_threads`].
    pub vision_threads: usize,
    /// Positions of the context; 0 means [`DEFAULT_CONTEXT`].
    pub n_ctx: usize,
    /// Questions about one image that are answered at once, if the context has room; at most 255.
    pub n_parallel: usize,
    /// Where to compute.
    pub devices: DeviceOptions,
    /// Type of the KV cache.
    pub kv_type: KvType,
    /// Map the files into memory instead of reading them.
    pub mmap: bool,
    /// Lock the language model in memory.
    pub mlock: bool,
    /// Copy the language model's weights into llama.cpp's layouts for the CPU's kernels: faster
    /// tokens on some processors, but opening reads the whole file and takes its size in memory.
    pub repack: bool,
    /// Less memory, and more time: a third of the scratch space, a few regions at a time, prompts in short batches.
    pub low_memory: bool,
    /// Which of the original's image pipelines to follow.
    pub preprocess: PreprocessMode,
    /// What to do with boxes that reach outside the image.
    pub boxes: BoxPolicy,
    /// Keep inner values for comparisons with a reference (slow, takes memory).
    pub trace: bool,
}

impl EngineOptions {
    /// Defaults for the two files of a model.
    pub fn new(model: impl Into<PathBuf>, mmproj: impl Into<PathBuf>) -> EngineOptions {
        EngineOptions {
            model: model.into(),
            mmproj: mmproj.into(),
            n_threads: 0,
            vision_threads: 0,
            n_ctx: 0,
            n_parallel: DEFAULT_PARALLEL,
            devices: DeviceOptions::default(),
            kv_type: KvType::default(),
            mmap: true,
            mlock: false,
            repack: false,
            low_memory: false,
            preprocess: PreprocessMode::default(),
            boxes: BoxPolicy::default(),
            trace: false,
        }
    }
}

/// Progress of an answer.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// More text of the answer.
    Text(&'a str),
    /// The answer is complete; of several questions each has its own.
    Done(&'a Answer),
}

/// Element types of the matrices of both files.
pub(crate) struct Types {
    pub(crate) model: Vec<DType>,
    pub(crate) mmproj: Vec<DType>,
}

/// A loaded model, ready for questions.
pub struct Engine {
    pipeline: Pipeline,
    info: ModelInfo,
    boxes: BoxPolicy,
    types: Types,
    cancel: CancelToken,
}

impl Engine {
    /// Opens the two files of a model.
    ///
    /// # Errors
    /// [`Error::ModelFile`] or [`Error::Mismatch`] for files that cannot be used,
    /// [`Error::Compute`] if the machine cannot hold the model.
    pub fn open(options: &EngineOptions) -> Result<Engine> {
        Self::open_with_progress(options, |_| true)
    }

    /// [`Engine::open`]; `progress` is called with 0.0 to 1.0 while the language model loads and
    /// stops it by returning false.
    ///
    /// # Errors
    /// As [`Engine::open`], and [`Error::Cancelled`].
    pub fn open_with_progress(
        options: &EngineOptions,
        mut progress: impl FnMut(f32) -> bool,
    ) -> Result<Engine> {
        let cancel = CancelToken::new();
        let n_threads = n_threads(options);
        let vision_threads = match options.vision_threads {
            0 => n_threads,
            n => n,
        };
        let llm = check_llm(&options.model)?;
        let params = context_params(options, n_threads)?;
        let placement = placement::plan(options, &llm, &params, vision_threads)?;
        tracing::info!("{placement}");
        let backend = Backend::open(&placement.vision, vision_threads, cancel.clone())?;
        let (mmproj, side) = open_image_side(options, &backend)?;
        check_pair(options, &llm, &mmproj)?;
        let model = llm.load(&load_options(options, &placement), &mut progress)?;
        let session = Session::new(&model, &params, cancel.clone())?;
        let vocabulary = Vocabulary::new(model, &mmproj.hparams, llm.dummy_prefix);
        let pipeline = Pipeline::new(side, vocabulary, session, options.trace);
        let info = ModelInfo {
            n_ctx: pipeline.n_ctx(),
            n_threads,
            placement,
            ..model_info(&llm, &mmproj)
        };
        let types = Types { model: llm.types, mmproj: mmproj.types };
        Ok(Engine { pipeline, info, boxes: options.boxes, types, cancel })
    }

    /// Begins a conversation about an image.
    pub fn conversation(&self, image: impl Into<Image>) -> Conversation {
        let dialogue = Dialogue::new(self.pipeline.vocabulary().special());
        Conversation::new(image.into(), dialogue)
    }

    /// Forgets what is kept of images and texts, so that the next question begins from nothing.
    pub fn forget(&mut self) {
        self.pipeline.forget();
    }

    /// What is known of the model.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// A token that stops the engine's work from another thread. After a stop it must be reset
    /// before the next question.
    pub fn cancel_token(&self) -> CancelToken {
        self.cancel.clone()
    }

    /// Answers a question about the conversation's image; `on_event` sees the text as it comes.
    /// The question and its answer become part of the conversation; after an error the
    /// conversation is as it was before.
    ///
    /// # Errors
    /// [`Error::Preprocess`] or [`Error::Prompt`] for a box or question that cannot be used,
    /// [`Error::ContextFull`], [`Error::Cancelled`], [`Error::Compute`]; [`Error::Stuck`] for a constraint that no token of the
    /// model can go on with.
    pub fn ask(
        &mut self,
        conversation: &mut Conversation,
        request: &Request,
        mut on_event: impl FnMut(Event),
    ) -> Result<Answer> {
        let generation = request.generation()?;
        let (outcome, warnings) = self.run(conversation, request, &generation, |text| {
            on_event(Event::Text(text));
        })?;
        conversation.dialogue.answer(&outcome.generated.text)?;
        let answer = answer(outcome, warnings);
        on_event(Event::Done(&answer));
        Ok(answer)
    }

    /// Answers request `i` as the next question of conversation `i`; `on_event` hears of each by its number, as the
    /// answers grow. One result each: a question that cannot be answered does not keep the others from it.
    ///
    /// Conversations about the same image (see [`Conversation::fork`]) are answered at once: the image is encoded once, all
    /// regions are pooled together, what the prompts begin with is read once, and the answers are written side by
    /// side, as many as [`EngineOptions::n_parallel`] and the context allow. The timings of an answer are those of all that
    /// was done until it was complete.
    ///
    /// # Errors
    /// In the results, as [`Engine::ask`].
    ///
    /// # Panics
    /// If there are not as many conversations as requests.
    pub fn answer_many(
        &mut self,
        conversations: &mut [Conversation],
        requests: &[Request],
        mut on_event: impl FnMut(usize, Event),
    ) -> Vec<Result<Answer>> {
        many::answer(self, conversations, requests, None, &mut on_event)
    }

    /// [`Engine::answer_many`], and meanwhile the image side works for the next image and boxes, on a thread of its own:
    /// `ahead` is asked for them there, again and again until it gives some or all answers are complete. A later question
    /// about that image finds it encoded and those boxes pooled.
    ///
    /// This pays where language model and image side do not compete: on different devices, or with
    /// [`EngineOptions::vision_threads`] and [`EngineOptions::n_threads`] that are together no more than the processors.
    ///
    /// # Errors
    /// As [`Engine::answer_many`]; an image or box that cannot be used is an error for those who ask about it.
    ///
    /// # Panics
    /// If there are not as many conversations as requests.
    pub fn answer_many_ahead(
        &mut self,
        conversations: &mut [Conversation],
        requests: &[Request],
        mut ahead: impl FnMut() -> Option<(Image, Vec<PixelBox>)> + Send,
        mut on_event: impl FnMut(usize, Event),
    ) -> Vec<Result<Answer>> {
        let policy = self.boxes;
        let mut ahead = || {
            let (image, boxes) = ahead()?;
            let checked = check_boxes(&boxes, image.size(), policy).unwrap_or_default();
            Some((image, checked.iter().map(|b| b.fractions).collect()))
        };
        many::answer(self, conversations, requests, Some(&mut ahead), &mut on_event)
    }

    /// What the language model is shown of boxes: a vector of its width each. They are kept for questions about them.
    ///
    /// # Errors
    /// [`Error::Preprocess`] for a box that cannot be used, [`Error::Cancelled`], [`Error::Compute`].
    pub fn embed(&mut self, image: &Image, boxes: &[PixelBox]) -> Result<Vec<Vec<f32>>> {
        let checked = check_boxes(boxes, image.size(), self.boxes)?;
        let fractions: Vec<RoiBox> = checked.iter().map(|b| b.fractions).collect();
        let mut timings = StageTimings::default();
        let all = self.pipeline.look_at_boxes(image.reference(), &fractions, &mut timings)?;
        let n_embd = all.len() / boxes.len().max(1);
        Ok(all.chunks(n_embd.max(1)).map(<[f32]>::to_vec).collect())
    }

    /// How likely each of given answers is as the next one of the conversation, which stays as it is.
    ///
    /// # Errors
    /// [`Error::Prompt`] for a label that cannot be an answer, [`Error::Option`] if there are none; otherwise as [`Engine::ask`].
    pub fn choose(
        &mut self,
        conversation: &Conversation,
        request: &ChooseRequest,
    ) -> Result<Choice> {
        let results = choose::choose(self, conversation, std::slice::from_ref(request));
        let only = results.into_iter().next();
        only.unwrap_or_else(|| Err(Error::internal("a request without a result")))
    }

    /// [`Engine::choose`] for several requests, each by itself the next turn of the conversation: one result each. The image is
    /// encoded once, all regions are pooled together, and what the prompts begin with is read once; the first result's timings
    /// have the time of that. Requests that differ in their boxes only share their prior.
    ///
    /// # Errors
    /// In the results, as [`Engine::choose`].
    pub fn choose_many(
        &mut self,
        conversation: &Conversation,
        requests: &[ChooseRequest],
    ) -> Vec<Result<Choice>> {
        choose::choose(self, conversation, requests)
    }

    /// A token's text, as it stands within other text; empty for one that is never shown.
    pub fn token_text(&self, id: i32) -> String {
        let bytes = self.pipeline.vocabulary().bytes(id).unwrap_or_default();
        String::from_utf8_lossy(bytes).into_owned()
    }

    /// Runs the pipeline on the conversation's next question, which is left unanswered; after an
    /// error it is taken back.
    fn run(
        &mut self,
        conversation: &mut Conversation,
        request: &Request,
        generation: &Generation,
        mut on_text: impl FnMut(&str),
    ) -> Result<(Outcome, Vec<String>)> {
        let warnings = self.pose(conversation, request)?;
        let image = conversation.image_ref();
        let question = Question { image, dialogue: &conversation.dialogue };
        match self.pipeline.run(&question, generation, &mut on_text) {
            Ok(outcome) => Ok((outcome, warnings)),
            Err(e) => {
                conversation.dialogue.retract();
                Err(e)
            }
        }
    }

    /// Makes the request the conversation's next question; gives remarks on its boxes.
    fn pose(&self, conversation: &mut Conversation, request: &Request) -> Result<Vec<String>> {
        let checked = check_boxes(&request.boxes, conversation.image.size(), self.boxes)?;
        let fractions = checked.iter().map(|b| b.fractions).collect();
        conversation.dialogue.ask(&request.question, fractions)?;
        Ok(checked.iter().filter_map(|b| b.warning.as_ref()).map(ToString::to_string).collect())
    }

    /// Runs one round of a reference dialogue: greedy, to the given length, whatever the model
    /// says. `reply` becomes the answer in the conversation.
    pub(crate) fn replay(
        &mut self,
        conversation: &mut Conversation,
        request: &Request,
        reply: &str,
    ) -> Result<Outcome> {
        let generation = Generation::exactly(request.max_tokens);
        let (outcome, _) = self.run(conversation, request, &generation, |_| ())?;
        conversation.dialogue.answer(reply)?;
        Ok(outcome)
    }

    /// Nodes of the image side's graphs, each with the device that runs it, and those of the language model that ran while
    /// [`EngineOptions::trace`] was on.
    ///
    /// # Errors
    /// If the memory for the image side's graphs is gone: they take turns with it.
    pub fn nodes(&self) -> Result<[Vec<PlacedNode>; 2]> {
        self.pipeline.nodes()
    }

    /// Inner values of the last run.
    pub(crate) fn trace(&self) -> Result<&Trace> {
        self.pipeline.trace().ok_or_else(|| Error::internal("opened without tracing"))
    }

    /// Types of the files' matrices.
    pub(crate) fn types(&self) -> &Types {
        &self.types
    }
}

fn answer(outcome: Outcome, warnings: Vec<String>) -> Answer {
    let Outcome { generated, prompt, n_reused, timings } = outcome;
    Answer {
        text: generated.text,
        finish: generated.finish,
        n_prompt: prompt.slots.len(),
        n_reused,
        n_generated: generated.tokens.len(),
        logprob: generated.logprobs.iter().sum::<f32>() / generated.logprobs.len() as f32,
        warnings,
        timings_ms: timings,
        tokens: generated.tokens,
        token_logprobs: generated.logprobs,
    }
}

fn load_options(options: &EngineOptions, placement: &Placement) -> LoadOptions {
    LoadOptions {
        mmap: options.mmap,
        mlock: options.mlock,
        repack: options.repack,
        devices: Some(placement.gpus.clone()),
        gpu_layers: u32::try_from(placement.gpu_layers).ok(),
        tensor_split: options.devices.tensor_split.clone(),
    }
}

pub(crate) fn n_threads(options: &EngineOptions) -> usize {
    let available = std::thread::available_parallelism().map_or(1, usize::from);
    match options.n_threads {
        0 => available,
        // Threads wait for each other at every step of a graph: more than processors only wait.
        n if n > available => {
            tracing::warn!("{n} threads asked for, {available} used: one a processor");
            available
        }
        n => n,
    }
}

pub(crate) fn context_params(options: &EngineOptions, n_threads: usize) -> Result<ContextParams> {
    let n_ctx = match options.n_ctx {
        0 => DEFAULT_CONTEXT,
        n if n <= MAX_CONTEXT => n,
        n => {
            let allowed = "at most 1048576";
            return Err(Error::Option { option: "ctx", value: n.to_string(), allowed });
        }
    };
    let n_parallel = options.n_parallel;
    if !(1..=MAX_PARALLEL).contains(&n_parallel) {
        let (value, allowed) = (n_parallel.to_string(), "1 to 255");
        return Err(Error::Option { option: "parallel", value, allowed });
    }
    Ok(ContextParams {
        n_ctx,
        n_batch: n_ctx.min(if options.low_memory { LOW_BATCH } else { MAX_BATCH }),
        n_seq_max: n_parallel + 1,
        n_outputs: n_parallel,
        n_threads,
        kv_type: options.kv_type,
        capture: options.trace.then(|| crate::compare::LAYER_OUTPUT.to_owned()),
    })
}

/// Whether the two files describe one model.
fn check_pair(options: &EngineOptions, llm: &LlmFile, mmproj: &MmprojFile) -> Result<()> {
    let (a, b) = (&llm.hparams, &mmproj.hparams);
    let mismatch = |what: &str, here: u32, there: u32| {
        Err(Error::Mismatch {
            model: options.model.clone(),
            mmproj: options.mmproj.clone(),
            reason: format!("{what} {here} here and {there} there"),
        })
    };
    if a.n_embd != b.region.n_embd_out {
        return mismatch("embeddings of width", a.n_embd, b.region.n_embd_out);
    }
    if a.n_vocab != b.tokens.n_vocab {
        return mismatch("a vocabulary of", a.n_vocab, b.tokens.n_vocab);
    }
    Ok(())
}
