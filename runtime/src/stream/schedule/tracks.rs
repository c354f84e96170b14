//! What was said about whom.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use half::f16;

use super::policy::overlap;
use crate::dataset::RegionBox;
use crate::stream::Detection;

/// Most tracks that are remembered; those seen longest ago are forgotten first.
pub const MAX_TRACKS: usize = 2048;
/// What was said of a track that was away for longer is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);
/// A box without a track is taken for the same thing as one of an earlier frame that it overlaps this much.
const SAME_OVERLAP: f64 = 0.3;

/// Who is meant: a track within a camera.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    camera: Arc<str>,
    who: Who,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Who {
    /// By the detector's name.
    Track(String),
    /// By where it is.
    Place(u64),
}

/// An answer that is remembered.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// What was asked.
    pub question: String,
    /// What was answered.
    pub answer: String,
    /// Mean log-probability of its tokens.
    pub logprob: f32,
    /// When the frame arrived that it is about.
    pub seen: Duration,
    /// The box that it is about.
    pub shape: RegionBox,
    /// The region's embedding; empty where nobody asked for it.
    pub(super) embedding: Vec<f16>,
}

/// What is remembered of a track.
struct Track {
    seen: Duration,
    shape: RegionBox,
    label: Option<String>,
    said: Option<Arc<Said>>,
}

/// All tracks of all cameras.
#[derive(Default)]
pub(super) struct Tracks {
    known: HashMap<Key, Track>,
    n_places: u64,
}

impl Tracks {
    /// Who each detection of a frame is; `None` for one that has another's track.
    pub(super) fn recognise(
        &mut self,
        camera: &str,
        detections: &[&Detection],
        now: Duration,
    ) -> Vec<Option<Key>> {
        let camera: Arc<str> = camera.into();
        let mut taken = HashSet::new();
        let mut keys = Vec::new();
        for detection in detections {
            let who = match &detection.track {
                Some(track) => Who::Track(track.clone()),
                None => self.place(&camera, detection, &taken),
            };
            let key = Key { camera: camera.clone(), who };
            keys.push(taken.insert(key.clone()).then(|| {
                self.see(&key, detection, now);
                key
            }));
        }
        self.forget_old();
        keys
    }

    /// The place of an earlier frame that the detection overlaps most, or a new one.
    fn place(&mut self, camera: &Arc<str>, detection: &Detection, taken: &HashSet<Key>) -> Who {
        let near = |(key, track): (&Key, &Track)| {
            let Who::Place(n) = key.who else {
                return None;
            };
            if key.camera != *camera || track.label != detection.label || taken.contains(key) {
                return None;
            }
            let overlap = overlap(&track.shape, &detection.shape);
            (overlap >= SAME_OVERLAP).then_some((overlap, n))
        };
        // Of places that overlap equally the older one wins, whatever the order of the map.
        let best = self.known.iter().filter_map(near);
        let best = best.max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
        Who::Place(best.map_or_else(
            || {
                self.n_places += 1;
                self.n_places
            },
            |(_, n)| n,
        ))
    }

    fn see(&mut self, key: &Key, detection: &Detection, now: Duration) {
        let (shape, label) = (detection.shape, detection.label.clone());
        match self.known.get_mut(key) {
            Some(track) => {
                if now.saturating_sub(track.seen) > FORGOTTEN_AFTER {
                    track.said = None;
                }
                (track.seen, track.shape, track.label) = (now, shape, label);
            }
            None => {
                let track = Track { seen: now, shape, label, said: None };
                self.known.insert(key.clone(), track);
            }
        }
    }

    /// Forgets those that were seen longest ago, an eighth more than must go, so that this is rare.
    fn forget_old(&mut self) {
        if self.known.len() <= MAX_TRACKS {
            return;
        }
        let mut by_age: Vec<_> = self.known.iter().map(|(k, t)| (t.seen, k.clone())).collect();
        by_age.sort_unstable_by_key(|(seen, _)| *seen);
        let surplus = by_age.len() - (MAX_TRACKS - MAX_TRACKS / 8);
        for (_, key) in &by_age[..surplus] {
            self.known.remove(key);
        }
    }

    /// What was said last.
    pub(super) fn said(&self, key: &Key) -> Option<&Arc<Said>> {
        self.known.get(key)?.said.as_ref()
    }

    pub(super) fn remember(&mut self, key: &Key, said: Arc<Said>) {
        if let Some(track) = self.known.get_mut(key) {
            track.said = Some(said);
        }
    }

    pub(super) fn forget(&mut self) {
        self.known.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }
}

/// One less the cosine of the angle between two vectors; 1 where one of them is missing or zero.
pub(super) fn distance(a: &[f32], b: &[f16]) -> f32 {
    if a.len() != b.len() {
        return 1.0;
    }
    let (mut dot, mut aa, mut bb) = (0.0f64, 0.0f64, 0.0f64);
    for (&x, y) in a.iter().zip(b) {
        let (x, y) = (f64::from(x), y.to_f64());
        (dot, aa, bb) = (dot + x * y, aa + x * x, bb + y * y);
    }
    let norms = (aa * bb).sqrt();
    if norms > 0.0 && norms.is_finite() { (1.0 - dot / norms) as f32 } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PixelBox;

    fn at(x: f64, track: Option<&str>) -> Detection {
        let shape = RegionBox::Pixels(PixelBox::new(x, 0.0, x + 10.0, 10.0));
        Detection { track: track.map(Into::into), ..Detection::new(shape) }
    }

    #[test]
    fn boxes_without_tracks_are_recognised_by_their_place() {
        let mut tracks = Tracks::default();
        let now = Duration::ZERO;
        let mut see = |x: &[f64]| {
            let detections: Vec<_> = x.iter().map(|&x| at(x, None)).collect();
            tracks.recognise("", &detections.iter().collect::<Vec<_>>(), now)
        };
        let first = see(&[0.0, 100.0]);
        assert_ne!(first[0], first[1]);
        assert_eq!(see(&[101.0, 3.0]), [first[1].clone(), first[0].clone()]);
        // Two of them cannot be the same.
        let third = see(&[101.0, 102.0]);
        assert_eq!(third[0], first[1]);
        assert!(!first.contains(&third[1]));
        assert!(third[1].is_some());
    }

    #[test]
    fn the_second_box_of_a_track_is_nobody() {
        let mut tracks = Tracks::default();
        let (a, b) = (at(0.0, Some("7")), at(50.0, Some("7")));
        let keys = tracks.recognise("door", &[&a, &b], Duration::ZERO);
        assert!(keys[0].is_some() && keys[1].is_none());
        let other = tracks.recognise("yard", &[&a], Duration::ZERO);
        assert_ne!(keys[0], other[0]);
    }

    #[test]
    fn those_seen_longest_ago_are_forgotten() {
        let mut tracks = Tracks::default();
        for n in 0..10 * MAX_TRACKS {
            let d = at(0.0, Some(&n.to_string()));
            let key = tracks.recognise("", &[&d], Duration::from_secs(n as u64)).remove(0);
            assert!(tracks.known.contains_key(&key.unwrap()));
            assert!(tracks.len() <= MAX_TRACKS);
        }
    }

    #[test]
    fn distance_is_of_directions() {
        let half = |v: &[f32]| v.iter().map(|&x| f16::from_f32(x)).collect::<Vec<_>>();
        assert!(distance(&[1.0, 2.0], &half(&[2.0, 4.0])).abs() < 1e-6);
        assert!((distance(&[1.0, 0.0], &half(&[0.0, 1.0])) - 1.0).abs() < 1e-6);
        assert!((distance(&[1.0, 0.0], &half(&[-1.0, 0.0])) - 2.0).abs() < 1e-6);
        assert_eq!(distance(&[1.0], &[]), 1.0);
        assert_eq!(distance(&[0.0], &half(&[0.0])), 1.0);
        assert_eq!(distance(&[f32::NAN], &half(&[1.0])), 1.0);
    }
}
