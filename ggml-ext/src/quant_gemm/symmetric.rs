//! Weights of a scale only: `q8_0`, groups of 32 signed values.
//!
//! The instruction wants weights without a sign, so 128 is added to each, and 128 times the sum of a column's values taken away.

use super::kind::{Block, CHUNK, Kind, Panel, nearest};
use super::quads::{MAX_ROWS, Quads, Rows};
use half::f16;

pub(super) enum Q8_0 {}

/// Values that share a scale.
pub(super) const GROUP: usize = 32;
/// Their scale, then one byte each.
const GROUP_BYTES: usize = 2 + GROUP;

impl Kind for Q8_0 {
    const BYTES: usize = CHUNK / GROUP * GROUP_BYTES;
    const LEAST: usize = GROUP;

    /// As `quantize_row_q8_0` does on x86: a scale for each group, rounded to a half.
    #[inline(always)]
    fn set(block: &mut Block, values: &[f32]) {
        for (g, x) in values.as_chunks::<GROUP>().0.iter().enumerate() {
            let mut largest = 0.0f32;
            for v in x {
                largest = if v.abs() > largest { v.abs() } else { largest };
            }
            let factor = if largest == 0.0 { 0.0 } else { 127.0 / largest };
            let own = &mut block.values[g * GROUP..][..GROUP];
            let mut sum = 0;
            for (v, x) in own.iter_mut().zip(x) {
                *v = nearest(factor * x) as i8;
                sum += i32::from(*v);
            }
            block.floats[g] = f16::from_f32(largest / 127.0).to_f32();
            block.wholes[g] = -128 * sum;
        }
    }

    #[inline(always)]
    unsafe fn unpack<L: Quads>(rows: Rows, n_values: usize, panel: &mut Panel) {
        // SAFETY: the caller's word.
        unsafe { unpack::<L, 128>(rows, n_values, panel) }
    }

    #[inline(always)]
    unsafe fn tile<L: Quads, const T: usize>(
        panel: &Panel,
        n_values: usize,
        blocks: *const Block,
        sums: *mut f32,
    ) {
        // SAFETY: the caller's word; a chunk has at most as many groups as a panel has room for.
        unsafe {
            let mut own = [L::splat(0.0); T];
            for t in 0..T {
                own[t] = L::load(sums.add(t * MAX_ROWS));
            }
            for g in 0..n_values / GROUP {
                // With few columns, sums in two parts: they need not wait for each other.
                let parts = if T < 4 { 2 } else { 1 };
                let mut whole = [L::whole(L::zero()); T];
                for part in 0..parts {
                    let mut own = [L::zero(); T];
                    for t in 0..T {
                        let start = *(*blocks.add(t)).wholes.get_unchecked(g);
                        own[t] = L::splat_whole(if part == 0 { start } else { 0 });
                    }
                    let first = 8 * g + part * 8 / parts;
                    for quad in first..first + 8 / parts {
                        let weights = L::load_bytes(panel.quads.get_unchecked(quad).as_ptr());
                        for t in 0..T {
                            let column = (*blocks.add(t)).values.as_ptr().add(4 * quad);
                            own[t] = L::dot(own[t], weights, column);
                        }
                    }
                    for t in 0..T {
                        whole[t] = L::add(whole[t], L::whole(own[t]));
                    }
                }
                let scale = L::load(panel.floats.get_unchecked(g).as_ptr());
                for t in 0..T {
                    let other = L::splat(*(*blocks.add(t)).floats.get_unchecked(g));
                    let product = L::to_floats(whole[t]);
                    own[t] = L::add_product(own[t], L::mul(product, other), scale);
                }
            }
            for t in 0..T {
                L::store(own[t], sums.add(t * MAX_ROWS));
            }
        }
    }
}

/// Unpacks a chunk, bytes with the bits of `FLIP` turned over.
///
/// # Safety
/// As for [`Kind::unpack`].
#[inline(always)]
pub(super) unsafe fn unpack<L: Quads, const FLIP: u8>(
    rows: Rows,
    n_values: usize,
    panel: &mut Panel,
) {
    for g in 0..n_values / GROUP {
        let group = rows.at(g * GROUP_BYTES);
        // SAFETY: the caller's word; what is read lies in the groups that there are.
        unsafe {
            let mut scales = [f16::ZERO; MAX_ROWS];
            for i in 0..L::ROWS {
                scales[i] = group.row(i).cast::<f16>().read_unaligned();
            }
            L::store(L::load_halves(scales.as_ptr()), panel.floats[g].as_mut_ptr());
            for half in 0..2 {
                let bytes = L::gather(group.at(2 + 16 * half));
                for j in 0..4 {
                    let to = panel.quads[8 * g + 4 * half + j].as_mut_ptr();
                    L::store_bytes(L::xor(bytes[j], FLIP), to);
                }
            }
        }
    }
}
