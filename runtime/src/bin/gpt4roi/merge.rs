//! `gpt4roi merge`: the shards of a run become one file.

use argh::FromArgs;
use gpt4roi::caption::{self, Target};
use std::path::PathBuf;

/// Put the shards of `caption` together, in the order of the data set.
///
/// All of them must be there, finished and of the same run.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "merge",
    example = "{command_name} --output captions.jsonl part-1.jsonl part-2.jsonl part-3.jsonl",
    example = "As COCO's tools load them:
  {command_name} --output captions.json --to coco part-*.jsonl",
    note = "Each part needs the .meta.json file that `caption` left beside it."
)]
pub(crate) struct Merge {
    /// file to write
    #[argh(option, arg_name = "file")]
    output: PathBuf,
    /// form of the output: jsonl (default) or coco
    #[argh(option, default = "Target::Jsonl", arg_name = "form")]
    to: Target,
    /// replace the output if it is there
    #[argh(switch)]
    restart: bool,
    /// the finished shards, in any order
    #[argh(positional, arg_name = "part")]
    parts: Vec<PathBuf>,
}

pub(crate) fn run(args: &Merge) -> anyhow::Result<u8> {
    let merged = caption::merge(&args.parts, &args.output, args.to, args.restart);
    let merged = merged.map_err(gpt4roi::Error::from)?;
    eprintln!("gpt4roi: {} images, {} lines", merged.images, merged.lines);
    Ok(crate::DONE)
}
