//! Weights of a scale and a minimum: `scale * value + minus`, with values from zero on.

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

    /// # Safety
    /// The processor has the instruction set; there is a super-block in each row.
    unsafe fn unpack<L: Quads>(rows: Rows, panel: &mut Panel);
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
        unsafe { <A as Affine>::unpack::<L>(rows, panel) }
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
            let mut own = [L::splat(0.0); T];
            for g in 0..CHUNK / 4 / quads {
                let mut whole = [L::whole(L::zero()); T];
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
                        whole[t] = L::add(whole[t], L::whole(short[t]));
                    }
                }
                let scale = L::load(panel.scale.get_unchecked(g).as_ptr());
                let minus = L::load(panel.minus.get_unchecked(g).as_ptr());
                for t in 0..T {
                    let sum = L::splat(*(*blocks.add(t)).floats.get_unchecked(g));
                    own[t] = L::add_product(own[t], L::to_floats(whole[t]), scale);
                    own[t] = L::add_product(own[t], minus, sum);
                }
            }
            for t in 0..T {
                let at = sums.add(t * MAX_ROWS);
                let scale = L::splat((*blocks.add(t)).scale);
                L::store(L::add_product(L::load(at), own[t], scale), at);
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
