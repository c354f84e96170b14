//! Arguments, and how they are read.

use argh::{EarlyExit, FromArgs};
use gpt4roi_convert::{FileType, Options};
use gpt4roi_models::Preset;
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Name of the program in its own texts.
const PROGRAM: &str = "gpt4roi-convert";

/// Converts GPT4RoI checkpoints to the two GGUF files that gpt4roi (and llama.cpp) read.
#[derive(FromArgs, Debug)]
#[argh(
    example = "{command_name} convert gpt4roi-7b-delta --base llama-7b \\\n    --clip clip-vit-large-patch14 --out models --name gpt4roi-7b",
    example = "{command_name} inspect models/gpt4roi-7b-Q4_K_M.gguf",
    note = "Options may be written --name VALUE or --name=VALUE; --version prints the version.",
    error_code(1, "the work failed; nothing was left behind"),
    error_code(2, "the arguments make no sense"),
    error_code(130, "interrupted with Ctrl-C; nothing was left behind")
)]
pub struct Args {
    #[argh(subcommand)]
    pub command: Command,
}

#[derive(FromArgs, Debug)]
#[argh(subcommand)]
pub enum Command {
    Convert(Convert),
    Inspect(Inspect),
    Verify(Verify),
    Synth(Synth),
}

/// Converts a checkpoint: writes OUT/NAME-TYPE.gguf (language model) and
/// OUT/mmproj-NAME-TYPE.gguf (vision tower, image projector, region extractor).
#[derive(FromArgs, Debug)]
#[argh(
    subcommand,
    name = "convert",
    example = "{command_name} gpt4roi-7b --clip clip-vit-large-patch14 --out models",
    example = "{command_name} gpt4roi-7b-delta --base llama-7b --clip clip-vit-large-patch14 \\\n    --out models --name gpt4roi-7b --llm q8_0 --dry-run",
    note = "Types: f32, f16, bf16, q8_0, q6_k, q5_k_m, q4_k_m, q4_0. Norms and biases are always f32;\nmatrices whose rows hold no blocks of a type, and kernels, fall back to a type that is reported.",
    error_code(1, "the conversion failed; no file was left behind")
)]
pub struct Convert {
    /// directory of the checkpoint (of the delta, if --base is given): config.json, tokenizer
    /// files, and weights as safetensors or PyTorch .bin, whole or sharded
    #[argh(positional)]
    pub checkpoint: PathBuf,
    /// directory of the vision tower: CLIP, full or vision half, or DINOv2
    #[argh(option, arg_name = "dir")]
    pub clip: PathBuf,
    /// directory of the LLaMA that the checkpoint is a delta of
    #[argh(option, arg_name = "dir")]
    pub base: Option<PathBuf>,
    /// directory for the two files; made if absent
    #[argh(option, arg_name = "dir")]
    pub out: PathBuf,
    /// name of the model (default: the checkpoint directory's)
    #[argh(option)]
    pub name: Option<String>,
    /// type of the language model (default: q4_k_m)
    #[argh(option, arg_name = "type", default = "FileType::Q4KM")]
    pub llm: FileType,
    /// type of the vision tower and the image projector (default: f16)
    #[argh(option, arg_name = "type", default = "FileType::F16")]
    pub vision: FileType,
    /// type of the region extractor (default: f16)
    #[argh(option, arg_name = "type", default = "FileType::F16")]
    pub region: FileType,
    /// threads (default: all cores)
    #[argh(option, arg_name = "n")]
    pub threads: Option<usize>,
    /// print each tensor's source, shape, type and size; write nothing
    #[argh(switch)]
    pub dry_run: bool,
    /// leave the weights out: OUT/*.outline.gguf tell `gpt4roi fit` what the model takes, and
    /// take no room themselves
    #[argh(switch)]
    pub outline: bool,
    /// print one JSON object instead of a table
    #[argh(switch)]
    pub json: bool,
}

/// Prints keys and tensors of a GGUF file.
#[derive(FromArgs, Debug)]
#[argh(
    subcommand,
    name = "inspect",
    example = "{command_name} models/mmproj-gpt4roi-7b-F16.gguf --json"
)]
pub struct Inspect {
    /// the file
    #[argh(positional)]
    pub file: PathBuf,
    /// print one JSON object instead of a table
    #[argh(switch)]
    pub json: bool,
}

/// Compares a converted file with its source, and prints the error of each group of tensors.
#[derive(FromArgs, Debug)]
#[argh(
    subcommand,
    name = "verify",
    example = "{command_name} models/gpt4roi-7b-Q4_K_M.gguf --checkpoint gpt4roi-7b-delta \\\n    --base llama-7b --clip clip-vit-large-patch14",
    error_code(1, "the file departs from its source by more than its types explain")
)]
pub struct Verify {
    /// the file, either of the two
    #[argh(positional)]
    pub file: PathBuf,
    /// directory of the checkpoint, or of the delta
    #[argh(option, arg_name = "dir")]
    pub checkpoint: PathBuf,
    /// directory of the vision tower
    #[argh(option, arg_name = "dir")]
    pub clip: PathBuf,
    /// directory of the base, if the checkpoint is a delta
    #[argh(option, arg_name = "dir")]
    pub base: Option<PathBuf>,
    /// threads (default: all cores)
    #[argh(option, arg_name = "n")]
    pub threads: Option<usize>,
    /// print one JSON object instead of a table
    #[argh(switch)]
    pub json: bool,
}

/// Writes a synthetic checkpoint in the published layout: OUT/checkpoint and OUT/clip. Its weights
/// are noise, so it answers nonsense; it is for tests and measurements.
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "synth", example = "{command_name} --preset tiny --out /tmp/tiny")]
pub struct Synth {
    /// sizes: 7b (13 GB), 13b (26 GB), tiny, or tiny-dino (with a tower like DINOv2)
    #[argh(option)]
    pub preset: Preset,
    /// directory for the two checkpoints
    #[argh(option, arg_name = "dir")]
    pub out: PathBuf,
    /// leave the weights out: files that take no room, for `convert --outline`
    #[argh(switch)]
    pub outline: bool,
    /// seed of the noise (default: 1)
    #[argh(option, default = "1")]
    pub seed: u64,
}

impl From<Convert> for Options {
    fn from(c: Convert) -> Options {
        Options {
            checkpoint: c.checkpoint,
            clip: c.clip,
            base: c.base,
            out: c.out,
            name: c.name,
            llm: c.llm,
            vision: c.vision,
            region: c.region,
        }
    }
}

impl From<Verify> for Options {
    fn from(c: Verify) -> Options {
        // Nothing is written: out, name and types do not matter.
        Options {
            checkpoint: c.checkpoint,
            clip: c.clip,
            base: c.base,
            out: PathBuf::new(),
            name: Some("verify".into()),
            llm: FileType::F16,
            vision: FileType::F16,
            region: FileType::F16,
        }
    }
}

/// A reason to end before any work is done.
pub enum Exit {
    /// Help or version was asked for.
    Answer(String),
    /// The arguments make no sense.
    Usage(String),
}

impl Exit {
    /// Prints the reason; the exit code to end with.
    pub fn print(self) -> ExitCode {
        match self {
            Exit::Answer(text) => {
                // A reader that has left already wants no more of it.
                let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
                ExitCode::SUCCESS
            }
            Exit::Usage(text) => {
                eprintln!("{}", text.trim_end());
                eprintln!("Run `{PROGRAM} --help` for more.");
                ExitCode::from(2)
            }
        }
    }
}

/// Reads the arguments, the program's name first.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Args, Exit> {
    let mut words = Vec::new();
    for arg in args.into_iter().skip(1) {
        let arg = arg.into_string().map_err(|bad| {
            Exit::Usage(format!("`{}` is not valid UTF-8", bad.to_string_lossy()))
        })?;
        words.extend(split_equals(arg));
    }
    if words.iter().take_while(|w| *w != "--").any(|w| w == "--version" || w == "-V") {
        return Err(Exit::Answer(format!("{PROGRAM} {}", env!("CARGO_PKG_VERSION"))));
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Args::from_args(&[PROGRAM], &words).map_err(|EarlyExit { output, status }| match status {
        Ok(()) => Exit::Answer(output),
        Err(()) => Exit::Usage(output),
    })
}

/// `--name=value` as two words, which is all that the parser understands.
fn split_equals(arg: String) -> Vec<String> {
    match arg.split_once('=') {
        Some((name, value)) if name.starts_with("--") => vec![name.into(), value.into()],
        _ => vec![arg],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(words: &[&str]) -> Result<Args, Exit> {
        parse(std::iter::once(PROGRAM).chain(words.iter().copied()).map(OsString::from))
    }

    #[test]
    fn options_may_hold_an_equals_sign() {
        let args = ["convert", "ck", "--clip=c", "--out", "o", "--llm=Q8_0"];
        let Ok(Args { command: Command::Convert(c) }) = parse_words(&args) else { panic!() };
        assert_eq!((c.clip, c.llm), ("c".into(), FileType::Q8_0));
        assert_eq!((c.vision, c.region), (FileType::F16, FileType::F16));
    }

    #[test]
    fn the_defaults_are_those_that_help_names() {
        let args = ["convert", "ck", "--clip", "c", "--out", "o"];
        let Ok(Args { command: Command::Convert(c) }) = parse_words(&args) else { panic!() };
        let Err(Exit::Answer(help)) = parse_words(&["convert", "--help"]) else { panic!() };
        let flat = help.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(&format!("language model (default: {})", c.llm)), "{help}");
        assert!(flat.contains(&format!("image projector (default: {})", c.vision)));
        assert!(flat.contains(&format!("region extractor (default: {})", c.region)));
    }

    #[test]
    fn nonsense_is_a_usage_error_and_questions_are_answered() {
        for words in [
            &["frobnicate"][..],
            &[],
            &["convert"],
            &["inspect", "a", "--no-such"],
            &["convert", "ck", "--clip", "c", "--out", "o", "--llm", "q3_x"],
        ] {
            assert!(matches!(parse_words(words), Err(Exit::Usage(_))), "{words:?}");
        }
        for words in [&["--version"][..], &["-V"], &["--help"], &["verify", "--help"]] {
            assert!(matches!(parse_words(words), Err(Exit::Answer(_))), "{words:?}");
        }
    }
}
