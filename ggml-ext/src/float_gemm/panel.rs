//! A panel of rows times all columns.

use super::CHUNK;
use super::columns::Columns;
use super::rows::Rows;
use crate::product::Run;
use crate::simd::gemm::{Ahead, accumulate};
use crate::simd::kernel::Element;
use crate::simd::lanes::{Lanes, load_up_to, store_up_to};

/// Rows of a thread, at most as many as an inner loop has.
pub(super) struct Panel<'a> {
    pub(super) run: &'a Run,
    pub(super) columns: &'a Columns,
    /// The first, and how many.
    pub(super) row: usize,
    pub(super) n_rows: usize,
    /// The first of the panel after it, which need not exist.
    pub(super) next: usize,
    /// Room for a chunk of all rows.
    pub(super) unpacked: *mut f32,
}

/// A chunk of a few columns.
#[derive(Clone, Copy)]
struct Tile {
    start: usize,
    len: usize,
    column: usize,
}

impl Panel<'_> {
    /// Multiplies a slab, chunk by chunk.
    ///
    /// # Safety
    /// The processor has the instruction set. The rows exist, the columns are packed, and nobody else uses the room and the output
    /// of these rows.
    #[inline(always)]
    pub(super) unsafe fn multiply<L: Lanes, E: Element, const MR: usize, const NV: usize>(&self) {
        // SAFETY: the caller's word.
        unsafe {
            if self.n_rows <= L::N {
                self.multiply_vectors::<L, E, MR, 1>();
            } else {
                self.multiply_vectors::<L, E, MR, NV>();
            }
        }
    }

    /// # Safety
    /// As for [`Panel::multiply`]; `NV` vectors hold the rows.
    #[inline(always)]
    unsafe fn multiply_vectors<L: Lanes, E: Element, const MR: usize, const NV: usize>(&self) {
        const { assert!(MR <= 8) };
        let (n_columns, end) = (self.run.product.n_columns, self.columns.end());
        for start in (self.columns.first..end).step_by(CHUNK) {
            let len = CHUNK.min(end - start);
            // SAFETY: the caller's word; the chunk exists.
            unsafe {
                self.unpack::<L, E, NV>(start, len);
                for column in (0..n_columns).step_by(MR) {
                    let tile = Tile { start, len, column };
                    macro_rules! tile {
                        ($($t:literal)*) => {
                            match MR.min(n_columns - column) {
                                $($t if $t <= MR => self.tile::<L, $t, NV>(tile),)*
                                _ => return,
                            }
                        };
                    }
                    tile!(8 7 6 5 4 3 2 1);
                }
            }
        }
    }

    /// # Safety
    /// As for [`Panel::multiply`]; the chunk exists, and `NV` vectors hold the rows.
    #[inline(always)]
    unsafe fn unpack<L: Lanes, E: Element, const NV: usize>(&self, start: usize, len: usize) {
        let (weights, n_in) = (self.run.weights.cast::<E>(), self.run.product.n_in);
        for first in (0..self.n_rows).step_by(L::N) {
            let (row, end, next) = (self.row + first, self.row + self.n_rows, self.next + first);
            let rows = Rows::new::<L>(weights, n_in, row, end, next);
            // SAFETY: the caller's word; a panel has a place in the room.
            unsafe { rows.unpack::<L>(start, len, self.unpacked.add(first), NV * L::N) };
        }
    }

    /// Adds what a chunk contributes to `T` columns.
    ///
    /// # Safety
    /// As for [`Panel::unpack`]; the tile exists, and its rows are unpacked.
    #[inline(always)]
    unsafe fn tile<L: Lanes, const T: usize, const NV: usize>(&self, tile: Tile) {
        let (Tile { start, len, column }, n_out) = (tile, self.run.product.n_out);
        // SAFETY: the caller's word.
        unsafe {
            let v = self.columns.chunk(start, len, column);
            let mut sums = [[L::splat(0.0); NV]; T];
            accumulate(v, self.unpacked, len, &mut sums, Ahead::next(v, T * len));
            let to = self.run.output.add(column * n_out + self.row);
            let is_whole = self.n_rows == NV * L::N;
            for t in 0..T {
                for j in 0..NV {
                    let (sum, to) = (sums[t][j], to.wrapping_add(t * n_out + j * L::N));
                    // Apart, since only so do all sums stay in registers.
                    if is_whole {
                        add::<L>(sum, start, to, L::N);
                    } else {
                        add(sum, start, to, L::N.min(self.n_rows.saturating_sub(j * L::N)));
                    }
                }
            }
        }
    }
}

/// Adds a sum to what the chunks before `start` gave `n` rows, if there are any.
///
/// # Safety
/// The processor has the instruction set; `n` values can be read and written.
#[inline(always)]
unsafe fn add<L: Lanes>(sum: L, start: usize, to: *mut f32, n: usize) {
    // SAFETY: the caller's word.
    unsafe {
        let sum = if start == 0 { sum } else { load_up_to::<L>(to, n).add(sum) };
        store_up_to(sum, to, n);
    }
}
