//! What is asked where nobody says it in words.

use std::fmt;
use std::str::FromStr;

use super::Error;

/// A thing to be said about a region, with the question that models were taught for it.
///
/// [`Detail`](Task::Detail) is the question of training on Visual Genome and RefCOCOg,
/// [`Category`](Task::Category) that of COCO, [`Reference`](Task::Reference) and
/// [`Appearance`](Task::Appearance) those of RefCOCO and RefCOCO+. The last three began the prompt in
/// training; here they follow the sentence about the image, with which every prompt begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Task {
    /// `short`: a description, asked for in the fewest words.
    #[default]
    Short,
    /// `detail`: a detailed description.
    Detail,
    /// `category`: the name of one of the categories of COCO.
    Category,
    /// `reference`: what tells the region from others, its place included.
    Reference,
    /// `appearance`: what tells the region from others, without its place.
    Appearance,
}

const DETAIL: &str = "Can you provide me with a detailed description of the region in the picture marked by <region1>?";
const CATEGORY: &str = "In the conversation below, you simply answer the category name based on \
     what you see in the imagery inside a particular region.I will give you only one region each \
     time. Categories Containing ";
const ONE_OBJECT: &str = "I will provide you with only one region containing only one object, \
     although there may be other objects present in the image. It is recommended that you describe \
     the object's relative position with respect to other objects in the image";

const COCO_CATEGORIES: &str = "person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, \
     traffic light, fire hydrant, stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, \
     elephant, bear, zebra, giraffe, backpack, umbrella, handbag, tie, suitcase, frisbee, skis, \
     snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, surfboard, tennis racket, \
     bottle, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, \
     carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, dining table, toilet, tv, \
     laptop, mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, book, \
     clock, vase, scissors, teddy bear, hair drier, toothbrush";

impl Task {
    /// Every task.
    pub const ALL: [Task; 5] =
        [Task::Short, Task::Detail, Task::Category, Task::Reference, Task::Appearance];

    /// The name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Task::Short => "short",
            Task::Detail => "detail",
            Task::Category => "category",
            Task::Reference => "reference",
            Task::Appearance => "appearance",
        }
    }

    /// The question; it names one region.
    pub fn question(self) -> String {
        match self {
            Task::Short => "Describe <region1>.".into(),
            Task::Detail => DETAIL.into(),
            Task::Category => format!("{CATEGORY}{COCO_CATEGORIES}.\n<>"),
            Task::Reference => format!(
                "{ONE_OBJECT}, as well as its position within the image and its basic attributes.<>"
            ),
            Task::Appearance => format!(
                "{ONE_OBJECT} and its basic attributes, you should not give its position within \
                 the image<>"
            ),
        }
    }

    pub(super) fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Task {
    type Err = Error;

    fn from_str(text: &str) -> Result<Task, Error> {
        let found = Self::ALL.into_iter().find(|task| task.name() == text);
        found.ok_or_else(|| Error::Task { text: text.into() })
    }
}
