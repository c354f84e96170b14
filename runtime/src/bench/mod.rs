//! How fast the stages are, and how close to what the machine can do.
//!
//! Everything is measured in one process, one thing after the other: first what the machine reaches in large
//! matrix products and copies, then every stage, several times each. A stage's share is the time that the
//! machine would need for its arithmetic or for its bytes, whichever is longer, over the time that it took.

mod costs;
mod image;
mod language;
mod peaks;
mod picture;
mod synthetic;

use crate::error::{Error, Result};
use crate::files::{check_llm, open_mmproj};
use ggml_ext::weights::Residence;
use ggml_ext::{Backend, CPU, CancelToken};
use gpt4roi_models::Preset;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Instant;

pub use peaks::Peaks;

/// What to measure.
#[derive(Clone, Debug)]
pub struct BenchOptions {
    /// The model.
    pub source: BenchSource,
    /// Numbers of threads, one after the other.
    pub threads: Vec<usize>,
    /// How often each stage runs, after a run that is not counted.
    pub runs: usize,
    /// Numbers of regions.
    pub regions: Vec<usize>,
    /// Positions of the prompt, and tokens that are then generated.
    pub tokens: [usize; 2],
    /// As [`crate::EngineOptions::low_memory`].
    pub low_memory: bool,
    /// The device, as [`crate::devices`] names it; `None` means the CPU.
    pub device: Option<String>,
}

/// Whose stages are measured.
#[derive(Clone, Debug)]
pub enum BenchSource {
    /// A model's files; either may be left out, with its stages.
    Files {
        /// Language model.
        model: Option<PathBuf>,
        /// Vision tower and region extractor.
        mmproj: Option<PathBuf>,
    },
    /// Noise of a known model's sizes, in files that are deleted afterwards.
    Preset {
        /// Which sizes.
        preset: Preset,
        /// Layers of the language model, of which there may be fewer than the preset's.
        llm_layers: u32,
    },
}

/// Everything that was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Version of this program.
    pub version: String,
    /// The instruction set of our kernels, which run on the CPU.
    pub isa: String,
    /// The device.
    #[serde(default = "cpu")]
    pub device: String,
    /// In the order of measurement.
    pub threads: Vec<ThreadReport>,
}

/// What was measured with one number of threads.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ThreadReport {
    /// How many.
    pub n_threads: usize,
    /// What the machine reaches.
    pub peaks: Peaks,
    /// The stages.
    pub rows: Vec<Row>,
}

/// A stage.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// What was run.
    pub name: String,
    /// Milliseconds.
    pub ms: Spread,
    /// Arithmetic by the definition of the stage, in units of 1e9 operations.
    pub gflop: f64,
    /// What of it is really done, where there is a shorter way.
    pub gflop_done: f64,
    /// Bytes of weights and maps that are read and written, in units of 1e9.
    pub gbytes: f64,
    /// Least time on this machine over the median: by its peaks in reading, in single precision, and, for products of quantised
    /// matrices, that of those in `q8_0`.
    pub share: f64,
    /// Tokens per second, of the language model.
    pub tokens_per_s: Option<f64>,
}

/// Several measurements of the same.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Spread {
    /// The middle one.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// How many.
    pub runs: usize,
}

impl Spread {
    fn of(mut ms: Vec<f64>) -> Spread {
        ms.sort_by(f64::total_cmp);
        let at = |i: usize| ms.get(i).copied().unwrap_or(0.0);
        let n = ms.len();
        Spread { median: at(n / 2), min: at(0), max: at(n.saturating_sub(1)), runs: n }
    }
}

/// Measures; `on_row` hears of each stage as soon as it is done.
///
/// # Errors
/// [`Error::Option`] for options that make no sense; what opening a model reports; [`Error::Cancelled`].
pub fn bench(
    options: &BenchOptions,
    cancel: &CancelToken,
    mut on_row: impl FnMut(usize, &Row),
) -> Result<Report> {
    check(options)?;
    let files = synthetic::Files::of(&options.source, cancel)?;
    let mut report = Report {
        version: env!("CARGO_PKG_VERSION").into(),
        isa: ggml_ext::peak::instructions(),
        device: options.device.clone().unwrap_or_else(cpu),
        threads: Vec::new(),
    };
    for &n_threads in &options.threads {
        // Before there is a pool of threads that wait for work by spinning.
        let in_registers = ggml_ext::peak::gflops(n_threads);
        let device = options.device.as_deref().unwrap_or(CPU);
        let backend = Backend::open(device, n_threads, cancel.clone())?;
        let in_registers = if backend.is_cpu() { in_registers } else { 0.0 };
        if options.low_memory {
            backend.limit_scratch(crate::pipeline::LOW_SCRATCH);
        }
        let peaks = peaks::measure(&backend, in_registers)?;
        let mut bench =
            Bench { options, backend, peaks, n_threads, rows: Vec::new(), on_row: &mut on_row };
        if let Some(path) = &files.mmproj {
            let mmproj = open_mmproj(path, &bench.backend, Residence::Mapped)?;
            picture::measure(&mut bench, &mmproj)?;
            image::measure(&mut bench, &mmproj)?;
        }
        if let Some(path) = &files.model {
            language::measure(&mut bench, path, &check_llm(path)?)?;
        }
        let Bench { peaks, rows, .. } = bench;
        report.threads.push(ThreadReport { n_threads, peaks, rows });
    }
    Ok(report)
}

fn cpu() -> String {
    CPU.into()
}

fn check(options: &BenchOptions) -> Result<()> {
    let check = |option, values: &[usize], most, allowed| {
        if !values.is_empty() && values.iter().all(|n| (1..=most).contains(n)) {
            return Ok(());
        }
        let value = values.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        Err(Error::Option { option, value, allowed })
    };
    let [prompt, generate] = options.tokens;
    check("threads", &options.threads, 512, "1 to 512")?;
    check("regions", &options.regions, 4096, "1 to 4096")?;
    check("prompt", &[prompt], 4096, "1 to 4096")?;
    check("generate", &[generate], 4096, "1 to 4096")?;
    check("runs", &[options.runs], 1000, "1 to 1000")
}

/// The measurements with one number of threads.
struct Bench<'a> {
    options: &'a BenchOptions,
    backend: Backend,
    peaks: Peaks,
    n_threads: usize,
    rows: Vec<Row>,
    on_row: &'a mut dyn FnMut(usize, &Row),
}

/// What a stage costs.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    flop: f64,
    flop_done: f64,
    /// Of what is done, products of quantised matrices.
    flop_quantized: f64,
    bytes: f64,
}

impl Bench<'_> {
    /// Runs `f` once to warm up, then as often as asked for; books it under `name`.
    fn time(&mut self, name: &str, cost: Cost, mut f: impl FnMut() -> Result<()>) -> Result<()> {
        f()?;
        let mut ms = Vec::new();
        for _ in 0..self.options.runs {
            let start = Instant::now();
            f()?;
            ms.push(start.elapsed().as_secs_f64() * 1e3);
        }
        self.book(name, cost, ms, None);
        Ok(())
    }

    /// Books measured times, of `n_tokens` tokens each if it is about those.
    fn book(&mut self, name: &str, cost: Cost, ms: Vec<f64>, n_tokens: Option<usize>) {
        let ms = Spread::of(ms);
        let Peaks { gflops_f32, gflops_q8_0, read_gbytes, .. } = self.peaks;
        let floats = (cost.flop_done - cost.flop_quantized) / gflops_f32;
        let quantized = cost.flop_quantized / gflops_q8_0.max(gflops_f32);
        let least = (floats + quantized).max(cost.bytes / read_gbytes) / 1e6;
        let row = Row {
            name: name.into(),
            ms,
            gflop: cost.flop / 1e9,
            gflop_done: cost.flop_done / 1e9,
            gbytes: cost.bytes / 1e9,
            share: least / ms.median,
            tokens_per_s: n_tokens.map(|n| n as f64 / ms.median * 1e3),
        };
        (self.on_row)(self.n_threads, &row);
        self.rows.push(row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiny() -> BenchOptions {
        BenchOptions {
            source: BenchSource::Preset { preset: Preset::Tiny, llm_layers: 1 },
            threads: vec![1, 2],
            runs: 1,
            regions: vec![1, 3],
            tokens: [8, 2],
            low_memory: true,
            device: None,
        }
    }

    #[test]
    fn every_stage_of_a_preset_is_measured() {
        let mut heard = 0;
        let report = bench(&tiny(), &CancelToken::new(), |_, _| heard += 1).expect("a report");
        let names: Vec<_> = report.threads[1].rows.iter().map(|r| r.name.as_str()).collect();
        let wanted = [
            "decode 12 MP JPEG",
            "preprocess 12 MP",
            "vision",
            "pyramid",
            "roi_align x1",
            "roi_align x3",
            "region x1",
            "region x3",
            "prefill",
            "prefill, repacked",
            "prefill, bare llama.cpp",
            "decode",
            "decode, repacked",
            "decode, bare llama.cpp",
        ];
        assert_eq!(names, wanted);
        assert_eq!(heard, 28);
        for row in report.threads.iter().flat_map(|t| &t.rows) {
            assert!(
                row.ms.median > 0.0 && row.gbytes > 0.0 && row.gflop_done <= row.gflop,
                "{row:?}"
            );
        }
    }

    #[test]
    fn nothing_is_measured_of_senseless_options() {
        let none = BenchOptions { regions: vec![0], ..tiny() };
        assert!(matches!(bench(&none, &CancelToken::new(), |_, _| ()), Err(Error::Option { .. })));
    }

    #[test]
    fn a_cancelled_bench_leaves_no_files() {
        let cancel = CancelToken::new();
        cancel.cancel();
        assert!(matches!(bench(&tiny(), &cancel, |_, _| ()), Err(Error::Cancelled)));
    }
}
