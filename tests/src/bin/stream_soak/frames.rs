//! Frames as cameras send them on good and bad days.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use gpt4roi_tests::mutate::Rng;
use gpt4roi_tests::pictures::png;
use serde_json::{Value, json};
use std::path::PathBuf;

/// A line, and what should be counted of it.
pub(super) struct Line {
    pub(super) bytes: Vec<u8>,
    pub(super) bad: bool,
    pub(super) detections: u64,
}

/// Makes lines.
pub(super) struct Frames {
    rng: Rng,
    new: f64,
    broken: f64,
    dir: PathBuf,
    /// Sizes of the pictures in the folder.
    n_pictures: usize,
    /// A picture as base64, whole.
    inline: String,
    n_tracks: u64,
}

impl Frames {
    pub(super) fn new(seed: u64, new: f64, broken: f64) -> anyhow::Result<Frames> {
        let dir = gpt4roi_tests::scratch().join("soak");
        std::fs::create_dir_all(&dir)?;
        // The size changes in mid-stream.
        let sizes = [(64, 48), (48, 64), (320, 240), (1, 1)];
        for (i, (w, h)) in sizes.iter().enumerate() {
            std::fs::write(dir.join(format!("{i}.png")), png(*w, *h, i as u32))?;
        }
        let inline = BASE64_STANDARD.encode(png(64, 48, 9));
        let n_pictures = sizes.len();
        Ok(Frames { rng: Rng::new(seed), new, broken, dir, n_pictures, inline, n_tracks: 3 })
    }

    fn chance(&mut self, share: f64) -> bool {
        self.rng.below(1 << 20) as f64 / f64::from(1 << 20) < share
    }

    pub(super) fn next(&mut self, seq: u64) -> Line {
        if self.chance(self.broken) {
            return self.broken(seq);
        }
        let items = self.items();
        let picture = self.rng.below(self.n_pictures);
        let path = self.dir.join(format!("{picture}.png"));
        line(json!({ "seq": seq, "time": seq as f64 / 10.0, "image": path }), items)
    }

    /// Old acquaintances, and now and then somebody new.
    fn items(&mut self) -> Vec<Value> {
        let mut items = Vec::new();
        for track in 0..self.rng.below(4) as u64 {
            items.push(item(track, self.rng.below(3)));
        }
        if self.chance(self.new) {
            self.n_tracks += 1;
            items.push(item(self.n_tracks, self.rng.below(20)));
        }
        items
    }

    fn broken(&mut self, seq: u64) -> Line {
        let items = self.items();
        let whole = json!({ "seq": seq, "image": self.dir.join("0.png") });
        match self.rng.below(8) {
            // A line of nothing but bytes, without the one that ends it.
            0 => {
                let bytes = (0..40).map(|_| (self.rng.below(255) as u8).max(b'\n' + 1));
                bad(std::iter::once(b'x').chain(bytes).collect())
            }
            // One that is cut off.
            1 => {
                let mut bytes = line(whole, items).bytes;
                bytes.truncate(2 + self.rng.below(bytes.len() - 4));
                bad(bytes)
            }
            // A picture that is cut off, and one that is none.
            2 => {
                let cut = 4 * self.rng.below(self.inline.len() / 4);
                line(json!({ "seq": seq, "jpeg": self.inline[..cut] }), items)
            }
            // A frame that is missing.
            3 => line(json!({ "seq": seq, "image": self.dir.join("none.png") }), items),
            // The clock jumps, and numbers come again.
            4 => {
                let time = self.rng.draw() as f64 - 9e18;
                let seq = self.rng.below(5);
                line(json!({ "seq": seq, "time": time, "image": self.dir.join("1.png") }), items)
            }
            // The same track twice.
            5 => line(whole, [items.clone(), items].concat()),
            // A box that is far outside of the picture.
            6 => line(whole, vec![json!({ "track": "far", "box": [1e9, 5, 2e9, 9] })]),
            // No picture at all.
            _ => line(json!({ "seq": seq }), items),
        }
    }
}

fn item(track: u64, x: usize) -> Value {
    json!({ "track": track, "label": "thing", "score": 0.5, "box": [x, 2, x + 20, 30] })
}

fn line(mut frame: Value, items: Vec<Value>) -> Line {
    let detections = items.len() as u64;
    frame["detections"] = Value::Array(items);
    Line { bytes: format!("{frame}\n").into_bytes(), bad: false, detections }
}

fn bad(mut bytes: Vec<u8>) -> Line {
    bytes.push(b'\n');
    Line { bytes, bad: true, detections: 0 }
}
