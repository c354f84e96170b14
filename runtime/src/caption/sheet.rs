//! A picture of each image with its boxes and captions.

use std::path::{Path, PathBuf};

use super::{Captioned, Error, Record};
use crate::PixelBox;
use crate::annotate::{self, Note, Region, Sheet, Style};

/// Most characters of an image's name that go into a file's name.
/// They take up to four bytes each, and file systems have room for 255.
const MAX_NAME: usize = 50;

/// The name of an image's picture: its number in the data set, and as much of its name as can be in
/// the name of a file. No two images have the same, and none is outside its folder.
pub fn sheet_name(index: usize, image: &str) -> String {
    let kept = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let name: String = image.chars().map(kept).collect();
    let skipped = name.chars().count().saturating_sub(MAX_NAME);
    let end: String = name.chars().skip(skipped).collect();
    format!("{:06}-{end}.png", index + 1)
}

/// Draws the image with numbered boxes and what was said about them, into `folder`.
///
/// Gives the picture's path; none for an image that cannot be read.
///
/// # Errors
/// [`Error::Picture`].
pub fn write_sheet(folder: &Path, image: &Captioned) -> Result<Option<PathBuf>, Error> {
    let Some(pixels) = image.pixels else { return Ok(None) };
    let path = folder.join(sheet_name(image.index, image.name));
    let (regions, notes) = contents(image.records);
    let sheet = Sheet { image: pixels, regions: &regions, notes: &notes, footer: image.name };
    let drawn = annotate::draw(&sheet, &Style::default());
    let written = drawn.and_then(|picture| annotate::write_png(&path, &picture));
    let failed = |e: annotate::Error| Error::Picture { path: path.clone(), reason: e.to_string() };
    written.map_err(failed).map(|()| Some(path.clone()))
}

fn contents(records: &[Record]) -> (Vec<Region>, Vec<Note>) {
    let (mut regions, mut notes) = (Vec::<Region>::new(), Vec::new());
    let first = records.first().and_then(|r| r.question.as_ref());
    // The same question on every note is only noise.
    let differ = records.iter().any(|r| r.question.as_ref() != first);
    let mut last = None;
    for record in records {
        let Some([x1, y1, x2, y2]) = record.edges else { continue };
        if last != record.id.as_ref() {
            let number = regions.len() as u32 + 1;
            regions.push(Region { number, pixels: PixelBox::new(x1, y1, x2, y2) });
            last = record.id.as_ref();
        }
        notes.push(note(record, regions.len(), differ));
    }
    (regions, notes)
}

/// The region, by its badge and label or by a question about it, and what was said.
fn note(record: &Record, number: usize, with_question: bool) -> Note {
    let said = record.answer.as_ref().or(record.error.as_ref()).map_or("", |s| s.trim());
    let question = record.question.as_deref().filter(|_| with_question);
    let asked = match (question, &record.label) {
        (Some(question), _) => renumbered(question, number),
        (None, Some(label)) => format!("<region{number}> {label}"),
        (None, None) => format!("<region{number}>"),
    };
    Note::new(asked, renumbered(said, number))
}

/// A text in which the only region of a conversation is called by its number in the picture.
fn renumbered(text: &str, number: usize) -> String {
    let mut parts = text.split("region1").peekable();
    let mut out = String::new();
    while let Some(part) = parts.next() {
        out += part;
        if let Some(next) = parts.peek() {
            let is_longer = next.starts_with(|c: char| c.is_ascii_digit());
            out += &if is_longer { "region1".into() } else { format!("region{number}") };
        }
    }
    out
}
