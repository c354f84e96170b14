//! Files as they come: with a byte order mark, with either line end, of any length.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use super::Error;

/// Most bytes of one line of JSON Lines or one record of CSV: 64 MiB.
pub const MAX_RECORD_BYTES: u64 = 64 << 20;

/// Most bytes of a file that is held in memory as text: 1 GiB.
pub const MAX_DOCUMENT_BYTES: u64 = 1 << 30;

pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Opens a file, behind its byte order mark if it has one.
pub(super) fn open(path: &Path) -> Result<BufReader<File>, Error> {
    let file = File::open(path).map_err(Error::read(path))?;
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let begin = reader.fill_buf().map_err(Error::read(path))?;
    if begin.starts_with(BYTE_ORDER_MARK) {
        reader.consume(BYTE_ORDER_MARK.len());
    }
    Ok(reader)
}

/// The first `limit` bytes of a file; bytes that are not UTF-8 are replaced.
pub(super) fn beginning(path: &Path, limit: u64) -> Result<String, Error> {
    let mut bytes = Vec::new();
    open(path)?.take(limit).read_to_end(&mut bytes).map_err(Error::read(path))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The text of a file of at most [`MAX_DOCUMENT_BYTES`].
pub(super) fn text(path: &Path) -> Result<String, Error> {
    let mut bytes = Vec::new();
    let mut reader = open(path)?.take(MAX_DOCUMENT_BYTES + 1);
    reader.read_to_end(&mut bytes).map_err(Error::read(path))?;
    if bytes.len() as u64 > MAX_DOCUMENT_BYTES {
        let reason = format!("larger than {MAX_DOCUMENT_BYTES} bytes; split it");
        return Err(Error::whole(path, reason));
    }
    String::from_utf8(bytes).map_err(|e| {
        let before = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        let line = 1 + before.iter().filter(|&&b| b == b'\n').count() as u64;
        Error::line(path, line, "not UTF-8; convert the file to UTF-8")
    })
}

/// A file line by line.
pub(crate) struct Lines<R> {
    reader: R,
    number: u64,
}

/// How a line was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// All of it.
    Whole,
    /// It is longer than [`MAX_RECORD_BYTES`] and was skipped.
    TooLong,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader, number: 0 }
    }

    /// Number of the line read last, from 1.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Reads the next line into `line`, with its end; `None` at the end of the file.
    pub(crate) fn read(&mut self, line: &mut Vec<u8>) -> io::Result<Option<Line>> {
        self.read_up_to(line, MAX_RECORD_BYTES)
    }

    fn read_up_to(&mut self, line: &mut Vec<u8>, limit: u64) -> io::Result<Option<Line>> {
        line.clear();
        let n_bytes = (&mut self.reader).take(limit + 1).read_until(b'\n', line)? as u64;
        if n_bytes == 0 {
            return Ok(None);
        }
        self.number += 1;
        if n_bytes <= limit {
            return Ok(Some(Line::Whole));
        }
        if !line.ends_with(b"\n") {
            self.reader.skip_until(b'\n')?;
        }
        line.clear();
        Ok(Some(Line::TooLong))
    }
}

/// Fails when more bytes are read than allowed since it was last told how many.
///
/// A quote that is never closed makes a record of the rest of the file; this keeps it out of
/// memory.
pub(super) struct Allowance<R> {
    reader: R,
    left: u64,
}

impl<R: Read> Allowance<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, left: 0 }
    }

    pub(super) fn renew(&mut self, bytes: u64) {
        self.left = bytes;
    }
}

impl<R: Read> Read for Allowance<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            let reason = "a record is longer than the limit; is a quote not closed?";
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        let n_bytes = self.reader.read(buffer)?;
        self.left = self.left.saturating_sub(n_bytes as u64);
        Ok(n_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_skipped_and_the_next_one_read() {
        let mut lines = Lines::new(&b"1234\n12345\r\n123\n\n12345678"[..]);
        let mut line = Vec::new();
        let mut all = Vec::new();
        while let Some(read) = lines.read_up_to(&mut line, 5).unwrap() {
            all.push((lines.number(), read, String::from_utf8(line.clone()).unwrap()));
        }
        let expected = [
            (1, Line::Whole, "1234\n"),
            (2, Line::TooLong, ""),
            (3, Line::Whole, "123\n"),
            (4, Line::Whole, "\n"),
            (5, Line::TooLong, ""),
        ];
        assert_eq!(all, expected.map(|(n, read, text)| (n, read, text.to_owned())));
    }

    #[test]
    fn an_allowance_ends() {
        let mut reader = Allowance::new(&b"123456"[..]);
        let mut buffer = [0; 3];
        assert!(reader.read(&mut buffer).is_err());
        reader.renew(3);
        assert_eq!(reader.read(&mut buffer).unwrap(), 3);
        assert_eq!(reader.read(&mut buffer).unwrap_err().kind(), io::ErrorKind::InvalidData);
        reader.renew(9);
        assert_eq!(reader.read(&mut buffer).unwrap(), 3);
        assert_eq!(reader.read(&mut buffer).unwrap(), 0);
    }
}
