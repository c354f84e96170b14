//! JPEG pictures one behind the other, taken apart at their markers (ITU-T T.81, annex B).

use std::io::{self, BufRead, Cursor, Read};

use super::Error;

/// Most bytes of a picture.
const MAX_BYTES: usize = 64 << 20;

const SOI: u8 = 0xD8;
const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;
const TEM: u8 = 0x01;
const RST: std::ops::RangeInclusive<u8> = 0xD0..=0xD7;

/// Why a picture ends without its last marker.
enum Broken {
    Read(io::Error),
    /// In words.
    Because(&'static str),
    /// Another one begins: its first marker has been read.
    Next,
}

/// Where the reader is.
struct Picture<'r, R> {
    reader: &'r mut R,
    bytes: Vec<u8>,
    /// Where the last segment begins: if something is wrong, it may be its length. Those before are right.
    last: usize,
}

/// Takes a stream apart.
#[derive(Default)]
pub(super) struct Splitter {
    /// The first marker of the next picture has been read.
    begun: bool,
    /// What a broken picture has taken with it, to be looked through once more: a wrong length swallows what comes next.
    again: Cursor<Vec<u8>>,
}

impl Splitter {
    /// The next picture; `None` at the end. What is no picture is skipped and counted.
    pub(super) fn next(
        &mut self,
        reader: &mut impl BufRead,
        seq: u64,
        n_garbage: &mut u64,
    ) -> Result<Option<Vec<u8>>, Error> {
        let mut both = Both { again: &mut self.again, reader };
        let begun = std::mem::take(&mut self.begun);
        if !begun && !find_start(&mut both, n_garbage).map_err(Error::Read)? {
            return Ok(None);
        }
        let fresh = both.again.fill_buf().is_ok_and(<[u8]>::is_empty);
        let mut picture = Picture { reader: &mut both, bytes: vec![0xFF, SOI], last: 2 };
        let reason = match picture.read() {
            Ok(()) => return Ok(Some(picture.bytes)),
            Err(Broken::Next) => {
                self.begun = true;
                return Err(broken(seq, "it is cut off by the next one"));
            }
            Err(Broken::Because(reason)) => reason,
            Err(Broken::Read(e)) if e.kind() == io::ErrorKind::UnexpectedEof => {
                "the video ends within it"
            }
            Err(Broken::Read(e)) => return Err(Error::Read(e)),
        };
        // What was looked through twice is not looked through a third time, however often it is broken.
        if fresh {
            self.again = Cursor::new(picture.bytes.split_off(picture.last));
        }
        Err(broken(seq, reason))
    }
}

fn broken(seq: u64, reason: &str) -> Error {
    Error::Frame { seq, reason: reason.into() }
}

/// One behind the other.
struct Both<'r, R> {
    again: &'r mut Cursor<Vec<u8>>,
    reader: &'r mut R,
}

impl<R: BufRead> Read for Both<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.again.read(buffer)? {
            0 => self.reader.read(buffer),
            n => Ok(n),
        }
    }
}

impl<R: BufRead> BufRead for Both<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self.again.fill_buf()?.is_empty() {
            true => self.reader.fill_buf(),
            false => self.again.fill_buf(),
        }
    }

    fn consume(&mut self, n: usize) {
        match self.again.fill_buf().is_ok_and(<[u8]>::is_empty) {
            true => self.reader.consume(n),
            false => self.again.consume(n),
        }
    }
}

/// The next bytes, also after a signal.
fn fill(reader: &mut impl BufRead) -> io::Result<&[u8]> {
    loop {
        match reader.fill_buf() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
            Ok(_) => break,
        }
    }
    reader.fill_buf()
}

/// Reads up to the first marker of a picture; false at the end.
fn find_start(reader: &mut impl BufRead, n_garbage: &mut u64) -> io::Result<bool> {
    let mut after_ff = false;
    loop {
        let buffer = fill(reader)?;
        if buffer.is_empty() {
            return Ok(false);
        }
        for (i, &byte) in buffer.iter().enumerate() {
            if after_ff && byte == SOI {
                *n_garbage -= 1; // the FF was counted
                reader.consume(i + 1);
                return Ok(true);
            }
            after_ff = byte == 0xFF;
            *n_garbage += 1;
        }
        let n = buffer.len();
        reader.consume(n);
    }
}

impl<R: BufRead> Picture<'_, R> {
    /// Reads the segments of a picture, its end included.
    fn read(&mut self) -> Result<(), Broken> {
        let mut marker = self.marker()?;
        loop {
            marker = match marker {
                EOI => return Ok(()),
                SOI => return Err(Broken::Next),
                SOS => {
                    self.segment()?;
                    self.scan()?
                }
                TEM => self.marker()?,
                m if RST.contains(&m) => self.marker()?,
                0 => return Err(Broken::Because("a marker is missing")),
                _ => {
                    self.segment()?;
                    self.marker()?
                }
            };
        }
    }

    fn byte(&mut self) -> Result<u8, Broken> {
        let mut byte = [0];
        self.reader.read_exact(&mut byte).map_err(Broken::Read)?;
        self.push(&byte)?;
        Ok(byte[0])
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        if self.bytes.len() + bytes.len() > MAX_BYTES {
            return Err(Broken::Because("it is larger than 64 MiB"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// A marker, with bytes of FF in front of it.
    fn marker(&mut self) -> Result<u8, Broken> {
        if self.byte()? != 0xFF {
            return Err(Broken::Because("a marker is missing"));
        }
        loop {
            match self.byte()? {
                0xFF => {}
                marker => return Ok(marker),
            }
        }
    }

    /// A segment that begins with its length, which may hold another picture.
    fn segment(&mut self) -> Result<(), Broken> {
        self.last = self.bytes.len();
        let length = u16::from_be_bytes([self.byte()?, self.byte()?]);
        let Some(length) = length.checked_sub(2) else {
            return Err(Broken::Because("a segment has no length"));
        };
        let begin = self.bytes.len();
        let read = (&mut *self.reader).take(length.into()).read_to_end(&mut self.bytes);
        read.map_err(Broken::Read)?;
        if self.bytes.len() - begin < length.into() {
            return Err(Broken::Read(io::ErrorKind::UnexpectedEof.into()));
        }
        self.push(&[])
    }

    /// Coded data, where FF 00 stands for FF; gives the marker behind it.
    fn scan(&mut self) -> Result<u8, Broken> {
        let mut after_ff = false;
        loop {
            let buffer = fill(self.reader).map_err(Broken::Read)?;
            if buffer.is_empty() {
                return Err(Broken::Read(io::ErrorKind::UnexpectedEof.into()));
            }
            let (n, marker) = scan_end(buffer, &mut after_ff);
            if self.bytes.len() + n > MAX_BYTES {
                return Err(Broken::Because("it is larger than 64 MiB"));
            }
            self.bytes.extend_from_slice(&buffer[..n]);
            self.reader.consume(n);
            if let Some(marker) = marker {
                return Ok(marker);
            }
        }
    }
}

/// How much of the bytes belongs to the coded data with the marker behind it, and that marker.
fn scan_end(bytes: &[u8], after_ff: &mut bool) -> (usize, Option<u8>) {
    for (i, &byte) in bytes.iter().enumerate() {
        match (*after_ff, byte) {
            (true, 0xFF) => {}
            (true, 0) => *after_ff = false,
            (true, m) if RST.contains(&m) => *after_ff = false,
            (true, marker) => return (i + 1, Some(marker)),
            (false, byte) => *after_ff = byte == 0xFF,
        }
    }
    (bytes.len(), None)
}
