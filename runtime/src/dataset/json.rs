//! JSON with errors that name the field.

use std::fmt;
use std::io::{BufRead, Read};
use std::path::Path;

use serde::de::{self, Deserialize, DeserializeOwned, Deserializer, Visitor};
use serde_json::de::Read as JsonRead;

use super::Error;

/// The one value that a file holds.
pub(super) fn parse<T: DeserializeOwned>(path: &Path, reader: impl Read) -> Result<T, Error> {
    let mut deserializer = serde_json::Deserializer::from_reader(reader);
    let value = field_by_field(&mut deserializer).map_err(|failed| failed.in_file(path))?;
    deserializer.end().map_err(|error| Failed { field: None, error }.in_file(path))?;
    Ok(value)
}

/// The one value of a line.
///
/// # Errors
/// What the parser says, and the field.
pub(crate) fn parse_line<T: DeserializeOwned>(line: &[u8]) -> Result<T, Failed> {
    let mut deserializer = serde_json::Deserializer::from_slice(line);
    let value = field_by_field(&mut deserializer)?;
    deserializer.end().map_err(|error| Failed { field: None, error })?;
    Ok(value)
}

/// A value that is none, or not the right one.
pub(crate) struct Failed {
    /// The field that the parser had come to.
    pub(crate) field: Option<String>,
    error: serde_json::Error,
}

impl From<Failed> for String {
    fn from(failed: Failed) -> String {
        failed.reason()
    }
}

fn field_by_field<'de, T: DeserializeOwned>(
    deserializer: &mut serde_json::Deserializer<impl JsonRead<'de>>,
) -> Result<T, Failed> {
    serde_path_to_error::deserialize(deserializer).map_err(Failed::from)
}

impl From<serde_path_to_error::Error<serde_json::Error>> for Failed {
    fn from(error: serde_path_to_error::Error<serde_json::Error>) -> Failed {
        let field = error.path().to_string();
        Failed { field: (field != ".").then_some(field), error: error.into_inner() }
    }
}

impl Failed {
    fn in_file(self, path: &Path) -> Error {
        match self.error.io_error_kind() {
            Some(_) => Error::Read { path: path.into(), source: self.error.into() },
            None => Error::line(path, self.error.line() as u64, self.reason()),
        }
    }

    /// The parser's words without the line, which it counts from elsewhere.
    pub(crate) fn words(&self) -> String {
        let text = self.error.to_string();
        text.rsplit_once(" at line ").map_or(text.as_str(), |(words, _)| words).into()
    }

    fn reason(&self) -> String {
        match &self.field {
            Some(field) => format!("field `{field}`: {}", self.words()),
            None => self.words(),
        }
    }
}

/// A list of JSON objects, of which one at a time is in memory.
pub(super) struct Objects<R> {
    reader: R,
    n_read: usize,
    state: State,
}

#[derive(PartialEq)]
enum State {
    Start,
    Inside,
    End,
}

impl<R: BufRead> Objects<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, n_read: 0, state: State::Start }
    }

    /// The next object and its index; nothing comes after an error.
    pub(super) fn next<T: DeserializeOwned>(
        &mut self,
        path: &Path,
    ) -> Option<Result<(usize, T), Error>> {
        if self.state == State::End {
            return None;
        }
        let result = self.read(path).transpose();
        if !matches!(result, Some(Ok(_))) {
            self.state = State::End;
        }
        result
    }

    fn read<T: DeserializeOwned>(&mut self, path: &Path) -> Result<Option<(usize, T)>, Error> {
        let index = self.n_read;
        let fail = |reason| Err(Error::element(path, format!("[{index}]"), reason));
        match (self.skip_to_token(path)?, &self.state) {
            (Some(b'['), State::Start) | (Some(b','), State::Inside) => self.reader.consume(1),
            (Some(b']'), State::Inside) => return Ok(None),
            (None, _) => return fail("the file ends before its list does; fetch it again"),
            (_, State::Start) => return Err(Error::whole(path, "not a JSON list")),
            _ => return fail("expected `,` or `]`"),
        }
        let begin = self.skip_to_token(path)?;
        match begin {
            Some(b'{') => {}
            Some(b']') if self.state == State::Start => return Ok(None),
            _ => return fail("expected an object"),
        }
        self.state = State::Inside;
        self.n_read += 1;
        // A deserializer reads no byte behind an object's closing brace.
        let mut deserializer = serde_json::Deserializer::from_reader(&mut self.reader);
        match field_by_field(&mut deserializer) {
            Ok(value) => Ok(Some((index, value))),
            Err(failed) => Err(failed.in_element(path, index)),
        }
    }

    /// Skips white space and looks at the byte behind it.
    fn skip_to_token(&mut self, path: &Path) -> Result<Option<u8>, Error> {
        loop {
            let buffer = self.reader.fill_buf().map_err(Error::read(path))?;
            if buffer.is_empty() {
                return Ok(None);
            }
            let n_blanks = buffer.iter().take_while(|b| b" \t\r\n".contains(b)).count();
            let token = buffer.get(n_blanks).copied();
            self.reader.consume(n_blanks);
            if token.is_some() {
                return Ok(token);
            }
        }
    }
}

impl Failed {
    fn in_element(self, path: &Path, index: usize) -> Error {
        match self.error.io_error_kind() {
            Some(_) => Error::Read { path: path.into(), source: self.error.into() },
            None => Error::element(path, format!("[{index}]"), self.reason()),
        }
    }
}

/// An id: an integer or a string.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Id {
    Number(i64),
    Text(Box<str>),
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Id::Number(number) => number.fmt(f),
            Id::Text(text) => text.fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(IdVisitor)
    }
}

struct IdVisitor;

impl Visitor<'_> for IdVisitor {
    type Value = Id;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an integer or a string")
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Id, E> {
        Ok(Id::Number(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Id, E> {
        Ok(i64::try_from(value).map_or_else(|_| Id::Text(value.to_string().into()), Id::Number))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Id, E> {
        Ok(Id::Text(value.into()))
    }
}
