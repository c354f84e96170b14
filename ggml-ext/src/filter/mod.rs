//! Rows of RGB bytes, filtered and resampled, in whole numbers.
//!
//! Sixteen rows are worked on at a time, each in a lane of its own. The bytes of four neighbouring pixels in one channel make a
//! word: AVX-512 with VNNI multiplies four bytes of each lane with four bytes of weights, and adds them up, in one
//! instruction, three of which make a product with weights of three bytes. Sums are exact, hence the same everywhere.

mod planes;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

use planes::Planes;
use std::ops::Range;

/// Weights are whole numbers of 2^-22.
pub const FRACTION_BITS: u32 = 22;

/// Rows that are worked on at once.
const LANES: usize = 16;
/// Pixels whose bytes make a word.
const QUAD: usize = 4;
/// Weights are less than this.
const LIMIT: i32 = 127 << 16;

/// Four pixels of each row in each channel.
type Words = [[u32; LANES]; 3];
/// An output pixel of each row, before it is rounded.
type Sums = [[i32; LANES]; 3];

/// For each output pixel of a row, which input pixels it is made of.
#[derive(Debug, Default)]
pub struct Filter {
    outputs: Vec<Output>,
    quads: Vec<Quad>,
}

#[derive(Debug)]
struct Output {
    /// The word of the first pixel.
    first: usize,
    quads: Range<usize>,
}

/// Weights of four pixels, and the same in bytes, lowest first: `b[0] + 256 b[1] + 65536 b[2]`, the pixels' side by side.
#[derive(Clone, Copy, Debug, Default)]
struct Quad {
    weights: [i32; QUAD],
    bytes: [i32; 3],
}

impl Filter {
    /// No outputs yet.
    pub fn new() -> Filter {
        Filter::default()
    }

    /// Adds an output pixel: the pixels from `first` on, with these weights, whose magnitudes shall add up to less than 2^23.
    ///
    /// # Panics
    /// If a weight is 127 * 2^16 or more.
    pub fn push(&mut self, first: usize, weights: &[i32]) {
        assert!(weights.iter().all(|w| w.abs() < LIMIT), "a weight is too large");
        let (before, begin) = (first % QUAD, self.quads.len());
        let n = (before + weights.len()).div_ceil(QUAD);
        self.quads.resize(begin + n, Quad::default());
        for (i, &weight) in weights.iter().enumerate() {
            self.quads[begin + (before + i) / QUAD].set((before + i) % QUAD, weight);
        }
        self.outputs.push(Output { first: first / QUAD, quads: begin..begin + n });
    }

    /// Number of output pixels.
    pub fn len(&self) -> usize {
        self.outputs.len()
    }

    /// Whether there are no outputs.
    pub fn is_empty(&self) -> bool {
        self.outputs.is_empty()
    }

    /// Filters `rows`, of whose pixels only those of the ranges `used` exist for the filter, one range after the other. Sums are
    /// rounded to the nearest number, and cut to 0 to 255. `out` is `[3, len, rows]` (`[rows, len, 3]`).
    ///
    /// # Panics
    /// If a row ends before the last range, an output needs other pixels, or `out` is of another length.
    pub fn run(&self, rows: &[&[u8]], used: &[Range<usize>], out: &mut [u8]) {
        assert_eq!(out.len(), rows.len() * self.len() * 3, "length of the output");
        #[cfg(target_arch = "x86_64")]
        if x86::has_vnni() {
            // SAFETY: the processor has the instructions.
            return unsafe { x86::run_vnni(self, rows, used, out) };
        } else if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has the instructions.
            return unsafe { x86::run_avx2(self, rows, used, out) };
        }
        self.run_on::<Portable>(rows, used, out);
    }

    #[inline(always)]
    fn run_on<V: Variant>(&self, rows: &[&[u8]], used: &[Range<usize>], out: &mut [u8]) {
        let row_len = self.len() * 3;
        for piece in self.pieces(V::MAX_WORDS) {
            let Piece { outputs, words: place } = piece;
            let used = part(used, place.start * QUAD..place.end * QUAD);
            let n_words = place.len().next_multiple_of(LANES);
            let mut words = vec![[[0; LANES]; 3]; n_words];
            let mut planes = Planes { bytes: vec![0; LANES * 3 * n_words * QUAD], n_words };
            for (rows, out) in rows.chunks(LANES).zip(out.chunks_mut(row_len * LANES)) {
                for (lane, row) in rows.iter().enumerate() {
                    planes.split(row, &used, lane);
                }
                V::turn(&planes, &mut words);
                for i in outputs.clone() {
                    let Output { first, quads } = &self.outputs[i];
                    let quads = &self.quads[quads.clone()];
                    let pixel = V::sums(&words[first - place.start..][..quads.len()], quads);
                    let pixel = pixel.map(|channel| channel.map(rounded));
                    for (lane, out) in out.chunks_exact_mut(row_len).enumerate() {
                        out[i * 3..i * 3 + 3].copy_from_slice(&pixel.map(|channel| channel[lane]));
                    }
                }
            }
        }
    }

    /// The outputs, in groups that need at most `max_words` words, or of one: a row may be a hundred million pixels long.
    fn pieces(&self, max_words: usize) -> Vec<Piece> {
        let mut pieces: Vec<Piece> = Vec::new();
        for (i, Output { first, quads }) in self.outputs.iter().enumerate() {
            let end = first + quads.len();
            if let Some(last) = pieces.last_mut() {
                let words = last.words.start.min(*first)..last.words.end.max(end);
                if words.len() <= max_words {
                    (last.outputs.end, last.words) = (i + 1, words);
                    continue;
                }
            }
            pieces.push(Piece { outputs: i..i + 1, words: *first..end });
        }
        pieces
    }
}

/// Outputs that are worked on together, and the words that they need.
#[derive(Debug)]
struct Piece {
    outputs: Range<usize>,
    words: Range<usize>,
}

/// The pixels `wanted`, counted in the ranges.
fn part(ranges: &[Range<usize>], wanted: Range<usize>) -> Vec<Range<usize>> {
    let mut at = 0;
    let cut = ranges.iter().map(|range| {
        let place = |i: usize| range.start + i.clamp(at, at + range.len()) - at;
        let cut = place(wanted.start)..place(wanted.end);
        at += range.len();
        cut
    });
    cut.filter(|range| !range.is_empty()).collect()
}

impl Quad {
    fn set(&mut self, i: usize, weight: i32) {
        self.weights[i] = weight;
        let mut rest = weight;
        for bytes in &mut self.bytes {
            let low = rest as i8;
            rest = (rest - i32::from(low)) >> 8;
            *bytes |= i32::from(low as u8) << (8 * i);
        }
    }
}

/// The steps that there is special code for.
trait Variant {
    /// Words of a row that are worked on at once: 6 MB of all lanes and channels, and as many bytes of planes.
    const MAX_WORDS: usize = 1 << 15;

    /// Brings the lanes' words side by side.
    fn turn(planes: &Planes, words: &mut [Words]);

    /// Sums of as many words as quads.
    fn sums(words: &[Words], quads: &[Quad]) -> Sums;
}

/// Left to the compiler.
struct Portable;

impl Variant for Portable {
    #[inline(always)]
    fn turn(planes: &Planes, words: &mut [Words]) {
        for lane in 0..LANES {
            for c in 0..3 {
                let plane = planes.plane(lane, c).as_chunks::<QUAD>().0;
                for (words, &bytes) in words.iter_mut().zip(plane) {
                    words[c][lane] = u32::from_le_bytes(bytes);
                }
            }
        }
    }

    #[inline(always)]
    fn sums(words: &[Words], quads: &[Quad]) -> Sums {
        let mut sums = [[0i32; LANES]; 3];
        for (words, quad) in words.iter().zip(quads) {
            for (sums, words) in sums.iter_mut().zip(words) {
                for (i, weight) in quad.weights.iter().enumerate() {
                    for (sum, word) in sums.iter_mut().zip(words) {
                        let sample = (word >> (8 * i) & 0xff).cast_signed();
                        *sum = sum.wrapping_add(sample.wrapping_mul(*weight));
                    }
                }
            }
        }
        sums
    }
}

fn rounded(sum: i32) -> u8 {
    (sum.wrapping_add(1 << (FRACTION_BITS - 1)) >> FRACTION_BITS).clamp(0, 255) as u8
}
