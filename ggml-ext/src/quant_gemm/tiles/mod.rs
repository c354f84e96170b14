//! Sixteen columns times sixteen rows at a time, with AMX.
//!
//! Its sums are cheap, and what is done with them afterwards is not. So values of the k-quants are multiplied by the scales of their
//! groups first, in two bytes: a whole super-block is then summed in whole numbers at once.

mod scaled;
mod symmetric;

use super::kind::{Block, CHUNK, Kind};
use super::quads::x86::Vnni;
use super::quads::{MAX_ROWS, Rows};
use super::{Work, n_values, prefetch};
use crate::product::{Product, Run};
use crate::simd::amx::{self, MAX_PANELS, ROW, ROWS, Sizes, Tiles};
use std::arch::x86_64::*;

const _: () = assert!(ROWS == MAX_ROWS && ROW == 4 * MAX_ROWS);

/// Bytes from a column's block to the next one's.
const STRIDE: usize = size_of::<Block>();

/// A type of weights, as tiles want it.
pub(super) trait Tiled: Kind {
    /// A chunk of neighbouring rows, unpacked.
    type Panel;
    /// Sums of two tiles of columns.
    type Products;
    /// Bytes of a column that a tile has.
    const DEPTH: usize;

    fn panel() -> Self::Panel;
    fn products() -> Self::Products;

    /// Turns what [`Kind::set`] made into what is wanted here.
    fn complete(block: &mut Block);

    /// # Safety
    /// As for [`Kind::unpack`].
    unsafe fn unpack(rows: Rows, n_values: usize, panel: &mut Self::Panel);

    /// Multiplies a chunk of `n_values` values of `T` tiles of columns, at most two.
    ///
    /// # Safety
    /// The thread has [`Tiles`] of that depth. There are as many blocks as tiles have rows.
    unsafe fn multiply<const T: usize>(
        panel: &Self::Panel,
        n_values: usize,
        blocks: *const Block,
        products: &mut Self::Products,
    );

    /// Adds what they contribute to the sums of `n` columns (`[n][MAX_ROWS]`).
    ///
    /// # Safety
    /// The processor has AVX-512; there are `n` blocks and sums.
    unsafe fn add(
        panel: &Self::Panel,
        n_values: usize,
        blocks: *const Block,
        products: &Self::Products,
        sums: *mut f32,
        n: usize,
    );
}

/// A thread's share with AMX.
pub(super) struct OnTiles<K: Tiled> {
    panels: [K::Panel; MAX_PANELS],
    /// Those of one panel are added to sums while the next is multiplied.
    products: [K::Products; 2],
    n_panels: usize,
    _tiles: Tiles,
}

/// A panel and `n` columns, which are multiplied.
struct Step<'a, K: Tiled> {
    panel: &'a K::Panel,
    blocks: *const Block,
    sums: *mut f32,
    n: usize,
}

impl<K: Tiled> Step<'_, K> {
    /// # Safety
    /// As for [`Tiled::add`].
    #[inline(always)]
    unsafe fn add(self, n_values: usize, products: &K::Products) {
        // SAFETY: the caller's word.
        unsafe { K::add(self.panel, n_values, self.blocks, products, self.sums, self.n) }
    }
}

impl<K: Tiled> OnTiles<K> {
    /// Multiplies the unpacked panels and a chunk of all columns.
    ///
    /// # Safety
    /// As for [`Work::rows`].
    #[inline(always)]
    unsafe fn all_columns(
        &mut self,
        n_panels: usize,
        n_columns: usize,
        n_values: usize,
        blocks: *const Block,
        sums: *mut f32,
    ) {
        let [mut products, mut done] = self.products.each_mut();
        let mut before: Option<Step<K>> = None;
        // SAFETY: the caller's word.
        unsafe {
            for column in (0..n_columns).step_by(2 * ROWS) {
                let (n, blocks) = (n_columns - column, blocks.add(column));
                for (p, panel) in self.panels[..n_panels].iter().enumerate() {
                    if n > ROWS {
                        K::multiply::<2>(panel, n_values, blocks, products);
                    } else {
                        K::multiply::<1>(panel, n_values, blocks, products);
                    }
                    std::mem::swap(&mut products, &mut done);
                    // Behind the product, since it need not wait for that.
                    if let Some(step) = before {
                        step.add(n_values, products);
                    }
                    let sums = sums.add((p * n_columns + column) * MAX_ROWS);
                    before = Some(Step { panel, blocks, sums, n: n.min(2 * ROWS) });
                }
            }
            if let Some(step) = before {
                step.add(n_values, done);
            }
        }
    }
}

impl<K: Tiled> Work for OnTiles<K> {
    const PANELS: usize = MAX_PANELS;

    #[inline(always)]
    unsafe fn new(run: &Run) -> Self {
        let sizes = Sizes { rows: ROWS, bytes: K::DEPTH };
        OnTiles {
            panels: std::array::from_fn(|_| K::panel()),
            products: std::array::from_fn(|_| K::products()),
            n_panels: amx::panels(run.product.n_out, run.nth),
            // SAFETY: the caller's word.
            _tiles: unsafe { Tiles::new(sizes) },
        }
    }

    #[inline(always)]
    fn width(&self) -> usize {
        self.n_panels * MAX_ROWS
    }

    #[inline(always)]
    fn set(block: &mut Block, values: &[f32]) {
        K::set(block, values);
        K::complete(block);
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
        let n_panels = self.n_panels.min((n_out - row).div_ceil(MAX_ROWS));
        // The last rows are as many as the others: some of them a second time, without being written.
        let first = |p: usize| (row + p * MAX_ROWS).min(n_out - MAX_ROWS);
        // SAFETY: the caller's word; there are at least as many rows as a panel has.
        unsafe {
            std::ptr::write_bytes(sums, 0, n_panels * n_columns * MAX_ROWS);
            for b in 0..n_in.div_ceil(CHUNK) {
                prefetch::<Vnni, K>(run, next, b, self.width());
                let n_values = n_values(n_in, b);
                for p in 0..n_panels {
                    let from = run.weights.add(first(p) * row_bytes + b * K::BYTES);
                    let rows = Rows { first: from, stride: row_bytes };
                    <K as Tiled>::unpack(rows, n_values, &mut self.panels[p]);
                }
                let blocks = blocks.add(b * n_columns);
                self.all_columns(n_panels, n_columns, n_values, blocks, sums);
            }
            // A column's rows lie side by side.
            for column in 0..n_columns {
                for p in 0..n_panels {
                    let start = row + p * MAX_ROWS;
                    let own = sums.add((p * n_columns + column) * MAX_ROWS + start - first(p));
                    let to = run.output.add(column * n_out + start);
                    if n_out - start >= MAX_ROWS {
                        _mm512_storeu_ps(to, _mm512_load_ps(own));
                    } else {
                        std::ptr::copy_nonoverlapping(own, to, n_out - start);
                    }
                }
            }
        }
    }
}
