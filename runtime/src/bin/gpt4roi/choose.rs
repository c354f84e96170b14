//! `gpt4roi choose`: the probability of each of given answers, for every box.

use crate::args::Choose;
use crate::asking::Asking;
use crate::constraint::labels;
use crate::output;
use crate::setup::{self, Interrupt, Usage};
use gpt4roi::{Candidate, Choice, ChooseRequest, PixelBox, StageTimings};
use serde::Serialize;
use std::fmt::Write as _;
use std::io::Write as _;

/// Where a label stands in the wording of the answers.
const PLACE: &str = "{}";

#[derive(Serialize)]
struct Output<'a> {
    question: &'a str,
    #[serde(rename = "box")]
    b: [f64; 4],
    /// The likeliest first.
    choices: Vec<Chosen<'a>>,
    warnings: &'a [String],
    timings_ms: StageTimings,
}

/// A label with what is known of the answer that it is worded as.
#[derive(Serialize)]
struct Chosen<'a> {
    label: &'a str,
    #[serde(flatten)]
    values: &'a Candidate,
}

pub(crate) fn run(args: &Choose) -> anyhow::Result<u8> {
    setup::logs(args.verbose);
    let labels = labels(&args.label, args.labels.as_deref())?;
    check(args, &labels)?;
    let options = args.engine_options()?;
    let image = setup::image(&args.image)?;
    let parse = |b: &String| args.pixel_box(b, image.size());
    let boxes = args.boxes.iter().map(parse).collect::<Result<Vec<PixelBox>, _>>()?;
    let mut engine = setup::engine(&options)?;
    let interrupt = Interrupt::listen(engine.cancel_token())?;
    let conversation = engine.conversation(image);
    let requests: Vec<_> = boxes.iter().map(|b| request(args, &labels, *b)).collect();
    let choices = interrupt.guard(|| engine.choose_many(&conversation, &requests));
    for (i, choice) in choices.into_iter().enumerate() {
        show(args, &labels, i, boxes[i], &choice?)?;
    }
    Ok(crate::DONE)
}

fn check(args: &Choose, labels: &[String]) -> Result<(), Usage> {
    let mistake = if args.boxes.is_empty() {
        "at least one --box is needed"
    } else if labels.is_empty() {
        "at least one --label is needed, or --labels with a file of them"
    } else if !args.answer.contains(PLACE) {
        "--answer is the wording around a label, which it calls {}"
    } else if args.grammar.is_some() || args.json_schema.is_some() {
        "choose writes nothing: a grammar or schema is for ask and chat"
    } else {
        return Ok(());
    };
    Err(Usage(mistake.into()))
}

fn request(args: &Choose, labels: &[String], b: PixelBox) -> ChooseRequest {
    let answers = labels.iter().map(|label| args.answer.replace(PLACE, label));
    let (normalise, prior) = (args.normalise, args.prior);
    ChooseRequest { normalise, prior, ..ChooseRequest::new(&args.question, answers).with_box(b) }
}

fn show(
    args: &Choose,
    labels: &[String],
    i: usize,
    b: PixelBox,
    choice: &Choice,
) -> anyhow::Result<()> {
    for warning in &choice.warnings {
        eprintln!("gpt4roi: warning: box {}: {warning}", i + 1);
    }
    let n = args.top.unwrap_or(labels.len());
    let best = choice.ranked.iter().take(n);
    if !args.json {
        let mut table = format!("box {}: {b}\n", i + 1);
        for &k in best {
            writeln!(table, "{:>9.5}  {}", choice.candidates[k].probability, labels[k])?;
        }
        std::io::stdout().write_all(table.as_bytes())?;
        return Ok(());
    }
    let chosen = |&k: &usize| Chosen { label: &labels[k], values: &choice.candidates[k] };
    output::json(&Output {
        question: &args.question,
        b: [b.x1, b.y1, b.x2, b.y2],
        choices: best.map(chosen).collect(),
        warnings: &choice.warnings,
        timings_ms: choice.timings_ms,
    })
}
