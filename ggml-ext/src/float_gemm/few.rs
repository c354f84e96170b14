//! A few columns: nothing is packed, nothing is stored.

use super::rows::Rows;
use super::{CHUNK, Product};
use crate::product::Run;
use crate::simd::kernel::Element;
use crate::simd::lanes::{Lanes, store_up_to};

/// At most so many.
pub(super) const FEW: usize = 8;

/// The rows from `row` on, as many as a vector has lanes, times all columns, which are `T`. Then it is the turn of those from `next` on.
///
/// # Safety
/// The processor has the instruction set, the first row exists, and all can be read and written.
#[inline(always)]
pub(super) unsafe fn multiply<L: Lanes, E: Element, const T: usize>(
    run: &Run,
    row: usize,
    next: usize,
) {
    let Product { n_in, n_out, .. } = run.product;
    let rows = Rows::<E>::new::<L>(run.weights.cast(), n_in, row, n_out, next);
    // SAFETY: the caller's word.
    unsafe {
        let mut totals = [L::splat(0.0); T];
        for start in (0..n_in).step_by(CHUNK) {
            let mut sums = [L::splat(0.0); T];
            rows.multiply(start, CHUNK.min(n_in - start), run.columns, &mut sums);
            for t in 0..T {
                totals[t] = if start == 0 { sums[t] } else { totals[t].add(sums[t]) };
            }
        }
        for t in 0..T {
            store_up_to(totals[t], run.output.add(t * n_out + row), L::N.min(n_out - row));
        }
    }
}
