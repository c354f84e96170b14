//! What comes in on the stream of detections.

use std::path::PathBuf;

use crate::dataset::RegionBox;

/// Most detections of one frame.
pub const MAX_DETECTIONS: usize = 10_000;

/// What a line, or several, of a detector's output says.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// What a detector saw in a frame.
    Detections(Detections),
    /// Something that the stream is told to do.
    Command(Command),
}

/// A frame and what a detector saw in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Detections {
    /// Which frame.
    pub frame: FrameRef,
    /// What was seen, in the detector's order.
    pub items: Vec<Detection>,
}

/// What is said of a frame. What names it on the video pipe, and the picture itself, may both be missing: then the newest
/// frame of the video is meant.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FrameRef {
    /// Where tracks live: their ids are unique within a camera. Empty where there is only one.
    pub camera: String,
    /// The frame's number in its stream.
    pub seq: Option<u64>,
    /// Its time in seconds: of the video where there is one, otherwise of any clock that goes forward.
    pub time: Option<f64>,
    /// The picture, where it does not come on the video pipe.
    pub picture: Option<Picture>,
    /// Width and height in pixels that the boxes refer to, if the detector says so and worked on a scaled picture.
    pub size: Option<(u32, u32)>,
}

impl FrameRef {
    /// Whether both name the same frame of the same camera, by number and time.
    pub(super) fn is_same(&self, other: &FrameRef) -> bool {
        let named = self.seq.is_some() || self.time.is_some();
        named
            && (&self.camera, self.seq, self.time, self.size)
                == (&other.camera, other.seq, other.time, other.size)
    }
}

/// Where a picture is.
#[derive(Clone, PartialEq)]
pub enum Picture {
    /// A file.
    Path(PathBuf),
    /// The bytes of a file.
    Bytes(Vec<u8>),
}

impl std::fmt::Debug for Picture {
    /// A picture's bytes are for nobody's eyes.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Picture::Path(path) => f.debug_tuple("Path").field(path).finish(),
            Picture::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
        }
    }
}

/// Something that was seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Detection {
    /// Where; finite and not empty.
    pub shape: RegionBox,
    /// What the detector takes it for.
    pub label: Option<String>,
    /// How sure it is, from 0 to 1.
    pub score: Option<f64>,
    /// What stays the same from frame to frame for the same thing.
    pub track: Option<String>,
    /// What to ask instead of the stream's own question.
    pub question: Option<String>,
    /// The higher, the sooner; above all that have none.
    pub priority: Option<f64>,
}

impl Detection {
    /// A box and nothing else.
    pub fn new(shape: RegionBox) -> Self {
        Self { shape, label: None, score: None, track: None, question: None, priority: None }
    }
}

/// Something that the stream is told to do while it runs.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Say the counters.
    Stats,
    /// Change settings; what is absent stays.
    Set(Box<Settings>),
    /// Forget all tracks: everything is new again.
    Forget,
    /// Finish what is being answered, and end.
    Stop,
}

/// What [`Command::Set`] changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// What is asked about a detection that brings no question.
    pub question: Option<String>,
    /// Detections below this score are dropped.
    pub min_score: Option<f64>,
    /// Only these labels are described; empty means all.
    pub labels: Option<Vec<String>>,
    /// Most regions of a frame that are described.
    pub max_regions: Option<usize>,
    /// Tokens a second that answers may take; 0 means as many as there are.
    pub tokens_per_second: Option<f64>,
    /// Seconds from a frame's arrival to its last answer; 0 means for ever.
    pub deadline: Option<f64>,
    /// Seconds after which an answer is asked for anew; 0 means never.
    pub refresh: Option<f64>,
}
