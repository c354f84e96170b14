//! What can be said on the command line.

use crate::asking::asking_command;
use crate::bench::Bench;
use crate::caption::Caption;
use crate::demo::Demo;
use crate::devices::Devices;
use crate::fit::Fit;
use crate::merge::Merge;
use crate::stream::Stream;
use argh::FromArgs;
use gpt4roi::Normalise;
use std::path::PathBuf;

/// Ask about regions of an image, on this machine.
#[derive(FromArgs)]
#[argh(
    example = "Ask about one box (pixels of the image, left,top,right,bottom):
  {command_name} ask --model gpt4roi-Q4_K_M.gguf --mmproj mmproj-gpt4roi-F16.gguf \\
    --image photo.jpg --box 120,40,380,510 \"What is <region1> doing?\"",
    example = "See it work, with the demo model:
  {command_name} demo",
    note = "Exit codes: 0 done, 1 failed, 2 usage, 130 interrupted."
)]
pub(crate) struct Args {
    #[argh(subcommand)]
    pub(crate) command: Command,
}

#[derive(FromArgs)]
#[argh(subcommand)]
pub(crate) enum Command {
    Demo(Demo),
    Ask(Ask),
    Chat(Chat),
    Caption(Caption),
    Merge(Merge),
    Choose(Choose),
    Stream(Box<Stream>),
    Devices(Devices),
    Fit(Fit),
    Inspect(Inspect),
    Compare(Compare),
    Bench(Bench),
}

asking_command! {
    /// Answer one question about boxes of an image.
    #[argh(
        subcommand,
        name = "ask",
        example = "Two boxes, given as fractions of the image's sides:
  {command_name} --model M.gguf --mmproj mmproj-M.gguf --image photo.jpg --normalized \\
    --box 0.1,0.2,0.5,0.9 --box 0.6,0.1,0.9,0.4 \"Is <region1> looking at <region2>?\"",
        example = "An image from a pipe, one JSON object out:
  cat photo.jpg | {command_name} --model M.gguf --mmproj mmproj-M.gguf --image - \\
    --box 30,20,400,380 --json \"Describe <region1>.\""
    )]
    struct Ask {
        /// image (JPEG, PNG, WebP, BMP); - reads standard input
        #[argh(option, arg_name = "file")]
        pub(crate) image: String,
        /// a box, four numbers as in 10,20,110,220; the first is <region1>, and so on
        #[argh(option, long = "box", arg_name = "box")]
        pub(crate) boxes: Vec<String>,
        /// print one JSON object an answer: text, token counts, stage timings
        #[argh(switch)]
        pub(crate) json: bool,
        /// with --json, list the tokens of the answer and their log-probabilities
        #[argh(switch)]
        pub(crate) logprobs: bool,
        /// the question; <region1>, <region2>, ... stand for the boxes in their order
        #[argh(positional)]
        pub(crate) question: String,
    }
}

asking_command! {
    /// Talk about an image, turn by turn.
    ///
    /// A line is a question. Boxes that it names for the first time stand in front of it, as in
    /// `120,40,380,510 What is <region1> doing?`. Later turns call old regions by name, as in
    /// `And what is region1 wearing?`.
    #[argh(
        subcommand,
        name = "chat",
        example = "{command_name} --model M.gguf --mmproj mmproj-M.gguf --image photo.jpg",
        note = "Lines that begin with a slash are commands: /help, /boxes, /quit."
    )]
    struct Chat {
        /// image (JPEG, PNG, WebP, BMP); - reads standard input
        #[argh(option, arg_name = "file")]
        pub(crate) image: String,
        /// print one JSON object an answer: text, token counts, stage timings
        #[argh(switch)]
        pub(crate) json: bool,
    }
}

asking_command! {
    /// How likely each of given answers is, for every box.
    ///
    /// Nothing is written: the model says how likely it would write each label, and the probabilities add up to 1.
    #[argh(
        subcommand,
        name = "choose",
        example = "{command_name} --image photo.jpg --box 10,20,110,220 --label door --label drawer",
        example = "Labels from a file, worded as the demo model answers, without those that it likes anyway:
  {command_name} --image scene.png --box 10,20,110,220 --labels names.txt \\
    --answer \"A {{}}.\" --prior --top 3",
        note = "--normalise length takes the mean over the tokens of a label instead of their sum."
    )]
    struct Choose {
        /// image (JPEG, PNG, WebP, BMP); - reads standard input
        #[argh(option, arg_name = "file")]
        pub(crate) image: String,
        /// print one JSON object a box
        #[argh(switch)]
        pub(crate) json: bool,
        /// a box, four numbers as in 10,20,110,220; each is asked about by itself
        #[argh(option, long = "box", arg_name = "box")]
        pub(crate) boxes: Vec<String>,
        /// an answer to choose from
        #[argh(option)]
        pub(crate) label: Vec<String>,
        /// more of them, a file with one a line
        #[argh(option, arg_name = "file")]
        pub(crate) labels: Option<PathBuf>,
        /// the question (default: What is <region1>?)
        #[argh(option, default = "String::from(\"What is <region1>?\")")]
        pub(crate) question: String,
        /// wording of the answers around a label, as in "A {}." (default: the label alone)
        #[argh(option, arg_name = "wording", default = "String::from(\"{}\")")]
        pub(crate) answer: String,
        /// what long labels are spared: none (default) or length
        #[argh(option, default = "Normalise::None", from_str_fn(normalise))]
        pub(crate) normalise: Normalise,
        /// subtract how likely each label is for the whole picture
        #[argh(switch)]
        pub(crate) prior: bool,
        /// print only this many labels a box, the likeliest
        #[argh(option)]
        pub(crate) top: Option<usize>,
    }
}

/// Show what a GGUF file contains.
#[derive(FromArgs)]
#[argh(subcommand, name = "inspect", example = "{command_name} mmproj-M.gguf")]
pub(crate) struct Inspect {
    /// print one JSON object
    #[argh(switch)]
    pub(crate) json: bool,
    /// the file
    #[argh(positional)]
    pub(crate) file: PathBuf,
}

/// Run every stage against reference tensors and name the first that departs.
///
/// The bounds follow from the types of the files.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "compare",
    example = "{command_name} --model M-F32.gguf --mmproj mmproj-M-F32.gguf --golden goldens/p1",
    note = "Exits with 1 if a bound is broken."
)]
pub(crate) struct Compare {
    /// language model, a GGUF file
    #[argh(option, arg_name = "file")]
    pub(crate) model: PathBuf,
    /// vision tower and region extractor of the same model, a GGUF file
    #[argh(option, arg_name = "file")]
    pub(crate) mmproj: PathBuf,
    /// directory with golden.json, golden.safetensors and the image
    #[argh(option, arg_name = "dir")]
    pub(crate) golden: PathBuf,
    /// worker threads (default: one a processor)
    #[argh(option, default = "0")]
    pub(crate) threads: usize,
    /// where to compute: auto (default), cpu, or a name that `gpt4roi devices` lists
    #[argh(option)]
    pub(crate) device: Option<String>,
    /// print one JSON object
    #[argh(switch)]
    pub(crate) json: bool,
    /// say what is being done; twice for more
    #[argh(switch, short = 'v')]
    pub(crate) verbose: u8,
}

fn normalise(s: &str) -> Result<Normalise, String> {
    match s {
        "none" => Ok(Normalise::None),
        "length" => Ok(Normalise::Length),
        _ => Err("choose none or length".into()),
    }
}
