//! YUV4MPEG2: a line that says what all frames are, then frames, each behind a line of its own.

use std::io::{BufRead, Read};

use super::Colours;
use super::Error;
use super::pixel::{Layout, PixelFormat};

pub(super) const MAGIC: &[u8] = b"YUV4MPEG2 ";

/// Longest line.
const MAX_LINE: u64 = 4096;
/// Why frames are longer than their header says.
const PADDED: &str =
    "what wrote it may pad rows, as GStreamer does to four bytes: say so with `--row-align 4`";
/// What to tell ffmpeg about pixels that are not known here.
const REMEDY: &str = "write it with `-pix_fmt yuv420p`";

pub(super) struct Header {
    pub(super) layout: Layout,
    pub(super) fps: Option<f64>,
}

/// Reads the first line.
pub(super) fn header(reader: &mut impl BufRead) -> Result<Header, Error> {
    let line = line(reader)?.ok_or(Error::Empty)?;
    let rest = line.as_bytes().strip_prefix(MAGIC).and_then(|r| std::str::from_utf8(r).ok());
    let rest = rest.ok_or_else(|| Error::Header("it does not begin with YUV4MPEG2".into()))?;
    let (mut width, mut height, mut fps) = (None, None, None);
    let (mut pixel, mut full_range) = (PixelFormat::I420, false);
    for parameter in rest.split_ascii_whitespace() {
        let (key, value) = parameter.split_at(parameter.chars().next().map_or(0, char::len_utf8));
        match key {
            "W" => width = Some(side(value)?),
            "H" => height = Some(side(value)?),
            "F" => fps = rate(value)?,
            "C" => pixel = colour_space(value)?,
            "X" if value == "COLORRANGE=FULL" => full_range = true,
            // Interlacing, the shape of pixels and remarks change nothing here.
            _ => {}
        }
    }
    let (Some(width), Some(height)) = (width, height) else {
        return Err(Error::Header("it lacks W (width) or H (height)".into()));
    };
    let colours = Colours { full_range, ..Colours::of_height(height) };
    Ok(Header { layout: Layout::new(pixel, (width, height), colours)?, fps })
}

/// Reads the line in front of a frame; false at the end.
pub(super) fn frame_line(reader: &mut impl BufRead, seq: u64) -> Result<bool, Error> {
    let text = match line(reader) {
        Err(Error::Header(reason)) if seq > 0 => {
            return Err(Error::Header(format!("in front of frame {seq}, {reason}: {PADDED}")));
        }
        other => other?,
    };
    match text {
        None => Ok(false),
        Some(text) if text == "FRAME" || text.starts_with("FRAME ") => Ok(true),
        Some(_) => Err(Error::Header(format!("frame {seq} does not begin with FRAME: {PADDED}"))),
    }
}

fn line(reader: &mut impl BufRead) -> Result<Option<String>, Error> {
    let mut bytes = Vec::new();
    reader.take(MAX_LINE).read_until(b'\n', &mut bytes).map_err(Error::Read)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    if bytes.pop() != Some(b'\n') {
        return Err(Error::Header("a line does not end; is the video cut off?".into()));
    }
    String::from_utf8(bytes).map(Some).map_err(|_| Error::Header("a line is not text".into()))
}

fn side(text: &str) -> Result<u32, Error> {
    text.parse().map_err(|_| Error::Header(format!("`{text}` is not a number of pixels")))
}

/// Frames a second, `N:M`; 0:0 is unknown.
fn rate(text: &str) -> Result<Option<f64>, Error> {
    let numbers = text.split_once(':').and_then(|(n, m)| Some((n.parse().ok()?, m.parse().ok()?)));
    let (n, m): (u32, u32) =
        numbers.ok_or_else(|| Error::Header(format!("`{text}` is not a frame rate")))?;
    Ok((n > 0 && m > 0).then(|| f64::from(n) / f64::from(m)))
}

fn colour_space(name: &str) -> Result<PixelFormat, Error> {
    match name {
        "420" | "420jpeg" | "420mpeg2" | "420paldv" => Ok(PixelFormat::I420),
        "422" => Ok(PixelFormat::I422),
        "444" => Ok(PixelFormat::I444),
        "mono" => Ok(PixelFormat::Gray8),
        _ => Err(Error::Header(format!("colour space C{name} is not known; {REMEDY}"))),
    }
}
