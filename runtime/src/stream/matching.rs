//! Which frame of a video detections belong to.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{FrameRef, VideoFrame};

/// Most frames that are kept.
pub const MAX_FRAMES: usize = 64;
/// Most bytes of kept frames.
const MAX_BYTES: usize = 256 << 20;
/// Furthest that a frame's time may be from what is asked for, where the video has no frame rate.
const TOLERANCE: f64 = 0.1;
/// Times from here on are seconds since 1970, of the clock on the wall.
const WALL_CLOCK: f64 = 1e9;
/// Furthest that such a time may be from the frame's arrival: pictures are some time on their way.
const WALL_TOLERANCE: f64 = 0.5;

/// The newest frames of a video.
#[derive(Debug, Default)]
pub struct FrameStore {
    frames: VecDeque<Arc<VideoFrame>>,
    n_bytes: usize,
    interval: Option<f64>,
    ended: bool,
    /// The latest that was asked for.
    wanted: (u64, f64),
}

/// What was found.
#[derive(Clone, Debug)]
pub enum Found {
    /// The frame.
    Frame(Arc<VideoFrame>),
    /// It is still to come.
    NotYet,
    /// It is no longer kept, or never was.
    Gone,
}

impl FrameStore {
    /// A store for a video with that many seconds between frames, if that is known.
    pub fn new(interval: Option<f64>) -> FrameStore {
        FrameStore { interval, ..FrameStore::default() }
    }

    /// Takes the next frame; the oldest ones go when there are too many.
    pub fn put(&mut self, frame: VideoFrame) {
        self.n_bytes += frame.n_bytes();
        self.frames.push_back(Arc::new(frame));
        while self.frames.len() > MAX_FRAMES || self.n_bytes > MAX_BYTES && self.frames.len() > 1 {
            if let Some(old) = self.frames.pop_front() {
                self.n_bytes -= old.n_bytes();
            }
        }
    }

    /// Whether another frame can be taken without letting one go that may still be asked for, if frames are asked for in
    /// their order.
    pub fn has_room(&self) -> bool {
        let (seq, time) = self.wanted;
        let is_passed = |f: &Arc<VideoFrame>| f.seq() < seq || f.time() < time;
        self.frames.len() < MAX_FRAMES && self.n_bytes < MAX_BYTES
            || self.frames.front().is_none_or(is_passed)
    }

    /// No more frames will come.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// The frame of that number, or nearest to that time, or the newest if neither is said.
    pub fn find(&mut self, about: &FrameRef) -> Found {
        self.want(about);
        let Some(newest) = self.frames.back() else {
            return self.missing(false);
        };
        let found = match (about.seq, about.time) {
            (Some(seq), _) => match self.frames.iter().find(|f| f.seq() == seq) {
                Some(frame) => frame,
                None => return self.missing(seq <= newest.seq()),
            },
            (None, Some(time)) => {
                let on_wall = time >= WALL_CLOCK;
                let time_of = |f: &VideoFrame| if on_wall { f.came() } else { f.time() };
                let distance = |f: &&Arc<VideoFrame>| (time_of(f) - time).abs();
                let nearest = self.frames.iter().min_by(|a, b| distance(a).total_cmp(&distance(b)));
                let within = match (on_wall, self.interval) {
                    (true, _) => WALL_TOLERANCE,
                    (false, Some(interval)) => interval / 2.0 + 1e-6,
                    (false, None) => TOLERANCE,
                };
                match nearest.filter(|f| distance(f) <= within) {
                    Some(frame) => frame,
                    None => return self.missing(time <= time_of(newest)),
                }
            }
            (None, None) => newest,
        };
        Found::Frame(found.clone())
    }

    /// A number far ahead may be a slip: frames may go up to the next one that would have to.
    fn want(&mut self, about: &FrameRef) {
        let last = self.frames.back().map_or((0, 0.0), |f| (f.seq(), f.time()));
        match (about.seq, about.time) {
            (Some(seq), _) => self.wanted.0 = seq.min(last.0 + 1).max(self.wanted.0),
            (None, Some(time)) if time < WALL_CLOCK => {
                self.wanted.1 = (time - TOLERANCE).min(last.1 + TOLERANCE).max(self.wanted.1);
            }
            // Whoever asks for the newest, or lives by the clock, does not ask for those before.
            (None, _) => self.wanted.0 = last.0 + 1,
        }
    }

    fn missing(&self, passed: bool) -> Found {
        if passed || self.ended { Found::Gone } else { Found::NotYet }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::{PixelFormat, VideoFormat, VideoOptions, VideoReader};

    fn store(n: usize, fps: Option<f64>) -> FrameStore {
        let pixels = vec![0u8; n];
        let format = VideoFormat::Raw { pixel: PixelFormat::Gray8, size: (1, 1) };
        let options = VideoOptions { format: Some(format), fps, ..VideoOptions::default() };
        let mut video = VideoReader::new(&pixels[..], options).unwrap();
        let mut store = FrameStore::new(video.interval());
        while let Some(frame) = video.next_frame() {
            store.put(frame.unwrap());
        }
        store
    }

    fn seq(found: &Found) -> Result<u64, bool> {
        match found {
            Found::Frame(frame) => Ok(frame.seq()),
            Found::NotYet => Err(false),
            Found::Gone => Err(true),
        }
    }

    #[test]
    fn frames_are_found_by_number_by_time_or_as_the_newest() {
        let mut store = store(100, Some(10.0));
        let newest = FrameRef::default();
        let numbered = |seq| FrameRef { seq: Some(seq), ..FrameRef::default() };
        let timed = |time| FrameRef { time: Some(time), ..FrameRef::default() };
        for (about, expected) in [
            (newest, Ok(99)),
            (numbered(99), Ok(99)),
            (numbered(100 - MAX_FRAMES as u64), Ok(100 - MAX_FRAMES as u64)),
            (numbered(3), Err(true)),
            (numbered(100), Err(false)),
            (timed(9.86), Ok(99)),
            (timed(9.84), Ok(98)),
            (timed(0.0), Err(true)),
            (timed(10.2), Err(false)),
            (timed(f64::NAN), Err(false)),
            (timed(1e12), Err(false)),
            (timed(1e9), Err(true)),
        ] {
            assert_eq!(seq(&store.find(&about)), expected, "{about:?}");
        }
        let now = store.frames[99 - 36].came();
        assert!(seq(&store.find(&timed(now + 0.1))).is_ok());
        store.end();
        assert_eq!(seq(&store.find(&numbered(100))), Err(true));
    }

    #[test]
    fn a_patient_video_waits_until_its_frames_are_asked_for() {
        let mut store = store(MAX_FRAMES, Some(10.0));
        assert!(!store.has_room());
        store.find(&FrameRef { seq: Some(1), ..FrameRef::default() });
        assert!(store.has_room());
        let mut empty = FrameStore::default();
        assert!(empty.has_room());
        assert!(matches!(empty.find(&FrameRef::default()), Found::NotYet));
    }
}
