//! The command line: what the arguments mean, and what is printed.

mod args;
mod progress;
mod tables;

use anyhow::Context;
use args::{Args, Command};
use ggml_ext::gguf::Gguf;
use gpt4roi_convert::{Error, Options, Plan, inspect, synth, verify};
use progress::Progress;
use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

/// Exit code after Ctrl-C, as shells have it.
const INTERRUPTED: u8 = 130;

/// Runs the program: 0 is success, 1 failure, 2 a usage error, 130 an interruption.
pub fn main() -> ExitCode {
    let args = match args::parse(std::env::args_os()) {
        Ok(args) => args,
        Err(exit) => return exit.print(),
    };
    match run(args) {
        Ok(code) => code,
        Err(e) if is_broken_pipe(&e) => ExitCode::SUCCESS,
        Err(e) if matches!(e.downcast_ref(), Some(Error::Cancelled)) => {
            eprintln!("cancelled, nothing written");
            ExitCode::from(INTERRUPTED)
        }
        Err(e) => {
            eprintln!("error: {}", message(&e));
            ExitCode::FAILURE
        }
    }
}

/// The chain of causes, without those that the message before them quotes already.
fn message(e: &anyhow::Error) -> String {
    e.chain().map(|cause| cause.to_string()).fold(String::new(), |text, cause| {
        match text.as_str() {
            "" => cause,
            _ if text.contains(&cause) => text,
            _ => format!("{text}: {cause}"),
        }
    })
}

/// Whoever reads our output may stop early, as `head` does.
fn is_broken_pipe(e: &anyhow::Error) -> bool {
    let io = e.downcast_ref::<std::io::Error>();
    io.is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}

fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Convert(c) => convert(c),
        Command::Inspect(c) => inspect(&c),
        Command::Verify(c) => verify(c),
        Command::Synth(c) => synthesise(c),
    }
}

fn convert(c: args::Convert) -> anyhow::Result<ExitCode> {
    let (dry_run, outline) = (c.dry_run, c.outline);
    let (as_json, n_threads) = (c.json, threads(c.threads));
    let mut plan = Plan::new(&Options::from(c))?;
    if outline {
        plan.rename_outlines();
    }
    if outline && !dry_run {
        plan.outline()?;
    } else if !dry_run {
        let total = plan.files().iter().map(|f| f.source_bytes()).sum();
        let progress = Progress::new("converting", total)?;
        let start = Instant::now();
        plan.run(n_threads, &progress)?;
        progress.finish();
        if !as_json {
            eprintln!("converted in {:.1} s", start.elapsed().as_secs_f64());
        }
    }
    print(&match (as_json, dry_run) {
        (true, _) => format!("{:#}\n", tables::plan_json(&plan, dry_run)),
        (false, true) => tables::plan(&plan) + &tables::files(&plan),
        (false, false) => tables::files(&plan),
    })
}

fn inspect(c: &args::Inspect) -> anyhow::Result<ExitCode> {
    let file = Gguf::open(&c.file)?;
    let json = || format!("{:#}\n", inspect::json(&file));
    print(&if c.json { json() } else { inspect::text(&file) })
}

fn verify(c: args::Verify) -> anyhow::Result<ExitCode> {
    let (as_json, n_threads) = (c.json, threads(c.threads));
    let file = Gguf::open(&c.file)?;
    let plan = Plan::new(&Options::from(c))?;
    let total = plan.files().iter().map(|f| f.source_bytes()).max().unwrap_or(0);
    let progress = Progress::new("verifying", total)?;
    let report = verify::verify(&file, &plan, n_threads, &progress)?;
    progress.finish();
    let json = || format!("{:#}\n", tables::report_json(&report));
    print(&if as_json { json() } else { tables::report(&report) })?;
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn synthesise(c: args::Synth) -> anyhow::Result<ExitCode> {
    let n_bytes = if c.outline { 0 } else { synth::n_bytes(c.preset) };
    let progress = Progress::new("writing", n_bytes)?;
    let seed = (!c.outline).then_some(c.seed);
    synth::write(c.preset, seed, &c.out, &progress)?;
    progress.finish();
    let [language, clip] = synth::directories(&c.out);
    print(&format!("{}\n{}\n", language.display(), clip.display()))
}

/// All cores unless told otherwise.
fn threads(wanted: Option<usize>) -> usize {
    wanted.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)).max(1)
}

fn print(text: &str) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("writing to stdout")?;
    Ok(ExitCode::SUCCESS)
}
