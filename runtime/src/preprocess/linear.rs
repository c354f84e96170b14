//! OpenCV's 8-bit INTER_LINEAR resize, as the training pipelines of the detection data used it.
//!
//! Two taps an axis, no averaging when shrinking, weights of 11 fractional bits.

use super::RgbImage8;

/// The two input samples of one output sample and their weights in 1/2048.
struct Pair {
    at: [usize; 2],
    weight: [i32; 2],
}

/// Resizes to `size` x `size` without keeping the aspect ratio.
///
/// Returns interleaved RGB; ggml order [3, size, size] (PyTorch [size, size, 3]).
pub(super) fn resize_linear_u8(image: &RgbImage8, size: u32) -> Vec<u8> {
    let across = pairs(image.width(), size, Border::Reset);
    let down = pairs(image.height(), size, Border::Keep);
    let row_bytes = image.width() as usize * 3;
    let row = |y: usize| &image.data()[y * row_bytes..(y + 1) * row_bytes];
    let mut out = Vec::with_capacity(across.len() * down.len() * 3);
    for y in &down {
        let (upper, lower) = (row(y.at[0]), row(y.at[1]));
        for x in &across {
            for c in 0..3 {
                let (a, b) = (horizontal(upper, x, c), horizontal(lower, x, c));
                let sum = ((y.weight[0] * (a >> 4)) >> 16) + ((y.weight[1] * (b >> 4)) >> 16);
                out.push(((sum + 2) >> 2).clamp(0, 255) as u8);
            }
        }
    }
    out
}

/// One horizontally interpolated sample with 11 fractional bits.
fn horizontal(row: &[u8], x: &Pair, channel: usize) -> i32 {
    let at = |i: usize| i32::from(row[x.at[i] * 3 + channel]);
    x.weight[0] * at(0) + x.weight[1] * at(1)
}

fn pairs(n_in: u32, n_out: u32, border: Border) -> Vec<Pair> {
    let scale = f64::from(n_in) / f64::from(n_out);
    let last = i64::from(n_in) - 1;
    (0..n_out).map(|i| pair(((f64::from(i) + 0.5) * scale - 0.5) as f32, last, border)).collect()
}

/// What happens to the weights of a position beyond the first or last sample.
///
/// Both ways read the same sample; they differ in rounding, and OpenCV has one for each axis.
#[derive(Clone, Copy, PartialEq)]
enum Border {
    /// One weight of 1.
    Reset,
    /// The two weights stay and apply to the same sample.
    Keep,
}

fn pair(position: f32, last: i64, border: Border) -> Pair {
    let floor = position.floor();
    let lower = floor as i64;
    let beyond = lower < 0 || lower >= last;
    let fraction = if beyond && border == Border::Reset { 0.0 } else { position - floor };
    let fixed = |w: f32| (w * 2048.0).round_ties_even() as i32;
    Pair {
        at: [lower, lower + 1].map(|i| i.clamp(0, last) as usize),
        weight: [fixed(1.0 - fraction), fixed(fraction)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preprocess::testing::noise;

    #[test]
    fn same_size_is_the_identity() {
        let image = noise(32, 32, 9);
        assert_eq!(resize_linear_u8(&image, 32), image.data());
    }

    #[test]
    fn one_pixel_fills_the_plane() {
        let image = RgbImage8::new(1, 1, vec![10, 20, 30]).unwrap();
        assert!(resize_linear_u8(&image, 8).chunks_exact(3).all(|p| p == [10, 20, 30]));
    }

    #[test]
    fn halves_average_two_samples() {
        let image = RgbImage8::new(2, 1, vec![0, 0, 0, 100, 50, 255]).unwrap();
        assert_eq!(resize_linear_u8(&image, 1), [50, 25, 128]);
    }
}
