//! Pictures made of arithmetic.

use gpt4roi::RgbImage8;
use image::{ImageFormat, RgbImage};
use std::io::Cursor;

/// A picture of gradients and blocks; each seed gives another one.
pub fn picture(width: u32, height: u32, seed: u32) -> RgbImage8 {
    let data = pixels(width, height, seed).into_raw();
    RgbImage8::new(width, height, data).expect("a picture")
}

/// The same as the bytes of a PNG file.
pub fn png(width: u32, height: u32, seed: u32) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    let written = pixels(width, height, seed).write_to(&mut out, ImageFormat::Png);
    written.expect("a PNG file in memory");
    out.into_inner()
}

fn pixels(width: u32, height: u32, seed: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let block = (x / 16 + y / 16 * 3 + seed).wrapping_mul(2_654_435_761) >> 24;
        let slope = |v: u32, n: u32| (v * 255 / n.max(1)) as u8;
        image::Rgb([slope(x, width), slope(y, height), block as u8])
    })
}
