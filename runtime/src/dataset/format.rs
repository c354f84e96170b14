//! The formats by name.

use std::fmt;
use std::str::FromStr;

use super::Error;

/// A way to write down images with boxes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// `jsonl`: JSON Lines of this project, an image a line.
    Jsonl,
    /// `csv`: CSV of this project, a box a line.
    Csv,
    /// `coco`: the annotation files of COCO.
    Coco,
    /// `yolo`: a folder with a text file of fractions beside each image.
    Yolo,
    /// `voc`: an XML file an image, as in Pascal VOC.
    Voc,
    /// `vg`: region descriptions or objects of Visual Genome.
    VisualGenome,
    /// `labelme`: a JSON file an image, as LabelMe writes it.
    Labelme,
    /// `cvat`: the XML of CVAT for images 1.1.
    Cvat,
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 8] = [
        Format::Jsonl,
        Format::Csv,
        Format::Coco,
        Format::Yolo,
        Format::Voc,
        Format::VisualGenome,
        Format::Labelme,
        Format::Cvat,
    ];

    /// The name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Format::Jsonl => "jsonl",
            Format::Csv => "csv",
            Format::Coco => "coco",
            Format::Yolo => "yolo",
            Format::Voc => "voc",
            Format::VisualGenome => "vg",
            Format::Labelme => "labelme",
            Format::Cvat => "cvat",
        }
    }

    pub(super) fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|format| format.name() == text);
        found.ok_or_else(|| Error::Format { text: text.into() })
    }
}
