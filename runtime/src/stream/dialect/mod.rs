//! Lines of detectors become messages, whatever wrote them.

mod coco;
mod command;
mod deepstream;
mod error;
mod frigate;
mod mot;
mod own;
mod parts;
#[cfg(test)]
mod tests;
mod time;
mod ultralytics;

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use super::{Detections, Message};
use crate::dataset::parse_line;
pub use error::{Error, Fault};

/// How a detector writes what it sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// This project's own: a frame a line.
    Own,
    /// Ultralytics' results as JSON, the list of a frame a line.
    Ultralytics,
    /// DeepStream's minimal message schema.
    Deepstream,
    /// Frigate's events.
    Frigate,
    /// COCO results: an object a detection, or a list of them.
    Coco,
    /// MOT Challenge: comma-separated, a line a detection.
    Mot,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Dialect; 6] =
        [Self::Own, Self::Ultralytics, Self::Deepstream, Self::Frigate, Self::Coco, Self::Mot];

    /// What it is called on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Own => "gpt4roi",
            Self::Ultralytics => "ultralytics",
            Self::Deepstream => "deepstream",
            Self::Frigate => "frigate",
            Self::Coco => "coco",
            Self::Mot => "mot",
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Dialect {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|d| d.name() == text);
        found.ok_or_else(|| Error::UnknownDialect { name: text.into() })
    }
}

/// What a line gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Read {
    /// What is complete with it.
    pub messages: Vec<Message>,
    /// Detections that cannot be used; the others of their frame can. Where a detection is a line, the line.
    pub refused: Vec<Error>,
}

/// What a dialect makes of a line: frames, and what cannot be used.
#[derive(Default)]
struct Parsed {
    frames: Vec<Detections>,
    refused: Vec<Refused>,
}

/// What cannot be used of a line.
enum Refused {
    /// All of it, but it says that the frame before is complete.
    Line(Fault),
    /// A detection, by its place.
    Detection(usize, Fault),
    /// So many that the rest was not read.
    NotRead(usize),
}

impl Refused {
    fn read_as(self, dialect: Dialect) -> Error {
        match self {
            Refused::Line(fault) => Error::Line { dialect, fault },
            Refused::Detection(index, fault) => Error::Detection { dialect, index, fault },
            Refused::NotRead(n) => Error::NotRead { dialect, n },
        }
    }

    fn is_line(&self) -> bool {
        matches!(self, Refused::Line(_))
    }
}

impl Parsed {
    fn frame(frame: Detections) -> Parsed {
        Parsed { frames: vec![frame], refused: Vec::new() }
    }
}

/// Reads lines one after the other.
#[derive(Default)]
pub struct Reader {
    dialect: Option<Dialect>,
    /// A frame that the next line may add to.
    group: parts::Group,
}

impl Reader {
    /// A reader of a dialect, or of the one that the first line is in.
    pub fn new(dialect: Option<Dialect>) -> Reader {
        Reader { dialect, group: parts::Group::default() }
    }

    /// The dialect, as soon as it is known.
    pub fn dialect(&self) -> Option<Dialect> {
        self.dialect
    }

    /// Takes a line without its end.
    ///
    /// # Errors
    /// What is wrong with it; the next line can be read all the same.
    pub fn push(&mut self, line: &[u8]) -> Result<Read, Error> {
        let line = line.trim_ascii();
        if line.is_empty() {
            return Ok(Read::default());
        }
        if let Some(command) = command::parse(line) {
            let command = command.map_err(|fault| Error::Command { fault })?;
            // What came before it is meant to be seen before it.
            let mut read = self.finish();
            read.messages.push(Message::Command(command));
            return Ok(read);
        }
        let dialect = match self.dialect {
            Some(dialect) => dialect,
            None => match recognise(line)? {
                Some(dialect) => dialect,
                None => return Ok(Read::default()),
            },
        };
        let parsed = self.parse(dialect, line).map_err(|fault| Error::Line { dialect, fault })?;
        match self.dialect {
            // What cannot be used says nothing for certain.
            None if parsed.refused.iter().any(Refused::is_line) => drop(self.group.take()),
            _ => self.dialect = Some(dialect),
        }
        Ok(Read {
            messages: parsed.frames.into_iter().map(Message::Detections).collect(),
            refused: parsed.refused.into_iter().map(|r| r.read_as(dialect)).collect(),
        })
    }

    /// What was waiting for the next line.
    pub fn finish(&mut self) -> Read {
        let messages = self.group.take().into_iter().map(Message::Detections).collect();
        Read { messages, refused: Vec::new() }
    }

    fn parse(&mut self, dialect: Dialect, line: &[u8]) -> Result<Parsed, Fault> {
        match dialect {
            Dialect::Own => own::parse(line),
            Dialect::Ultralytics => ultralytics::parse(line),
            Dialect::Deepstream => deepstream::parse(line),
            Dialect::Frigate => frigate::parse(line),
            Dialect::Coco => coco::parse(line, &mut self.group),
            Dialect::Mot => mot::parse(line, &mut self.group),
        }
    }
}

/// The dialect of a line, by what no other has; none of an empty list: nothing was seen, by whatever detector.
fn recognise(line: &[u8]) -> Result<Option<Dialect>, Error> {
    let unknown = |reason: String| Error::Unrecognised { reason };
    if line[0].is_ascii_digit() {
        return Ok(Some(Dialect::Mot));
    }
    let value: Value = parse_line(line).map_err(|failed| match Fault::from(failed) {
        fault @ Fault::OutOfRange { .. } => Error::Unreadable { fault },
        fault => unknown(format!("neither JSON nor comma-separated numbers ({fault})")),
    })?;
    let object = match &value {
        Value::Array(items) => match items.first() {
            None => return Ok(None),
            Some(first) => first,
        },
        other => other,
    };
    let has = |key: &str| object.get(key).is_some();
    let dialect = if has("bbox") {
        Dialect::Coco
    } else if value.is_array() && has("box") {
        Dialect::Ultralytics
    } else if has("after") && has("type") {
        Dialect::Frigate
    } else if has("objects") && (has("sensorId") || has("@timestamp")) {
        Dialect::Deepstream
    } else if has("results") || has("predictions") {
        Dialect::Ultralytics
    } else if has("detections") || has("v") {
        Dialect::Own
    } else {
        return Err(unknown("JSON of no known dialect".into()));
    };
    Ok(Some(dialect))
}
