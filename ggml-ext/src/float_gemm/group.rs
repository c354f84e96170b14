//! A group of rows times all columns.

use super::CHUNK;
use super::columns::Columns;
use super::rows::Rows;
use crate::product::Run;
use crate::simd::gemm::{Ahead, micro};
use crate::simd::kernel::Element;
use crate::simd::lanes::{Lanes, MAX, load_up_to, store_up_to};

/// Sums of an inner loop at most.
const TILE: usize = 8 * 3 * MAX;

/// Rows of a thread.
pub(super) struct Group<'a> {
    pub(super) run: &'a Run,
    pub(super) columns: &'a Columns,
    /// The first, and how many.
    pub(super) row: usize,
    pub(super) n_rows: usize,
    /// The first of the group after it, which need not exist.
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

impl Group<'_> {
    /// Multiplies a slab, chunk by chunk.
    ///
    /// # Safety
    /// The processor has the instruction set. The rows exist, the columns are packed, and nobody else uses the room and the output
    /// of these rows.
    #[inline(always)]
    pub(super) unsafe fn multiply<L: Lanes, E: Element, const MR: usize, const NV: usize>(&self) {
        const { assert!(MR <= 8 && MR * NV * L::N <= TILE) };
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
    /// As for [`Group::multiply`]; the chunk exists.
    #[inline(always)]
    unsafe fn unpack<L: Lanes, E: Element, const NV: usize>(&self, start: usize, len: usize) {
        let (weights, n_in) = (self.run.weights.cast::<E>(), self.run.product.n_in);
        for first in (0..self.n_rows).step_by(L::N) {
            let (panel, vector) = (first / (NV * L::N), first / L::N % NV);
            let (row, end, next) = (self.row + first, self.row + self.n_rows, self.next + first);
            let rows = Rows::new::<L>(weights, n_in, row, end, next);
            // SAFETY: the caller's word; the panel has a place in the room.
            unsafe {
                let to = self.unpacked.add(panel * NV * L::N * len + vector * L::N);
                rows.unpack::<L>(start, len, to, NV * L::N);
            }
        }
    }

    /// Adds what a chunk contributes to `T` columns.
    ///
    /// # Safety
    /// As for [`Group::multiply`]; the tile exists, and its rows are unpacked.
    #[inline(always)]
    unsafe fn tile<L: Lanes, const T: usize, const NV: usize>(&self, tile: Tile) {
        let (Tile { start, len, column }, n_out) = (tile, self.run.product.n_out);
        let width = NV * L::N;
        let mut sums = [0.0f32; TILE];
        // SAFETY: the caller's word; a tile has at most as many sums as there is room for.
        unsafe {
            let v = self.columns.chunk(start, len, column);
            let ahead = Ahead::next(v, T * len);
            for first in (0..self.n_rows).step_by(width) {
                let u = self.unpacked.add(first * len);
                micro::<L, T, NV>(v, u, len, sums.as_mut_ptr(), width, true, ahead);
                let n_rows = width.min(self.n_rows - first);
                for t in 0..T {
                    let to = self.run.output.add((column + t) * n_out + self.row + first);
                    for j in (0..n_rows).step_by(L::N) {
                        let n = L::N.min(n_rows - j);
                        let own = L::load(sums.as_ptr().add(t * width + j));
                        let sum = match start {
                            0 => own,
                            _ => load_up_to::<L>(to.add(j), n).add(own),
                        };
                        store_up_to(sum, to.add(j), n);
                    }
                }
            }
        }
    }
}
