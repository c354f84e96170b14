//! Frames of a video as ffmpeg and GStreamer write it into a pipe.
//!
//! ```no_run
//! use gpt4roi::stream::{VideoOptions, VideoReader};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut video = VideoReader::new(std::io::stdin(), VideoOptions::default())?;
//! while let Some(frame) = video.next_frame() {
//!     let frame = frame?;
//!     println!("{}: {:?}", frame.seq(), frame.to_rgb()?.size());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A frame is not decoded before somebody wants to see it: of a camera's frames most are never looked at.

mod error;
mod frame;
mod mjpeg;
mod pixel;
#[cfg(test)]
mod tests;
mod y4m;

pub use error::Error;
pub use frame::VideoFrame;
pub use pixel::{Colours, PixelFormat};

use std::io::{BufRead, BufReader, Chain, Cursor, Read};
use std::time::Instant;

use frame::Form;
use pixel::Layout;

/// What a video comes as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VideoFormat {
    /// YUV4MPEG2: frames with a header that says what they are.
    Y4m,
    /// JPEG pictures one behind the other.
    Mjpeg,
    /// Nothing but pixels.
    Raw {
        /// Their form.
        pixel: PixelFormat,
        /// Width and height.
        size: (u32, u32),
    },
}

/// How to read a video.
#[derive(Clone, Copy, Debug, Default)]
pub struct VideoOptions {
    /// Its format; y4m and MJPEG are recognised without.
    pub format: Option<VideoFormat>,
    /// Frames a second, if the video does not say so; without, a frame's time is when it came.
    pub fps: Option<f64>,
    /// How YUV was made; without, what the header says, and BT.709 from 720 rows on.
    pub colours: Option<Colours>,
    /// Rows of every plane are padded to multiples of so many bytes, a power of two.
    pub row_align: Option<u32>,
}

/// Reads frames one after the other.
pub struct VideoReader<R> {
    reader: BufReader<Chain<Cursor<Vec<u8>>, R>>,
    kind: Kind,
    fps: Option<f64>,
    began: Instant,
    seq: u64,
    n_bad: u64,
    ended: bool,
}

enum Kind {
    Y4m(Layout),
    Raw(Layout),
    Mjpeg(mjpeg::Splitter),
}

/// Bytes by which formats are told apart.
const N_HEAD: usize = 10;

impl<R: Read> VideoReader<R> {
    /// Reads the beginning of a video.
    ///
    /// # Errors
    /// If it cannot be read, is of no known format, or its header makes no sense.
    pub fn new(mut reader: R, options: VideoOptions) -> Result<VideoReader<R>, Error> {
        let mut head = Vec::new();
        (&mut reader).take(N_HEAD as u64).read_to_end(&mut head).map_err(Error::Read)?;
        let format = match options.format {
            Some(format) => format,
            None => recognise(&head)?,
        };
        let mut reader = BufReader::with_capacity(1 << 16, Cursor::new(head).chain(reader));
        let mut fps = options.fps.filter(|fps| *fps > 0.0 && fps.is_finite());
        let kind = match format {
            VideoFormat::Mjpeg => Kind::Mjpeg(mjpeg::Splitter::default()),
            VideoFormat::Raw { pixel, size } => {
                let layout = Layout::new(pixel, size, Colours::of_height(size.1))?;
                Kind::Raw(layout.with(&options)?)
            }
            VideoFormat::Y4m => {
                let header = y4m::header(&mut reader)?;
                fps = fps.or(header.fps);
                Kind::Y4m(header.layout.with(&options)?)
            }
        };
        let began = Instant::now();
        Ok(VideoReader { reader, kind, fps, began, seq: 0, n_bad: 0, ended: false })
    }

    /// The next frame, waiting for it; `None` at the end. Behind a frame that cannot be used the next one can be read,
    /// unless it is cut off.
    pub fn next_frame(&mut self) -> Option<Result<VideoFrame, Error>> {
        if self.ended {
            return None;
        }
        let seq = self.seq;
        let reader = &mut self.reader;
        let read = match &mut self.kind {
            Kind::Mjpeg(splitter) => next_jpeg(splitter, reader, seq),
            Kind::Raw(layout) => raw(reader, *layout, seq),
            Kind::Y4m(layout) => y4m::frame_line(reader, seq)
                .and_then(|more| if more { raw(reader, *layout, seq) } else { Ok(None) }),
        };
        let bytes = match read {
            Ok(Some(bytes)) => bytes,
            Ok(None) => {
                self.ended = true;
                return None;
            }
            Err(e) => {
                self.ended = !e.is_of_one_frame();
                self.seq += u64::from(e.is_of_one_frame());
                self.n_bad += 1;
                return Some(Err(e));
            }
        };
        self.seq += 1;
        let form = match self.kind {
            Kind::Mjpeg(_) => Form::Jpeg,
            Kind::Raw(layout) | Kind::Y4m(layout) => Form::Pixels(layout),
        };
        let time = match self.fps {
            Some(fps) => seq as f64 / fps,
            None => self.began.elapsed().as_secs_f64(),
        };
        Some(Ok(VideoFrame::new(seq, time, form, bytes)))
    }

    /// Seconds between frames, if the video says so.
    pub fn interval(&self) -> Option<f64> {
        self.fps.map(|fps| 1.0 / fps)
    }

    /// Frames that could not be used.
    pub fn n_bad(&self) -> u64 {
        self.n_bad
    }

    /// Frames so far, the bad ones included.
    pub fn n_frames(&self) -> u64 {
        self.seq
    }
}

fn recognise(head: &[u8]) -> Result<VideoFormat, Error> {
    if head.starts_with(y4m::MAGIC) {
        Ok(VideoFormat::Y4m)
    } else if head.starts_with(&[0xFF, 0xD8, 0xFF]) || head.starts_with(b"--") {
        // The latter is a boundary, as cameras send it over HTTP.
        Ok(VideoFormat::Mjpeg)
    } else if head.is_empty() {
        Err(Error::Empty)
    } else {
        Err(Error::Unknown)
    }
}

fn next_jpeg(
    splitter: &mut mjpeg::Splitter,
    reader: &mut impl BufRead,
    seq: u64,
) -> Result<Option<Vec<u8>>, Error> {
    let mut n_garbage = 0;
    let read = splitter.next(reader, seq, &mut n_garbage);
    if n_garbage > 0 {
        tracing::debug!("{n_garbage} bytes in front of frame {seq} are no picture");
    }
    read
}

/// The bytes of a frame that is nothing but pixels; `None` at the end.
fn raw(reader: &mut impl BufRead, layout: Layout, seq: u64) -> Result<Option<Vec<u8>>, Error> {
    let n_bytes = layout.n_bytes();
    let mut bytes = Vec::new();
    reader.take(n_bytes as u64).read_to_end(&mut bytes).map_err(Error::Read)?;
    match bytes.len() {
        0 => Ok(None),
        n if n == n_bytes => Ok(Some(bytes)),
        got => Err(Error::CutOff { seq, got, expected: n_bytes }),
    }
}
