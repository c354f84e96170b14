//! Many regions of one picture: all at once, one at a time, in separate runs, as crops for libmtmd, and in PyTorch.
//!
//! Every row is one picture that was not seen before, asked one question about each of its boxes. Figures of separate
//! runs, of crops and of PyTorch's further regions are those of a few, times their number.

use anyhow::{Context, Result, ensure};
use argh::FromArgs;
use gpt4roi::{Answer, Engine, EngineOptions, PixelBox, Request, Sampling, Stage};
use gpt4roi_tests::pictures::picture;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// Race many regions at once against one at a time.
#[derive(FromArgs)]
struct Args {
    /// language model, a GGUF file
    #[argh(option)]
    model: PathBuf,
    /// vision tower and region extractor, a GGUF file
    #[argh(option)]
    mmproj: PathBuf,
    /// numbers of regions, as in 1,8,32 (default 1,8,32,100)
    #[argh(option, default = "\"1,8,32,100\".into()")]
    regions: String,
    /// most regions that are really asked one at a time; of more, the time is that of so many, scaled (default 32)
    #[argh(option, default = "32")]
    one_by_one: usize,
    /// separate runs, and crops (default 2)
    #[argh(option, default = "2")]
    separate: usize,
    /// longest answer in tokens (default 24)
    #[argh(option, default = "24")]
    tokens: usize,
    /// context length in tokens (default 2048)
    #[argh(option, default = "2048")]
    ctx: usize,
    /// threads (default: one a processor)
    #[argh(option, default = "0")]
    threads: usize,
    /// the program mtmd-rival, to race that, too
    #[argh(option)]
    mtmd: Option<PathBuf>,
    /// what regions_rival.py printed, to show that, too
    #[argh(option)]
    pytorch: Option<PathBuf>,
    /// print one JSON object instead of a table
    #[argh(switch)]
    json: bool,
}

/// Seconds of one number of regions.
#[derive(Serialize)]
struct Row {
    regions: usize,
    at_once: f64,
    /// Of all at once, by stage.
    stages: Vec<(&'static str, f64)>,
    tokens: usize,
    one_by_one: f64,
    /// How many were really asked one at a time.
    asked_one_by_one: usize,
    /// Answers that differ between the two.
    different: usize,
    separate: f64,
    crops: Option<f64>,
    /// One by one, image and common text kept.
    pytorch: Option<f64>,
}

fn main() -> Result<()> {
    let args: Args = argh::from_env();
    let counts = args.regions.split(',').map(|n| n.trim().parse().context("--regions"));
    let counts = counts.collect::<Result<Vec<usize>>>()?;
    ensure!(!counts.contains(&0) && args.one_by_one > 0 && args.separate > 0, "numbers begin at 1");
    let options = EngineOptions {
        n_threads: args.threads,
        n_ctx: args.ctx,
        ..EngineOptions::new(&args.model, &args.mmproj)
    };
    let mut engine = Engine::open(&options)?;
    // Brings the files into memory.
    one_by_one(&mut engine, &questions(1, 1))?;
    let n_threads = engine.info().n_threads;
    let separate = separate(&options, &args)?;
    let mut rows = Vec::new();
    for n in counts {
        rows.push(race(&mut engine, &args, n, separate)?);
    }
    drop(engine);
    if let Some(program) = &args.mtmd {
        let crop = crop(program, &args, n_threads)?;
        rows.iter_mut().for_each(|r| r.crops = Some(crop * r.regions as f64));
    }
    if let Some(path) = &args.pytorch {
        let (first, each) = pytorch(path)?;
        rows.iter_mut().for_each(|r| r.pytorch = Some(first + each * (r.regions - 1) as f64));
    }
    if args.json {
        println!("{}", serde_json::to_string(&rows)?);
    } else {
        table(&rows);
    }
    Ok(())
}

/// Asks about `n` regions both ways.
fn race(engine: &mut Engine, args: &Args, n: usize, separate: f64) -> Result<Row> {
    let questions = questions(n, args.tokens);
    let few = n.min(args.one_by_one);
    let (alone, seconds) = one_by_one(engine, &questions[..few])?;
    let first = seconds.first().copied().unwrap_or(0.0);
    let each = seconds[1..].iter().sum::<f64>() / (few.max(2) - 1) as f64;
    let (answers, at_once) = at_once(engine, &questions)?;
    let last = answers.iter().max_by_key(|a| a.timings_ms.total()).context("no answers")?;
    Ok(Row {
        regions: n,
        at_once,
        stages: Stage::ALL.map(|s| (s.name(), last.timings_ms.get(s).as_secs_f64())).to_vec(),
        tokens: answers.iter().map(|a| a.n_generated).sum(),
        one_by_one: first + each * (n - 1) as f64,
        asked_one_by_one: few,
        different: alone.iter().zip(&answers).filter(|(a, b)| a.tokens != b.tokens).count(),
        separate: separate * n as f64,
        crops: None,
        pytorch: None,
    })
}

/// The same question about `n` regions, some of which overlap.
fn questions(n: usize, tokens: usize) -> Vec<Request> {
    let question = |i: usize| {
        let (x, y) = ((i * 97 % 400) as f64, (i * 61 % 300) as f64);
        let pixels =
            PixelBox::new(x, y, x + 60.0 + (i * 31 % 170) as f64, y + 50.0 + (i * 43 % 120) as f64);
        let sampling = Sampling::Greedy;
        Request { sampling, max_tokens: tokens, ..Request::new("What is <region1>?") }
            .with_box(pixels)
    };
    (0..n).map(question).collect()
}

/// Image and common text are kept from the first question on. Gives the seconds of each.
fn one_by_one(engine: &mut Engine, questions: &[Request]) -> Result<(Vec<Answer>, Vec<f64>)> {
    engine.forget();
    let (mut answers, mut seconds) = (Vec::new(), Vec::new());
    let conversation = engine.conversation(picture(640, 480, 1));
    for question in questions {
        let start = Instant::now();
        answers.push(engine.ask(&mut conversation.fork(), question, |_| ())?);
        seconds.push(start.elapsed().as_secs_f64());
    }
    Ok((answers, seconds))
}

fn at_once(engine: &mut Engine, questions: &[Request]) -> Result<(Vec<Answer>, f64)> {
    engine.forget();
    let conversation = engine.conversation(picture(640, 480, 1));
    let mut conversations: Vec<_> = questions.iter().map(|_| conversation.fork()).collect();
    let start = Instant::now();
    let answers = engine.answer_many(&mut conversations, questions, |_, _| ());
    let seconds = start.elapsed().as_secs_f64();
    Ok((answers.into_iter().collect::<Result<_, _>>()?, seconds))
}

/// Seconds of a question that shares nothing, opening the files included.
fn separate(options: &EngineOptions, args: &Args) -> Result<f64> {
    let questions = questions(args.separate, args.tokens);
    let start = Instant::now();
    for question in &questions {
        let mut engine = Engine::open(options)?;
        let mut conversation = engine.conversation(picture(640, 480, 1));
        engine.ask(&mut conversation, question, |_| ())?;
    }
    Ok(start.elapsed().as_secs_f64() / questions.len() as f64)
}

/// Seconds of a crop in libmtmd, whose files are open already.
fn crop(program: &Path, args: &Args, n_threads: usize) -> Result<f64> {
    let mut command = Command::new(program);
    command.arg("--model").arg(&args.model).arg("--mmproj").arg(&args.mmproj);
    command.args(["--threads", &n_threads.to_string(), "--crops", &args.separate.to_string()]);
    let out = command.args(["--generate", &args.tokens.to_string()]).output()?;
    ensure!(
        out.status.success(),
        "{}: {}",
        program.display(),
        String::from_utf8_lossy(&out.stderr)
    );
    let crops: Vec<Times> = serde_json::from_slice(&out.stdout)?;
    ensure!(!crops.is_empty(), "{}: no crops", program.display());
    Ok(crops.iter().map(Times::seconds).sum::<f64>() / crops.len() as f64)
}

/// Seconds of the first region in PyTorch, and of each further one.
fn pytorch(path: &Path) -> Result<(f64, f64)> {
    let name = || path.display().to_string();
    let times: Vec<Times> =
        serde_json::from_slice(&std::fs::read(path).with_context(name)?).with_context(name)?;
    ensure!(times.len() > 1, "{}: fewer than two regions", name());
    let each = times[1..].iter().map(Times::seconds).sum::<f64>() / (times.len() - 1) as f64;
    Ok((times[0].seconds(), each))
}

/// Milliseconds of a region, as the rivals print them.
#[derive(Deserialize)]
struct Times {
    encode: f64,
    prefill: f64,
    decode: f64,
}

impl Times {
    fn seconds(&self) -> f64 {
        (self.encode + self.prefill + self.decode) / 1e3
    }
}

fn table(rows: &[Row]) {
    println!("seconds; in brackets, how many times as long as all at once\n");
    println!(
        "| regions | at once | one by one | separate runs | crops, libmtmd | one by one, PyTorch | tokens | answers that differ |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for r in rows {
        let times = |s: f64| format!("{s:.1} ({:.1})", s / r.at_once);
        let [crops, pytorch] = [r.crops, r.pytorch].map(|s| s.map_or_else(|| "-".into(), times));
        println!(
            "| {} | {:.1} | {} | {} | {crops} | {pytorch} | {} | {} of {} |",
            r.regions,
            r.at_once,
            times(r.one_by_one),
            times(r.separate),
            r.tokens,
            r.different,
            r.asked_one_by_one
        );
    }
    println!("\nwhere the time of all at once goes:\n");
    for r in rows {
        let stages: Vec<_> = r.stages.iter().map(|(name, s)| format!("{name} {s:.2}")).collect();
        println!("{} regions: {}", r.regions, stages.join(", "));
    }
}
