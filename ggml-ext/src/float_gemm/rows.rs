//! Rows, unpacked for the inner loop.

use super::CHUNK;
use crate::product::Product;
use crate::simd::kernel::{Element, load_elements};
use crate::simd::lanes::{Lanes, MAX};

/// Bytes of a cache line.
const LINE: usize = 64;

/// A group of rows, and the room for a chunk of them.
pub(super) struct Rows<E> {
    pub(super) weights: *const E,
    pub(super) row: usize,
    pub(super) n_rows: usize,
    /// The first row of the group after it, which need not exist.
    pub(super) next: usize,
    pub(super) unpacked: *mut f32,
    pub(super) product: Product,
}

impl<E: Element> Rows<E> {
    /// Unpacks `len` values from `start` on of all rows; rows that the last panel lacks are filled with the last one. What will be unpacked
    /// next is fetched meanwhile.
    ///
    /// # Safety
    /// The processor has the instruction set; the values exist.
    #[inline(always)]
    pub(super) unsafe fn unpack<L: Lanes, const NV: usize>(&self, start: usize, len: usize) {
        let n_in = self.product.n_in;
        let ahead = match start + CHUNK < n_in {
            true => CHUNK,
            // A distance in a flat matrix, backwards along the row.
            false => ((self.next - self.row) * n_in).wrapping_sub(start),
        };
        for first in (0..self.n_rows).step_by(L::N) {
            let (panel, vector) = (first / (NV * L::N), first / L::N % NV);
            // SAFETY: the caller's word; a row is one of the group's, and the panel has a place in the room.
            unsafe {
                let to = self.unpacked.add(panel * NV * L::N * len + vector * L::N);
                for c in (0..len).step_by(L::N) {
                    let n = L::N.min(len - c);
                    let mut square = [L::splat(0.0); MAX];
                    for i in 0..L::N {
                        let row = self.row + (first + i).min(self.n_rows - 1);
                        let from = self.weights.add(row * n_in + start + c);
                        square[i] = load_elements(from, n);
                        if (c * size_of::<E>()).is_multiple_of(LINE) {
                            L::prefetch(from.wrapping_add(ahead).cast());
                        }
                    }
                    L::transpose(&mut square);
                    for i in 0..n {
                        square[i].store(to.add((c + i) * NV * L::N));
                    }
                }
            }
        }
    }
}
