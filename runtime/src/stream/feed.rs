//! Brings lines of a detector to the hub.

use std::io::{self, BufRead};
use std::path::PathBuf;
use std::sync::Arc;

use super::dialect::{Dialect, Read, Reader};
use super::{Detections, Hub, Picture, Source, Video};
use crate::dataset::{BYTE_ORDER_MARK, Line, Lines};

/// Reads lines and knows where their pictures are.
pub struct Feed<'h> {
    hub: &'h Hub,
    reader: Reader,
    /// What paths of pictures are relative to.
    images: Option<PathBuf>,
    /// Where pictures are that the lines do not bring.
    video: Option<Arc<Video>>,
}

impl<'h> Feed<'h> {
    /// A feed of lines in a dialect, or in the one that the first line is in.
    pub fn new(hub: &'h Hub, dialect: Option<Dialect>, images: Option<PathBuf>) -> Feed<'h> {
        Feed { hub, reader: Reader::new(dialect), images, video: None }
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
        let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
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
        read.messages.into_iter().all(|m| self.hub.accept(m, |d| self.source(d)))
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
