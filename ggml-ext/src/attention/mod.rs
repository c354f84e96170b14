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

mod group;
mod scores;
mod seen;
mod softmax;
#[cfg(test)]
mod tests;
mod values;

use crate::barrier::{Barrier, Counter};
use crate::scratch::{Line, Scratch};
use crate::simd::Isa;
use crate::simd::isa::ForIsa;
use crate::simd::lanes::{Lanes, MAX, Task};
use group::{Group, HeadCells, Tile};
use half::f16;
use seen::{TILE, mark, mark_shared};
use std::marker::PhantomData;
use std::sync::atomic::Ordering;

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
    seen: Scratch<u8>,
    floats: Scratch<Line>,
    barrier: Barrier,
    next: Counter,
}

impl Room {
    /// Makes room for runs of that shape.
    pub(crate) fn reserve(&mut self, shape: &Shape, n_threads: usize) {
        self.seen.reserve((shape.n_tiles() + n_threads) * shape.n_kv, 0);
        self.floats.reserve_floats(shape.floats_of_thread() * n_threads);
    }

    /// Size of the memory.
    pub(crate) fn bytes(&self) -> usize {
        self.seen.bytes() + self.floats.bytes()
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
            let seen = room.seen.first();
            for tile in (ith..n_tiles).step_by(nth) {
                mark(&self.run, tile, seen.add(tile * shape.n_kv));
            }
            room.barrier.wait(nth);
            let shared = seen.add((n_tiles + ith) * shape.n_kv);
            mark_shared(seen, n_tiles, shape.n_kv, shared);
            let floats = room.floats.floats().add(ith * shape.floats_of_thread());
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
