//! Sums of the values of the cells that queries see, by their weights.

use super::scores::at_once;
use super::seen::{TILE, Visit};
use super::{Cell, Tile};
use crate::simd::lanes::Lanes;
use std::marker::PhantomData;

/// Vectors of a value that one query's sums are held in registers for.
const VECTORS: usize = 8;

/// Adds up values.
pub(super) struct Values<C>(PhantomData<C>);

impl<C: Cell> Values<C> {
    /// `NV` vectors from `i` on, for all queries.
    #[inline(always)]
    unsafe fn for_all<L: Lanes, const NV: usize>(
        tile: &Tile,
        i: usize,
        n: &[usize; TILE],
        from: usize,
        len: usize,
    ) {
        let (n_embd, row) = (tile.shape.n_embd, tile.shape.row());
        let rows = &tile.cells.shared[1];
        // SAFETY: the caller's word.
        unsafe {
            let to = tile.sums.add(i);
            let weights: [*const f32; TILE] =
                [0, 1, 2, 3].map(|q| tile.scores.add(q * row + n[q]).cast_const());
            let mut sums = [[L::splat(0.0); NV]; TILE];
            for q in 0..TILE {
                for v in 0..NV {
                    sums[q][v] = L::load(to.add(q * n_embd + v * L::N));
                }
            }
            for c in 0..len {
                let value = rows.at(from + c).cast::<f32>().add(i);
                let mut values = [L::splat(0.0); NV];
                for v in 0..NV {
                    values[v] = L::load(value.add(v * L::N));
                }
                for q in 0..TILE {
                    let weight = L::splat(*weights[q].add(c));
                    for v in 0..NV {
                        sums[q][v] = sums[q][v].add_product(weight, values[v]);
                    }
                }
            }
            for q in 0..TILE {
                for v in 0..NV {
                    sums[q][v].store(to.add(q * n_embd + v * L::N));
                }
            }
        }
    }

    /// `NV` vectors from `i` on, for one query.
    #[inline(always)]
    unsafe fn for_one<L: Lanes, const NV: usize>(
        tile: &Tile,
        i: usize,
        n: usize,
        query: usize,
        cells: &[usize],
    ) {
        let (n_embd, row) = (tile.shape.n_embd, tile.shape.row());
        // SAFETY: the caller's word.
        unsafe {
            let to = tile.sums.add(query * n_embd + i);
            let weights = tile.scores.add(query * row + n);
            let mut sums = [L::splat(0.0); NV];
            for v in 0..NV {
                sums[v] = L::load(to.add(v * L::N));
            }
            for c in 0..cells.len() {
                let value = tile.cells.values.at(cells[c]).cast::<C>().add(i);
                let weight = L::splat(*weights.add(c));
                for v in 0..NV {
                    sums[v] = sums[v].add_product(weight, C::load::<L>(value.add(v * L::N)));
                }
            }
            for v in 0..NV {
                sums[v].store(to.add(v * L::N));
            }
        }
    }
}

impl<L: Lanes, C: Cell> Visit<L> for Values<C> {
    #[inline(always)]
    unsafe fn all(tile: &Tile, n: &[usize; TILE], from: usize, len: usize) {
        let n_embd = tile.shape.n_embd;
        let mut i = 0;
        // SAFETY: the caller's word.
        unsafe {
            while at_once::<L>() == 4 && i + 4 * L::N <= n_embd {
                Self::for_all::<L, 4>(tile, i, n, from, len);
                i += 4 * L::N;
            }
            while i + 2 * L::N <= n_embd {
                Self::for_all::<L, 2>(tile, i, n, from, len);
                i += 2 * L::N;
            }
            while i < n_embd {
                Self::for_all::<L, 1>(tile, i, n, from, len);
                i += L::N;
            }
        }
    }

    #[inline(always)]
    unsafe fn some(tile: &Tile, n: usize, query: usize, cells: &[usize]) {
        let n_embd = tile.shape.n_embd;
        let mut i = 0;
        // SAFETY: the caller's word.
        unsafe {
            while i + VECTORS * L::N <= n_embd {
                Self::for_one::<L, VECTORS>(tile, i, n, query, cells);
                i += VECTORS * L::N;
            }
            while i < n_embd {
                Self::for_one::<L, 1>(tile, i, n, query, cells);
                i += L::N;
            }
        }
    }
}
