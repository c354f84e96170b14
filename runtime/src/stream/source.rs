//! Where a frame's picture comes from.

use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Found, FrameRef, FrameStore, VideoError, VideoFrame, VideoOptions, VideoReader};
use crate::dataset::RegionBox;
use crate::preprocess::load_from;
use crate::{Image, PixelBox, RgbImage8, load_image};

/// A picture that nobody has decoded yet: of most frames nobody will.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// The bytes of a file.
    Bytes(Arc<[u8]>),
    /// A frame of a video.
    Frame(Arc<VideoFrame>),
    /// One that has not come yet.
    Later(Arc<Video>, Box<FrameRef>),
    /// There is none; why.
    Missing(String),
}

impl Source {
    /// Decodes it.
    ///
    /// # Errors
    /// Why it cannot be had, in words.
    pub(super) fn decode(&self) -> Result<Image, String> {
        let decoded: Result<RgbImage8, _> = match self {
            Source::File(path) => load_image(path),
            Source::Bytes(bytes) => load_from("the frame's picture", &bytes[..]),
            Source::Frame(frame) => return rgb(frame),
            Source::Later(video, about) => {
                let frame = video.wait_for(about)?;
                return rgb(&frame);
            }
            Source::Missing(why) => return Err(why.clone()),
        };
        decoded.map(Image::from).map_err(|e| e.to_string())
    }
}

fn rgb(frame: &VideoFrame) -> Result<Image, String> {
    frame.to_rgb().map(Image::from).map_err(|e| e.to_string())
}

/// Longest that detections wait for their frame.
const PATIENCE: Duration = Duration::from_secs(2);

/// The newest frames of a video that is read on another thread.
#[derive(Debug, Default)]
pub struct Video {
    store: Mutex<FrameStore>,
    changed: Condvar,
    patient: bool,
}

impl Video {
    /// A video of which nothing was read. Of a `patient` one no frame goes before it could be asked for: what writes it waits.
    pub fn new(patient: bool) -> Video {
        Video { patient, ..Video::default() }
    }

    /// Reads a video to its end, and tells `count` after each frame how many have come and how many of them cannot be used.
    ///
    /// # Errors
    /// If it cannot be read any further.
    pub fn read<R: Read>(
        &self,
        reader: R,
        options: VideoOptions,
        mut count: impl FnMut(u64, u64),
    ) -> Result<(), VideoError> {
        let result = self.read_frames(reader, options, &mut count);
        self.lock().end();
        self.changed.notify_all();
        result
    }

    fn read_frames<R: Read>(
        &self,
        reader: R,
        options: VideoOptions,
        count: &mut dyn FnMut(u64, u64),
    ) -> Result<(), VideoError> {
        let mut video = VideoReader::new(reader, options)?;
        *self.lock() = FrameStore::new(video.interval());
        while let Some(frame) = video.next_frame() {
            match frame {
                Ok(frame) => self.put(frame),
                Err(e @ VideoError::Frame { .. }) => tracing::warn!("{e}"),
                Err(e) => return Err(e),
            }
            self.changed.notify_all();
            count(video.n_frames(), video.n_bad());
        }
        Ok(())
    }

    fn put(&self, frame: VideoFrame) {
        let mut store = self.lock();
        while self.patient && !store.has_room() {
            store = self.changed.wait(store).unwrap_or_else(PoisonError::into_inner);
        }
        store.put(frame);
    }

    /// Where the frame is that detections belong to.
    pub(super) fn find(self: &Arc<Self>, about: &FrameRef) -> Source {
        let found = self.lock().find(about);
        self.changed.notify_all();
        match found {
            Found::Frame(frame) => Source::Frame(frame),
            Found::NotYet => Source::Later(self.clone(), Box::new(about.clone())),
            Found::Gone => Source::Missing(GONE.into()),
        }
    }

    fn wait_for(&self, about: &FrameRef) -> Result<Arc<VideoFrame>, String> {
        let until = Instant::now() + PATIENCE;
        let mut store = self.lock();
        loop {
            match store.find(about) {
                Found::Frame(frame) => return Ok(frame),
                Found::Gone => return Err(GONE.into()),
                Found::NotYet => {}
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(format!("its frame has not come within {} s", PATIENCE.as_secs()));
            }
            let waited = self.changed.wait_timeout(store, left);
            store = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, FrameStore> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const GONE: &str = "its frame is not on the video, or not kept any more";

/// A box in pixels of a picture of `size`, where the detector worked on one of size `detected`.
pub(super) fn in_pixels(
    shape: &RegionBox,
    detected: Option<(u32, u32)>,
    size: (u32, u32),
) -> PixelBox {
    let (RegionBox::Pixels(b), Some((w, h))) = (shape, detected) else {
        return shape.in_pixels(size);
    };
    let (x, y) = (f64::from(size.0) / f64::from(w), f64::from(size.1) / f64::from(h));
    PixelBox::new(b.x1 * x, b.y1 * y, b.x2 * x, b.y2 * y)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_of_a_scaled_picture_are_scaled_back() {
        let b = RegionBox::Pixels(PixelBox::new(10.0, 20.0, 30.0, 40.0));
        let whole = in_pixels(&b, Some((100, 50)), (200, 200));
        assert_eq!(whole, PixelBox::new(20.0, 80.0, 60.0, 160.0));
        assert_eq!(in_pixels(&b, None, (200, 200)), PixelBox::new(10.0, 20.0, 30.0, 40.0));
        let fractions = RegionBox::Fractions([0.0, 0.5, 0.25, 1.0]);
        let b = in_pixels(&fractions, Some((7, 7)), (200, 100));
        assert_eq!(b, PixelBox::new(0.0, 50.0, 50.0, 100.0));
    }
}
