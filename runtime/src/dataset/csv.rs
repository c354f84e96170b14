//! CSV of this project: a box a line under a header.
//!
//! ```csv
//! image,x1,y1,x2,y2,id,label,question
//! a.jpg,1,2,3,4,7,dog,What is it doing?
//! ```
//!
//! Columns may stand in any order, and the last three may be missing or empty. Boxes are in
//! pixels. The rows of an image follow each other: an image that comes back later is another
//! entry, with its ids counted anew.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use csv::{ByteRecord, Reader, ReaderBuilder, Trim};

use super::entry::Regions;
use super::input::{self, Allowance, MAX_RECORD_BYTES};
use super::{Entry, Error, Opened, Region, Source, Warnings, folder, shape};
use crate::preprocess::BoxFormat;

const EDGES: [&str; 4] = ["x1", "y1", "x2", "y2"];
const COLUMNS: [&str; 8] = ["image", "x1", "y1", "x2", "y2", "id", "label", "question"];
const N_REQUIRED: usize = 5;

pub(super) fn open(path: &Path, images: Option<&Path>) -> Result<Opened, Error> {
    let mut file = Allowance::new(input::open(path)?);
    file.renew(MAX_RECORD_BYTES);
    // Rows of another length are looked at here, so that the next one can still be read.
    let mut reader = ReaderBuilder::new().flexible(true).trim(Trim::Headers).from_reader(file);
    let header = reader.byte_headers().map_err(|e| damaged(path, e))?;
    let columns = Columns::new(header).map_err(|reason| Error::line(path, 1, reason))?;
    let folder = images.unwrap_or_else(|| folder::of(path)).into();
    let rows = Rows { path: path.into(), reader, columns };
    Ok(Opened::streamed(Csv { rows, folder, begun: None, ended: false }))
}

fn damaged(path: &Path, error: csv::Error) -> Error {
    let line = error.position().map(|position| position.line());
    let reason = error.to_string();
    match (error.into_kind(), line) {
        (csv::ErrorKind::Io(source), _) => Error::Read { path: path.into(), source },
        (_, Some(line)) => Error::line(path, line, reason),
        _ => Error::whole(path, reason),
    }
}

/// Where in a row each column is.
struct Columns {
    places: HashMap<&'static str, usize>,
    n_columns: usize,
}

impl Columns {
    fn new(header: &ByteRecord) -> Result<Self, String> {
        let mut places = HashMap::new();
        for (place, name) in header.iter().enumerate() {
            let name = String::from_utf8_lossy(name);
            let known = COLUMNS.into_iter().find(|column| *column == name);
            let known = known.ok_or_else(|| {
                let name = shape::shortened(&name);
                format!("column `{name}` is unknown; use {}", COLUMNS.join(", "))
            })?;
            if places.insert(known, place).is_some() {
                return Err(format!("column `{known}` is there twice"));
            }
        }
        match COLUMNS[..N_REQUIRED].iter().find(|name| !places.contains_key(*name)) {
            Some(missing) => Err(format!(
                "the header lacks column `{missing}`; it has to name {}",
                COLUMNS[..N_REQUIRED].join(", ")
            )),
            None => Ok(Self { places, n_columns: header.len() }),
        }
    }
}

struct Row {
    line: u64,
    image: String,
    id: Option<String>,
    region: Region,
}

struct Rows {
    path: PathBuf,
    reader: Reader<Allowance<BufReader<File>>>,
    columns: Columns,
}

enum Next {
    Row(Row),
    Damaged(Error),
    /// Nothing can be read any more.
    Unreadable(Error),
    End,
}

impl Rows {
    fn read(&mut self) -> Next {
        self.reader.get_mut().renew(MAX_RECORD_BYTES);
        let mut record = ByteRecord::new();
        match self.reader.read_byte_record(&mut record) {
            Err(e) => return Next::Unreadable(damaged(&self.path, e)),
            Ok(false) => return Next::End,
            Ok(true) => {}
        }
        let line = record.position().map_or(0, csv::Position::line);
        match self.columns.row(line, &record) {
            Ok(row) => Next::Row(row),
            Err(reason) => Next::Damaged(Error::line(&self.path, line, reason)),
        }
    }
}

impl Columns {
    fn row(&self, line: u64, record: &ByteRecord) -> Result<Row, String> {
        if record.len() != self.n_columns {
            let (found, expected) = (record.len(), self.n_columns);
            return Err(format!("has {found} field(s), the header has {expected}"));
        }
        let image = self.text(record, "image")?.ok_or("field `image`: empty")?;
        let mut values = [0.0; 4];
        for (value, name) in values.iter_mut().zip(EDGES) {
            *value = shape::number(name, &self.text(record, name)?.unwrap_or_default())?;
        }
        let mut region = Region::new(shape::pixels(values, BoxFormat::Xyxy)?);
        region.label = self.text(record, "label")?;
        region.questions = self.text(record, "question")?.into_iter().collect();
        Ok(Row { line, image, id: self.text(record, "id")?, region })
    }

    /// The text of a column, if there is any.
    fn text(&self, record: &ByteRecord, name: &str) -> Result<Option<String>, String> {
        let field = self.places.get(name).and_then(|place| record.get(*place));
        let text = std::str::from_utf8(field.unwrap_or_default());
        let text = text.map_err(|_| format!("field `{name}`: not UTF-8"))?;
        Ok((!text.is_empty()).then(|| text.into()))
    }
}

struct Csv {
    rows: Rows,
    folder: PathBuf,
    /// The image whose rows are being read.
    begun: Option<(String, Regions)>,
    ended: bool,
}

impl Source for Csv {
    fn next_entry(&mut self, _: &mut Warnings) -> Option<Result<Entry, Error>> {
        while !self.ended {
            let row = match self.rows.read() {
                Next::Row(row) => row,
                Next::Damaged(error) => return Some(Err(error)),
                Next::Unreadable(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
                Next::End => {
                    self.ended = true;
                    break;
                }
            };
            match self.add(row) {
                Ok(None) => {}
                Ok(Some(entry)) => return Some(Ok(entry)),
                Err(error) => return Some(Err(error)),
            }
        }
        self.begun.take().map(|begun| Ok(self.entry(begun)))
    }
}

impl Csv {
    /// Adds a row to its image; gives the image before it, if that is complete now.
    fn add(&mut self, row: Row) -> Result<Option<Entry>, Error> {
        let same = self.begun.as_ref().is_some_and(|(image, _)| *image == row.image);
        let complete = if same { None } else { self.begun.take() };
        let (_, regions) = self.begun.get_or_insert_with(|| (row.image, Regions::default()));
        // The first row of an image is never refused, so no complete image is lost here.
        let added = regions.push(row.id, row.region);
        added.map_err(|reason| Error::line(&self.rows.path, row.line, reason))?;
        Ok(complete.map(|begun| self.entry(begun)))
    }

    fn entry(&self, (name, regions): (String, Regions)) -> Entry {
        Entry::new(self.folder.join(&name), name, regions.into_list())
    }
}
