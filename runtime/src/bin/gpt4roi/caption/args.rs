//! What can be said to `gpt4roi caption`.

use crate::asking::asking_command;
use crate::setup::Usage;
use gpt4roi::DEFAULT_PARALLEL;
use gpt4roi::caption::{Questions, Shard, Target, Task};
use gpt4roi::dataset::Format;
use std::path::PathBuf;

/// Extensions of pictures, which are no data sets.
const PICTURES: [&str; 5] = ["jpg", "jpeg", "png", "webp", "bmp"];

asking_command! {
    /// Caption every box of a set of images.
    ///
    /// One JSON object a box and question, on standard output or into a file. A run into a file that
    /// was stopped in any way goes on where it was when the same command is given again.
    #[argh(
        subcommand,
        name = "caption",
        example = "A COCO file, with answers as COCO's tools load them:
  {command_name} --input instances.json --images val2017 --output captions.json --to coco",
        example = "A folder of YOLO labels, two questions a box, and a page to look at:
  {command_name} --input dataset --output captions.jsonl --html captions.html \\
    --prompt \"What is <region1>?\" --prompt \"What colour is <region1>?\"",
        example = "One split of a YOLO data set:
  {command_name} --input dataset/data.yaml --split val --output captions.jsonl",
        example = "One image:
  {command_name} --input photo.jpg --box 326,66,425,327 --box 77,66,481,390",
        example = "The first quarter of a large set; `merge` puts the quarters together:
  {command_name} --input boxes.jsonl --shard 1/4 --seed 1 --output part-1.jsonl",
        note = "Formats of the input: jsonl, csv, coco, yolo, voc, vg, labelme, cvat. Questions in the \
                data set win over --prompt and --task.",
        note = "--html and --annotate of a run that is complete draw what is in --output, and ask nothing.",
        note = "An image or box that cannot be used becomes a line with `error`, and the run goes on."
    )]
    struct Caption {
        /// data set, a file or folder; or an image, with --box
        #[argh(option, arg_name = "path")]
        pub(crate) input: PathBuf,
        /// folder of the images (default: where the data set is)
        #[argh(option, arg_name = "dir")]
        pub(crate) images: Option<PathBuf>,
        /// format of the data set (default auto: found out)
        #[argh(option, default = "None", from_str_fn(format))]
        pub(crate) format: Option<Format>,
        /// of a YOLO data set, only this split of its data.yaml, as in train, val or test (default: of
        /// a folder everything in it, of a data.yaml all its splits)
        #[argh(option, arg_name = "name")]
        pub(crate) split: Option<String>,
        /// a box of the image that --input is, four numbers as in 10,20,110,220; may be repeated
        #[argh(option, long = "box", arg_name = "box")]
        pub(crate) boxes: Vec<String>,
        /// file to write (default: standard output, which cannot be resumed)
        #[argh(option, arg_name = "file")]
        pub(crate) output: Option<PathBuf>,
        /// form of the output: jsonl (default) or coco
        #[argh(option, default = "Target::Jsonl", arg_name = "form")]
        pub(crate) to: Target,
        /// what to ask of each box, which it calls <region1>; may be repeated
        #[argh(option, arg_name = "text")]
        pub(crate) prompt: Vec<String>,
        /// what to ask instead, in the words of training: short (default), detail, category,
        /// reference (with the place) or appearance (without it)
        #[argh(option)]
        pub(crate) task: Option<Task>,
        /// tell the model what the data set says a box shows
        #[argh(switch)]
        pub(crate) class_hint: bool,
        /// also draw each image with boxes and captions, as a PNG file in this folder
        #[argh(option, arg_name = "dir")]
        pub(crate) annotate: Option<PathBuf>,
        /// also write a page with all images, boxes and captions (about 60 kB an image)
        #[argh(option, arg_name = "file")]
        pub(crate) html: Option<PathBuf>,
        /// load and encode the next image while this one is asked about; the image side gets a third of the threads
        #[argh(switch)]
        pub(crate) overlap: bool,
        /// stop at the first image or box that cannot be used
        #[argh(switch)]
        pub(crate) strict: bool,
        /// do the I-th of N parts only, as in 2/4
        #[argh(option, default = "Shard::WHOLE", arg_name = "i/n")]
        pub(crate) shard: Shard,
        /// most boxes of an image that are answered at the same time (default 32)
        #[argh(option, default = "DEFAULT_PARALLEL", arg_name = "n")]
        pub(crate) parallel: usize,
        /// begin again, and replace what is there of --output
        #[argh(switch)]
        pub(crate) restart: bool,
    }
}

impl Caption {
    /// Options that contradict each other.
    pub(crate) fn check(&self) -> Result<(), Usage> {
        let is_file = self.output.is_some();
        let rules = [
            (
                !self.prompt.is_empty() && self.task.is_some(),
                "--prompt and --task exclude each other",
            ),
            (self.restart && !is_file, "--restart needs --output"),
            (self.to != Target::Jsonl && !is_file, "--to coco needs --output"),
            (
                self.to != Target::Jsonl && self.shard != Shard::WHOLE,
                "a shard is written as JSON Lines: leave --to out, and give it to `gpt4roi merge`",
            ),
            (
                self.boxes.is_empty() && self.is_picture(),
                "--input is an image: give --box LEFT,TOP,RIGHT,BOTTOM, once or more",
            ),
            (
                !self.boxes.is_empty() && !self.is_picture(),
                "--box needs an image as --input: a data set has its own boxes",
            ),
            (
                self.split.is_some() && self.is_picture(),
                "--split needs a data set as --input, and this is an image",
            ),
            (
                self.annotate.is_some() && !cfg!(feature = "annotate"),
                "--annotate: this program was built without drawing",
            ),
        ];
        let broken = rules.into_iter().find(|(broken, _)| *broken);
        broken.map_or(Ok(()), |(_, rule)| Err(Usage(rule.into())))
    }

    /// What regions are asked that have no questions of their own.
    pub(crate) fn questions(&self) -> Result<Questions, gpt4roi::Error> {
        match self.prompt.as_slice() {
            [] => Ok(Questions::of_task(self.task.unwrap_or_default(), self.class_hint)),
            prompts => Ok(Questions::new(prompts, self.class_hint)?),
        }
    }

    /// Whether the input is one image.
    pub(crate) fn is_picture(&self) -> bool {
        let is = |e: &std::ffi::OsStr| PICTURES.iter().any(|p| e.eq_ignore_ascii_case(p));
        self.input.extension().is_some_and(is) && !self.input.is_dir()
    }
}

fn format(text: &str) -> Result<Option<Format>, String> {
    match text {
        "auto" => Ok(None),
        text => text.parse().map(Some).map_err(|e: gpt4roi::dataset::Error| e.to_string()),
    }
}
