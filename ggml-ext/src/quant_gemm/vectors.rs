//! A vector of rows times a few columns at a time.

use super::kind::{Block, CHUNK, Kind, Panel};
use super::quads::{MAX_ROWS, Quads, Rows};
use super::{Work, n_values, prefetch};
use crate::product::{Product, Run};
use std::marker::PhantomData;

/// A thread's share in vectors.
pub(super) struct InVectors<L, K> {
    panel: Panel,
    of: PhantomData<(L, K)>,
}

impl<L: Quads, K: Kind> Work for InVectors<L, K> {
    const PANELS: usize = 1;

    #[inline(always)]
    unsafe fn new(_: &Run) -> Self {
        InVectors { panel: Panel::EMPTY, of: PhantomData }
    }

    #[inline(always)]
    fn width(&self) -> usize {
        L::ROWS
    }

    #[inline(always)]
    fn set(block: &mut Block, values: &[f32]) {
        K::set(block, values);
    }

    #[inline(always)]
    unsafe fn rows(
        &mut self,
        run: &Run,
        [row, next]: [usize; 2],
        blocks: *const Block,
        sums: *mut f32,
    ) {
        let Product { n_in, n_out, n_columns, .. } = run.product;
        let row_bytes = n_in * K::BYTES / CHUNK;
        // The last rows are as many as the others: some of them a second time, without being written.
        let from = row.min(n_out - L::ROWS);
        // SAFETY: the caller's word; there are at least as many rows as a vector has.
        unsafe {
            let mut place = Rows { first: run.weights.add(from * row_bytes), stride: row_bytes };
            std::ptr::write_bytes(sums, 0, n_columns * MAX_ROWS);
            for b in 0..n_in.div_ceil(CHUNK) {
                prefetch::<L, K>(run, next, b, L::ROWS);
                let n_values = n_values(n_in, b);
                K::unpack::<L>(place, n_values, &mut self.panel);
                let blocks = blocks.add(b * n_columns);
                all_columns::<L, K>(&self.panel, n_values, blocks, sums, n_columns);
                place = place.at(K::BYTES);
            }
            let n = L::ROWS.min(n_out - row);
            for column in 0..n_columns {
                let own = sums.add(column * MAX_ROWS + row - from);
                std::ptr::copy_nonoverlapping(own, run.output.add(column * n_out + row), n);
            }
        }
    }
}

/// # Safety
/// As for [`Kind::tile`], for all columns.
#[inline(always)]
unsafe fn all_columns<L: Quads, K: Kind>(
    panel: &Panel,
    n_values: usize,
    blocks: *const Block,
    sums: *mut f32,
    n_columns: usize,
) {
    let mut done = 0;
    macro_rules! tiles {
        ($t:literal) => {
            while $t <= L::TILE && n_columns - done >= $t {
                // SAFETY: the caller's word.
                unsafe {
                    let sums = sums.add(done * MAX_ROWS);
                    K::tile::<L, $t>(panel, n_values, blocks.add(done), sums);
                }
                done += $t;
            }
        };
    }
    tiles!(8);
    tiles!(4);
    tiles!(2);
    tiles!(1);
}
