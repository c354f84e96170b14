//! `gpt4roi demo`: a handful of questions about one picture, and a picture of the answers.

mod args;
mod chance;
mod compose;
mod picture;
mod questions;
mod renumber;
mod scenes;
mod sprites;
mod times;

pub(crate) use args::Demo;

use crate::output::{self, TextPrinter};
use crate::setup::{self, Interrupt};
use crate::{demo_model, demo_model::Files};
use anyhow::Context;
use gpt4roi::{Answer, Engine, EngineOptions, Event, PixelBox, Request, RgbImage8, Sampling};
use questions::Asked;
use renumber::{Renumber, renumbered};
use serde::Serialize;
use std::path::{Path, PathBuf};
use times::Times;

/// What is asked about.
struct Subject {
    /// What it is called in a sentence.
    title: String,
    /// Name of the scene, if it is one.
    scene: Option<String>,
    /// Where the image came from, if not from chance.
    source: Option<PathBuf>,
    image: RgbImage8,
    boxes: Vec<PixelBox>,
    /// What the boxes show, where that is known.
    labels: Vec<String>,
}

/// A question and its answer, regions numbered as in the picture.
#[derive(Serialize)]
pub(crate) struct Shown {
    question: String,
    /// Numbers of the boxes that the conversation is about.
    regions: Vec<usize>,
    #[serde(flatten)]
    answer: Answer,
}

/// The JSON object.
#[derive(Serialize)]
struct Output<'a> {
    model: &'a str,
    scene: Option<&'a str>,
    image: Option<&'a Path>,
    boxes: Vec<[f64; 4]>,
    labels: &'a [String],
    answers: &'a [Shown],
    timings_ms: &'a Times,
    picture: Option<&'a Path>,
}

pub(crate) fn run(args: &Demo) -> anyhow::Result<u8> {
    setup::logs(args.verbose);
    args.check()?;
    let mut times = Times::begin();
    let out = picture::destination(args.out.as_deref(), args.image.as_deref())?;
    let files = demo_model::choose(args.model.as_deref(), args.mmproj.as_deref())?;
    let subject = times.time("read", || subject(args))?;
    let mut engine = times.time("open", || open(args, &files))?;
    let interrupt = Interrupt::listen(engine.cancel_token())?;
    let mut printer = TextPrinter::new(engine.cancel_token());
    if !args.json {
        printer.print(&introduction(&engine, &subject));
    }
    let shown = converse(args, &mut engine, &interrupt, &subject, &mut printer)?;
    times.stages(shown.iter().map(|s| &s.answer));
    if let Some(out) = &out {
        let footer = footer(&engine, shown.len(), &times);
        let Subject { image, boxes, .. } = &subject;
        times.time("picture", || picture::write(out, image, boxes, &shown, &footer))?;
    }
    times.end();
    match args.json {
        true => output::json(&object(&engine, &subject, &shown, &times, out.as_deref()))?,
        false => printer.print(&ending(&times, out.as_deref())),
    }
    printer.check()?;
    Ok(crate::DONE)
}

/// The picture and boxes that the command line asks for.
fn subject(args: &Demo) -> anyhow::Result<Subject> {
    if let Some(path) = &args.image {
        let image = setup::image(path)?;
        let boxes = args.pixel_boxes(image.size())?;
        let title = format!("`{path}`");
        let source = Some(path.into());
        return Ok(Subject { title, scene: None, source, image, boxes, labels: Vec::new() });
    }
    let dir = demo_model::dir().context("scenes come with the demo model")?;
    let scenes::Scene { name, path, image, boxes, labels } =
        scenes::load(&dir, args.scene.as_deref())?;
    let title = match path {
        Some(_) => format!("scene `{name}`"),
        None => format!("the fresh scene {name}"),
    };
    Ok(Subject { title, scene: Some(name), source: path, image, boxes, labels })
}

fn open(args: &Demo, files: &Files) -> anyhow::Result<Engine> {
    let options = EngineOptions::new(&files.model, &files.mmproj);
    setup::engine(&EngineOptions { n_threads: args.threads, ..options })
}

/// Asks everything there is to ask.
fn converse(
    args: &Demo,
    engine: &mut Engine,
    interrupt: &Interrupt,
    subject: &Subject,
    printer: &mut TextPrinter,
) -> anyhow::Result<Vec<Shown>> {
    let mut shown = Vec::new();
    let mut conversation = engine.conversation(subject.image.clone());
    for asked in questions::questions(subject.boxes.len(), &subject.labels) {
        let Asked { questions, boxes } = asked;
        let numbers: Vec<usize> = boxes.iter().map(|i| i + 1).collect();
        let mut new: Vec<PixelBox> = boxes.iter().map(|i| subject.boxes[*i]).collect();
        conversation.restart();
        for question in questions {
            let request = Request {
                boxes: std::mem::take(&mut new),
                sampling: Sampling::Greedy,
                max_tokens: args.max_tokens,
                ..Request::new(&question)
            };
            let question = renumbered(&question, &numbers);
            let mut stream = Stream::begin(printer, &question, &numbers, args.json);
            let show = |event: Event| {
                if let Event::Text(text) = event {
                    stream.text(text);
                }
            };
            let result = interrupt.guard(|| engine.ask(&mut conversation, &request, show));
            stream.end();
            printer.check()?;
            let mut answer = result?;
            warn(&answer, &shown);
            answer.text = renumbered(&answer.text, &numbers);
            shown.push(Shown { question, regions: numbers.clone(), answer });
        }
    }
    Ok(shown)
}

/// Says each warning once.
fn warn(answer: &Answer, before: &[Shown]) {
    let said = |w: &String| before.iter().any(|s| s.answer.warnings.contains(w));
    for warning in answer.warnings.iter().filter(|w| !said(w)) {
        eprintln!("gpt4roi: warning: {warning}");
    }
}

/// Prints a question, and its answer as it comes.
struct Stream<'a> {
    printer: &'a mut TextPrinter,
    renumber: Renumber<'a>,
    silent: bool,
}

impl<'a> Stream<'a> {
    fn begin(
        printer: &'a mut TextPrinter,
        question: &str,
        numbers: &'a [usize],
        silent: bool,
    ) -> Stream<'a> {
        let mut stream = Stream { printer, renumber: Renumber::new(numbers), silent };
        stream.print(&format!("\n{question}\n  "));
        stream
    }

    fn text(&mut self, piece: &str) {
        let text = self.renumber.push(piece).replace('\n', "\n  ");
        self.print(&text);
    }

    fn end(mut self) {
        let rest = std::mem::replace(&mut self.renumber, Renumber::new(&[])).finish();
        self.print(&format!("{rest}\n"));
    }

    fn print(&mut self, text: &str) {
        if !self.silent {
            self.printer.print(text);
        }
    }
}

/// What is asked about, for people.
fn introduction(engine: &Engine, subject: &Subject) -> String {
    let (w, h) = subject.image.size();
    let mut text = format!("{} looks at {}, {w}x{h}:\n", engine.info().name, subject.title);
    for (i, b) in subject.boxes.iter().enumerate() {
        let label = subject.labels.get(i).map(|l| format!("  ({l})")).unwrap_or_default();
        text += &format!("  region{} at {b}{label}\n", i + 1);
    }
    text
}

/// The line under the picture.
fn footer(engine: &Engine, n: usize, times: &Times) -> String {
    let (info, version) = (engine.info(), env!("CARGO_PKG_VERSION"));
    let (name, device, threads) = (&info.name, &info.placement.vision, info.n_threads);
    let seconds = times.so_far().as_secs_f64();
    format!(
        "{name} on {device}, {threads} threads \u{b7} model opened and {n} questions answered in \
         {seconds:.1} s \u{b7} gpt4roi {version}"
    )
}

fn ending(times: &Times, out: Option<&Path>) -> String {
    let table = times.table();
    match out {
        Some(out) => format!("\n{table}\nThe picture is {}\n", out.display()),
        None => format!("\n{table}"),
    }
}

fn object<'a>(
    engine: &'a Engine,
    subject: &'a Subject,
    answers: &'a [Shown],
    timings_ms: &'a Times,
    picture: Option<&'a Path>,
) -> Output<'a> {
    Output {
        model: &engine.info().name,
        scene: subject.scene.as_deref(),
        image: subject.source.as_deref(),
        boxes: subject.boxes.iter().map(|b| [b.x1, b.y1, b.x2, b.y2]).collect(),
        labels: &subject.labels,
        answers,
        timings_ms,
        picture,
    }
}
