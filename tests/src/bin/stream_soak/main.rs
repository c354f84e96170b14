//! `gpt4roi stream` for long and under load: frames as fast as asked, a share of them broken in every way a camera knows.
//!
//! Prints what became of everything as a table, and fails if a detection or a broken line is not accounted for, or if the
//! process ends.

mod frames;

use anyhow::{Context, ensure};
use argh::FromArgs;
use frames::Frames;
use gpt4roi_tests::small::Small;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Feed a stream for long.
#[derive(FromArgs)]
struct Args {
    /// frames to send (default 2000)
    #[argh(option, default = "2000")]
    frames: u64,
    /// frames a second (default 500)
    #[argh(option, default = "500.0")]
    rate: f64,
    /// share of frames with somebody new (default 0.1)
    #[argh(option, default = "0.1")]
    new: f64,
    /// share of lines that are broken (default 0.2)
    #[argh(option, default = "0.2")]
    broken: f64,
    /// model to ask, an mmproj file beside it named likewise (default: a tiny one without meaning)
    #[argh(option)]
    model: Option<String>,
    /// its mmproj file
    #[argh(option)]
    mmproj: Option<String>,
    /// options of the stream, as one text
    #[argh(option, default = "String::from(\"--deadline 2s --threads 1 --stats-every 1s\")")]
    options: String,
    /// seed of the frames (default 1)
    #[argh(option, default = "1")]
    seed: u64,
}

fn main() -> anyhow::Result<()> {
    let args: Args = argh::from_env();
    let mut child = start(&args)?;
    let out = BufReader::new(child.stdout.take().context("no pipe")?);
    let listener = std::thread::spawn(move || listen(out));
    let (sent, memory) = feed(&args, &mut child)?;
    let status = child.wait()?;
    let heard = listener.join().map_err(|_| anyhow::anyhow!("the listener failed"))??;
    ensure!(status.success(), "the stream ended with {status}");
    report(&args, &sent, &heard, &memory);
    heard.check(&sent)
}

fn start(args: &Args) -> anyhow::Result<Child> {
    let program = std::env::current_exe()?.with_file_name("gpt4roi");
    let mut command = Command::new(program);
    command.arg("stream").args(args.options.split_whitespace());
    match (&args.model, &args.mmproj) {
        (Some(model), Some(mmproj)) => command.args(["--model", model, "--mmproj", mmproj]),
        _ => {
            let pair = Small::talking_pair();
            command.arg("--model").arg(pair.model).arg("--mmproj").arg(pair.mmproj);
            command.args(["--max-tokens", "6"])
        }
    };
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().context("cannot start gpt4roi")
}

/// What was sent.
#[derive(Default)]
struct Sent {
    lines: u64,
    bad_lines: u64,
    detections: u64,
    seconds: f64,
}

/// Sends frames at the rate, and looks at the memory of the process.
fn feed(args: &Args, child: &mut Child) -> anyhow::Result<(Sent, Vec<u64>)> {
    let mut stdin = child.stdin.take().context("no pipe")?;
    let (mut sent, mut memory) = (Sent::default(), Vec::new());
    let mut frames = Frames::new(args.seed, args.new, args.broken)?;
    let begun = Instant::now();
    let every = (args.frames / 200).max(1);
    for n in 0..args.frames {
        let line = frames.next(n);
        sent.lines += 1;
        sent.bad_lines += u64::from(line.bad);
        sent.detections += line.detections;
        stdin.write_all(&line.bytes).context("the stream has gone")?;
        if n % every == 0 {
            memory.extend(resident_kib(child.id()));
        }
        let due = begun + Duration::from_secs_f64((n + 1) as f64 / args.rate);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    sent.seconds = begun.elapsed().as_secs_f64();
    Ok((sent, memory))
}

/// Resident size of a process, where the system tells.
fn resident_kib(id: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find(|l| l.starts_with("VmRSS:"))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// What came out.
#[derive(Default)]
struct Heard {
    answers: u64,
    repeats: u64,
    drops: u64,
    errors: u64,
    latencies_ms: Vec<f64>,
    most_waiting: u64,
    stats: Value,
}

fn listen(out: BufReader<ChildStdout>) -> anyhow::Result<Heard> {
    let mut heard = Heard::default();
    for line in out.lines() {
        let record: Value = serde_json::from_str(&line?)?;
        match record["event"].as_str() {
            Some("answer") => {
                heard.answers += 1;
                heard.latencies_ms.extend(record["latency_ms"].as_f64());
            }
            Some("repeat") => heard.repeats += 1,
            Some("drop") => heard.drops += 1,
            Some("error") => heard.errors += 1,
            Some("stats") => {
                heard.most_waiting =
                    heard.most_waiting.max(record["waiting"].as_u64().unwrap_or(0));
                heard.stats = record;
            }
            _ => {}
        }
    }
    heard.latencies_ms.sort_by(f64::total_cmp);
    Ok(heard)
}

impl Heard {
    fn count(&self, name: &str) -> u64 {
        self.stats[name].as_u64().unwrap_or(0)
    }

    /// Everything that was sent has come out once.
    fn check(&self, sent: &Sent) -> anyhow::Result<()> {
        let settled = self.answers + self.repeats + self.drops;
        ensure!(settled == sent.detections, "{settled} of {} detections", sent.detections);
        ensure!(self.count("lines") == sent.lines, "lines: {}", self.stats);
        ensure!(self.errors == sent.bad_lines, "{} of {} errors", self.errors, sent.bad_lines);
        ensure!(self.count("detections") == sent.detections, "detections: {}", self.stats);
        let counted =
            [self.answers, self.repeats] == ["answered", "repeated"].map(|n| self.count(n));
        ensure!(counted && self.count("waiting") == 0, "the counters differ: {}", self.stats);
        Ok(())
    }
}

fn report(args: &Args, sent: &Sent, heard: &Heard, memory: &[u64]) {
    let at = |share: f64| {
        let i = (heard.latencies_ms.len() as f64 * share) as usize;
        heard.latencies_ms.get(i.min(heard.latencies_ms.len().saturating_sub(1))).copied()
    };
    let ms = |v: Option<f64>| v.map_or("-".into(), |v| format!("{v:.0} ms"));
    // The first third fills the memory of tracks.
    let settled = &memory[memory.len() / 3..];
    let (least, most) = (settled.iter().min(), settled.iter().max());
    let mib =
        |kib: Option<&u64>| kib.map_or("-".into(), |k| format!("{:.1} MiB", *k as f64 / 1024.0));
    println!("| what | |\n| --- | --- |");
    println!("| options | `{}` |", args.options);
    println!("| lines | {} in {:.0} s, {} broken |", sent.lines, sent.seconds, sent.bad_lines);
    println!("| detections | {} |", sent.detections);
    println!(
        "| answered, repeated, dropped | {}, {}, {} |",
        heard.answers, heard.repeats, heard.drops
    );
    println!("| dropped | `{}` |", heard.stats["dropped"]);
    println!(
        "| latency of answers: median, 99 %, longest | {}, {}, {} |",
        ms(at(0.5)),
        ms(at(0.99)),
        ms(at(1.0))
    );
    let tenths: Vec<String> =
        memory.chunks(memory.len().div_ceil(10)).map(|part| mib(part.last())).collect();
    println!("| resident after each tenth | {} |", tenths.join(", "));
    println!("| most detections waiting | {} |", heard.most_waiting);
    println!("| resident after the first third | {} to {} |", mib(least), mib(most));
}
