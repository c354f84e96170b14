//! What can be said to `gpt4roi demo`.

use crate::asking::pixel_box;
use crate::setup::Usage;
use argh::FromArgs;
use gpt4roi::{BoxFormat, PixelBox};
use std::path::PathBuf;

/// Answer a handful of questions about a picture and draw them into a PNG file.
///
/// Without --image, about a scene: one of those that come with the demo model, or a fresh one.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "demo",
    example = "A fresh scene, the same each time:
  {command_name} --scene 7 --out scene.png",
    example = "Your own picture:
  {command_name} --image photo.jpg --box 326,66,425,327 --box 77,66,481,390",
    note = "GPT4ROI_DEMO_DIR names another folder with a demo model and scenes."
)]
pub(crate) struct Demo {
    /// a scene by name (default: the first of those that come with the model), a number to
    /// compose a fresh one from (same number, same scene), or random for any number
    #[argh(option)]
    pub(crate) scene: Option<String>,
    /// image to ask about instead (JPEG, PNG, WebP, BMP); - reads standard input
    #[argh(option, arg_name = "file")]
    pub(crate) image: Option<String>,
    /// a box of that image, four numbers as in 10,20,110,220; may be repeated
    #[argh(option, long = "box", arg_name = "box")]
    pub(crate) boxes: Vec<String>,
    /// what the four numbers of a box are: xyxy (default), xywh or cxcywh
    #[argh(option, default = "BoxFormat::Xyxy")]
    pub(crate) box_format: BoxFormat,
    /// the numbers are fractions of the image's width and height, not pixels
    #[argh(switch)]
    pub(crate) normalized: bool,
    /// PNG file to write (default: gpt4roi-demo.png in this folder)
    #[argh(option, arg_name = "file")]
    pub(crate) out: Option<PathBuf>,
    /// language model, a GGUF file (default: the demo model)
    #[argh(option, arg_name = "file")]
    pub(crate) model: Option<PathBuf>,
    /// vision tower and region extractor of the same model, a GGUF file
    #[argh(option, arg_name = "file")]
    pub(crate) mmproj: Option<PathBuf>,
    /// longest answer in tokens (default 96)
    #[argh(option, default = "96")]
    pub(crate) max_tokens: usize,
    /// worker threads (default: one a processor)
    #[argh(option, default = "0")]
    pub(crate) threads: usize,
    /// print one JSON object: questions, answers, boxes, timings, the picture's path
    #[argh(switch)]
    pub(crate) json: bool,
    /// say what is being done; twice for more
    #[argh(switch, short = 'v')]
    pub(crate) verbose: u8,
}

impl Demo {
    /// Options that contradict each other.
    pub(crate) fn check(&self) -> Result<(), Usage> {
        let wrong = match (&self.image, self.boxes.is_empty(), &self.scene) {
            (Some(_), _, Some(_)) => "--image and --scene exclude each other",
            (Some(_), true, None) => {
                "--image needs boxes to ask about: give --box LEFT,TOP,RIGHT,BOTTOM, once or more"
            }
            (None, false, _) => "--box goes with --image: a scene has its own boxes",
            _ => return Ok(()),
        };
        Err(Usage(wrong.into()))
    }

    /// The boxes of an image of `size`.
    pub(crate) fn pixel_boxes(&self, size: (u32, u32)) -> Result<Vec<PixelBox>, gpt4roi::Error> {
        let parse = |b: &String| pixel_box(b, self.box_format, self.normalized, size);
        self.boxes.iter().map(parse).collect()
    }
}
