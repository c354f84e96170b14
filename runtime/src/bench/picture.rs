//! A photograph's way to pixels: decoding, resizing. One thread does it.

use super::{Bench, Cost};
use crate::error::{Error, Result};
use crate::files::MmprojFile;
use crate::preprocess::{self, PreprocessMode, PreprocessOptions, decode};
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, Rgb, RgbImage};

/// 12 megapixels.
const SIZE: [u32; 2] = [4000, 3000];

pub(super) fn measure(bench: &mut Bench<'_>, mmproj: &MmprojFile) -> Result<()> {
    let jpeg = photograph()?;
    let picture = decode("photograph", &jpeg)?;
    let samples = f64::from(SIZE[0]) * f64::from(SIZE[1]) * 3.0;
    // Written once and read once.
    bench.time("decode 12 MP JPEG", bytes(samples + jpeg.len() as f64), || {
        decode("photograph", &jpeg)?;
        Ok(())
    })?;
    let vision = &mmproj.hparams.vision;
    let options = PreprocessOptions {
        size: vision.image_size,
        mean: vision.image_mean,
        std: vision.image_std,
        mode: PreprocessMode::default(),
    };
    bench.time("preprocess 12 MP", bytes(samples), || {
        preprocess::run(&picture, &options)?;
        Ok(())
    })
}

fn bytes(bytes: f64) -> Cost {
    Cost { bytes, ..Cost::default() }
}

/// Soft shapes with some grain, at a camera's quality.
fn photograph() -> Result<Vec<u8>> {
    let [width, height] = SIZE;
    let picture = RgbImage::from_fn(width, height, |x, y| {
        let grain = (x.wrapping_mul(0x9e37_79b9) ^ y.wrapping_mul(0x85eb_ca6b)) >> 28;
        let wave = |k: f32| 128.0 + 100.0 * (x as f32 * k).sin() * (y as f32 * k * 0.7).cos();
        Rgb([wave(0.011) as u8, wave(0.017) as u8, wave(0.005) as u8].map(|v| v ^ grain as u8 & 7))
    });
    let mut jpeg = Vec::new();
    let written = JpegEncoder::new_with_quality(&mut jpeg, 90).encode(
        picture.as_raw(),
        width,
        height,
        ExtendedColorType::Rgb8,
    );
    written.map_err(|e| Error::internal(format!("the photograph: {e}")))?;
    Ok(jpeg)
}
