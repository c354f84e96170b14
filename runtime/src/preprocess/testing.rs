//! Seeded pictures for the tests of this stage.

use super::linear::resize_linear_u8;
use super::{PassOrder, RgbImage8, resize_bicubic};

/// A small generator (SplitMix64), so that failures repeat.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in 0..`most`.
    pub(crate) fn below(&mut self, most: u64) -> u64 {
        self.next() % most
    }
}

/// A picture of uniform noise.
pub(crate) fn noise(width: u32, height: u32, seed: u64) -> RgbImage8 {
    let mut rng = Rng::new(seed);
    let data = (0..width as usize * height as usize * 3).map(|_| rng.next() as u8).collect();
    RgbImage8::new(width, height, data).unwrap()
}

/// FNV-1a with 64 bits, as 16 hexadecimal digits.
fn checksum(bytes: &[u8]) -> String {
    let step = |h: u64, b: &u8| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01B3);
    format!("{:016x}", bytes.iter().fold(0xCBF2_9CE4_8422_2325, step))
}

fn bicubic(image: &RgbImage8, width: u32, height: u32, order: PassOrder) -> Vec<u8> {
    resize_bicubic(image, width.into(), height.into(), order).unwrap().data().to_vec()
}

type Case = (String, u64, u32, u32, u32, u32, String);

/// Checksums of what Pillow and OpenCV made; see `make_resample_cases.py`, which writes them.
#[test]
fn resizers_meet_the_recorded_checksums() {
    let text = include_str!("../../tests/data/resample_cases.json");
    let cases: Vec<Case> = serde_json::from_str(text).unwrap();
    assert!(cases.len() >= 40);
    for (filter, seed, w, h, new_w, new_h, expected) in cases {
        let image = noise(w, h, seed);
        let result = match filter.as_str() {
            "bicubic" => bicubic(&image, new_w, new_h, PassOrder::HorizontalFirst),
            "bicubic 13" => bicubic(&image, new_w, new_h, PassOrder::Pillow13),
            _ => resize_linear_u8(&image, new_w),
        };
        assert_eq!(checksum(&result), expected, "{filter} {w}x{h} -> {new_w}x{new_h}");
    }
}

/// Prints the time that photographs of usual sizes take.
///
/// `cargo test --release -p gpt4roi --lib bench_preprocess -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn bench_preprocess() {
    let options = super::PreprocessOptions {
        size: 224,
        mean: [0.5; 3],
        std: [0.25; 3],
        mode: super::PreprocessMode::Inference,
    };
    for (width, height) in [(640, 480), (1920, 1080), (4000, 3000), (8000, 6000)] {
        let image = noise(width, height, 1);
        let begin = std::time::Instant::now();
        let rounds = 5;
        (0..rounds).for_each(|_| assert!(super::run(&image, &options).is_ok()));
        let ms = begin.elapsed().as_secs_f64() * 1e3 / f64::from(rounds);
        println!("{width}x{height}: {ms:.2} ms");
    }
}
