//! What can be said on the command line.

use argh::FromArgs;
use gpt4roi::KvType;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Measures the accuracy of models on a held-out question set.
///
/// Answers are greedy and at most 64 tokens a turn. Several models are shown beside each other.
#[derive(FromArgs)]
#[argh(
    example = "The model in the tree:
  {command_name} --data target/demo-eval/data",
    example = "Two types side by side, as a table for a model card:
  {command_name} --data DIR --pair f32=M-F32.gguf,mmproj-M-F32.gguf \\
    --pair q8_0=M-Q8_0.gguf,mmproj-M-Q8_0.gguf --markdown"
)]
pub(crate) struct Args {
    /// folder with questions.jsonl and the images that it names
    #[argh(option, arg_name = "dir")]
    pub(crate) data: PathBuf,
    /// language model, a GGUF file (default: the model in models/demo)
    #[argh(option, arg_name = "file")]
    pub(crate) model: Option<PathBuf>,
    /// vision tower and region extractor of the same model
    #[argh(option, arg_name = "file")]
    pub(crate) mmproj: Option<PathBuf>,
    /// a model as [NAME=]LLM.gguf,MMPROJ.gguf; may be given several times
    #[argh(option, long = "pair", arg_name = "pair")]
    pub(crate) pairs: Vec<NamedPair>,
    /// ask only this many questions, of images from all over the set
    #[argh(option)]
    pub(crate) limit: Option<usize>,
    /// answers of another program to the same questions: {"id": 17, "answers": ["apple"]} line by
    /// line; scored too, and compared
    #[argh(option, arg_name = "file")]
    pub(crate) reference: Option<PathBuf>,
    /// write our answers in the same form; with several models to FILE-NAME
    #[argh(option, arg_name = "file")]
    pub(crate) answers_out: Option<PathBuf>,
    /// print one JSON object
    #[argh(switch)]
    pub(crate) json: bool,
    /// print the table in Markdown
    #[argh(switch)]
    pub(crate) markdown: bool,
    /// worker threads (default: one a processor)
    #[argh(option, default = "0")]
    pub(crate) threads: usize,
    /// type of the KV cache: f16 (default), f32 or q8_0
    #[argh(option, default = "KvType::F16", from_str_fn(kv_type))]
    pub(crate) kv_type: KvType,
}

/// The two files of a model, and what it is called in tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedPair {
    pub(crate) name: String,
    pub(crate) model: PathBuf,
    pub(crate) mmproj: PathBuf,
}

impl NamedPair {
    /// Without a name it is called as its language model's file.
    pub(crate) fn new(name: Option<&str>, model: &Path, mmproj: &Path) -> NamedPair {
        let stem = || model.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let name = name.map_or_else(stem, str::to_owned);
        NamedPair { name, model: model.to_owned(), mmproj: mmproj.to_owned() }
    }
}

impl FromStr for NamedPair {
    type Err = String;

    fn from_str(text: &str) -> Result<NamedPair, String> {
        // Only a name stands in front of the first `=`; a folder may have one too.
        let is_name = |name: &&str| !name.is_empty() && !name.contains(['/', '\\', ',']);
        let named = text.split_once('=').filter(|(name, _)| is_name(name));
        let (name, files) = named.map_or((None, text), |(name, files)| (Some(name), files));
        match files.split_once(',') {
            Some((model, mmproj)) if !model.is_empty() && !mmproj.is_empty() => {
                Ok(NamedPair::new(name, Path::new(model), Path::new(mmproj)))
            }
            _ => Err(format!("`{text}` is not [NAME=]LLM.gguf,MMPROJ.gguf")),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_may_have_names() {
        for (text, name, model) in [
            ("a/b.gguf,c.gguf", "b", "a/b.gguf"),
            ("q8_0=a/b.gguf,c.gguf", "q8_0", "a/b.gguf"),
            ("a/b=1/b.gguf,c.gguf", "b", "a/b=1/b.gguf"),
        ] {
            let expected =
                NamedPair { name: name.into(), model: model.into(), mmproj: "c.gguf".into() };
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for text in ["", "a.gguf", "x=a.gguf", ",c.gguf", "a.gguf,"] {
            assert!(text.parse::<NamedPair>().is_err(), "{text}");
        }
    }
}
