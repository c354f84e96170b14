//! Captions for every region of a set of images, in a file that a killed run goes on with.
//!
//! ```no_run
//! use gpt4roi::caption::{Captioner, Journal, Meta, Opened, Plan, Quiet, Target};
//! use gpt4roi::{Engine, EngineOptions, dataset};
//!
//! # fn main() -> Result<(), gpt4roi::Error> {
//! let output = "captions.jsonl".as_ref();
//! let Opened::Journal(mut journal) = Journal::open(output, &Meta::default(), false)? else {
//!     return Ok(()); // an earlier run has finished it
//! };
//! let mut engine = Engine::open(&EngineOptions::new("m.gguf", "mmproj-m.gguf"))?;
//! let entries = dataset::open("instances.json".as_ref(), &dataset::Options::default())?;
//! let (plan, mut quiet) = (Plan::default(), Quiet);
//! let mut captioner = Captioner::new(&mut engine, &plan, &mut journal, &mut quiet);
//! captioner.run(entries)?;
//! let n_images = captioner.summary().n_images;
//! journal.finish(Target::Jsonl, n_images)?;
//! # Ok(())
//! # }
//! ```
//!
//! # The files of a run
//!
//! While a run lasts, `FILE.partial` is its journal. The first line says with which options it was
//! begun; a run with others is refused. All lines of an image are appended at once, and behind
//! them a mark that says how many they are: an image is done if its mark is there, and what stands
//! behind the last mark is cut off when the journal is opened again. Images are done in the order of
//! the data set, so a journal is always its beginning.
//!
//! At the end the lines without marks become `FILE`, and `FILE.meta.json` says beside it how they were
//! made and how many lines each image has; [`merge()`] needs that to put the shards of a run
//! together, and [`Written`] to draw from it.

mod answerer;
mod captioner;
mod error;
mod journal;
mod mark;
mod merge;
mod meta;
mod output;
mod page;
mod paths;
mod question;
mod record;
mod scan;
mod seed;
mod shard;
#[cfg(feature = "annotate")]
mod sheet;
mod sidecar;
mod sink;
mod target;
mod task;
mod written;

pub use answerer::{Ahead, Answerer};
pub use captioner::{Captioned, Captioner, Observer, Plan, Problem, Quiet, Summary};
pub use error::Error;
pub use journal::{Journal, Opened};
pub use mark::Mark;
pub use merge::{Merged, merge};
pub use meta::Meta;
pub use page::{PICTURE_SIDE, Page, escaped};
pub use paths::{partial_path, sidecar_path};
pub use question::{Asked, Questions};
pub use record::{Record, Timings};
pub use scan::{Block, Blocks};
pub use seed::answer_seed;
pub use shard::Shard;
#[cfg(feature = "annotate")]
pub use sheet::{sheet_name, write_sheet};
pub use sidecar::{ImageLines, Sidecar};
pub use sink::{Lines, Sink};
pub use target::Target;
pub use task::Task;
pub use written::Written;
