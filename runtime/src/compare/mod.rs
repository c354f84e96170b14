//! Every stage against reference tensors: the tool for everyone who ports or optimises.
//!
//! A golden directory holds a picture, a dialogue and the tensors that a reference run of the
//! same checkpoint computed. The dialogue is run again here, round by round, and each stage's
//! result is measured against the reference, in the order of the pipeline.

mod bounds;
mod golden;

pub use bounds::Bounds;

use crate::engine::{Engine, EngineOptions};
use crate::error::{Error, Result};
use crate::pipeline::Outcome;
use crate::preprocess::{BoxPolicy, PassOrder, PreprocessMode, RgbImage8, bicubic_step};
use crate::prompt::Slot;
use crate::trace::Trace;
use ggml_ext::gguf::Gguf;
use ggml_ext::llama::KvType;
use ggml_ext::{CPU, DType, numeric};
use golden::{Golden, Round};
use gpt4roi_models::names;
use serde::Serialize;
use std::path::Path;

/// Reference tensors without which a comparison would prove nothing; of every round the last two.
const REQUIRED: [&str; 2] = ["pixel_values", "region_embed"];
const REQUIRED_OF_ROUND: [&str; 2] = ["inputs_embeds", "logits_last"];

/// llama.cpp's name, without the number, for the result of a block.
pub(crate) const LAYER_OUTPUT: &str = "l_out";

/// One comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Round of the dialogue, from 0.
    pub round: usize,
    /// The reference's name of the value.
    pub name: String,
    /// Distance from the reference: NMSE, or 0/1 for values that must be the same.
    pub error: f64,
    /// What is allowed.
    pub bound: f64,
    /// Further words, e.g. the largest difference.
    pub note: String,
}

impl Row {
    /// Whether the bound holds.
    pub fn is_ok(&self) -> bool {
        self.error <= self.bound
    }
}

/// The comparisons of one golden, in the order of the pipeline.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// One row a value.
    pub rows: Vec<Row>,
}

impl Report {
    /// The first value that is out of bounds.
    pub fn first_departure(&self) -> Option<&Row> {
        self.rows.iter().find(|r| !r.is_ok())
    }
}

/// Runs the golden in `dir` with the files of `options` and compares every stage.
///
/// Boxes are taken as the golden gives them, and the KV cache is exact; the rest of `options`
/// holds. What is on a GPU is held to the bounds of half precision at least.
///
/// # Errors
/// [`Error::Golden`] if the directory cannot be used, otherwise as [`Engine::open`] and
/// [`Engine::ask`].
pub fn compare(options: &EngineOptions, dir: &Path) -> Result<Report> {
    let golden = Golden::open(dir)?;
    golden.require(&REQUIRED, &REQUIRED_OF_ROUND)?;
    let image = golden.image()?;
    let bicubic = Bicubic::choose(&golden, &image)?;
    let options = EngineOptions {
        trace: true,
        preprocess: bicubic.mode,
        boxes: BoxPolicy::AsIs,
        kv_type: KvType::F32,
        ..options.clone()
    };
    let embeddings = Embeddings::open(&options.model)?;
    let mut engine = Engine::open(&options)?;
    let (image_bounds, bounds) = bounds_of(&engine);
    let mut conversation = engine.conversation(image);
    let mut comparison =
        Comparison { golden: &golden, image_bounds, bounds, rows: Vec::new(), round: 0 };
    comparison.bicubic(&bicubic);
    for (i, round) in golden.rounds.iter().enumerate() {
        comparison.round = i;
        let reply = round.assistant_reply_fed_back.as_deref().unwrap_or_default();
        let outcome = engine.replay(&mut conversation, &round.request(), reply)?;
        let trace = engine.trace()?;
        if i + 1 == golden.rounds.len() {
            comparison.image_side(trace);
        }
        comparison.language_side(round, &outcome, trace, &embeddings)?;
    }
    Ok(Report { rows: comparison.rows })
}

/// Bounds for what the image side computes, which only the mmproj file's types touch, and for the rest. GPUs multiply
/// in half precision, whatever the files' types.
fn bounds_of(engine: &Engine) -> (Bounds, Bounds) {
    let (types, placement) = (engine.types(), &engine.info().placement);
    let half = |is_on_gpu: bool| is_on_gpu.then_some(DType::F16);
    let image = types.mmproj.iter().copied().chain(half(placement.vision != CPU));
    let language = types.model.iter().copied().chain(half(!placement.gpus.is_empty()));
    (Bounds::for_types(image.clone()), Bounds::for_types(image.chain(language)))
}

/// The picture after the 8-bit resize, in the order of passes that the reference's Pillow had: it
/// changed in version 13, which shows in the last bit of pictures much taller than wide.
struct Bicubic {
    mode: PreprocessMode,
    resized: Vec<f32>,
}

impl Bicubic {
    fn choose(golden: &Golden, image: &RgbImage8) -> Result<Bicubic> {
        let reference = golden.floats("bicubic_u8").unwrap_or_default();
        let shape = golden.shape("bicubic_u8").unwrap_or_default();
        let size = shape.iter().take(2).min().copied().unwrap_or(1) as u32;
        let resize = |mode, order| -> Result<Bicubic> {
            let resized = bicubic_step(image, size, order)?;
            Ok(Bicubic { mode, resized: resized.data().iter().map(|&b| f32::from(b)).collect() })
        };
        let usual = resize(PreprocessMode::Inference, PassOrder::HorizontalFirst)?;
        if usual.resized == reference {
            return Ok(usual);
        }
        let new = resize(PreprocessMode::InferencePillow13, PassOrder::Pillow13)?;
        Ok(if new.resized == reference { new } else { usual })
    }
}

struct Comparison<'a> {
    golden: &'a Golden,
    image_bounds: Bounds,
    bounds: Bounds,
    rows: Vec<Row>,
    round: usize,
}

impl Comparison<'_> {
    fn push(&mut self, name: &str, error: f64, bound: f64, note: String) {
        self.rows.push(Row { round: self.round, name: name.into(), error, bound, note });
    }

    /// Compares `got` with the reference of that name, if there is one.
    fn nmse(&mut self, name: &str, got: Option<&[f32]>, bound: f64) {
        let Some(reference) = self.golden.floats(name) else {
            return;
        };
        let got = got.unwrap_or_default();
        let note = format!("max diff {:.2e}", numeric::max_abs_diff(got, &reference));
        self.push(name, numeric::nmse(got, &reference), bound, note);
    }

    fn same(&mut self, name: &str, same: bool, note: String) {
        self.push(name, if same { 0.0 } else { 1.0 }, 0.0, note);
    }

    fn bicubic(&mut self, bicubic: &Bicubic) {
        self.nmse("bicubic_u8", Some(&bicubic.resized), 0.0);
        if let (PreprocessMode::InferencePillow13, Some(row)) = (bicubic.mode, self.rows.last_mut())
        {
            row.note.push_str(", by Pillow 13's order of passes");
        }
    }

    /// Pixels to region vectors; goldens keep these of the last round.
    fn image_side(&mut self, trace: &Trace) {
        let bound = self.image_bounds.stage_nmse;
        self.nmse("pixel_values", trace.get("pixel_values"), bound.min(1e-7));
        for name in numbered(trace, "hidden_states") {
            self.nmse(&name, trace.get(&name), bound);
        }
        self.nmse("image_embed", trace.get("image_embed"), bound);
        for name in maps(trace) {
            self.map(&name, trace, bound);
        }
        for name in numbered(trace, "roi") {
            self.nmse(&name, trace.get(&name), bound);
        }
        for name in ["roi_sum_relu", "flatten_linear", "pos_embed", "region_mid", "region_embed"] {
            self.nmse(name, trace.get(name), bound);
        }
    }

    /// A large map: its stored samples, and sums over all of it.
    fn map(&mut self, name: &str, trace: &Trace, bound: f64) {
        let Some(map) = trace.get(name) else { return };
        let side = trace.width(name).unwrap_or(1);
        let sub = golden::subsample(map, side);
        self.nmse(&format!("{name}.sub"), Some(&sub), bound);
        let Some(stats) = self.golden.stats.get(name) else {
            return;
        };
        // The probe's weights have a root mean square of 0.29: an error in the map shows in it
        // with about that factor.
        let error = ((golden::probe(map) - stats.probe) / (0.29 * stats.l2)).powi(2);
        self.push(&format!("{name} (whole map)"), error, bound, "by its probe".into());
    }

    fn language_side(
        &mut self,
        round: &Round,
        outcome: &Outcome,
        trace: &Trace,
        embeddings: &Embeddings,
    ) -> Result<()> {
        let (i, bounds) = (self.round, self.bounds);
        let (prompt, tokens) = (&outcome.prompt, &outcome.generated.tokens);
        self.same("prompt", prompt.text == round.prompt, String::new());
        let first = prompt.ids.iter().zip(&round.input_ids).position(|(a, b)| a != b);
        let note = first.map_or(String::new(), |at| format!("first difference at {at}"));
        self.same("input_ids", prompt.ids == round.input_ids, note);
        let name = |what: &str| format!("round{i}.{what}");
        self.nmse(&name("region_embed"), trace.get("region_embed"), self.image_bounds.stage_nmse);
        let rows = embeddings.rows(&prompt.slots, trace)?;
        self.nmse(&name("inputs_embeds"), Some(&rows), bounds.stage_nmse);
        self.nmse(&name("llm_layers_last"), trace.get("llm_layers_last"), bounds.logits_nmse);
        self.logits(&name("logits_last"), trace);
        let wanted = &round.greedy_tokens;
        let n = tokens.iter().zip(wanted).take_while(|(a, b)| a == b).count();
        let note = format!("{n} of {} the same", wanted.len());
        let bound = if bounds.same_tokens { 0.0 } else { 1.0 };
        self.push("greedy_tokens", if tokens == wanted { 0.0 } else { 1.0 }, bound, note);
        Ok(())
    }

    fn logits(&mut self, name: &str, trace: &Trace) {
        let got = trace.get("logits_last").unwrap_or_default();
        self.nmse(name, Some(got), self.bounds.logits_nmse);
        let Some(reference) = self.golden.floats(name) else {
            return;
        };
        if got.len() == reference.len() {
            let cosine = numeric::cosine(got, &reference);
            let bound = 1.0 - self.bounds.logits_cosine;
            self.push("1 - cosine of logits", 1.0 - cosine, bound, String::new());
        }
    }
}

/// `PREFIX.0`, `PREFIX.1`, ... as far as the trace has them.
fn numbered(trace: &Trace, prefix: &str) -> Vec<String> {
    let names = (0..).map(|l| format!("{prefix}.{l}"));
    names.take_while(|name| trace.get(name).is_some()).collect()
}

/// Names of the pyramid's maps in the order in which they are computed.
fn maps(trace: &Trace) -> Vec<String> {
    let mut names = numbered(trace, "conv_in");
    names.extend(numbered(trace, "input_conv"));
    for f in 0.. {
        let fused = numbered(trace, &format!("fuse.{f}"));
        if fused.is_empty() {
            return names;
        }
        names.extend(fused);
    }
    names
}

/// The token embeddings of the language model's file. Only a comparison reads them: in normal
/// operation llama.cpp looks them up itself.
struct Embeddings {
    gguf: Gguf,
    dtype: DType,
    n_embd: usize,
}

impl Embeddings {
    fn open(path: &Path) -> Result<Embeddings> {
        let gguf = Gguf::open(path)?;
        let name = names::weight(names::gguf::TOKEN_EMBD);
        let found = gguf.tensor(&name).and_then(|t| Some((t.dtype?, t.ne[0] as usize)));
        let (dtype, n_embd) = found.ok_or_else(|| Error::ModelFile {
            path: path.into(),
            reason: format!("tensor `{name}` is missing"),
        })?;
        Ok(Embeddings { gguf, dtype, n_embd })
    }

    fn row(&self, id: i32) -> Result<Vec<f32>> {
        let name = names::weight(names::gguf::TOKEN_EMBD);
        let row_size = self.dtype.row_size(self.n_embd).unwrap_or(0);
        let start = usize::try_from(id).unwrap_or(usize::MAX).saturating_mul(row_size);
        let bytes = self.gguf.tensor_bytes(&name).unwrap_or_default();
        let bytes = bytes.get(start..start.saturating_add(row_size));
        let bytes = bytes.ok_or_else(|| Error::internal(format!("token {id} has no embedding")))?;
        let mut row = vec![0.0; self.n_embd];
        ggml_ext::quant::dequantize(self.dtype, bytes, &mut row)?;
        Ok(row)
    }

    /// The prompt as the language model sees it: `[H, n]`.
    fn rows(&self, slots: &[Slot], trace: &Trace) -> Result<Vec<f32>> {
        let mut rows = Vec::with_capacity(slots.len() * self.n_embd);
        let vector = |name: &str, i: u32| {
            let all = trace.get(name).unwrap_or_default();
            let row = all.chunks(self.n_embd).nth(i as usize).map(<[f32]>::to_vec);
            row.ok_or_else(|| Error::internal(format!("{name} {i} was not computed")))
        };
        for slot in slots {
            rows.extend(match *slot {
                Slot::Token(id) => self.row(id)?,
                Slot::Image(row) => vector("image_embed", row)?,
                Slot::Region(i) => vector("region_embed", i)?,
            });
        }
        Ok(rows)
    }
}
