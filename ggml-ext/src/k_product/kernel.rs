//! Rows of a panel times columns.

use super::columns::Block;
use super::panel::{Kind, Panel};
use super::quads::{MAX_ROWS, Quads};

/// Adds to `T` columns' sums (`[T][MAX_ROWS]`) what a super-block of rows contributes.
///
/// # Safety
/// The processor has the instruction set; there are `T` blocks and `T` rows of sums.
#[inline(always)]
pub(super) unsafe fn tile<L: Quads, K: Kind, const T: usize>(
    panel: &Panel,
    blocks: *const Block,
    sums: *mut f32,
) {
    let quads = K::GROUP / 4;
    let few = L::lasts(K::LARGEST, quads);
    // SAFETY: the caller's word.
    unsafe {
        let mut own = [L::splat(0.0); T];
        for g in 0..64 / quads {
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
                let sum = L::splat(*(*blocks.add(t)).sums.get_unchecked(g));
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
