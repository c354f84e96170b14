//! Pillow's 8-bit BICUBIC resize, bit for bit.
//!
//! The filter is separable: a horizontal pass to 8 bits, then a vertical one. Each output sample
//! is a weighted sum of input samples around c = (i + 0.5) * in / out, with weights from the
//! cubic of a = -0.5, stretched when shrinking so that it averages, normalised in double
//! precision and rounded to 22 fractional bits. Accumulation is exact integer arithmetic, so the
//! order of additions is free and the passes below are laid out for vector units.
//!
//! The order of the passes matters because of the rounding between them: see [`PassOrder`].
//!
//! Only wanted columns and rows are computed: an elongated picture grows to millions of columns
//! of which the model looks at two per output pixel.

use std::ops::Range;

use super::{Error, MAX_DECODED_BYTES, RgbImage8};
use ggml_ext::filter::{FRACTION_BITS, Filter};

/// Fractional bits of a weight: 32 bits less 8 of a sample and 2 of headroom.
const WEIGHT_BITS: u32 = FRACTION_BITS;

/// Which of the two passes comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PassOrder {
    /// The horizontal one, always: Pillow before release 13, in the model's time.
    #[default]
    HorizontalFirst,
    /// As Pillow 13 chooses: the vertical one if the height shrinks by more than twice as many
    /// pixels as the width. Photographs more than twice as tall as wide then differ by a level.
    Pillow13,
}

impl PassOrder {
    fn is_vertical_first(self, from: (u32, u32), to: (u64, u64)) -> bool {
        let shrinkage = |from: u32, to: u64| i128::from(from) - i128::from(to);
        let (across, down) = (shrinkage(from.0, to.0), shrinkage(from.1, to.1));
        self == Self::Pillow13 && down > 0 && down > 2 * across
    }
}

/// (width, height) at which the short side is `edge` and the long side is rounded down.
pub fn shortest_edge_size(width: u32, height: u32, edge: u32) -> (u64, u64) {
    let (w, h, edge) = (u64::from(width), u64::from(height), u64::from(edge));
    if w <= h { (edge, edge * h / w.max(1)) } else { (edge * w / h.max(1), edge) }
}

/// The whole picture at `width` x `height`, as Pillow's `Image.resize((w, h), BICUBIC)` gives it.
///
/// # Errors
/// [`Error::ResizeTooLarge`] if the result would take more than [`MAX_DECODED_BYTES`];
/// [`Error::Option`] if a side is 0.
pub fn resize_bicubic(
    image: &RgbImage8,
    width: u64,
    height: u64,
    order: PassOrder,
) -> Result<RgbImage8, Error> {
    let limit = MAX_DECODED_BYTES;
    let bytes = width.saturating_mul(height).saturating_mul(3);
    if bytes == 0 {
        let value = format!("{width}x{height}");
        return Err(Error::Option { option: "size", value, expected: "both sides at least 1" });
    }
    if bytes > limit {
        return Err(Error::ResizeTooLarge { width, height, bytes, limit });
    }
    let columns: Vec<u64> = (0..width).collect();
    let rows: Vec<u64> = (0..height).collect();
    let data = bicubic_at(image, (width, height), &columns, &rows, order);
    RgbImage8::new(width as u32, height as u32, data)
}

/// The given columns and rows of the picture at `size` = (width, height).
///
/// Interleaved RGB; ggml order [3, columns, rows] (PyTorch [rows, columns, 3]). Indices must be
/// ascending and below `size`, which must be at least 1x1.
pub(super) fn bicubic_at(
    image: &RgbImage8,
    size: (u64, u64),
    columns: &[u64],
    rows: &[u64],
    order: PassOrder,
) -> Vec<u8> {
    let down = Taps::bicubic(u64::from(image.height()), size.1, rows);
    let across = Taps::bicubic(u64::from(image.width()), size.0, columns);
    let used = down.inputs.iter().cloned().flatten();
    let row_bytes = image.width() as usize * 3;
    let used: Vec<&[u8]> =
        used.map(|y| &image.data()[y * row_bytes..(y + 1) * row_bytes]).collect();
    if order.is_vertical_first(image.size(), size) {
        let strip = down.apply_vertically(&used);
        across.apply_horizontally(&lines(&strip, row_bytes))
    } else {
        let strip = across.apply_horizontally(&used);
        down.apply_vertically(&lines(&strip, columns.len() * 3))
    }
}

fn lines(samples: &[u8], row_bytes: usize) -> Vec<&[u8]> {
    samples.chunks_exact(row_bytes).collect()
}

/// For each wanted output sample of one axis: where its input samples begin and their weights.
struct Taps {
    /// Input samples that any output needs, as ascending ranges that do not touch.
    inputs: Vec<Range<usize>>,
    /// First input sample of each output, as a position in the concatenated `inputs`.
    first: Vec<usize>,
    /// Weights of output `i` are `weights[bounds[i]..bounds[i + 1]]`.
    bounds: Vec<usize>,
    weights: Vec<i32>,
}

impl Taps {
    /// Taps of the ascending outputs `wanted` of an axis of `n_in` samples resized to `n_out`.
    fn bicubic(n_in: u64, n_out: u64, wanted: &[u64]) -> Self {
        let (inputs, first, weights) = (Vec::new(), Vec::new(), Vec::new());
        let mut taps = Self { inputs, first, bounds: vec![0], weights };
        let mut exact = Vec::new();
        let mut skipped = 0;
        for &i in wanted {
            // Pillow skips a pass that changes nothing; a weight of one is the same.
            let first = if n_in == n_out {
                exact.clear();
                exact.push(1.0);
                i
            } else {
                cubic_weights(n_in, n_out, i, &mut exact)
            } as usize;
            skipped += taps.need(first..first + exact.len());
            taps.first.push(first - skipped);
            taps.weights.extend(exact.iter().map(|&w| to_fixed(w)));
            taps.bounds.push(taps.weights.len());
        }
        taps
    }

    /// Adds a range of input samples; returns how many unused samples lie in front of it.
    fn need(&mut self, range: Range<usize>) -> usize {
        let known = self.inputs.last().map_or(0, |last| last.end);
        match self.inputs.last_mut() {
            Some(last) if range.start <= known => {
                last.end = known.max(range.end);
                0
            }
            _ => {
                self.inputs.push(range.clone());
                range.start - known
            }
        }
    }

    /// Number of outputs.
    fn len(&self) -> usize {
        self.first.len()
    }

    /// Position of the first input sample and weights of output `i`.
    fn of(&self, i: usize) -> (usize, &[i32]) {
        (self.first[i], &self.weights[self.bounds[i]..self.bounds[i + 1]])
    }

    /// Resamples each of `rows`; returns ggml order [3, self.len(), rows] (PyTorch [rows, n, 3]).
    ///
    /// The sums fit: absolute weights add up to less than 1.5 (a test checks), and
    /// 1.5 * 2^22 * 255 + 2^21 is below 2^31.
    fn apply_horizontally(&self, rows: &[&[u8]]) -> Vec<u8> {
        let mut filter = Filter::new();
        for i in 0..self.len() {
            let (first, weights) = self.of(i);
            filter.push(first, weights);
        }
        let mut out = vec![0; rows.len() * self.len() * 3];
        filter.run(rows, &self.inputs, &mut out);
        out
    }

    /// Resamples the columns of `rows`, which are the rows `self.inputs` of a picture; returns
    /// self.len() rows of the same length.
    fn apply_vertically(&self, rows: &[&[u8]]) -> Vec<u8> {
        let row_bytes = rows.first().map_or(0, |row| row.len());
        let mut out = Vec::with_capacity(self.len() * row_bytes);
        let mut sums = vec![0i32; row_bytes];
        for i in 0..self.len() {
            let (first, weights) = self.of(i);
            sums.fill(1 << (WEIGHT_BITS - 1));
            for (row, &weight) in rows[first..].iter().zip(weights) {
                for (sum, &sample) in sums.iter_mut().zip(*row) {
                    *sum += weight * i32::from(sample);
                }
            }
            out.extend(sums.iter().map(|&sum| to_u8(sum)));
        }
        out
    }
}

fn to_u8(sum: i32) -> u8 {
    (sum >> WEIGHT_BITS).clamp(0, 255) as u8
}

/// Rounds half away from zero, by truncation towards zero as C's cast does.
fn to_fixed(weight: f64) -> i32 {
    let scaled = weight * f64::from(1 << WEIGHT_BITS);
    (if weight < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i32
}

/// Normalised weights of output `i`; returns the index of the first input sample.
fn cubic_weights(n_in: u64, n_out: u64, i: u64, weights: &mut Vec<f64>) -> u64 {
    let scale = n_in as f64 / n_out as f64;
    let stretch = scale.max(1.0);
    let (support, shrink) = (2.0 * stretch, 1.0 / stretch);
    let centre = (i as f64 + 0.5) * scale;
    // Casts saturate: a negative begin becomes 0.
    let first = (centre - support + 0.5) as u64;
    let end = ((centre + support + 0.5) as u64).min(n_in);
    weights.clear();
    weights.extend((first..end).map(|j| cubic((j as f64 - centre + 0.5) * shrink)));
    let sum: f64 = weights.iter().sum();
    if sum != 0.0 {
        weights.iter_mut().for_each(|w| *w /= sum);
    }
    first
}

/// Keys' cubic with a = -0.5; the order of operations is part of the result.
fn cubic(x: f64) -> f64 {
    let x = x.abs();
    if x < 1.0 {
        (1.5 * x - 2.5) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preprocess::testing::{Rng, noise};

    const HORIZONTAL: PassOrder = PassOrder::HorizontalFirst;

    /// The same filter written straight from its description, with 64-bit sums.
    fn plain_bicubic(image: &RgbImage8, width: u64, height: u64) -> Vec<u8> {
        let (w, h) = (image.width() as usize, image.height() as usize);
        let (nw, nh) = (width as usize, height as usize);
        let mut strip = vec![0u8; nw * h * 3];
        for (y, x, c) in indices(h, nw) {
            let at = |j: usize| image.data()[(y * w + j) * 3 + c];
            strip[(y * nw + x) * 3 + c] = plain_sample(w, nw, x, at);
        }
        let mut out = vec![0u8; nw * nh * 3];
        for (y, x, c) in indices(nh, nw) {
            let at = |j: usize| strip[(j * nw + x) * 3 + c];
            out[(y * nw + x) * 3 + c] = plain_sample(h, nh, y, at);
        }
        out
    }

    fn indices(rows: usize, columns: usize) -> impl Iterator<Item = (usize, usize, usize)> {
        (0..rows * columns * 3).map(move |k| (k / 3 / columns, k / 3 % columns, k % 3))
    }

    fn plain_sample(n_in: usize, n_out: usize, i: usize, at: impl Fn(usize) -> u8) -> u8 {
        if n_in == n_out {
            return at(i);
        }
        let mut weights = Vec::new();
        let first = cubic_weights(n_in as u64, n_out as u64, i as u64, &mut weights) as usize;
        let sum: i64 = weights
            .iter()
            .enumerate()
            .map(|(j, &w)| i64::from(to_fixed(w)) * i64::from(at(first + j)))
            .sum();
        ((sum + (1 << 21)) >> 22).clamp(0, 255) as u8
    }

    #[test]
    fn sizes_follow_the_short_side() {
        assert_eq!(shortest_edge_size(320, 240, 224), (298, 224));
        assert_eq!(shortest_edge_size(231, 410, 224), (224, 397));
        assert_eq!(shortest_edge_size(7, 7, 224), (224, 224));
        assert_eq!(shortest_edge_size(30000, 1, 224), (6_720_000, 224));
    }

    #[test]
    fn equals_the_plain_filter_on_many_sizes() {
        let mut rng = Rng::new(1);
        let mut side = |most: u64| 1 + rng.below(most);
        for round in 0..120 {
            let most = if round % 3 == 0 { 5 } else { 90 };
            let image = noise(side(most) as u32, side(most) as u32, round);
            let (w, h) = (side(120), side(120));
            let fast = resize_bicubic(&image, w, h, HORIZONTAL).unwrap();
            assert_eq!(fast.data(), plain_bicubic(&image, w, h), "{:?} -> {w}x{h}", image.size());
        }
    }

    #[test]
    fn selected_samples_are_those_of_the_whole() {
        let image = noise(200, 37, 5);
        let whole = resize_bicubic(&image, 300, 50, HORIZONTAL).unwrap();
        let (columns, rows) = ([0, 7, 8, 151, 299], [3, 4, 49]);
        let some = bicubic_at(&image, (300, 50), &columns, &rows, HORIZONTAL);
        for (k, sample) in some.iter().enumerate() {
            let (y, x, c) = (rows[k / 15], columns[k / 3 % 5], k % 3);
            assert_eq!(*sample, whole.data()[(y as usize * 300 + x as usize) * 3 + c]);
        }
    }

    #[test]
    fn the_order_of_passes_is_that_of_the_release() {
        let vertical_first = |from, to| PassOrder::Pillow13.is_vertical_first(from, to);
        assert!(vertical_first((1000, 3000), (224, 672)));
        assert!(vertical_first((500, 1100), (224, 492)));
        assert!(!vertical_first((500, 1000), (224, 448)));
        assert!(!vertical_first((100, 400), (224, 896)));
        assert!(!HORIZONTAL.is_vertical_first((1000, 3000), (224, 672)));
    }

    #[test]
    fn weights_leave_headroom_in_32_bits() {
        let mut rng = Rng::new(2);
        for _ in 0..4000 {
            let (n_in, n_out) = (1 + rng.below(3000), 1 + rng.below(3000));
            let taps = Taps::bicubic(n_in, n_out, &[0, n_out / 2, n_out - 1]);
            for i in 0..taps.len() {
                let sum: i64 = taps.of(i).1.iter().map(|w| i64::from(w.abs())).sum();
                assert!(sum < 3 << 21, "{n_in} -> {n_out}: {sum}");
            }
        }
    }

    #[test]
    fn extreme_contrast_clamps_instead_of_wrapping() {
        let data = (0..64 * 64).flat_map(|k| [if k % 2 == 0 { 255 } else { 0 }; 3]).collect();
        let image = RgbImage8::new(64, 64, data).unwrap();
        let resized = resize_bicubic(&image, 224, 224, HORIZONTAL).unwrap();
        assert_eq!(resized.data(), plain_bicubic(&image, 224, 224));
    }

    #[test]
    fn oversized_targets_are_refused() {
        let image = noise(30_000, 1, 3);
        let error = resize_bicubic(&image, 6_720_000, 224, HORIZONTAL).unwrap_err();
        assert!(matches!(error, Error::ResizeTooLarge { .. }), "{error}");
        assert!(matches!(resize_bicubic(&image, 0, 5, HORIZONTAL), Err(Error::Option { .. })));
    }
}
