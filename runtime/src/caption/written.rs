//! What a run has written, image by image.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::vec::IntoIter;

use serde::Deserialize;
use serde_json::Value;

use super::mark::shown;
use super::merge::Part;
use super::scan::Blocks;
use super::{Error, Journal, Record, Target};
use crate::dataset::{Entry, Region};

/// Reads the records of a journal or of a finished output along the data set that they are of, to draw
/// them without asking anything again.
pub struct Written<'a> {
    path: PathBuf,
    source: Source<'a>,
}

enum Source<'a> {
    Journal(Blocks<'a>),
    /// JSON Lines with what stands beside them, and the images that have been read.
    Lines(Box<Part>, usize),
    Results(Peekable<IntoIter<Caption>>),
}

/// A result as COCO's tools load it.
#[derive(Deserialize)]
struct Caption {
    image_id: Value,
    id: Value,
    caption: String,
}

impl<'a> Written<'a> {
    /// What is in a journal so far.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn of_journal(journal: &'a Journal) -> Result<Written<'a>, Error> {
        let (path, source) = (journal.path_of_output().into(), Source::Journal(journal.blocks()?));
        Ok(Written { path, source })
    }

    /// What is in a finished output. Results for COCO's tools have neither questions nor errors.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Damaged`], or [`Error::Part`] if nothing says how it was made.
    pub fn of_output(output: &Path, target: Target) -> Result<Written<'static>, Error> {
        let source = match target {
            Target::Jsonl => Source::Lines(Box::new(Part::open(output)?), 0),
            Target::Coco => Source::Results(results(output)?.into_iter().peekable()),
        };
        Ok(Written { path: output.into(), source })
    }

    /// The records about the next image, which is number `index` of the data set, from 0; `entry` is
    /// what the data set says about it, `size` that of the picture, each if it can be read.
    ///
    /// # Errors
    /// [`Error::Changed`] if the records are of another image; otherwise as when it was opened.
    pub fn records(
        &mut self,
        index: usize,
        entry: Option<&Entry>,
        size: Option<(u32, u32)>,
    ) -> Result<Vec<Record>, Error> {
        let lines = match &mut self.source {
            Source::Journal(blocks) => blocks.next().transpose()?.map(|block| block.lines),
            Source::Lines(part, n_read) => part.next_image(n_read)?.map(|(_, lines)| lines),
            Source::Results(results) => {
                return Ok(entry.map_or_else(Vec::new, |entry| of_entry(results, entry, size)));
            }
        };
        let name = entry.map(|entry| entry.name.as_str());
        let Some(lines) = lines else {
            return Err(self.changed(index, "not there".into(), shown(name)));
        };
        let parsed = lines.iter().map(|line| serde_json::from_str(line)).collect::<Result<_, _>>();
        let records: Vec<Record> = parsed.map_err(|e: serde_json::Error| {
            Error::part(&self.path, format!("a line is not a record: {e}"))
        })?;
        match records.first() {
            Some(record) if record.image.as_deref() != name => {
                Err(self.changed(index, shown(record.image.as_deref()), shown(name)))
            }
            _ => Ok(records),
        }
    }

    /// Checks that nothing is left behind the last image, of `n_images` in the data set.
    ///
    /// # Errors
    /// [`Error::Changed`] if something is; otherwise as when it was opened.
    pub fn end(mut self, n_images: usize) -> Result<(), Error> {
        let is_left = match &mut self.source {
            Source::Journal(blocks) => blocks.next().transpose()?.is_some(),
            Source::Lines(part, n_read) => part.next_image(n_read)?.is_some(),
            Source::Results(results) => results.next().is_some(),
        };
        match is_left {
            true => Err(self.changed(n_images, "there".into(), "gone".into())),
            false => Ok(()),
        }
    }

    fn changed(&self, index: usize, before: String, now: String) -> Error {
        Error::Changed { path: self.path.clone(), number: index + 1, before, now }
    }
}

fn results(path: &Path) -> Result<Vec<Caption>, Error> {
    let file = File::open(path).map_err(Error::read(path))?;
    serde_json::from_reader(BufReader::new(file)).map_err(|e| {
        let (line, reason) = (e.line() as u64, format!("not results for COCO's tools: {e}"));
        Error::Damaged { path: path.into(), line, reason }
    })
}

/// The next results, as far as they are of this image.
fn of_entry(
    results: &mut Peekable<IntoIter<Caption>>,
    entry: &Entry,
    size: Option<(u32, u32)>,
) -> Vec<Record> {
    let image_id = entry.image_id.as_ref().unwrap_or(&entry.name);
    let regions: HashMap<&str, &Region> =
        entry.regions.iter().map(|region| (region.id.as_str(), region)).collect();
    let mut records = Vec::new();
    while let Some(result) = results.next_if(|result| text(&result.image_id) == *image_id) {
        let id = text(&result.id);
        let region = regions.get(id.as_str());
        let pixels = region.zip(size).map(|(region, size)| region.shape.in_pixels(size));
        records.push(Record {
            image: Some(entry.name.clone()),
            label: region.and_then(|region| region.label.clone()),
            id: Some(id),
            edges: pixels.map(|b| [b.x1, b.y1, b.x2, b.y2]),
            answer: Some(result.caption),
            ..Record::default()
        });
    }
    records
}

/// An id, which is a number or a text, as a text.
fn text(id: &Value) -> String {
    id.as_str().map_or_else(|| id.to_string(), str::to_owned)
}
