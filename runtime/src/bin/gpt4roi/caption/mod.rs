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
use gpt4roi::caption::{
    Captioner, Journal, Lines, Opened, Plan, Sink, Summary, Written, partial_path,
};
use gpt4roi::{Engine, EngineOptions, Error, caption};
use input::Input;
use progress::Progress;
use std::path::Path;
use watch::Watch;

pub(crate) fn run(args: &Caption) -> anyhow::Result<u8> {
    setup::logs(args.verbose);
    args.check()?;
    let plan = plan(args)?;
    let mut options = EngineOptions { n_parallel: args.parallel, ..args.engine_options()? };
    if args.overlap {
        setup::divide_threads(&mut options);
    }
    let input = Input::open(args)?;
    let meta = options::meta(args, &options)?;
    match &args.output {
        None => {
            let mut engine = setup::engine(&options)?;
            let mut lines = Lines::new(std::io::stdout(), "standard output");
            Ok(work(args, &plan, &mut engine, input, &mut lines)?.code)
        }
        Some(output) => match Journal::open(output, &meta, args.restart).map_err(Error::from)? {
            Opened::Finished => finished(args, output, &input),
            Opened::Journal(journal) => {
                let mut engine = setup::engine(&options)?;
                into_file(args, &plan, &mut engine, input, journal)
            }
        },
    }
}

fn plan(args: &Caption) -> anyhow::Result<Plan> {
    let (questions, sampling) = (args.questions()?, args.sampling());
    let Caption { max_tokens, shard, strict, overlap, .. } = *args;
    let constraint = args.constraint()?;
    Ok(Plan { questions, sampling, max_tokens, constraint, shard, strict, overlap })
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
    // What earlier runs did is on the page too; its pictures may not be there.
    let n_pictures = if args.annotate.is_some() { summary.skipped } else { 0 };
    if args.html.is_some() || n_pictures > 0 {
        let written = Written::of_journal(&journal).map_err(Error::from)?;
        pages::draw(args, written, n_pictures, &Progress::begin(Some(journal.done().len()))?)?;
    }
    let finished: Result<(), caption::Error> = journal.finish(args.to, summary.n_images);
    finished.map_err(Error::from)?;
    Ok(code)
}

/// There is nothing to ask any more, but there may be something to draw.
fn finished(args: &Caption, output: &Path, input: &Input) -> anyhow::Result<u8> {
    let output_name = output.display();
    if args.html.is_none() && args.annotate.is_none() {
        eprintln!("gpt4roi: {output_name} is complete: nothing to do");
        return Ok(crate::DONE);
    }
    eprintln!("gpt4roi: {output_name} is complete: drawing what is in it");
    pages::create_folder(args).map_err(Error::from)?;
    let written = Written::of_output(output, args.to).map_err(Error::from)?;
    let n_images = input.n_images().map(|n| args.shard.n_of(n));
    pages::draw(args, written, usize::MAX, &Progress::begin(n_images)?)?;
    Ok(crate::DONE)
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
