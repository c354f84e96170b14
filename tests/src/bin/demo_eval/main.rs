//! `demo-eval`: accuracy of one or several models on a held-out question set.

#![forbid(unsafe_code)]

mod args;

use anyhow::{Context, Result, bail};
use args::{Args, NamedPair};
use gpt4roi::{Engine, EngineOptions};
use gpt4roi_tests::eval::{Answers, Column, QuestionSet, Report, ask, shipped};
use gpt4roi_tests::workspace;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    match run(&argh::from_env()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("demo-eval: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let pairs = pairs(args)?;
    let mut set = QuestionSet::load(&args.data)?;
    if let Some(n) = args.limit {
        set = set.limited(n);
    }
    // Read first: a mistake shows before the long part.
    let reference = args.reference.as_deref().map(|path| Answers::load(path, &set)).transpose()?;
    let mut report = Report::new(&set);
    for pair in &pairs {
        let (column, answers) = measure(args, pair, &set, reference.as_ref())?;
        report.push(column);
        if let Some(path) = &args.answers_out {
            answers.save(&answers_path(path, &pair.name, pairs.len()))?;
        }
    }
    if let Some(reference) = &reference {
        report.push(Column::new("reference", &set, reference, None));
    }
    print(args, &report);
    Ok(())
}

/// Asks one model everything.
fn measure(
    args: &Args,
    pair: &NamedPair,
    set: &QuestionSet,
    reference: Option<&Answers>,
) -> Result<(Column, Answers)> {
    let bar = progress(&pair.name, set.questions().len() as u64)?;
    let options = EngineOptions {
        n_threads: args.threads,
        kv_type: args.kv_type,
        ..EngineOptions::new(&pair.model, &pair.mmproj)
    };
    let mut engine = Engine::open(&options)?;
    let (answers, speed) = ask(&mut engine, set, || bar.inc(1))?;
    bar.finish_and_clear();
    let column = Column {
        bytes: Some(size(&pair.model)? + size(&pair.mmproj)?),
        speed: Some(speed),
        ..Column::new(&pair.name, set, &answers, reference)
    };
    Ok((column, answers))
}

fn size(path: &Path) -> Result<u64> {
    let metadata = std::fs::metadata(path);
    Ok(metadata.with_context(|| path.display().to_string())?.len())
}

/// The models to run: those that the command line names, or the one in the tree.
fn pairs(args: &Args) -> Result<Vec<NamedPair>> {
    let mut pairs = args.pairs.clone();
    match (&args.model, &args.mmproj) {
        (Some(model), Some(mmproj)) => pairs.insert(0, NamedPair::new(None, model, mmproj)),
        (None, None) => (),
        _ => bail!("--model and --mmproj belong together: a model is two files"),
    }
    if pairs.is_empty() {
        let pair = shipped(&workspace().join("models").join("demo"));
        let pair = pair.context("no --model and no --pair given, and no model in the tree")?;
        pairs.push(NamedPair::new(Some("shipped"), &pair.model, &pair.mmproj));
    }
    let mut names: Vec<_> = pairs.iter().map(|p| &p.name).collect();
    names.sort();
    if let Some(twice) = names.windows(2).find(|w| w[0] == w[1]) {
        bail!("two pairs are named `{}`: name them apart, --pair NAME=LLM,MMPROJ", twice[0]);
    }
    Ok(pairs)
}

/// Where a model's answers go: to the file itself, or with several models to one for each.
fn answers_path(path: &Path, name: &str, n_pairs: usize) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    match (n_pairs, path.extension()) {
        (1, _) => path.to_owned(),
        (_, None) => path.with_file_name(format!("{stem}-{name}")),
        (_, Some(ext)) => path.with_file_name(format!("{stem}-{name}.{}", ext.to_string_lossy())),
    }
}

fn print(args: &Args, report: &Report) {
    if args.json {
        println!("{:#}", report.json());
    } else if args.markdown {
        print!("{}", report.table().markdown());
    } else {
        print!("{}", report.table().text());
    }
}

/// A bar on a terminal, nothing elsewhere.
fn progress(name: &str, n: u64) -> Result<ProgressBar> {
    let target = match std::io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let style = "{prefix} [{bar:30}] {pos}/{len} questions {eta}";
    let style = ProgressStyle::with_template(style)?.progress_chars("=> ");
    let bar = ProgressBar::with_draw_target(Some(n), target);
    Ok(bar.with_style(style).with_prefix(name.to_owned()))
}
