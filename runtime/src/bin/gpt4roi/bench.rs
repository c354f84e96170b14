//! `gpt4roi bench`.

use crate::setup::Usage;
use crate::{output, setup};
use anyhow::Context;
use argh::FromArgs;
use gpt4roi::bench::{BenchOptions, BenchSource, Peaks, Report, Row, bench};
use gpt4roi::{CancelToken, Preset};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Measure how fast every stage is, and how close to what this machine can do.
///
/// Without files, a model of the published sizes is made of noise, in the directory for temporary files (1.5 GB), and
/// deleted afterwards.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "bench",
    example = "The published sizes, two layers of the language model:
  {command_name} --preset 7b",
    example = "A model of one's own, on one thread and on four, compared with an earlier run:
  {command_name} --model M.gguf --mmproj mmproj-M.gguf --threads 1,4 --json > new.json
  {command_name} --model M.gguf --mmproj mmproj-M.gguf --threads 1,4 --compare new.json",
    note = "A stage's share is the least time that the machine needs for its arithmetic or its bytes, by the
peaks measured in the same run, over the time that it took."
)]
pub(crate) struct Bench {
    /// sizes of a model made of noise: 7b (default), 13b or tiny
    #[argh(option, arg_name = "name")]
    preset: Option<Preset>,
    /// layers of that model's language part (default 2)
    #[argh(option, default = "2", arg_name = "n")]
    llm_layers: u32,
    /// language model, a GGUF file
    #[argh(option, arg_name = "file")]
    model: Option<PathBuf>,
    /// vision tower and region extractor, a GGUF file
    #[argh(option, arg_name = "file")]
    mmproj: Option<PathBuf>,
    /// numbers of threads, as in 1,2,4 (default: one a processor)
    #[argh(option, arg_name = "list", from_str_fn(numbers))]
    threads: Option<Vec<usize>>,
    /// numbers of regions (default 1,32)
    #[argh(option, arg_name = "list", from_str_fn(numbers))]
    regions: Option<Vec<usize>>,
    /// runs of each stage that count (default 5)
    #[argh(option, default = "5", arg_name = "n")]
    runs: usize,
    /// positions of the prompt (default 330: one picture and one question)
    #[argh(option, default = "330", arg_name = "n")]
    prompt: usize,
    /// tokens to generate (default 32)
    #[argh(option, default = "32", arg_name = "n")]
    generate: usize,
    /// less memory for the image side, as `ask --low-memory`
    #[argh(switch)]
    low_memory: bool,
    /// where to compute: cpu (default), or a name that `gpt4roi devices` lists
    #[argh(option, arg_name = "name")]
    device: Option<String>,
    /// report of an earlier run (--json) to compare with
    #[argh(option, arg_name = "file")]
    compare: Option<PathBuf>,
    /// print one JSON object
    #[argh(switch)]
    json: bool,
    /// say what is being done; twice for more
    #[argh(switch, short = 'v')]
    verbose: u8,
}

fn numbers(text: &str) -> Result<Vec<usize>, String> {
    let number = |part: &str| part.trim().parse().map_err(|e| format!("`{part}`: {e}"));
    text.split(',').map(number).collect()
}

impl Bench {
    fn options(&self) -> anyhow::Result<BenchOptions> {
        let files = self.model.is_some() || self.mmproj.is_some();
        if files && self.preset.is_some() {
            return Err(
                Usage("--preset makes a model up: give it, or files, not both".into()).into()
            );
        }
        let source = match files {
            true => BenchSource::Files { model: self.model.clone(), mmproj: self.mmproj.clone() },
            false => BenchSource::Preset {
                preset: self.preset.unwrap_or(Preset::B7),
                llm_layers: self.llm_layers,
            },
        };
        let all = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(BenchOptions {
            source,
            threads: self.threads.clone().unwrap_or_else(|| vec![all]),
            runs: self.runs,
            regions: self.regions.clone().unwrap_or_else(|| vec![1, 32]),
            tokens: [self.prompt, self.generate],
            low_memory: self.low_memory,
            device: crate::asking::device(self.device.as_deref()),
        })
    }
}

pub(crate) fn run(args: &Bench) -> anyhow::Result<u8> {
    setup::logs(args.verbose);
    let before = args.compare.as_deref().map(read).transpose()?;
    let cancel = CancelToken::new();
    let options = args.options()?;
    let terminal = std::io::stderr().is_terminal();
    let show = |n: usize, row: &Row| {
        if terminal {
            // Progress is a courtesy: a closed standard error must not stop the work.
            let _ =
                writeln!(std::io::stderr(), "{n} threads, {}: {:.1} ms", row.name, row.ms.median);
        }
    };
    let interrupt = setup::Interrupt::listen(cancel.clone())?;
    let report = interrupt.guard(|| bench(&options, &cancel, show))?;
    if args.json {
        output::json(&report)?;
    } else {
        table(&report, before.as_ref())?;
    }
    Ok(crate::DONE)
}

fn read(path: &Path) -> anyhow::Result<Report> {
    let name = || format!("{}", path.display());
    let text = std::fs::read_to_string(path).with_context(name)?;
    serde_json::from_str(&text).with_context(|| format!("{}: not a report of bench --json", name()))
}

fn table(report: &Report, before: Option<&Report>) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for (i, t) in report.threads.iter().enumerate() {
        let Peaks { gflops_f32, gflops_our_f32, gflops_our_f16, gflops_q8_0, .. } = t.peaks;
        let Peaks { gflops_ggml_f32, gflops_ggml_f16, gflops_ggml_q8_0, .. } = t.peaks;
        writeln!(out, "{} threads, {}, {}", t.n_threads, report.device, report.isa)?;
        writeln!(
            out,
            "peaks: {gflops_f32:.0} GFLOP/s; ggml's products {gflops_ggml_f32:.0} (f32), {gflops_ggml_f16:.0} \
             (f16), {gflops_ggml_q8_0:.0} (q8_0), ours {gflops_our_f32:.0}, {gflops_our_f16:.0}, {gflops_q8_0:.0}; \
             memory {:.1} GB/s",
            t.peaks.read_gbytes
        )?;
        writeln!(
            out,
            "{:<24}  {:>9}  {:>9}  {:>9}  {:>8}  {:>8}  {:>8}  {:>6}  {:>7}",
            "stage", "median ms", "min", "max", "GFLOP", "done", "GFLOP/s", "share", "tok/s"
        )?;
        for row in &t.rows {
            let old = before.and_then(|b| b.threads.get(i)).and_then(|t| find(&t.rows, &row.name));
            line(&mut out, row, old)?;
        }
    }
    Ok(())
}

fn find<'a>(rows: &'a [Row], name: &str) -> Option<&'a Row> {
    rows.iter().find(|r| r.name == name)
}

fn line(out: &mut impl Write, row: &Row, old: Option<&Row>) -> std::io::Result<()> {
    let rate = row.gflop_done / row.ms.median * 1e3;
    let tokens = row.tokens_per_s.map_or_else(String::new, |t| format!("{t:.1}"));
    let ratio = old.map_or_else(String::new, |o| format!("  {:.2}x", o.ms.median / row.ms.median));
    writeln!(
        out,
        "{:<24}  {:>9.1}  {:>9.1}  {:>9.1}  {:>8.1}  {:>8.1}  {rate:>8.0}  {:>5.0}%  {tokens:>7}{ratio}",
        row.name,
        row.ms.median,
        row.ms.min,
        row.ms.max,
        row.gflop,
        row.gflop_done,
        row.share * 100.0
    )
}
