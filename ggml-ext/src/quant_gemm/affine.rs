//! Weights of a scale and a minimum: `factor * scale * value - other * minimum`, with values from zero on, where all but the two factors
//! of a super-block are whole numbers.
//!
//! What a super-block contributes is summed in whole numbers, or floats that are, and thus exact: with `q6_k`, the largest, sums are below
//! 2^28, and those of minima, or of scales in their place, below 2^23. So they are the same with any instructions.

use super::kind::{Block, CHUNK, Kind, Panel, nearest};
use super::quads::{MAX_ROWS, Quads, Rows};

/// A type of such weights in super-blocks of 256.
pub(super) trait Affine {
    /// Size of a super-block.
    const BYTES: usize;
    /// Values that share scale and minimum: 16 or 32.
    const GROUP: usize;
    /// The largest value.
    const LARGEST: usize;
    /// The value that stands for zero, if minima are the same multiple of scales everywhere.
    const CENTRE: i16 = 0;

    /// # Safety
    /// The processor has the instruction set; there is a super-block in each row.
    unsafe fn unpack<L: Quads, U: Unpacked<L>>(rows: Rows, to: &mut U);
}

/// What groups of each row have: bytes, which are multiplied by factors.
pub(super) enum Scales<L: Quads> {
    /// Eight scales and eight minima without a sign, and a factor of each kind.
    Affine { factors: [L::Floats; 2], scales: [L::Bytes; 2], minima: [L::Bytes; 2] },
    /// Sixteen scales with a sign; minima are [`Affine::CENTRE`] scales.
    Signed { factor: L::Floats, scales: [L::Bytes; 4] },
}

/// Where a super-block of each row is unpacked to: its scales first.
///
/// # Safety
/// Of all functions: the processor has the instruction set.
pub(super) trait Unpacked<L: Quads> {
    unsafe fn set_scales(&mut self, scales: Scales<L>);

    /// Four values of each row.
    unsafe fn put(&mut self, quad: usize, v: L::Bytes);
}

/// A panel's floats are minima, or scales once more where these stand for them.
impl<L: Quads> Unpacked<L> for Panel {
    #[inline(always)]
    unsafe fn set_scales(&mut self, scales: Scales<L>) {
        // SAFETY: the caller's word; there is a number for each row.
        unsafe {
            match scales {
                Scales::Affine { factors: [factor, minimum], scales, minima } => {
                    L::store(factor, self.factors[0].as_mut_ptr());
                    let minus = L::mul(minimum, L::splat(-1.0));
                    L::store(minus, self.factors[1].as_mut_ptr());
                    for g in 0..8 {
                        let i = g as i32 % 4;
                        let scale = L::factors(L::byte(scales[g / 4], i));
                        L::store_whole(scale, self.wholes[g].as_mut_ptr());
                        let minimum = L::to_floats(L::byte(minima[g / 4], i));
                        L::store(minimum, self.floats[g].as_mut_ptr());
                    }
                }
                Scales::Signed { factor, scales } => {
                    L::store(factor, self.factors[0].as_mut_ptr());
                    for g in 0..16 {
                        let scale = L::signed_byte(scales[g / 4], g as i32 % 4);
                        L::store_whole(L::factors(scale), self.wholes[g].as_mut_ptr());
                        L::store(L::to_floats(scale), self.floats[g].as_mut_ptr());
                    }
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn put(&mut self, quad: usize, v: L::Bytes) {
        // SAFETY: the caller's word; a quad has room for the bytes of all rows.
        unsafe { L::store_bytes(v, self.quads[quad].as_mut_ptr()) }
    }
}

impl<A: Affine> Kind for A {
    const BYTES: usize = A::BYTES;
    const LEAST: usize = CHUNK;

    /// As `quantize_row_q8_K` does: one scale for all; the floats are the groups' sums.
    #[inline(always)]
    fn set(block: &mut Block, values: &[f32]) {
        let largest = largest(values);
        if largest == 0.0 {
            *block = Block::EMPTY;
            return;
        }
        let factor = -127.0 / largest;
        block.scale = 1.0 / factor;
        for (v, x) in block.values.iter_mut().zip(values) {
            *v = nearest(factor * x).min(127) as i8;
        }
        for (sum, group) in block.floats.iter_mut().zip(block.values.chunks_exact(A::GROUP)) {
            *sum = group.iter().map(|&v| i32::from(v)).sum::<i32>() as f32;
        }
    }

    #[inline(always)]
    unsafe fn unpack<L: Quads>(rows: Rows, _: usize, panel: &mut Panel) {
        // SAFETY: the caller's word; rows are whole super-blocks.
        unsafe { <A as Affine>::unpack::<L, Panel>(rows, panel) }
    }

    #[inline(always)]
    unsafe fn tile<L: Quads, const T: usize>(
        panel: &Panel,
        _: usize,
        blocks: *const Block,
        sums: *mut f32,
    ) {
        let quads = A::GROUP / 4;
        // With few columns, sums in two parts: they need not wait for each other.
        let few = L::lasts(A::LARGEST, if T < 4 { quads / 2 } else { quads });
        // SAFETY: the caller's word.
        unsafe {
            let mut whole = [L::whole(L::zero()); T];
            let mut minima = [L::splat(0.0); T];
            for g in 0..CHUNK / 4 / quads {
                let scale = L::load_whole(panel.wholes.get_unchecked(g).as_ptr());
                for part in 0..quads / few {
                    let mut short = [L::zero(); T];
                    for q in 0..few {
                        let quad = g * quads + part * few + q;
                        let weights = L::load_bytes(panel.quads.get_unchecked(quad).as_ptr());
                        for t in 0..T {
                            let column = (*blocks.add(t)).values.as_ptr().add(4 * quad);
                            short[t] = L::dot(short[t], weights, column);
                        }
                    }
                    for t in 0..T {
                        whole[t] = L::add(whole[t], L::times(short[t], scale));
                    }
                }
                let minimum = L::load(panel.floats.get_unchecked(g).as_ptr());
                for t in 0..T {
                    let sum = L::splat(*(*blocks.add(t)).floats.get_unchecked(g));
                    minima[t] = L::add_product(minima[t], minimum, sum);
                }
            }
            let [factor, minus] = [0, 1].map(|i: usize| panel.factors[i].as_ptr());
            for t in 0..T {
                let own = if A::CENTRE == 0 {
                    let own = L::mul(L::to_floats(whole[t]), L::load(factor));
                    L::add_product(own, minima[t], L::load(minus))
                } else {
                    let minima = L::mul(minima[t], L::splat(f32::from(A::CENTRE)));
                    let whole = L::sub(whole[t], L::to_whole(minima));
                    L::mul(L::to_floats(whole), L::load(factor))
                };
                let at = sums.add(t * MAX_ROWS);
                let scale = L::splat((*blocks.add(t)).scale);
                L::store(L::add_product(L::load(at), own, scale), at);
            }
        }
    }
}

/// The first value of the largest magnitude.
#[inline(always)]
fn largest(values: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 16];
    for row in values.as_chunks::<16>().0 {
        for (most, v) in lanes.iter_mut().zip(row) {
            let v = v.abs();
            *most = if v > *most { v } else { *most };
        }
    }
    let most = lanes.iter().fold(0.0f32, |a, &b| if b > a { b } else { a });
    values.iter().copied().find(|v| v.abs() == most).unwrap_or(0.0)
}
