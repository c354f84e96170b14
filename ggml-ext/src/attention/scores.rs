//! Scores: products of queries with the keys of the cells that they see.

use super::seen::{TILE, Visit};
use super::{Cell, Shape, Tile};
use crate::simd::lanes::{Lanes, MAX};
use std::marker::PhantomData;

/// Bytes of a cache line.
const LINE: usize = 64;

/// Writes scores.
pub(super) struct Scores<C>(PhantomData<C>);

impl<L: Lanes, C: Cell> Visit<L> for Scores<C> {
    #[inline(always)]
    unsafe fn all(tile: &Tile, n_before: &[usize; TILE], from: usize, len: usize) {
        let Shape { n_embd, .. } = *tile.shape;
        let (at_once, row) = (at_once::<L>(), tile.shape.row());
        for done in (0..len).step_by(at_once) {
            // SAFETY: the caller's word. Behind the last of the cells are others, whose scores will be overwritten, or lie behind the
            // last; there is room for that.
            unsafe {
                let keys = tile.cells.shared[0].at(from + done).cast::<f32>();
                let mut sums = [L::splat(0.0); MAX];
                for d in (0..n_embd).step_by(L::N) {
                    let mut key = [L::splat(0.0); 4];
                    for c in 0..at_once {
                        key[c] = L::load(keys.add(c * n_embd + d));
                    }
                    for q in 0..TILE {
                        let query = L::load(tile.queries.add(q * n_embd + d));
                        for c in 0..at_once {
                            let sum = &mut sums[q * at_once + c];
                            *sum = sum.add_product(query, key[c]);
                        }
                    }
                }
                let sums = lane_sums(&sums, TILE * at_once);
                for q in 0..TILE {
                    let to = tile.scores.add(q * row + n_before[q] + done);
                    for c in 0..at_once {
                        *to.add(c) = sums[q * at_once + c];
                    }
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn soon(tile: &Tile, cell: usize) {
        let bytes = tile.shape.row_bytes();
        // SAFETY: the caller's word. Values are for the second way through the cells.
        unsafe {
            let [keys, values] = [tile.cells.keys.at(cell), tile.cells.values.at(cell)];
            for line in (0..bytes).step_by(LINE) {
                L::prefetch(keys.wrapping_add(line).cast());
                L::prefetch(values.wrapping_add(line).cast());
            }
        }
    }

    #[inline(always)]
    unsafe fn some(tile: &Tile, n: usize, query: usize, cells: &[usize]) {
        let (n_embd, row) = (tile.shape.n_embd, tile.shape.row());
        // SAFETY: the caller's word.
        unsafe {
            let queries = tile.queries.add(query * n_embd);
            let mut sums = [L::splat(0.0); MAX];
            for c in 0..cells.len() {
                let key = tile.cells.keys.at(cells[c]).cast::<C>();
                let mut sum = L::splat(0.0);
                for i in (0..n_embd).step_by(L::N) {
                    sum = sum.add_product(L::load(queries.add(i)), C::load::<L>(key.add(i)));
                }
                sums[c] = sum;
            }
            let sums = lane_sums(&sums, L::N);
            let to = tile.scores.add(query * row + n);
            L::load(sums.as_ptr()).store(to);
        }
    }
}

/// Cells that a tile is multiplied with at once: as many as there are registers for.
#[inline(always)]
pub(super) const fn at_once<L: Lanes>() -> usize {
    if L::N == 8 { 2 } else { 4 }
}

/// The sum of the lanes of each of the first `n` vectors, a multiple of their lanes.
#[inline(always)]
unsafe fn lane_sums<L: Lanes>(vectors: &[L; MAX], n: usize) -> [f32; MAX] {
    let mut out = [0.0; MAX];
    for from in (0..n).step_by(L::N) {
        // SAFETY: the caller's word: the processor has the instruction set.
        unsafe {
            let mut rows = [L::splat(0.0); MAX];
            for i in 0..L::N {
                rows[i] = vectors[from + i];
            }
            L::lane_sums(&rows).store(out.as_mut_ptr().add(from));
        }
    }
    out
}
