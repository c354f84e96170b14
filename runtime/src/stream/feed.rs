//! Brings lines of a detector to the hub.

use std::io::{self, BufRead};
use std::path::PathBuf;
use std::sync::Arc;

use super::dialect::{Dialect, Error, Read, Reader};
use super::{Detections, Hub, Picture, Source, Video};
use crate::dataset::{BYTE_ORDER_MARK, Line, Lines};

/// Reads lines and knows where their pictures are.
pub struct Feed<'h> {
    hub: &'h Hub,
    reader: Reader,
    /// The line that is read, from 1.
    number: u64,
    /// What paths of pictures are relative to.
    images: Option<PathBuf>,
    /// Where pictures are that the lines do not bring.
    video: Option<Arc<Video>>,
}

impl<'h> Feed<'h> {
    /// A feed of lines in a dialect, or in the one that the first line is in.
    pub fn new(hub: &'h Hub, dialect: Option<Dialect>, images: Option<PathBuf>) -> Feed<'h> {
        Feed { hub, reader: Reader::new(dialect), number: 0, images, video: None }
    }

    /// Takes pictures that the lines do not bring from a video.
    #[must_use]
    pub fn with_video(self, video: Arc<Video>) -> Feed<'h> {
        Feed { video: Some(video), ..self }
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
            self.number = lines.number();
            wanted = match kind {
                Line::Whole => self.line(&line),
                Line::TooLong => {
                    self.hub.line();
                    self.refuse(&Error::TooLong)
                }
            };
        }
        self.finish();
        Ok(())
    }

    /// Takes a message of a line or several, as if they came after those of the message before; false when no more are wanted.
    #[cfg(feature = "mqtt")]
    pub(super) fn message(&mut self, text: &[u8]) -> bool {
        let mut wanted = true;
        for line in text.strip_suffix(b"\n").unwrap_or(text).split(|b| *b == b'\n') {
            self.number += 1;
            wanted = self.line(line);
        }
        wanted
    }

    /// Nothing comes any more.
    pub(super) fn finish(&mut self) {
        let rest = self.reader.finish();
        self.accept(rest);
        self.hub.end();
    }

    /// Takes a line; false when no more are wanted.
    fn line(&mut self, line: &[u8]) -> bool {
        self.hub.line();
        let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        let known = self.reader.dialect();
        let read = self.reader.push(line.trim_ascii());
        if let (None, Some(dialect)) = (known, self.reader.dialect()) {
            tracing::info!("the input is taken for `{dialect}`");
        }
        match read {
            Ok(read) => self.accept(read),
            Err(e) => self.refuse(&e),
        }
    }

    /// Says that a line, or a detection of it, cannot be used; false when no more are wanted.
    fn refuse(&self, why: &Error) -> bool {
        self.hub.refuse(self.number, why.is_of_whole_line(), why.to_string());
        !self.hub.is_stopped()
    }

    fn accept(&mut self, read: Read) -> bool {
        for refused in &read.refused {
            self.refuse(refused);
        }
        // All of them, wanted or not: the hub settles each detection.
        let accept = |m| self.hub.accept(m, |d| self.source(d));
        read.messages.into_iter().fold(true, |_, message| accept(message))
    }

    /// Where the picture of a frame is; takes its bytes out of the message.
    fn source(&self, detections: &mut Detections) -> Source {
        match (detections.frame.picture.take(), &self.video) {
            (Some(Picture::Path(path)), _) => Source::File(match &self.images {
                Some(folder) => folder.join(path),
                None => path,
            }),
            (Some(Picture::Bytes(bytes)), _) => Source::Bytes(Arc::from(bytes)),
            (None, Some(video)) => video.find(&detections.frame),
            (None, None) => {
                Source::Missing("the line names no picture, and there is no video".into())
            }
        }
    }
}
