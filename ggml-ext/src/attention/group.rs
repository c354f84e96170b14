//! Some queries of one head, from what they are to what they see.

use super::scores::Scores;
use super::seen::{TILE, Visit, Way};
use super::values::Values;
use super::{Cell, GROUP, Order, Rows, Run, Shape, softmax};
use crate::simd::lanes::Lanes;

/// Keys and values of a head.
pub(super) struct HeadCells<'a> {
    pub(super) keys: Rows,
    pub(super) values: Rows,
    pub(super) order: Order<'a>,
    /// Copies of those that several queries see, floats, in their order, row behind row: in the cache, rows are so far apart, and
    /// by so round a number, that few of them are in the processor's caches at once.
    pub(super) shared: [Rows; 2],
}

impl<'a> HeadCells<'a> {
    /// Copies what is shared.
    ///
    /// # Safety
    /// As for [`Run::run`], with marks of the cells that are shared, and room for the copies.
    #[inline(always)]
    pub(super) unsafe fn new<L: Lanes, C: Cell>(
        run: &Run<'a>,
        head: usize,
        shared: *const u8,
        copies: *mut f32,
    ) -> HeadCells<'a> {
        let Shape { n_embd, n_head, n_head_kv, n_kv, .. } = run.shape;
        let kv = head / (n_head / n_head_kv);
        let mut of_head = [run.keys, run.values];
        let mut copied = of_head;
        for i in 0..2 {
            of_head[i].first = of_head[i].first.wrapping_add(kv * of_head[i].head);
            let to = copies.wrapping_add(i * n_kv * n_embd);
            copied[i] = Rows { first: to.cast(), stride: n_embd * size_of::<f32>(), head: 0 };
            // SAFETY: the caller's word.
            unsafe {
                for place in 0..n_kv {
                    if *shared.add(place) == 0 {
                        continue;
                    }
                    let from = of_head[i].at(run.order.cell(place)).cast::<C>();
                    for d in (0..n_embd).step_by(L::N) {
                        C::load::<L>(from.add(d)).store(to.add(place * n_embd + d));
                    }
                }
            }
        }
        let [keys, values] = of_head;
        HeadCells { keys, values, order: run.order, shared: copied }
    }
}

/// Some tiles of queries, in one head.
pub(super) struct Group<'a> {
    pub(super) run: &'a Run<'a>,
    pub(super) cells: &'a HeadCells<'a>,
    pub(super) head: usize,
    /// The first tile, and how many they are.
    pub(super) first: usize,
    pub(super) len: usize,
    /// `[n_kv, len]`
    pub(super) seen: *const u8,
    pub(super) floats: *mut f32,
}

/// Memory for the queries of one tile.
pub(super) struct Tile<'a> {
    pub(super) shape: &'a Shape,
    pub(super) cells: &'a HeadCells<'a>,
    /// `[n_embd, TILE]`, times the scale.
    pub(super) queries: *mut f32,
    /// `[n_embd, TILE]`
    pub(super) sums: *mut f32,
    /// `[row, TILE]`: of each query, those of the cells that it sees, one behind the other.
    pub(super) scores: *mut f32,
}

impl Group<'_> {
    /// Writes the result for all queries.
    ///
    /// # Safety
    /// As for [`Run::run`]; the marks are of these tiles, and nobody else uses the floats.
    #[inline(always)]
    pub(super) unsafe fn attend<L: Lanes, C: Cell>(&self) {
        // SAFETY: the caller's word.
        unsafe {
            for i in 0..self.len {
                self.start::<L>(i);
            }
            let ways = self.walk::<L, Scores<C>>();
            let mut inverse = [[0.0; TILE]; GROUP];
            for i in 0..self.len {
                inverse[i] = self.weigh::<L>(i, &ways[i].n);
            }
            self.walk::<L, Values<C>>();
            for i in 0..self.len {
                self.write::<L>(i, &inverse[i]);
            }
        }
    }

    /// Tile `i` of the group.
    #[inline(always)]
    unsafe fn tile(&self, i: usize) -> Tile<'_> {
        let shape = &self.run.shape;
        // SAFETY: the caller's word: a thread's floats have room for a group of tiles.
        unsafe {
            let queries = self.floats.add(i * shape.floats_of_tile());
            let sums = queries.add(TILE * shape.n_embd);
            let scores = sums.add(TILE * shape.n_embd);
            Tile { shape, cells: self.cells, queries, sums, scores }
        }
    }

    /// The first query of tile `i`, and how many there are.
    #[inline(always)]
    fn queries(&self, i: usize) -> [usize; 2] {
        let first = (self.first + i) * TILE;
        [first, TILE.min(self.run.shape.n_queries - first)]
    }

    /// Fetches the queries of tile `i`.
    #[inline(always)]
    unsafe fn start<L: Lanes>(&self, i: usize) {
        let Run { queries, scale, .. } = *self.run;
        let [first, n] = self.queries(i);
        // SAFETY: the caller's word.
        unsafe {
            let tile = self.tile(i);
            for q in 0..TILE {
                // Where queries are missing, the last one stands in for them.
                let row = queries.at(first + q.min(n - 1)).add(self.head * queries.head);
                for d in (0..tile.shape.n_embd).step_by(L::N) {
                    let at = q * tile.shape.n_embd + d;
                    L::load(row.cast::<f32>().add(d)).scaled(scale).store(tile.queries.add(at));
                    L::splat(0.0).store(tile.sums.add(at));
                }
            }
        }
    }

    /// Leads all tiles through the cells, a block at a time.
    #[inline(always)]
    unsafe fn walk<L: Lanes, V: Visit<L>>(&self) -> [Way; GROUP] {
        let (n_kv, block) = (self.run.shape.n_kv, self.run.shape.block());
        let mut ways = [Way::START; GROUP];
        for from in (0..n_kv).step_by(block) {
            for i in 0..self.len {
                // SAFETY: the caller's word.
                unsafe {
                    let seen = self.seen.add(i * n_kv);
                    let to = n_kv.min(from + block);
                    ways[i].walk::<L, V>(seen, [from, to], &self.tile(i));
                }
            }
        }
        for i in 0..self.len {
            // SAFETY: the caller's word.
            unsafe { ways[i].finish::<L, V>(&self.tile(i)) }
        }
        ways
    }

    /// Makes weights of the scores of tile `i`, `n` of each query; returns the inverse of their sums.
    #[inline(always)]
    unsafe fn weigh<L: Lanes>(&self, i: usize, n: &[usize; TILE]) -> [f32; TILE] {
        let [first, n_queries] = self.queries(i);
        let n_kv = self.run.shape.n_kv;
        let mut inverse = [0.0; TILE];
        for q in 0..n_queries {
            // SAFETY: the caller's word.
            unsafe {
                let scores = self.tile(i).scores.add(q * self.run.shape.row());
                if let Some(mask) = self.run.mask {
                    let seen = self.seen.add(i * n_kv);
                    softmax::add_mask(
                        scores,
                        seen,
                        1 << q,
                        mask.row(first + q),
                        self.run.order,
                        n_kv,
                    );
                }
                inverse[q] = softmax::weigh::<L>(scores, n[q]);
            }
        }
        inverse
    }

    /// Writes the result of tile `i`.
    #[inline(always)]
    unsafe fn write<L: Lanes>(&self, i: usize, inverse: &[f32; TILE]) {
        let Shape { n_embd, n_head, .. } = self.run.shape;
        let [first, n] = self.queries(i);
        for q in 0..n {
            // SAFETY: the caller's word.
            unsafe {
                let sums = self.tile(i).sums.add(q * n_embd);
                let to = self.run.output.add(((first + q) * n_head + self.head) * n_embd);
                for d in (0..n_embd).step_by(L::N) {
                    L::load(sums.add(d)).scaled(inverse[q]).store(to.add(d));
                }
            }
        }
    }
}
