//! A frame as it came.

use super::Error;
use super::pixel::Layout;
use crate::RgbImage8;
use crate::preprocess::decode;
use std::time::{SystemTime, UNIX_EPOCH};

/// A frame that nobody has decoded yet.
pub struct VideoFrame {
    seq: u64,
    time: f64,
    came: f64,
    form: Form,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy)]
pub(super) enum Form {
    Jpeg,
    Pixels(Layout),
}

impl std::fmt::Debug for VideoFrame {
    /// A picture's bytes are for nobody's eyes.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "VideoFrame({}, {} bytes)", self.seq, self.bytes.len())
    }
}

impl VideoFrame {
    pub(super) fn new(seq: u64, time: f64, form: Form, bytes: Vec<u8>) -> VideoFrame {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        let came = since_1970.map_or(0.0, |d| d.as_secs_f64());
        VideoFrame { seq, time, came, form, bytes }
    }

    /// Its number, from 0; frames that cannot be used have one too.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Seconds since the first frame.
    pub fn time(&self) -> f64 {
        self.time
    }

    /// When it came, in seconds since 1970.
    pub fn came(&self) -> f64 {
        self.came
    }

    /// Bytes that it takes.
    pub fn n_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Decodes it.
    ///
    /// # Errors
    /// [`Error::Decode`] for a JPEG picture that cannot be decoded.
    pub fn to_rgb(&self) -> Result<RgbImage8, Error> {
        match self.form {
            Form::Jpeg => Ok(decode(&format!("frame {} of the video", self.seq), &self.bytes)?),
            Form::Pixels(layout) => layout.to_rgb(&self.bytes),
        }
    }
}
