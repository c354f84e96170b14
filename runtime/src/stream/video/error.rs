//! What can be wrong with a video.

use std::io;

use crate::preprocess;

/// What is wrong with a video.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It cannot be read.
    #[error("the video cannot be read: {0}")]
    Read(#[source] io::Error),
    /// There is none.
    #[error("the video is empty; does what writes it run?")]
    Empty,
    /// It is of no known format.
    #[error(
        "the video is neither y4m nor MJPEG; write it with `-f yuv4mpegpipe` or `-f mjpeg`, or say what raw pixels it has"
    )]
    Unknown,
    /// A header makes no sense.
    #[error("the header of the video: {0}")]
    Header(String),
    /// A size that cannot be.
    #[error(
        "frames of {width} x {height} pixels: each side must be from 1 to 32768, and together no more than 64 megapixels"
    )]
    Size {
        /// Width.
        width: u32,
        /// Height.
        height: u32,
    },
    /// Rows cannot be padded to that.
    #[error("rows padded to multiples of {0} bytes: choose a power of two up to 4096")]
    RowAlign(u32),
    /// The end comes within a frame.
    #[error("the video ends within frame {seq}: {got} of {expected} bytes")]
    CutOff {
        /// The frame's number.
        seq: u64,
        /// Bytes that are there.
        got: usize,
        /// Bytes that should be.
        expected: usize,
    },
    /// A frame that cannot be used; the next one can be read.
    #[error("frame {seq} of the video: {reason}")]
    Frame {
        /// Its number.
        seq: u64,
        /// What is wrong.
        reason: String,
    },
    /// A frame that cannot be decoded.
    #[error(transparent)]
    Decode(#[from] preprocess::Error),
}

impl Error {
    /// Whether the next frame can be read.
    pub(super) fn is_of_one_frame(&self) -> bool {
        matches!(self, Error::Frame { .. })
    }
}
