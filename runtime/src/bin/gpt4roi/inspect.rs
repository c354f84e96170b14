//! `gpt4roi inspect`.

use crate::args::Inspect;
use crate::output;
use gpt4roi::inspect::{Contents, inspect};
use std::io::Write;

pub(crate) fn run(args: &Inspect) -> anyhow::Result<u8> {
    let contents = inspect(&args.file)?;
    match args.json {
        true => output::json(&contents)?,
        false => print(&contents)?,
    }
    Ok(crate::DONE)
}

fn print(contents: &Contents) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for (key, value) in &contents.metadata {
        writeln!(out, "{key} = {value}")?;
    }
    writeln!(out)?;
    for t in &contents.tensors {
        let shape: Vec<String> = t.shape.iter().map(ToString::to_string).collect();
        writeln!(
            out,
            "{:<32} {:<6} {:>22} {:>12} bytes",
            t.name,
            t.dtype,
            shape.join(" x "),
            t.bytes
        )?;
    }
    let (n, mib) = (contents.tensors.len(), contents.bytes as f64 / 1048576.0);
    writeln!(out, "\n{n} tensors, {mib:.1} MiB")?;
    Ok(())
}
