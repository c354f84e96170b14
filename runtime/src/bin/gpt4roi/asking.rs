//! What the commands that ask a model have in common.

use gpt4roi::preprocess::parse_values;
use gpt4roi::{BoxFormat, Constraint, EngineOptions, KvType, PixelBox, Request, Sampling};

/// Defines a subcommand that asks a model: its own options and those that all of them share.
macro_rules! asking_command {
    ($(#[$attr:meta])* struct $name:ident { $($fields:tt)* }) => {
        #[derive(argh::FromArgs)]
        $(#[$attr])*
        pub(crate) struct $name {
            $($fields)*
            /// language model, a GGUF file (default: the demo model)
            #[argh(option, arg_name = "file")]
            pub(crate) model: Option<std::path::PathBuf>,
            /// vision tower and region extractor of the same model, a GGUF file
            #[argh(option, arg_name = "file")]
            pub(crate) mmproj: Option<std::path::PathBuf>,
            /// what the four numbers of a box are: xyxy (default), xywh or cxcywh
            #[argh(option, default = "gpt4roi::BoxFormat::Xyxy")]
            pub(crate) box_format: gpt4roi::BoxFormat,
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
            pub(crate) grammar: Option<std::path::PathBuf>,
            /// let answers be only JSON of this schema, a file
            #[argh(option, arg_name = "file")]
            pub(crate) json_schema: Option<std::path::PathBuf>,
            /// follow the image pipeline of the training code instead of the demo's
            #[argh(switch)]
            pub(crate) training_preprocess: bool,
            /// worker threads (default: one a processor)
            #[argh(option, default = "0")]
            pub(crate) threads: usize,
            /// context length in tokens (default 2048)
            #[argh(option, default = "0")]
            pub(crate) ctx: usize,
            /// type of the KV cache: f16 (default), f32 or q8_0
            #[argh(option, default = "gpt4roi::KvType::F16", from_str_fn($crate::asking::kv_type))]
            pub(crate) kv_type: gpt4roi::KvType,
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
            /// less memory, and more time
            #[argh(switch)]
            pub(crate) low_memory: bool,
            /// where to compute: auto (default: on GPUs what fits there), cpu, or a name that `gpt4roi devices` lists
            #[argh(option)]
            pub(crate) device: Option<String>,
            /// where to compute the image side, if elsewhere
            #[argh(option, arg_name = "device")]
            pub(crate) vision_device: Option<String>,
            /// layers of the language model on GPUs (default: all that fit)
            #[argh(option, arg_name = "n")]
            pub(crate) llm_gpu_layers: Option<u32>,
            /// the only GPU to use of several, counted from 0
            #[argh(option, arg_name = "n")]
            pub(crate) main_gpu: Option<u32>,
            /// shares of the layers for each GPU, as in 3,1 (default: by free memory)
            #[argh(option, arg_name = "shares")]
            pub(crate) tensor_split: Option<$crate::asking::Shares>,
            /// say what is being done; twice for more
            #[argh(switch, short = 'v')]
            pub(crate) verbose: u8,
        }

        impl $crate::asking::Asking for $name {
            fn engine_options(&self) -> anyhow::Result<gpt4roi::EngineOptions> {
                use gpt4roi::{BoxPolicy, EngineOptions, PreprocessMode};
                let files = $crate::demo_model::choose(self.model.as_deref(), self.mmproj.as_deref())?;
                Ok(EngineOptions {
                    n_threads: self.threads,
                    n_ctx: self.ctx,
                    devices: gpt4roi::DeviceOptions {
                        device: $crate::asking::device(self.device.as_deref()),
                        vision: $crate::asking::device(self.vision_device.as_deref()),
                        gpu_layers: self.llm_gpu_layers,
                        main_gpu: self.main_gpu,
                        tensor_split: self.tensor_split.clone().unwrap_or_default().0,
                    },
                    kv_type: self.kv_type,
                    mmap: !self.no_mmap,
                    mlock: self.mlock,
                    repack: self.repack,
                    low_memory: self.low_memory,
                    preprocess: match self.training_preprocess {
                        true => PreprocessMode::Training,
                        false => PreprocessMode::Inference,
                    },
                    boxes: if self.clip_boxes { BoxPolicy::Clip } else { BoxPolicy::Check },
                    ..EngineOptions::new(files.model, files.mmproj)
                })
            }

            fn sampling(&self) -> gpt4roi::Sampling {
                use gpt4roi::Sampling;
                let (temperature, top_k) = (self.temperature, self.top_k);
                let (top_p, seed) = (self.top_p, self.seed);
                match self.greedy {
                    true => Sampling::Greedy,
                    false => Sampling::Random { temperature, top_k, top_p, seed },
                }
            }

            fn constraint(&self) -> anyhow::Result<Option<gpt4roi::Constraint>> {
                $crate::constraint::read(self.grammar.as_deref(), self.json_schema.as_deref())
            }

            fn request(&self, question: &str, boxes: Vec<gpt4roi::PixelBox>) -> gpt4roi::Request {
                use gpt4roi::Request;
                let (sampling, max_tokens) = (self.sampling(), self.max_tokens);
                Request { boxes, sampling, max_tokens, ..Request::new(question) }
            }

            fn pixel_box(&self, text: &str, image: (u32, u32)) -> Result<gpt4roi::PixelBox, gpt4roi::Error> {
                $crate::asking::pixel_box(text, self.box_format, self.normalized, image)
            }
        }
    };
}

pub(crate) use asking_command;

/// A device's name; `None` for the automatic choice.
pub(crate) fn device(name: Option<&str>) -> Option<String> {
    name.filter(|name| !name.eq_ignore_ascii_case("auto")).map(str::to_owned)
}

/// Numbers with commas between them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shares(pub(crate) Vec<f32>);

impl std::str::FromStr for Shares {
    type Err = String;

    fn from_str(text: &str) -> Result<Shares, String> {
        let share = |s: &str| s.trim().parse().map_err(|_| format!("`{s}` is not a number"));
        text.split(',').map(share).collect::<Result<_, _>>().map(Shares)
    }
}

/// What the commands that ask a model have in common.
pub(crate) trait Asking {
    /// How to open the model; finds the demo model if none is named.
    fn engine_options(&self) -> anyhow::Result<EngineOptions>;
    /// How tokens are chosen.
    fn sampling(&self) -> Sampling;
    /// What answers are allowed to be.
    fn constraint(&self) -> anyhow::Result<Option<Constraint>>;
    /// A request with the options of the command line.
    fn request(&self, question: &str, boxes: Vec<PixelBox>) -> Request;
    /// A box as the options say that it is written.
    fn pixel_box(&self, text: &str, image: (u32, u32)) -> Result<PixelBox, gpt4roi::Error>;
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

/// A type of the KV cache by its name.
pub(crate) fn kv_type(s: &str) -> Result<KvType, String> {
    match s {
        "f32" => Ok(KvType::F32),
        "f16" => Ok(KvType::F16),
        "q8_0" => Ok(KvType::Q8_0),
        _ => Err("choose f16, f32 or q8_0".into()),
    }
}
