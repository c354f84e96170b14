//! Thousands of damaged model files: each must be refused or give a run that ends.
//!
//! The files are opened in processes of their own, so that a crash or a hang in C code is told
//! from everything else and named by its seed. `GPT4ROI_MUTATIONS` sets the number per file.

use gpt4roi::{Engine, EngineOptions, ErrorKind};
use gpt4roi_tests::mutate::Original;
use gpt4roi_tests::small::Small;
use gpt4roi_tests::{Pair, greedy, pictures, scratch, worker};
use std::io::{BufRead, BufReader, Read};
use std::ops::Range;
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Damaged files of each kind unless `GPT4ROI_MUTATIONS` says otherwise.
const MUTATIONS: u64 = 10_000;
/// Longest time for one file.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Longest time for one file that is not called slow.
const SLOW: Duration = Duration::from_secs(15);
/// Address space of a worker: what asks for more than this is as bad as a crash.
const MAX_KIB: u64 = 8 << 20;

#[test]
fn damaged_language_models() {
    check("llm");
}

#[test]
fn damaged_mmproj_files() {
    check("mmproj");
}

fn check(kind: &str) {
    let n = std::env::var("GPT4ROI_MUTATIONS").ok();
    let n = n.map_or(MUTATIONS, |n| n.parse().expect("a number of mutations"));
    let first = std::env::var("GPT4ROI_MUTATION_SEED").ok();
    let first: u64 = first.map_or(0, |s| s.parse().expect("a seed"));
    let (tally, crashes) = run_all(kind, first..first + n);
    eprintln!("{kind}: {n} damaged files, {tally:?}");
    let list = crashes.join("\n\n");
    assert!(crashes.is_empty(), "{} crashes:\n{list}", crashes.len());
    assert_eq!(tally.answered + tally.failed + tally.refused, n);
    // Both outcomes must occur, or the damage is of one sort only.
    assert!(tally.refused > n / 4 && tally.answered + tally.failed > n / 50, "{tally:?}");
}

#[derive(Debug, Default)]
struct Tally {
    refused: u64,
    failed: u64,
    answered: u64,
}

/// Runs all seeds, starting a new worker behind each one that was lost.
fn run_all(kind: &str, seeds: Range<u64>) -> (Tally, Vec<String>) {
    let (mut tally, mut crashes, mut next) = (Tally::default(), Vec::new(), seeds.start);
    while next < seeds.end && crashes.len() < 20 {
        let job = format!("{kind}:{next}:{}", seeds.end);
        let (last, end) = supervise(&job, &mut tally);
        match (end, last) {
            (Ok(()), _) => break,
            (Err(why), Some(seed)) => {
                crashes.push(format!(
                    "{kind} seed {seed}: {why}\nagain: GPT4ROI_TEST_JOB={kind}:{seed}:{} cargo test \
                     --release -p gpt4roi-tests -- robustness::worker --exact --ignored --nocapture",
                    seed + 1
                ));
                next = seed + 1;
            }
            (Err(why), None) => panic!("the worker did not start: {why}"),
        }
    }
    (tally, crashes)
}

/// Runs one worker; the last seed that it began, and how it ended.
fn supervise(job: &str, tally: &mut Tally) -> (Option<u64>, Result<(), String>) {
    let mut command = worker::command("robustness::worker", job, Some(MAX_KIB));
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = child.stderr(Stdio::piped()).spawn().expect("a worker");
    let (out, mut err) = (child.stdout.take(), child.stderr.take());
    let (lines, received) = channel();
    let reader = std::thread::spawn(move || {
        let out = BufReader::new(out.expect("a pipe"));
        out.lines().map_while(Result::ok).for_each(|l| drop(lines.send(l)));
    });
    let errors = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = err.as_mut().map(|e| e.read_to_end(&mut text));
        String::from_utf8_lossy(&text).into_owned()
    });
    let mut last = None;
    let hung = loop {
        match received.recv_timeout(TIMEOUT) {
            Ok(line) => count(&line, tally, &mut last),
            Err(RecvTimeoutError::Timeout) => break true,
            Err(RecvTimeoutError::Disconnected) => break false,
        }
    };
    if hung {
        let _ = child.kill();
    }
    let status = child.wait().expect("an exit status");
    let _ = reader.join();
    let text = errors.join().unwrap_or_default();
    let tail: Vec<&str> = text.lines().rev().take(12).collect();
    let tail = tail.into_iter().rev().collect::<Vec<_>>().join("\n");
    match (hung, status.success()) {
        (true, _) => (last, Err(format!("hangs\n{tail}"))),
        (_, true) => (last, Ok(())),
        _ => (last, Err(format!("{status}\n{tail}"))),
    }
}

fn count(line: &str, tally: &mut Tally, last: &mut Option<u64>) {
    match line.split_once(' ') {
        // The harness's own line may stand in front.
        Some((before, seed)) if before.ends_with("begin") => *last = seed.parse().ok(),
        Some(("end", "refused")) => tally.refused += 1,
        Some(("end", "failed")) => tally.failed += 1,
        Some(("end", "answered")) => tally.answered += 1,
        _ => {}
    }
}

#[test]
#[ignore = "a worker of the tests above"]
fn worker() {
    let Some(job) = worker::job() else { return };
    let mut parts = job.split(':');
    let kind = parts.next().expect("a kind");
    let mut seed = || parts.next().and_then(|s| s.parse::<u64>().ok()).expect("a seed");
    let seeds = seed()..seed();
    let dir = TempDir::new_in(scratch()).expect("a folder");
    let good = Small::default().write(dir.path());
    let target = if kind == "llm" { &good.model } else { &good.mmproj };
    let original = Original::open(target);
    assert_eq!(attempt(&good), "answered", "the undamaged model does not work");
    let path = dir.path().join("damaged.gguf");
    let mut pair = good.clone();
    *if kind == "llm" { &mut pair.model } else { &mut pair.mmproj } = path.clone();
    for seed in seeds {
        println!("begin {seed}");
        write(&path, &original.damaged(seed));
        let begun = Instant::now();
        println!("end {}", attempt(&pair));
        assert!(begun.elapsed() < SLOW, "seed {seed} took {:?}", begun.elapsed());
    }
}

/// Replaces the file as a whole: the last engine's mapping of the old one stays whole.
fn write(path: &Path, bytes: &[u8]) {
    let _ = std::fs::remove_file(path);
    std::fs::write(path, bytes).expect("a damaged file");
}

fn attempt(pair: &Pair) -> &'static str {
    let options =
        EngineOptions { n_threads: 1, n_ctx: 512, ..EngineOptions::new(&pair.model, &pair.mmproj) };
    let mut engine = match Engine::open(&options) {
        Ok(engine) => engine,
        Err(e) => return why("refused", &e),
    };
    let mut conversation = engine.conversation(pictures::picture(20, 30, 1));
    let request =
        greedy("What is <region1>?", 4).with_box(gpt4roi::PixelBox::new(2.0, 3.0, 15.0, 20.0));
    match engine.ask(&mut conversation, &request, |_| ()) {
        Ok(_) => "answered",
        Err(e) => why("failed", &e),
    }
}

/// Says why on standard error, for whoever repeats a seed by hand.
fn why(outcome: &'static str, error: &gpt4roi::Error) -> &'static str {
    assert_ne!(error.kind(), ErrorKind::Internal, "{error}");
    eprintln!("{outcome}: {error}");
    outcome
}
