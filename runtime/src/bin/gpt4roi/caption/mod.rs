//! `gpt4roi caption`: every box of a set of images, in a run that may be stopped and resumed.

mod args;
mod input;
mod options;
mod pages;
mod progress;
mod watch;

pub(crate) use args::Caption;

use crate::asking::Asking;
use crate::setup::{self, Interrupt};
use gpt4roi::caption::{Captioner, Journal, Lines, Opened, Plan, Sink, Summary, partial_path};
use gpt4roi::{Engine, EngineOptions, Error, caption};
use input::Input;
use progress::Progress;
use std::path::Path;
use watch::Watch;

pub(crate) fn run(args: &Caption) -> anyhow::Result<u8> {
    setup::logs(args.verbose);
    args.check()?;
    let plan = plan(args)?;
    let options = EngineOptions { n_parallel: args.parallel, ..args.engine_options()? };
    let input = Input::open(args)?;
    let meta = options::meta(args, &options)?;
    match &args.output {
        None => {
            let mut engine = setup::engine(&options)?;
            let mut lines = Lines::new(std::io::stdout(), "standard output");
            Ok(work(args, &plan, &mut engine, input, &mut lines)?.code)
        }
        Some(output) => match Journal::open(output, &meta, args.restart).map_err(Error::from)? {
            Opened::Finished => {
                eprintln!("gpt4roi: {} is complete: nothing to do", output.display());
                Ok(crate::DONE)
            }
            Opened::Journal(journal) => {
                let mut engine = setup::engine(&options)?;
                into_file(args, &plan, &mut engine, input, journal)
            }
        },
    }
}

fn plan(args: &Caption) -> anyhow::Result<Plan> {
    let (questions, sampling) = (args.questions()?, args.sampling());
    let Caption { max_tokens, shard, strict, .. } = *args;
    let constraint = args.constraint()?;
    Ok(Plan { questions, sampling, max_tokens, constraint, shard, strict })
}

/// How a run ended, if not in an error.
struct Ended {
    code: u8,
    summary: Summary,
}

/// Runs until everything is done or somebody interrupts.
fn work(
    args: &Caption,
    plan: &Plan,
    engine: &mut Engine,
    mut input: Input,
    sink: &mut dyn Sink,
) -> anyhow::Result<Ended> {
    let interrupt = Interrupt::listen(engine.cancel_token())?;
    let n_images = input.n_images().map(|n| args.shard.n_of(n));
    let mut watch = Watch::begin(args, Progress::begin(n_images)?)?;
    let mut captioner = Captioner::new(engine, plan, sink, &mut watch);
    let result = interrupt.guard(|| captioner.run(&mut input));
    let summary = *captioner.summary();
    for warning in input.warnings() {
        watch.progress.say(&format!("warning: {warning}"));
    }
    watch.summarise(&summary);
    match result {
        Ok(()) => {
            watch.finish_page().map_err(Error::from)?;
            Ok(Ended { code: crate::DONE, summary })
        }
        Err(Error::Cancelled) => {
            watch.progress.say(&interrupted(args.output.as_deref()));
            Ok(Ended { code: crate::INTERRUPTED, summary })
        }
        Err(e) => Err(e.into()),
    }
}

/// Runs, and at the end turns the journal into the output.
fn into_file(
    args: &Caption,
    plan: &Plan,
    engine: &mut Engine,
    input: Input,
    mut journal: Journal,
) -> anyhow::Result<u8> {
    let Ended { code, summary } = work(args, plan, engine, input, &mut journal)?;
    if code != crate::DONE {
        return Ok(code);
    }
    if let Some(html) = &args.html {
        pages::from_journal(html, args, &journal)?;
    }
    let finished: Result<(), caption::Error> = journal.finish(args.to, summary.n_images);
    finished.map_err(Error::from)?;
    Ok(code)
}

fn interrupted(output: Option<&Path>) -> String {
    match output {
        None => "interrupted".into(),
        Some(output) => format!(
            "interrupted; what is done is in {}: the same command goes on with it",
            partial_path(output).display()
        ),
    }
}
