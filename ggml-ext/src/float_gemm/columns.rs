//! Columns, packed for the inner loop.

use super::{CHUNK, SLAB};
use crate::product::Product;
use crate::simd::lanes::{Lanes, MAX, load_up_to, store_first};

/// All columns, and room for a slab of them: chunk by chunk, the columns of a tile side by side.
pub(super) struct Columns {
    pub(super) all: *const f32,
    pub(super) packed: *mut f32,
    pub(super) product: Product,
    /// The slab's first value.
    pub(super) first: usize,
}

impl Columns {
    /// Behind the slab's last value.
    #[inline(always)]
    pub(super) fn end(&self) -> usize {
        self.product.n_in.min(self.first + SLAB)
    }

    /// A chunk of a tile.
    ///
    /// # Safety
    /// It exists, in the slab.
    #[inline(always)]
    pub(super) unsafe fn chunk(&self, start: usize, len: usize, column: usize) -> *mut f32 {
        // SAFETY: the room is of the product's size.
        unsafe { self.packed.add((start - self.first) * self.product.n_columns + column * len) }
    }

    /// Packs the columns of a tile of `MR`, or as many as there are.
    ///
    /// # Safety
    /// The processor has the instruction set; the tile exists; columns can be read in full, and nobody else accesses this part of the room.
    #[inline(always)]
    pub(super) unsafe fn pack<L: Lanes, const MR: usize>(&self, panel: usize) {
        let Product { n_in, n_columns, .. } = self.product;
        let column = panel * MR;
        let n = MR.min(n_columns - column);
        for start in (self.first..self.end()).step_by(CHUNK) {
            let len = CHUNK.min(self.end() - start);
            // SAFETY: the chunk exists.
            unsafe {
                let (from, to) =
                    (self.all.add(column * n_in + start), self.chunk(start, len, column));
                for c in (0..len).step_by(L::N) {
                    for i in (0..n).step_by(L::N) {
                        let rest = [L::N.min(n - i), L::N.min(len - c)];
                        let from = from.add(i * n_in + c);
                        square::<L>(from, n_in, rest, to.add(c * n + i), n, (len - c) * n - i);
                    }
                }
            }
        }
    }
}

/// Transposes a square of which `columns` columns of `values` values exist; `room` floats belong to the tile from `to` on.
///
/// # Safety
/// The processor has the instruction set; that much can be read and written, and what lies behind the square in the tile is not written yet.
#[inline(always)]
unsafe fn square<L: Lanes>(
    from: *const f32,
    stride: usize,
    [columns, values]: [usize; 2],
    to: *mut f32,
    to_stride: usize,
    room: usize,
) {
    // SAFETY: the caller's word.
    unsafe {
        let mut square = [L::splat(0.0); MAX];
        for i in 0..columns {
            square[i] = load_up_to(from.add(i * stride), values);
        }
        L::transpose(&mut square);
        for c in 0..values {
            let at = c * to_stride;
            // Whole vectors where what is too much is overwritten later.
            if columns == L::N || (to_stride < L::N && at + L::N <= room) {
                square[c].store(to.add(at));
            } else {
                store_first(square[c], to.add(at), columns);
            }
        }
    }
}
