//! Brings lines of a detector to the hub.

use std::io::{self, BufRead};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::dialect::{Dialect, Read, Reader};
use super::{Detections, Hub, Picture, Source};
use crate::dataset::{Line, Lines};

/// Reads lines and knows where their pictures are.
pub struct Feed<'h> {
    hub: &'h Hub,
    reader: Reader,
    /// What paths of pictures are relative to.
    images: Option<PathBuf>,
}

impl<'h> Feed<'h> {
    /// A feed of lines in a dialect, or in the one that the first line is in.
    pub fn new(hub: &'h Hub, dialect: Option<Dialect>, images: Option<PathBuf>) -> Feed<'h> {
        Feed { hub, reader: Reader::new(dialect), images }
    }

    /// Reads all lines, or as many as are wanted.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn run(&mut self, lines: impl BufRead) -> io::Result<()> {
        let mut lines = Lines::new(lines);
        let mut line = Vec::new();
        let mut wanted = true;
        while wanted {
            let Some(kind) = lines.read(&mut line)? else {
                break;
            };
            wanted = match kind {
                Line::Whole => self.line(lines.number(), &line),
                Line::TooLong => self.refuse(lines.number(), "the line is too long"),
            };
        }
        if wanted {
            let rest = self.reader.finish();
            self.accept(lines.number(), rest);
        }
        self.hub.end();
        Ok(())
    }

    /// Takes a line; false when no more are wanted.
    fn line(&mut self, number: u64, line: &[u8]) -> bool {
        self.hub.line();
        let known = self.reader.dialect();
        let read = self.reader.push(line.trim_ascii());
        if let (None, Some(dialect)) = (known, self.reader.dialect()) {
            tracing::info!("the input is taken for `{dialect}`");
        }
        match read {
            Ok(read) => self.accept(number, read),
            Err(e) => {
                self.hub.refuse(number, true, e.to_string());
                !self.hub.is_stopped()
            }
        }
    }

    fn refuse(&mut self, number: u64, why: &str) -> bool {
        self.hub.line();
        self.hub.refuse(number, true, why.into());
        !self.hub.is_stopped()
    }

    fn accept(&mut self, number: u64, read: Read) -> bool {
        for refused in read.refused {
            self.hub.refuse(number, false, refused.to_string());
        }
        let images = self.images.as_deref();
        read.messages.into_iter().all(|m| self.hub.accept(m, |d| source(d, images)))
    }
}

/// Where the picture of a frame is; takes its bytes out of the message.
fn source(detections: &mut Detections, images: Option<&Path>) -> Source {
    match detections.frame.picture.take() {
        Some(Picture::Path(path)) => {
            Source::File(images.map_or_else(|| path.clone(), |folder| folder.join(&path)))
        }
        Some(Picture::Bytes(bytes)) => Source::Bytes(Arc::from(bytes)),
        None => Source::Missing("the line names no picture, and there is no video".into()),
    }
}
