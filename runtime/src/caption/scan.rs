//! Reading journals.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::{Error, Mark, Meta};

/// What is whole of a journal.
#[derive(Default)]
pub(super) struct Scan {
    /// The first line; `None` if it is not there or torn.
    pub(super) meta: Option<Meta>,
    /// Images that are done.
    pub(super) done: Vec<Mark>,
    /// Bytes up to the end of the last of them.
    pub(super) n_bytes: u64,
}

/// Reads a journal up to where it was torn.
pub(super) fn scan(file: &File, path: &Path) -> Result<Scan, Error> {
    let mut lines = Lines::new(file, path)?;
    let mut scan = Scan::default();
    let Some(first) = lines.next_line()? else { return Ok(scan) };
    let meta: Meta = serde_json::from_slice(first)
        .map_err(|e| lines.damaged(format!("not a journal of captions ({e})")))?;
    (scan.meta, scan.n_bytes) = (Some(meta), lines.n_bytes);
    while let Some(mark) = lines.skip_block()? {
        scan.done.push(mark);
        scan.n_bytes = lines.n_bytes;
    }
    Ok(scan)
}

/// The lines of an image, and its mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The mark.
    pub mark: Mark,
    /// The lines, a [`Record`](super::Record) each.
    pub lines: Vec<String>,
}

/// The images of a journal, one after the other.
pub struct Blocks<'a>(Lines<'a>);

impl Blocks<'_> {
    pub(super) fn new<'a>(file: &'a File, path: &Path) -> Result<Blocks<'a>, Error> {
        let mut lines = Lines::new(file, path)?;
        lines.next_line()?;
        Ok(Blocks(lines))
    }
}

impl Iterator for Blocks<'_> {
    type Item = Result<Block, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut lines = Vec::new();
        let mark = self.0.block(|line| lines.push(String::from_utf8_lossy(line).into_owned()));
        mark.map(|mark| mark.map(|mark| Block { mark, lines })).transpose()
    }
}

/// Whole lines of a journal.
struct Lines<'a> {
    reader: BufReader<&'a File>,
    path: PathBuf,
    line: Vec<u8>,
    number: u64,
    n_bytes: u64,
}

impl<'a> Lines<'a> {
    fn new(mut file: &'a File, path: &Path) -> Result<Lines<'a>, Error> {
        file.seek(SeekFrom::Start(0)).map_err(Error::read(path))?;
        let (reader, path) = (BufReader::new(file), path.into());
        Ok(Lines { reader, path, line: Vec::new(), number: 0, n_bytes: 0 })
    }

    /// The next line without its end; `None` where the file ends, within a line or not.
    fn next_line(&mut self) -> Result<Option<&[u8]>, Error> {
        self.line.clear();
        let read = self.reader.read_until(b'\n', &mut self.line);
        read.map_err(Error::read(&self.path))?;
        self.number += 1;
        self.n_bytes += self.line.len() as u64;
        Ok(self.line.strip_suffix(b"\n"))
    }

    fn skip_block(&mut self) -> Result<Option<Mark>, Error> {
        self.block(|_| ())
    }

    /// The mark behind the next lines of one image.
    fn block(&mut self, mut each: impl FnMut(&[u8])) -> Result<Option<Mark>, Error> {
        let mut n = 0;
        loop {
            let Some(line) = self.next_line()? else { return Ok(None) };
            match Mark::parse(line) {
                None => each(line),
                Some(Ok(mark)) if mark.lines == n => return Ok(Some(mark)),
                Some(Ok(mark)) => {
                    let expected = mark.lines;
                    return Err(self.damaged(format!("{n} lines of an image that has {expected}")));
                }
                Some(Err(e)) => return Err(self.damaged(format!("not the end of an image: {e}"))),
            }
            n += 1;
        }
    }

    fn damaged(&self, reason: String) -> Error {
        Error::Damaged { path: self.path.clone(), line: self.number, reason }
    }
}
