//! What can be said on the command line.

use crate::bench::Bench;
use crate::constraint;
use crate::demo::Demo;
use crate::demo_model;
use argh::FromArgs;
use gpt4roi::preprocess::parse_values;
use gpt4roi::{
    BoxFormat, BoxPolicy, Constraint, EngineOptions, KvType, Normalise, PixelBox, PreprocessMode,
    Request, Sampling,
};
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
    Choose(Choose),
    Inspect(Inspect),
    Compare(Compare),
    Bench(Bench),
}

/// Defines a subcommand that asks a model: its own options and those that all of them share.
macro_rules! asking_command {
    ($(#[$attr:meta])* struct $name:ident { $($fields:tt)* }) => {
        #[derive(FromArgs)]
        $(#[$attr])*
        pub(crate) struct $name {
            $($fields)*
            /// language model, a GGUF file (default: the demo model)
            #[argh(option, arg_name = "file")]
            pub(crate) model: Option<PathBuf>,
            /// vision tower and region extractor of the same model, a GGUF file
            #[argh(option, arg_name = "file")]
            pub(crate) mmproj: Option<PathBuf>,
            /// image (JPEG, PNG, WebP, BMP); - reads standard input
            #[argh(option, arg_name = "file")]
            pub(crate) image: String,
            /// what the four numbers of a box are: xyxy (default), xywh or cxcywh
            #[argh(option, default = "BoxFormat::Xyxy")]
            pub(crate) box_format: BoxFormat,
            /// the numbers are fractions of the image's width and height, not pixels
            #[argh(switch)]
            pub(crate) normalized: bool,
            /// cut boxes off at the image's border instead of taking them as they are
            #[argh(switch)]
            pub(crate) clip_boxes: bool,
            /// always choose the likeliest token
            #[argh(switch)]
            pub(crate) greedy: bool,
            /// randomness of the choice of tokens, 0 for none (default 0.2)
            #[argh(option, default = "0.2")]
            pub(crate) temperature: f32,
            /// choose among the likeliest tokens that have this probability together (default 1)
            #[argh(option, default = "1.0")]
            pub(crate) top_p: f32,
            /// choose among this many likeliest tokens, 0 for all (default 50)
            #[argh(option, default = "50")]
            pub(crate) top_k: u32,
            /// seed of the random choice: same seed, same answer
            #[argh(option)]
            pub(crate) seed: Option<u32>,
            /// longest answer in tokens (default 1024)
            #[argh(option, default = "1024")]
            pub(crate) max_tokens: usize,
            /// let answers be only what this grammar allows, a file in llama.cpp's notation (GBNF)
            #[argh(option, arg_name = "file")]
            pub(crate) grammar: Option<PathBuf>,
            /// let answers be only JSON of this schema, a file
            #[argh(option, arg_name = "file")]
            pub(crate) json_schema: Option<PathBuf>,
            /// print one JSON object an answer: text, token counts, stage timings
            #[argh(switch)]
            pub(crate) json: bool,
            /// follow the image pipeline of the training code instead of the demo's
            #[argh(switch)]
            pub(crate) training_preprocess: bool,
            /// worker threads (default: one a processor)
            #[argh(option, default = "0")]
            pub(crate) threads: usize,
            /// context length in tokens (default 2048)
            #[argh(option, default = "0")]
            pub(crate) ctx: usize,
            /// layers of the language model to put on a GPU (default: all that fit)
            #[argh(option)]
            pub(crate) gpu_layers: Option<u32>,
            /// type of the KV cache: f16 (default), f32 or q8_0
            #[argh(option, default = "KvType::F16", from_str_fn(kv_type))]
            pub(crate) kv_type: KvType,
            /// read the model files instead of mapping them into memory
            #[argh(switch)]
            pub(crate) no_mmap: bool,
            /// lock the language model in memory
            #[argh(switch)]
            pub(crate) mlock: bool,
            /// copy the language model into a layout for the CPU's kernels: faster tokens on some
            /// processors, slower start, no sharing of memory with the file
            #[argh(switch)]
            pub(crate) repack: bool,
            /// device of the image side (default: the first GPU, else the CPU)
            #[argh(option)]
            pub(crate) device: Option<String>,
            /// say what is being done; twice for more
            #[argh(switch, short = 'v')]
            pub(crate) verbose: u8,
        }

        impl Asking for $name {
            fn engine_options(&self) -> anyhow::Result<EngineOptions> {
                let files = demo_model::choose(self.model.as_deref(), self.mmproj.as_deref())?;
                Ok(EngineOptions {
                    n_threads: self.threads,
                    n_ctx: self.ctx,
                    gpu_layers: self.gpu_layers,
                    kv_type: self.kv_type,
                    mmap: !self.no_mmap,
                    mlock: self.mlock,
                    repack: self.repack,
                    device: self.device.clone(),
                    preprocess: match self.training_preprocess {
                        true => PreprocessMode::Training,
                        false => PreprocessMode::Inference,
                    },
                    boxes: if self.clip_boxes { BoxPolicy::Clip } else { BoxPolicy::Check },
                    ..EngineOptions::new(files.model, files.mmproj)
                })
            }

            fn sampling(&self) -> Sampling {
                let (temperature, top_k) = (self.temperature, self.top_k);
                let (top_p, seed) = (self.top_p, self.seed);
                match self.greedy {
                    true => Sampling::Greedy,
                    false => Sampling::Random { temperature, top_k, top_p, seed },
                }
            }

            fn constraint(&self) -> anyhow::Result<Option<Constraint>> {
                constraint::read(self.grammar.as_deref(), self.json_schema.as_deref())
            }

            fn image(&self) -> &str {
                &self.image
            }

            fn request(&self, question: &str, boxes: Vec<PixelBox>) -> Request {
                let (sampling, max_tokens) = (self.sampling(), self.max_tokens);
                Request { boxes, sampling, max_tokens, ..Request::new(question) }
            }

            fn pixel_box(&self, text: &str, image: (u32, u32)) -> Result<PixelBox, gpt4roi::Error> {
                pixel_box(text, self.box_format, self.normalized, image)
            }
        }
    };
}

/// What the commands that ask a model have in common.
pub(crate) trait Asking {
    /// How to open the model; finds the demo model if none is named.
    fn engine_options(&self) -> anyhow::Result<EngineOptions>;
    /// How tokens are chosen.
    fn sampling(&self) -> Sampling;
    /// What answers are allowed to be.
    fn constraint(&self) -> anyhow::Result<Option<Constraint>>;
    /// Path of the image, or `-`.
    fn image(&self) -> &str;
    /// A request with the options of the command line.
    fn request(&self, question: &str, boxes: Vec<PixelBox>) -> Request;
    /// A box as the options say that it is written.
    fn pixel_box(&self, text: &str, image: (u32, u32)) -> Result<PixelBox, gpt4roi::Error>;
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
        /// a box, four numbers as in 10,20,110,220; the first is <region1>, and so on
        #[argh(option, long = "box", arg_name = "box")]
        pub(crate) boxes: Vec<String>,
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
    /// print one JSON object
    #[argh(switch)]
    pub(crate) json: bool,
    /// say what is being done; twice for more
    #[argh(switch, short = 'v')]
    pub(crate) verbose: u8,
}

/// A box as it is written, in pixels of an image of the given size.
pub(crate) fn pixel_box(
    text: &str,
    format: BoxFormat,
    normalized: bool,
    image: (u32, u32),
) -> Result<PixelBox, gpt4roi::Error> {
    let values = parse_values(text)?;
    Ok(match normalized {
        true => PixelBox::from_normalized(values, format, image),
        false => PixelBox::from_format(values, format),
    })
}

fn normalise(s: &str) -> Result<Normalise, String> {
    match s {
        "none" => Ok(Normalise::None),
        "length" => Ok(Normalise::Length),
        _ => Err("choose none or length".into()),
    }
}

fn kv_type(s: &str) -> Result<KvType, String> {
    match s {
        "f32" => Ok(KvType::F32),
        "f16" => Ok(KvType::F16),
        "q8_0" => Ok(KvType::Q8_0),
        _ => Err("choose f16, f32 or q8_0".into()),
    }
}
