//! Attention of several queries over one cache of keys and values, of which each sees its own part.
//!
//! Answers about many regions of one picture share most of what they attend to. ggml goes through the cache for each of a few
//! queries anew; here four of them go together through what all of them see, and each alone through the rest. What a
//! query sees is added up in a given order, and a score always by the same lanes: the result for a query is the same, to
//! the bit, whatever the others are, and however many, and wherever in the cache lies what it sees.
//!
//! Plain Rust over addresses: nothing here knows ggml.

// Small matrices: with indices the loops read like the formulas, and everything is sure to be inlined where the instruction set is
// enabled.
#![allow(clippy::needless_range_loop, clippy::manual_memcpy)]

mod scores;
mod seen;
mod softmax;
#[cfg(test)]
mod tests;
mod values;

use crate::barrier::{Barrier, Counter};
use crate::simd::Isa;
use crate::simd::isa::ForIsa;
use crate::simd::lanes::{Lanes, MAX, Task};
use half::f16;
use scores::Scores;
use seen::{TILE, Visit, Way, mark, mark_shared};
use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::sync::atomic::Ordering;
use values::Values;

/// Tiles of queries that go together through a few cells at a time, which stay in the first cache meanwhile.
const GROUP: usize = 8;
/// Bytes of those cells' keys, or values.
const BLOCK: usize = 16 << 10;
/// Parts that the work of a thread is in, so that all are done at about the same time.
const PARTS: usize = 8;

/// Type of the keys and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cells {
    F16,
    F32,
}

/// Sizes: queries `[n_embd, n_queries, n_head]` over keys and values `[n_embd, n_kv, n_head_kv]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) cells: Cells,
    /// Of a head.
    pub(crate) n_embd: usize,
    pub(crate) n_queries: usize,
    pub(crate) n_head: usize,
    pub(crate) n_head_kv: usize,
    pub(crate) n_kv: usize,
}

impl Shape {
    /// Whether there is code for it.
    pub(crate) fn is_known(&self) -> bool {
        let some = [self.n_embd, self.n_queries, self.n_head, self.n_head_kv, self.n_kv];
        !some.contains(&0)
            && self.n_embd.is_multiple_of(MAX)
            && self.n_head.is_multiple_of(self.n_head_kv)
    }

    fn n_tiles(&self) -> usize {
        self.n_queries.div_ceil(TILE)
    }

    /// Floats of a row of scores: those of all cells, and room behind them, because whole vectors are written.
    fn row(&self) -> usize {
        self.n_kv.next_multiple_of(MAX) + MAX
    }

    /// Bytes of a row of keys or values.
    fn row_bytes(&self) -> usize {
        match self.cells {
            Cells::F16 => self.n_embd * size_of::<f16>(),
            Cells::F32 => self.n_embd * size_of::<f32>(),
        }
    }

    /// Floats of a tile's queries, sums, and scores.
    fn floats_of_tile(&self) -> usize {
        TILE * (2 * self.n_embd + self.row())
    }

    /// Floats of copies of a head's keys and values, none if they are used only once. Some more can be read than there are.
    fn floats_of_copies(&self) -> usize {
        if self.n_queries > 1 { (2 * self.n_kv + TILE) * self.n_embd } else { 0 }
    }

    /// Floats of a group of tiles.
    fn floats_of_group(&self) -> usize {
        self.floats_of_tile() * self.n_tiles().min(GROUP)
    }

    /// Floats of a thread: those of a group and of copies, and a cache line between them and the next thread's.
    fn floats_of_thread(&self) -> usize {
        self.floats_of_group() + self.floats_of_copies() + MAX
    }

    /// Cells that a group goes through at a time.
    fn block(&self) -> usize {
        (BLOCK / size_of::<f32>() / self.n_embd).max(1)
    }

    /// Tiles that a thread takes at once.
    fn tiles_at_once(&self, n_threads: usize) -> usize {
        (self.n_tiles() * self.n_head / (PARTS * n_threads)).max(1).next_multiple_of(GROUP)
    }
}

/// Rows of `n_embd` values, which lie side by side; distances in bytes.
#[derive(Clone, Copy)]
pub(crate) struct Rows {
    pub(crate) first: *const u8,
    /// From a query, or cell, to the next.
    pub(crate) stride: usize,
    /// From a head to the next.
    pub(crate) head: usize,
}

impl Rows {
    /// Row `i` of the first head.
    #[inline(always)]
    unsafe fn at(&self, i: usize) -> *const u8 {
        // SAFETY: the caller's word: there is such a row.
        unsafe { self.first.add(i * self.stride) }
    }
}

/// What queries see of the cells: rows of `n_kv` values that are added to scores.
#[derive(Clone, Copy)]
pub(crate) struct Mask {
    pub(crate) first: *const f16,
    /// From a query to the next, in elements.
    pub(crate) stride: usize,
}

impl Mask {
    unsafe fn row(&self, query: usize) -> *const f16 {
        self.first.wrapping_add(query * self.stride)
    }
}

/// In which order cells are added up: which of them is at a place. If none is given, as they lie.
#[derive(Clone, Copy)]
pub(crate) struct Order<'a>(pub(crate) Option<&'a [u32]>);

impl Order<'_> {
    #[inline(always)]
    fn cell(&self, place: usize) -> usize {
        self.0.map_or(place, |cells| cells[place] as usize)
    }
}

/// Memory and meeting points of runs, one at a time.
#[derive(Default)]
pub(crate) struct Room {
    /// Of each tile and cell: which of the tile's queries see it. And of each thread and cell: whether all of some tile do.
    seen: UnsafeCell<Vec<u8>>,
    floats: UnsafeCell<Vec<f32>>,
    barrier: Barrier,
    next: Counter,
}

// SAFETY: the memory is owned; who reads and writes it does so under the contracts of `reserve` and `run`.
unsafe impl Send for Room {}
// SAFETY: as above; the rest is atomic.
unsafe impl Sync for Room {}

impl Room {
    /// Makes room for runs of that shape.
    pub(crate) fn reserve(&mut self, shape: &Shape, n_threads: usize) {
        enlarge(self.seen.get_mut(), (shape.n_tiles() + n_threads) * shape.n_kv);
        enlarge(self.floats.get_mut(), shape.floats_of_thread() * n_threads);
    }

    /// Size of the memory.
    pub(crate) fn bytes(&self) -> usize {
        // SAFETY: only lengths are read, which nobody changes without a unique borrow.
        unsafe { (*self.seen.get()).len() + (*self.floats.get()).len() * size_of::<f32>() }
    }
}

fn enlarge<T: Copy + Default>(room: &mut Vec<T>, n: usize) {
    if room.len() < n {
        room.resize(n, T::default());
    }
}

/// A run, as every thread sees it.
#[derive(Clone, Copy)]
pub(crate) struct Run<'a> {
    pub(crate) shape: Shape,
    pub(crate) room: &'a Room,
    /// Factor of the scores.
    pub(crate) scale: f32,
    /// Of floats.
    pub(crate) queries: Rows,
    pub(crate) keys: Rows,
    pub(crate) values: Rows,
    /// If none, all queries see everything.
    pub(crate) mask: Option<Mask>,
    pub(crate) order: Order<'a>,
    /// `[n_embd, n_head, n_queries]`
    pub(crate) output: *mut f32,
    pub(crate) ith: usize,
    pub(crate) nth: usize,
}

impl Run<'_> {
    /// Does the share of thread `ith` of `nth`. A query that sees nothing gets zeros.
    ///
    /// # Safety
    /// The shape is known, and the processor has the instruction set. Room was reserved for it and for `nth` threads, all of which
    /// call this at the same time; nobody else uses the room or the output until they have returned. All that is read can be
    /// read, and the output written, in full. If there is an order, it is one of all cells.
    pub(crate) unsafe fn run(self, isa: Isa) {
        // SAFETY: the caller's word.
        unsafe {
            match self.shape.cells {
                Cells::F16 => isa.run(Typed { run: self, cell: PhantomData::<f16> }),
                Cells::F32 => isa.run(Typed { run: self, cell: PhantomData::<f32> }),
            }
        }
    }
}

/// An element of keys and values.
trait Cell {
    /// # Safety
    /// As for [`Lanes::load`], at the alignment of the type.
    unsafe fn load<L: Lanes>(src: *const Self) -> L;
}

impl Cell for f16 {
    #[inline(always)]
    unsafe fn load<L: Lanes>(src: *const f16) -> L {
        // SAFETY: the caller's word.
        unsafe { L::load_f16(src) }
    }
}

impl Cell for f32 {
    #[inline(always)]
    unsafe fn load<L: Lanes>(src: *const f32) -> L {
        // SAFETY: the caller's word.
        unsafe { L::load(src) }
    }
}

/// A run over cells of one type.
#[derive(Clone, Copy)]
struct Typed<'a, C> {
    run: Run<'a>,
    cell: PhantomData<C>,
}

impl<C: Cell> ForIsa for Typed<'_, C> {
    unsafe fn run<L: Lanes, const MR: usize, const NV: usize>(self) {
        // SAFETY: the caller's word.
        unsafe { L::call(self) }
    }
}

impl<L: Lanes, C: Cell> Task<L> for Typed<'_, C> {
    #[inline(always)]
    unsafe fn run(self) {
        let Run { shape, room, ith, nth, .. } = self.run;
        if ith == 0 {
            // The others take work only behind the barrier.
            room.next.0.store(0, Ordering::Relaxed);
        }
        let n_tiles = shape.n_tiles();
        // SAFETY: the caller's word; each thread writes marks of its own tiles, and reads those of others behind the barrier.
        unsafe {
            let seen = (*room.seen.get()).as_mut_ptr();
            for tile in (ith..n_tiles).step_by(nth) {
                mark(&self.run, tile, seen.add(tile * shape.n_kv));
            }
            room.barrier.wait(nth);
            let shared = seen.add((n_tiles + ith) * shape.n_kv);
            mark_shared(seen, n_tiles, shape.n_kv, shared);
            let floats = (*room.floats.get()).as_mut_ptr().add(ith * shape.floats_of_thread());
            let copies = floats.add(shape.floats_of_group());
            let at_once = shape.tiles_at_once(nth);
            let n_parts = n_tiles.div_ceil(at_once);
            loop {
                let part = room.next.0.fetch_add(1, Ordering::Relaxed);
                if part >= n_parts * shape.n_head {
                    break;
                }
                let (head, from) = (part / n_parts, part % n_parts * at_once);
                let to = n_tiles.min(from + at_once);
                let cells = HeadCells::new::<L, C>(&self.run, head, shared, copies);
                for first in (from..to).step_by(GROUP) {
                    let group = Group {
                        run: &self.run,
                        cells: &cells,
                        head,
                        first,
                        len: GROUP.min(to - first),
                        seen: seen.add(first * shape.n_kv),
                        floats,
                    };
                    group.attend::<L, C>();
                }
            }
        }
    }
}

/// Keys and values of a head.
struct HeadCells<'a> {
    keys: Rows,
    values: Rows,
    order: Order<'a>,
    /// Copies of those that several queries see, floats, in their order, row behind row: in the cache, rows are so far apart, and by so round a number,
    /// that few of them are in the processor's caches at once.
    shared: [Rows; 2],
}

impl<'a> HeadCells<'a> {
    /// Copies what is shared.
    ///
    /// # Safety
    /// As for [`Run::run`], with marks of the cells that are shared, and room for the copies.
    #[inline(always)]
    unsafe fn new<L: Lanes, C: Cell>(
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
struct Group<'a> {
    run: &'a Run<'a>,
    cells: &'a HeadCells<'a>,
    head: usize,
    /// The first tile, and how many they are.
    first: usize,
    len: usize,
    /// `[n_kv, len]`
    seen: *const u8,
    floats: *mut f32,
}

/// Memory for the queries of one tile.
struct Tile<'a> {
    shape: &'a Shape,
    cells: &'a HeadCells<'a>,
    /// `[n_embd, TILE]`, times the scale.
    queries: *mut f32,
    /// `[n_embd, TILE]`
    sums: *mut f32,
    /// `[row, TILE]`: of each query, those of the cells that it sees, one behind the other.
    scores: *mut f32,
}

impl Group<'_> {
    /// Writes the result for all queries.
    ///
    /// # Safety
    /// As for [`Run::run`]; the marks are of these tiles, and nobody else uses the floats.
    #[inline(always)]
    unsafe fn attend<L: Lanes, C: Cell>(&self) {
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
