//! Products of quantised matrices with any number of columns.
//!
//! ggml multiplies such matrices with one column at the speed of memory, and with hundreds of columns at a good share of what the
//! processor can do. Between lie the batches that many regions are answered in, where it unpacks weights again and again.
//! Here a few rows are unpacked once, 256 values at a time, into the cache, side by side: an instruction then multiplies four
//! values of each row with four of a column, in whole numbers, as ggml does (`vectors`), or many of sixteen rows with those of sixteen
//! columns (`tiles`). The numbers are the same until they are scaled; only floats are summed in another order. That order is the same for
//! any number of columns, rows, and threads, and for any instructions.
//!
//! Plain Rust over addresses: nothing here knows ggml. There is code for x86 only.

// Rows and columns of small matrices: with indices the loops read like the formulas, and everything is sure to be inlined
// where the instruction set is enabled.
#![allow(clippy::needless_range_loop)]

mod affine;
mod k_quants;
mod kind;
mod quads;
mod symmetric;
#[cfg(test)]
mod tests;
mod tiles;
mod vectors;

use crate::DType;
use crate::barrier::{Barrier, Counter};
use crate::product::{Gemm, Product, Run};
use crate::scratch::{Line, Scratch};
use crate::simd::amx;
use crate::simd::lanes::Task;
use k_quants::{Q4K, Q5K, Q6K};
use kind::{Block, CHUNK, Kind};
use quads::x86::{Avx2, Vnni};
use quads::{MAX_ROWS, Quads};
use std::marker::PhantomData;
use std::sync::atomic::Ordering;
use symmetric::Q8_0;
use tiles::{OnTiles, Tiled};
use vectors::InVectors;

/// Bytes of a cache line.
const LINE: usize = 64;
/// Most bytes of rows that are fetched before it is their turn: they shall still be in the second cache then.
const FETCHED: usize = 256 << 10;

/// The instruction sets that there is code for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Amx,
    Vnni,
    Avx2,
}

impl Level {
    /// The fastest first.
    const ALL: &[Level] = &[Level::Amx, Level::Vnni, Level::Avx2];

    /// All that this processor has, the fastest first.
    fn available() -> impl Iterator<Item = Level> {
        Level::ALL.iter().copied().filter(|level| level.is_available())
    }

    /// The fastest for so many columns, and `bits` of each weight; results are the same. With fewer than a tile has, vectors have less
    /// to do. With few most of the work is to unpack weights, which eight rows of `q6_k` at a time go faster by a third than sixteen.
    fn for_columns(self, n_columns: usize, bits: usize) -> Level {
        match self {
            Level::Amx if n_columns < amx::ROWS => Level::Vnni.for_columns(n_columns, bits),
            Level::Vnni if bits == 6 && n_columns < 8 && Level::Avx2.is_available() => Level::Avx2,
            level => level,
        }
    }

    /// Whether it has code for bytes of any size.
    fn is_wide(self) -> bool {
        match self {
            Level::Amx | Level::Vnni => Vnni::WIDE,
            Level::Avx2 => Avx2::WIDE,
        }
    }

    fn is_available(self) -> bool {
        match self {
            Level::Amx => amx::is_available() && Level::Vnni.is_available(),
            Level::Vnni => Vnni::is_available(),
            Level::Avx2 => Avx2::is_available(),
        }
    }
}

/// Products of quantised matrices.
pub(crate) struct Quants {
    level: Level,
    room: Room,
}

impl Quants {
    /// `None` if this processor has no instructions that there is code for.
    pub(crate) fn new() -> Option<Quants> {
        Level::available().next().map(Quants::on)
    }

    fn on(level: Level) -> Quants {
        Quants { level, room: Room::default() }
    }
}

impl Gemm for Quants {
    fn is_known(&self, product: &Product) -> bool {
        let least = match product.dtype {
            DType::Q4K | DType::Q5K | DType::Q6K => CHUNK,
            DType::Q8_0 if self.level.is_wide() => Q8_0::LEAST,
            _ => return false,
        };
        product.n_in.is_multiple_of(least)
            && product.n_in > 0
            && product.n_out >= MAX_ROWS
            && product.n_columns > 0
    }

    fn reserve(&mut self, product: &Product, n_threads: usize) {
        let Product { n_in, n_columns, .. } = *product;
        // Tiles are of so many columns, whatever is in the place of those that do not exist.
        let n_blocks = n_in.div_ceil(CHUNK) * n_columns + amx::ROWS - 1;
        self.room.blocks.reserve(n_blocks, Block::EMPTY);
        let n_panels = if self.level == Level::Amx { amx::MAX_PANELS } else { 1 };
        self.room.sums.reserve_floats(sums_of_thread(n_panels, n_columns) * n_threads);
    }

    fn bytes(&self) -> usize {
        self.room.blocks.bytes() + self.room.sums.bytes()
    }

    unsafe fn run(&self, run: Run) {
        let (Quants { level, room }, n_columns) = (self, run.product.n_columns);
        // SAFETY: the caller's word; the level is available.
        unsafe {
            match run.product.dtype {
                DType::Q4K => on::<Q4K>(run, room, level.for_columns(n_columns, 4)),
                DType::Q5K => on::<Q5K>(run, room, level.for_columns(n_columns, 5)),
                DType::Q6K => on::<Q6K>(run, room, level.for_columns(n_columns, 6)),
                _ => on::<Q8_0>(run, room, level.for_columns(n_columns, 8)),
            }
        }
    }
}

unsafe fn on<K: Tiled>(run: Run, room: &Room, level: Level) {
    // SAFETY: the caller's word.
    unsafe {
        match level {
            Level::Amx => Vnni::call(Typed { run, room, how: PhantomData::<OnTiles<K>> }),
            Level::Vnni => Vnni::call(Typed { run, room, how: PhantomData::<InVectors<Vnni, K>> }),
            Level::Avx2 => Avx2::call(Typed { run, room, how: PhantomData::<InVectors<Avx2, K>> }),
        }
    }
}

/// Memory and meeting points of runs, one at a time.
#[derive(Default)]
struct Room {
    /// The columns: of each part of 256 values, all columns.
    blocks: Scratch<Block>,
    /// Of each thread, `[n_columns][MAX_ROWS]`.
    sums: Scratch<Line>,
    barrier: Barrier,
    next: Counter,
}

/// Floats of a thread: its sums, and a cache line between it and the next.
fn sums_of_thread(n_panels: usize, n_columns: usize) -> usize {
    (n_panels * n_columns + 1) * MAX_ROWS
}

/// A way to multiply weights of one kind.
trait Work {
    /// Panels of rows that are worked on at a time, at most.
    const PANELS: usize;

    /// # Safety
    /// The processor has the instruction set.
    unsafe fn new(run: &Run) -> Self;

    /// Rows that are worked on at a time.
    fn width(&self) -> usize;

    /// A chunk of a column.
    fn set(block: &mut Block, values: &[f32]);

    /// All columns times the rows from `row` on, as many as are worked on at a time. Those from `next` on are fetched meanwhile.
    ///
    /// # Safety
    /// As for [`Gemm::run`]; the processor has the instruction set, the blocks are of the columns, and nobody else uses the sums.
    unsafe fn rows(&mut self, run: &Run, rows: [usize; 2], blocks: *const Block, sums: *mut f32);
}

/// A run with weights of one kind, in one way.
struct Typed<'a, W> {
    run: Run,
    room: &'a Room,
    how: PhantomData<W>,
}

impl<L: Quads, W: Work> Task<L> for Typed<'_, W> {
    #[inline(always)]
    unsafe fn run(self) {
        let (Run { product, ith, nth, .. }, room) = (self.run, self.room);
        if ith == 0 {
            // The others take rows only behind the barrier.
            room.next.0.store(0, Ordering::Relaxed);
        }
        // SAFETY: the caller's word; each thread writes blocks of its own columns, and reads those of others behind the barrier.
        unsafe {
            let blocks = room.blocks.first();
            for column in (ith..product.n_columns).step_by(nth) {
                quantise::<W>(&self.run, blocks, column);
            }
            room.barrier.wait(nth);
            let sums = room.sums.floats().add(ith * sums_of_thread(W::PANELS, product.n_columns));
            let mut work = W::new(&self.run);
            let mut row = work.width() * room.next.0.fetch_add(1, Ordering::Relaxed);
            while row < product.n_out {
                let next = work.width() * room.next.0.fetch_add(1, Ordering::Relaxed);
                work.rows(&self.run, [row, next], blocks, sums);
                row = next;
            }
        }
    }
}

/// Values of chunk `b`: the last one of a row may have fewer than others.
#[inline(always)]
fn n_values(n_in: usize, b: usize) -> usize {
    CHUNK.min(n_in - b * CHUNK)
}

/// Blocks of one column.
#[inline(always)]
unsafe fn quantise<W: Work>(run: &Run, blocks: *mut Block, column: usize) {
    let Product { n_in, n_columns, .. } = run.product;
    for b in 0..n_in.div_ceil(CHUNK) {
        // SAFETY: the caller's word.
        unsafe {
            let from = run.columns.add(column * n_in + b * CHUNK);
            let values = std::slice::from_raw_parts(from, n_values(n_in, b));
            W::set(&mut *blocks.add(b * n_columns + column), values);
        }
    }
}

/// Fetches a part of the `width` rows from `row` on while chunk `b` of others is multiplied: one long stretch of memory, where the rows
/// that are multiplied are many short ones.
#[inline(always)]
unsafe fn prefetch<L: Quads, K: Kind>(run: &Run, row: usize, b: usize, width: usize) {
    let row_bytes = run.product.n_in * K::BYTES / CHUNK;
    if width * row_bytes <= FETCHED {
        let from = run.weights.wrapping_add(row * row_bytes + b * width * K::BYTES);
        for line in 0..(width * K::BYTES).div_ceil(LINE) {
            // SAFETY: the caller's word.
            unsafe { L::prefetch(from.wrapping_add(LINE * line)) };
        }
    }
}
