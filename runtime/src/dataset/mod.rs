//! Sets of images with boxes, as people and programs of annotation write them.
//!
//! ```no_run
//! use gpt4roi::dataset::{Options, open};
//!
//! # fn main() -> Result<(), gpt4roi::Error> {
//! let mut dataset = open("instances.json".as_ref(), &Options::default())?;
//! for entry in &mut dataset {
//!     let entry = entry?;
//!     println!("{}: {} regions", entry.image.display(), entry.regions.len());
//! }
//! for warning in dataset.warnings() {
//!     eprintln!("{warning}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! This is a reader and nothing else: no picture is opened. Boxes come out in pixels of the
//! upright picture or as fractions of it, whichever the file has, and are known to be finite and
//! not empty; whether they lie in the picture is for [`check_boxes`](crate::preprocess::check_boxes)
//! to say. All formats are taken to speak of the upright picture, as this crate does: of pictures that
//! were annotated without their EXIF orientation, nothing in these files tells.
//!
//! A file whose structure is damaged cannot be opened. Where one image can be told from the next
//! (a line, a file of a folder, the boxes of one image), what is wrong with one of them is an error
//! in its place, and the next call goes on behind it. JSON Lines, CSV and Visual Genome are
//! read image by image in little memory, a COCO or CVAT file is held as a whole.
//!
//! The order is that of the file; folders are read in the order of their names.

mod coco;
mod csv;
mod cvat;
mod detect;
mod entry;
mod error;
mod folder;
mod format;
mod input;
mod json;
mod jsonl;
mod labelme;
mod shape;
mod sketch;
mod visual_genome;
mod voc;
mod warning;
mod xml;
mod yaml;
mod yolo;
mod yolo_names;
mod yolo_splits;

pub use detect::detect;
pub use entry::{Entry, MAX_REGIONS, Region, RegionBox};
pub use error::{Error, Place};
pub use format::Format;
pub(crate) use input::{BYTE_ORDER_MARK, Line, Lines};
pub use input::{MAX_DOCUMENT_BYTES, MAX_RECORD_BYTES};
pub(crate) use json::{Failed, Id, parse_line};
pub(crate) use shape::{fractions, hull, pixels, shortened};
pub use warning::Warning;

use std::fmt;
use std::path::{Path, PathBuf};
use warning::Warnings;

/// How to open a data set.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Its format; without one, [`detect`] finds it.
    pub format: Option<Format>,
    /// The folder that the names of images are relative to; without one, that of the file.
    pub images: Option<PathBuf>,
    /// The split to read, a name that the YAML file of a YOLO data set has, as `train` or `val`. Without
    /// one, a folder is read as a whole, and of a YAML file all that its splits name.
    pub split: Option<String>,
}

/// Opens the data set at `path`, a file or a folder.
///
/// # Errors
/// If it is of no known format, or cannot be read, or its structure is damaged.
pub fn open(path: &Path, options: &Options) -> Result<Dataset, Error> {
    let found = match options.format {
        Some(format) => detect::locate(format, path)?,
        None => detect::find(path)?,
    };
    if options.split.is_some() && found.format != Format::Yolo {
        let reason = format!("is read as {}, and only yolo has splits", found.format);
        return Err(Error::whole(path, reason));
    }
    let images = options.images.as_deref();
    let mut warnings = Warnings::default();
    let Opened { source, n_images } = match found.format {
        Format::Jsonl => jsonl::open(&found.path, images),
        Format::Csv => csv::open(&found.path, images),
        Format::Coco => coco::open(&found.path, images, &mut warnings),
        Format::Yolo => yolo::open(&found.path, options, &mut warnings),
        Format::Voc => voc::open(&found.path, images),
        Format::VisualGenome => visual_genome::open(&found.path, images),
        Format::Labelme => labelme::open(&found.path, images),
        Format::Cvat => cvat::open(&found.path, images, &mut warnings),
    }?;
    Ok(Dataset { format: found.format, why: found.why, n_images, warnings, source })
}

/// A data set that was opened: an iterator over its images.
pub struct Dataset {
    format: Format,
    why: String,
    n_images: Option<usize>,
    warnings: Warnings,
    source: Box<dyn Source>,
}

impl Dataset {
    /// The format it is read as.
    pub fn format(&self) -> Format {
        self.format
    }

    /// What the format was recognised by.
    pub fn why(&self) -> &str {
        &self.why
    }

    /// Number of images, if it is known before all of them are read.
    pub fn n_images(&self) -> Option<usize> {
        self.n_images
    }

    /// What was left out so far, a line for each kind.
    pub fn warnings(&self) -> &[Warning] {
        self.warnings.list()
    }
}

impl Iterator for Dataset {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.source.next_entry(&mut self.warnings)
    }
}

impl fmt::Debug for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { format, why, n_images, warnings, source: _ } = self;
        let mut debug = f.debug_struct("Dataset");
        debug.field("format", format).field("why", why).field("n_images", n_images);
        debug.field("warnings", warnings).finish_non_exhaustive()
    }
}

/// What each format has to offer.
trait Source: Send {
    /// The next image, or what is wrong with it; after `None` there is none.
    fn next_entry(&mut self, warnings: &mut Warnings) -> Option<Result<Entry, Error>>;
}

/// A source, and how many images it has.
struct Opened {
    source: Box<dyn Source>,
    n_images: Option<usize>,
}

impl Opened {
    fn streamed(source: impl Source + 'static) -> Self {
        Self { source: Box::new(source), n_images: None }
    }

    fn counted(source: impl Source + 'static, n_images: usize) -> Self {
        Self { source: Box::new(source), n_images: Some(n_images) }
    }
}
