//! `gpt4roi fit`.

use crate::{asking, demo_model, output, setup};
use argh::FromArgs;
use gpt4roi::placement::{Needs, RESERVE, Target, measure};
use gpt4roi::{DEFAULT_CONTEXT, EngineOptions, KvType};
use serde::Serialize;
use std::io::Write;
use std::path::PathBuf;

/// Tell what memory a model takes, part by part, and whether a device has as much.
///
/// Reads the headers of the files only, so that they may be without weights (gpt4roi-convert convert --outline).
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "fit",
    example = "{command_name} --device-memory 8GB --ctx 512 --model M-Q4_K_M.gguf --mmproj mmproj-M-Q8_0.gguf",
    note = "The sizes are computed, as the graphs would be allocated. GB is 10^9 bytes, GiB 2^30.",
    error_code(1, "the model does not fit as a whole")
)]
pub(crate) struct Fit {
    /// memory of the device, as in 8GB or 7607MiB (default: only tell what is needed)
    #[argh(option, arg_name = "size", from_str_fn(bytes))]
    device_memory: Option<usize>,
    /// language model, a GGUF file (default: the demo model)
    #[argh(option, arg_name = "file")]
    model: Option<PathBuf>,
    /// vision tower and region extractor of the same model, a GGUF file
    #[argh(option, arg_name = "file")]
    mmproj: Option<PathBuf>,
    /// measure for a device that `gpt4roi devices` lists (default: some GPU)
    #[argh(option, arg_name = "name")]
    device: Option<String>,
    /// context length in tokens (default 2048)
    #[argh(option, default = "0")]
    ctx: usize,
    /// type of the KV cache: f16 (default), f32 or q8_0
    #[argh(option, default = "KvType::F16", from_str_fn(asking::kv_type))]
    kv_type: KvType,
    /// less memory, and more time
    #[argh(switch)]
    low_memory: bool,
    /// print one JSON object
    #[argh(switch)]
    json: bool,
    /// say what is being done; twice for more
    #[argh(switch, short = 'v')]
    verbose: u8,
}

#[derive(Serialize)]
struct Report {
    model: PathBuf,
    mmproj: PathBuf,
    n_ctx: usize,
    parts: Vec<Part>,
    /// Bytes of all parts.
    total: usize,
    /// Whether all of it fits into one memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    fits: Option<bool>,
    /// Layers of the language model that fit beside the image side into a GPU's own memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    gpu_layers: Option<usize>,
    n_layers: usize,
}

#[derive(Serialize)]
struct Part {
    part: &'static str,
    what: String,
    bytes: usize,
}

pub(crate) fn run(args: &Fit) -> anyhow::Result<u8> {
    setup::logs(args.verbose);
    let files = demo_model::choose(args.model.as_deref(), args.mmproj.as_deref())?;
    let options = EngineOptions {
        n_ctx: args.ctx,
        kv_type: args.kv_type,
        low_memory: args.low_memory,
        ..EngineOptions::new(files.model, files.mmproj)
    };
    let target = args.device.as_deref().map_or(Target::Gpu, Target::Device);
    let report = report(&options, &measure(&options, target)?, args.device_memory);
    match args.json {
        true => output::json(&report)?,
        false => print(&report, args.device_memory)?,
    }
    Ok(if report.fits == Some(false) { crate::FAILED } else { crate::DONE })
}

fn report(options: &EngineOptions, needs: &Needs, memory: Option<usize>) -> Report {
    let n_ctx = if options.n_ctx == 0 { DEFAULT_CONTEXT } else { options.n_ctx };
    let parts = parts(needs, n_ctx);
    let total = parts.iter().map(|p| p.bytes).sum();
    let room = memory.map(|m| m.saturating_sub(RESERVE + needs.image.bytes()));
    Report {
        model: options.model.clone(),
        mmproj: options.mmproj.clone(),
        n_ctx,
        parts,
        total,
        fits: memory.map(|memory| total <= memory),
        gpu_layers: room.map(|room| needs.language.layers_that_fit(&[room], &[])),
        n_layers: needs.language.blocks.len() + 1,
    }
}

fn parts(needs: &Needs, n_ctx: usize) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut add = |part, what: &str, bytes| parts.push(Part { part, what: what.into(), bytes });
    let (image, language) = (&needs.image.rehearsal, &needs.language);
    let n_blocks = language.blocks.len();
    add("image side", "weights", image.weights + image.mapped);
    add("", "feature maps", image.tensors);
    add("", "intermediate values", image.intermediate());
    add("", "scratch of convolutions", image.scratch);
    add("language model", "embedding table", language.embedding);
    add("", &format!("{n_blocks} blocks"), language.blocks.iter().sum());
    add("", "output", language.output);
    add("", &format!("cache of {n_ctx} tokens"), n_blocks * language.cache);
    add("", "intermediate values", language.compute + language.host_compute);
    add("drivers", "reserve", RESERVE);
    parts.retain(|p| p.bytes > 0);
    parts
}

fn print(report: &Report, memory: Option<usize>) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    writeln!(out, "{}\n{}\n", report.model.display(), report.mmproj.display())?;
    for Part { part, what, bytes } in &report.parts {
        writeln!(out, "{part:<16}{what:<28}{:>9.1} MiB", mib(*bytes))?;
    }
    writeln!(out, "{:<44}{:>9.1} MiB", "together", mib(report.total))?;
    let (Some(memory), Some(n)) = (memory, report.gpu_layers) else { return Ok(()) };
    let (left, n_layers) = (mib(memory) - mib(report.total), report.n_layers);
    match left >= 0.0 {
        true => writeln!(out, "\nfits into {:.1} MiB; {left:.1} MiB are left", mib(memory))?,
        false => {
            writeln!(out, "\ndoes not fit into {:.1} MiB: {:.1} too many", mib(memory), -left)?
        }
    }
    match n == n_layers {
        true => writeln!(out, "a GPU with that memory of its own holds it, too")?,
        false => writeln!(
            out,
            "a GPU with that memory of its own holds the image side and {n} of {n_layers} layers of the language model"
        )?,
    }
    Ok(())
}

/// A number of bytes with its unit.
fn bytes(text: &str) -> Result<usize, String> {
    let wrong = || format!("`{text}` is no size: give a number and a unit, as in 8GB or 7607MiB");
    let at = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(at);
    let number: f64 = number.trim().parse().map_err(|_| wrong())?;
    let unit: f64 = match unit.to_ascii_lowercase().as_str() {
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" | "g" => 1e9,
        "kib" => 1024.0,
        "mib" => 1_048_576.0,
        "gib" => 1_073_741_824.0,
        _ => return Err(wrong()),
    };
    let bytes = number * unit;
    let is_size = bytes.is_finite() && (0.0..9e15).contains(&bytes);
    if is_size { Ok(bytes as usize) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_have_units() {
        assert_eq!(bytes("8GB"), Ok(8_000_000_000));
        assert_eq!(bytes("7607 MiB"), Ok(7607 << 20));
        assert_eq!(bytes("1.5gib"), Ok(3 << 29));
        for wrong in ["8", "GB", "-1GB", "8 apples", "", "1e300GB", "NaNGB"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }
}
