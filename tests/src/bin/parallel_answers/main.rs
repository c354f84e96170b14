//! How rarely an answer depends on how many are written side by side: the same questions with 1 and with more of
//! them at once, for the demo model in several types.
//!
//! The types are made from the file that there is: f32 has the values of its 8-bit blocks.

mod recast;

use anyhow::{Context, Result, ensure};
use argh::FromArgs;
use ggml_ext::DType;
use gpt4roi::dataset::{self, Entry};
use gpt4roi::{Answer, Engine, EngineOptions, KvType, Request, Sampling, load_image};
use gpt4roi_tests::{scratch, workspace};
use std::path::{Path, PathBuf};
use std::time::Instant;
use tempfile::TempDir;

/// What is asked of every box.
const QUESTIONS: [&str; 6] = [
    "What is <region1>?",
    "Describe <region1>.",
    "What colour is <region1>?",
    "Where in the picture is <region1>?",
    "Describe <region1> in detail.",
    "What kind of thing is <region1>?",
];

/// Count answers that differ between one at a time and many at once.
#[derive(FromArgs)]
struct Args {
    /// language model with 8-bit weights, a GGUF file (default: the demo model)
    #[argh(option, default = "of_demo(\"gpt4roi-demo-Q8_0.gguf\")")]
    model: PathBuf,
    /// vision tower and region extractor, a GGUF file
    #[argh(option, default = "of_demo(\"mmproj-gpt4roi-demo-Q8_0.gguf\")")]
    mmproj: PathBuf,
    /// images with boxes (default: those of the tests)
    #[argh(option, default = "workspace().join(\"tests/data/demo/annotations.json\")")]
    input: PathBuf,
    /// types, as in q8_0,f32,f16 (default q8_0,f32,f16,q4_0)
    #[argh(option, default = "\"q8_0,f32,f16,q4_0\".into()")]
    types: String,
    /// types of the KV cache, f16 or f32 (default f16,f32)
    #[argh(option, default = "\"f16,f32\".into()")]
    kv: String,
    /// numbers of answers at the same time (default 8,32)
    #[argh(option, default = "\"8,32\".into()")]
    parallel: String,
    /// longest answer in tokens (default 24)
    #[argh(option, default = "24")]
    tokens: usize,
    /// threads (default: one a processor)
    #[argh(option, default = "0")]
    threads: usize,
}

fn of_demo(name: &str) -> PathBuf {
    workspace().join("models/demo").join(name)
}

fn main() -> Result<()> {
    let args: Args = argh::from_env();
    let at_once: Vec<usize> = list(&args.parallel)?;
    let types: Vec<DType> = list(&args.types)?;
    let images = dataset::open(&args.input, &dataset::Options::default())?;
    let images: Vec<Entry> = images.collect::<Result<_, _>>()?;
    let columns = at_once.iter().map(|n| format!(" {n} at once |")).collect::<String>();
    println!("| type | cache | answers | tokens |{columns}");
    println!("| --- | --- | --- | --- |{}", " --- |".repeat(at_once.len()));
    for dtype in types {
        let dir = TempDir::new_in(scratch())?;
        let (model, mmproj) = files(&args, dtype, dir.path())?;
        for kv in args.kv.split(',') {
            let options = EngineOptions {
                kv_type: cache(kv)?,
                n_threads: args.threads,
                ..EngineOptions::new(&model, &mmproj)
            };
            row(&args, &options, &images, &format!("| {dtype} | {kv} |"), &at_once)?;
        }
    }
    Ok(())
}

fn list<T: std::str::FromStr>(text: &str) -> Result<Vec<T>>
where
    T::Err: std::fmt::Display,
{
    let item = |item: &str| item.parse().map_err(|e| anyhow::anyhow!("`{item}`: {e}"));
    text.split(',').map(item).collect()
}

fn cache(name: &str) -> Result<KvType> {
    match name {
        "f16" => Ok(KvType::F16),
        "f32" => Ok(KvType::F32),
        _ => anyhow::bail!("a cache of `{name}`: f16 or f32"),
    }
}

/// The model in that type.
fn files(args: &Args, dtype: DType, dir: &Path) -> Result<(PathBuf, PathBuf)> {
    if dtype == DType::Q8_0 {
        return Ok((args.model.clone(), args.mmproj.clone()));
    }
    let (model, mmproj) = (dir.join("model.gguf"), dir.join("mmproj.gguf"));
    recast::recast(&args.model, &model, dtype)?;
    recast::recast(&args.mmproj, &mmproj, dtype)?;
    Ok((model, mmproj))
}

/// Prints how many answers differ from those one at a time.
fn row(
    args: &Args,
    options: &EngineOptions,
    images: &[Entry],
    name: &str,
    at_once: &[usize],
) -> Result<()> {
    let (alone, seconds) = answers(args, options, images, 1)?;
    let tokens: usize = alone.iter().map(|a| a.n_generated).sum();
    let mut line = format!("{name} {} | {tokens} |", alone.len());
    eprintln!("{name} one at a time: {seconds:.1} s");
    for &n in at_once {
        let (many, seconds) = answers(args, options, images, n)?;
        ensure!(many.len() == alone.len(), "answers are missing");
        let differing: Vec<_> =
            alone.iter().zip(&many).filter(|(a, b)| a.tokens != b.tokens).collect();
        eprintln!("{name} {n} at once: {seconds:.1} s");
        for (a, b) in &differing {
            eprintln!("  `{}` or `{}`, apart by {:.5} there", a.text, b.text, apart(a, b));
        }
        line += &format!(" {} |", differing.len());
    }
    println!("{line}");
    Ok(())
}

/// By how much the log-probabilities of the two tokens differ where the answers part: each was the likeliest once.
fn apart(a: &Answer, b: &Answer) -> f32 {
    let at = a.tokens.iter().zip(&b.tokens).position(|(x, y)| x != y);
    let at = at.unwrap_or(a.tokens.len().min(b.tokens.len()));
    let of = |answer: &Answer| answer.token_logprobs.get(at).copied();
    of(a).zip(of(b)).map_or(f32::NAN, |(x, y)| (x - y).abs())
}

/// Every question about every box, an image at a time, with `n` answers on their way.
fn answers(
    args: &Args,
    options: &EngineOptions,
    images: &[Entry],
    n: usize,
) -> Result<(Vec<Answer>, f64)> {
    let mut engine = Engine::open(&EngineOptions { n_parallel: n, ..options.clone() })?;
    let begun = Instant::now();
    let mut all = Vec::new();
    for image in images {
        let pixels = load_image(&image.image).context("an image of the data set")?;
        let boxes = image.regions.iter().map(|region| region.shape.in_pixels(pixels.size()));
        let about = |pixels| {
            QUESTIONS.map(|question| {
                let (sampling, max_tokens) = (Sampling::Greedy, args.tokens);
                Request { sampling, max_tokens, ..Request::new(question) }.with_box(pixels)
            })
        };
        let requests: Vec<Request> = boxes.flat_map(about).collect();
        let start = engine.conversation(pixels);
        let mut conversations: Vec<_> = requests.iter().map(|_| start.fork()).collect();
        for answer in engine.answer_many(&mut conversations, &requests, |_, _| ()) {
            all.push(answer?);
        }
    }
    Ok((all, begun.elapsed().as_secs_f64()))
}
