//! A stand-in for the engine, and small data sets.

use std::fs;
use std::path::{Path, PathBuf};

use gpt4roi::caption::{
    Ahead, Answerer, Captioner, Journal, Meta, Opened, Plan, Quiet, Record, Shard, Summary, Target,
};
use gpt4roi::dataset::{self, Entry, Region, RegionBox};
use gpt4roi::{
    Answer, Error, FinishReason, Image, PixelBox, Request, Result, Sampling, StageTimings,
};
use serde_json::{Map, Value, json};

/// Answers with what it was asked; stops where it is told to.
#[derive(Default)]
pub struct Fake {
    /// Questions answered.
    pub n_asked: usize,
    /// Cancelled once so many questions were answered.
    pub stop_after: Option<usize>,
    /// Pictures that were there to be looked at ahead.
    pub n_ahead: usize,
}

pub fn answer(text: String) -> Answer {
    Answer {
        n_generated: text.len(),
        text,
        finish: FinishReason::Stop,
        n_prompt: 9,
        n_reused: 0,
        logprob: -0.5,
        warnings: Vec::new(),
        timings_ms: StageTimings::default(),
        tokens: Vec::new(),
        token_logprobs: Vec::new(),
    }
}

impl Answerer for Fake {
    fn answer_all(
        &mut self,
        image: &Image,
        requests: &[Request],
        ahead: Option<Ahead>,
        on_answer: &mut dyn FnMut(&Answer),
    ) -> Vec<Result<Answer>> {
        if let Some(ahead) = ahead {
            self.n_ahead += usize::from(ahead().is_some());
            assert!(ahead().is_none(), "a picture was given twice");
        }
        let mut one = |request: &Request| {
            if self.stop_after.is_some_and(|n| self.n_asked >= n) {
                return Err(Error::Cancelled);
            }
            self.n_asked += 1;
            gpt4roi::preprocess::check_boxes(&request.boxes, image.size(), Default::default())?;
            let seed = match request.sampling {
                Sampling::Random { seed, .. } => seed,
                Sampling::Greedy => None,
            };
            let answer = answer(format!("{} {seed:?}", request.question));
            on_answer(&answer);
            Ok(answer)
        };
        requests.iter().map(&mut one).collect()
    }

    fn is_cancelled(&self) -> bool {
        self.stop_after.is_some_and(|n| self.n_asked >= n)
    }
}

/// A folder with pictures and outputs.
pub struct Desk(tempfile::TempDir);

impl Desk {
    pub fn new() -> Desk {
        Desk(tempfile::tempdir().unwrap())
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `n` images with 0, 1, 2, 0, 1, ... regions.
    pub fn entries(&self, n: usize) -> Vec<Entry> {
        (0..n).map(|i| self.entry(&format!("{i}.png"), i % 3)).collect()
    }

    pub fn entry(&self, name: &str, n_regions: usize) -> Entry {
        let image = self.at(name);
        if !image.exists() {
            image::RgbImage::new(40, 30).save(&image).unwrap();
        }
        let regions = (1..=n_regions).map(|i| region(i, "dog")).collect();
        Entry { image, name: name.into(), image_id: Some((n_regions + 100).to_string()), regions }
    }

    /// Runs until everything is done or the answerer stops.
    pub fn run(&self, fake: &mut Fake, run: &Run) -> Result<Summary> {
        let output = self.at(run.output);
        let Opened::Journal(mut journal) = Journal::open(&output, &run.meta, false)? else {
            return Ok(Summary::default());
        };
        let entries: Vec<Entry> = run.entries.clone();
        let mut quiet = Quiet;
        let summary = {
            let mut captioner = Captioner::new(fake, &run.plan, &mut journal, &mut quiet);
            captioner.run(entries.into_iter().map(Ok::<_, dataset::Error>))?;
            *captioner.summary()
        };
        journal.finish(run.target, summary.n_images)?;
        Ok(summary)
    }
}

/// What is captioned, and how.
pub struct Run {
    pub output: &'static str,
    pub entries: Vec<Entry>,
    pub plan: Plan,
    pub meta: Meta,
    pub target: Target,
}

impl Run {
    pub fn new(output: &'static str, entries: Vec<Entry>) -> Run {
        let sampling = Sampling::Random { temperature: 1.0, top_k: 0, top_p: 1.0, seed: Some(7) };
        let plan = Plan { sampling, ..Plan::default() };
        Run { output, entries, plan, meta: meta("one"), target: Target::Jsonl }
    }

    pub fn shard(self, output: &'static str, shard: &str) -> Run {
        let shard: Shard = shard.parse().unwrap();
        let meta = Meta::new(self.meta.options.clone(), shard);
        Run { output, plan: Plan { shard, ..self.plan }, meta, ..self }
    }
}

pub fn meta(prompt: &str) -> Meta {
    let options: Map<String, Value> =
        [("prompt".to_owned(), json!(prompt)), ("to".to_owned(), json!("jsonl"))]
            .into_iter()
            .collect();
    Meta::new(options, Shard::WHOLE)
}

pub fn region(i: usize, label: &str) -> Region {
    let x = i as f64;
    Region {
        id: i.to_string(),
        shape: RegionBox::Pixels(PixelBox::new(x, 2.0, x + 10.0, 20.0)),
        label: Some(label.into()),
        questions: Vec::new(),
        reference: None,
    }
}

pub fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

pub fn records(path: &Path) -> Vec<Record> {
    read(path).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
