//! Products of quantised matrices with any number of columns.
//!
//! ggml multiplies such matrices with one column at the speed of memory, and with hundreds of columns at a good share of what the
//! processor can do. Between lie the batches that many regions are answered in, where it unpacks weights again and again.
//! Here a few rows are unpacked once, 256 values at a time, into the cache, side by side: an instruction then multiplies four
//! values of each row with four of a column, in whole numbers, as ggml does. The numbers are the same until they are scaled;
//! only floats are summed in another order. That order is the same for any number of columns, rows, and threads.
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

use crate::DType;
use crate::barrier::{Barrier, Counter};
use crate::product::{Gemm, Product, Run};
use crate::scratch::{Line, Scratch};
use crate::simd::lanes::Task;
use k_quants::{Q4K, Q5K, Q6K};
use kind::{Block, CHUNK, Kind, Panel};
use quads::{MAX_ROWS, Quads, Rows};
use std::marker::PhantomData;
use std::sync::atomic::Ordering;
use symmetric::Q8_0;

/// Bytes of a cache line.
const LINE: usize = 64;
/// Most bytes of rows that are fetched before it is their turn: they shall still be in the second cache then.
const FETCHED: usize = 256 << 10;

/// The instruction sets that there is code for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Vnni,
    Avx2,
}

impl Level {
    /// The fastest first.
    const ALL: &[Level] = &[Level::Vnni, Level::Avx2];

    /// All that this processor has, the fastest first.
    fn available() -> impl Iterator<Item = Level> {
        Level::ALL.iter().copied().filter(|level| level.is_available())
    }

    /// Of few columns most of the work is to unpack weights, which eight rows of `q6_k` at a time go faster by a third than sixteen.
    /// Results are the same.
    fn for_six_bits(self, n_columns: usize) -> Level {
        match self {
            Level::Vnni if n_columns < 8 && Level::Avx2.is_available() => Level::Avx2,
            level => level,
        }
    }

    /// Whether it has code for bytes of any size.
    fn is_wide(self) -> bool {
        match self {
            Level::Vnni => quads::x86::Vnni::WIDE,
            Level::Avx2 => quads::x86::Avx2::WIDE,
        }
    }

    fn is_available(self) -> bool {
        match self {
            Level::Vnni => quads::x86::Vnni::is_available(),
            Level::Avx2 => quads::x86::Avx2::is_available(),
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
        self.room.blocks.reserve(n_in.div_ceil(CHUNK) * n_columns, Block::EMPTY);
        self.room.sums.reserve_floats(sums_of_thread(n_columns) * n_threads);
    }

    fn bytes(&self) -> usize {
        self.room.blocks.bytes() + self.room.sums.bytes()
    }

    unsafe fn run(&self, run: Run) {
        let Quants { level, room } = self;
        // SAFETY: the caller's word; the level is available.
        unsafe {
            match run.product.dtype {
                DType::Q4K => on::<Q4K>(run, room, *level),
                DType::Q5K => on::<Q5K>(run, room, *level),
                DType::Q6K => on::<Q6K>(run, room, level.for_six_bits(run.product.n_columns)),
                _ => on::<Q8_0>(run, room, *level),
            }
        }
    }
}

unsafe fn on<K: Kind>(run: Run, room: &Room, level: Level) {
    let run = Typed { run, room, kind: PhantomData::<K> };
    // SAFETY: the caller's word.
    unsafe {
        match level {
            Level::Vnni => quads::x86::Vnni::call(run),
            Level::Avx2 => quads::x86::Avx2::call(run),
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
fn sums_of_thread(n_columns: usize) -> usize {
    (n_columns + 1) * MAX_ROWS
}

/// A run with weights of one kind.
struct Typed<'a, K> {
    run: Run,
    room: &'a Room,
    kind: PhantomData<K>,
}

impl<L: Quads, K: Kind> Task<L> for Typed<'_, K> {
    #[inline(always)]
    unsafe fn run(self) {
        let (Run { product, ith, nth, .. }, room) = (self.run, self.room);
        if ith == 0 {
            // The others take panels only behind the barrier.
            room.next.0.store(0, Ordering::Relaxed);
        }
        // SAFETY: the caller's word; each thread writes blocks of its own columns, and reads those of others behind the barrier.
        unsafe {
            let blocks = room.blocks.first();
            for column in (ith..product.n_columns).step_by(nth) {
                quantise::<K>(&self.run, blocks, column);
            }
            room.barrier.wait(nth);
            let sums = room.sums.floats().add(ith * sums_of_thread(product.n_columns));
            let mut panel = Panel::EMPTY;
            let mut row = L::ROWS * room.next.0.fetch_add(1, Ordering::Relaxed);
            while row < product.n_out {
                let next = L::ROWS * room.next.0.fetch_add(1, Ordering::Relaxed);
                rows::<L, K>(&self.run, [row, next], &mut panel, blocks, sums);
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
unsafe fn quantise<K: Kind>(run: &Run, blocks: *mut Block, column: usize) {
    let Product { n_in, n_columns, .. } = run.product;
    for b in 0..n_in.div_ceil(CHUNK) {
        // SAFETY: the caller's word.
        unsafe {
            let from = run.columns.add(column * n_in + b * CHUNK);
            let values = std::slice::from_raw_parts(from, n_values(n_in, b));
            K::set(&mut *blocks.add(b * n_columns + column), values);
        }
    }
}

/// All columns times the rows from `row` on, as many as a vector has. Those from `next` on are fetched meanwhile: one long stretch of
/// memory, where the rows that are multiplied are many short ones.
#[inline(always)]
unsafe fn rows<L: Quads, K: Kind>(
    run: &Run,
    [row, next]: [usize; 2],
    panel: &mut Panel,
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
            if L::ROWS * row_bytes <= FETCHED {
                let from = run.weights.wrapping_add(next * row_bytes + b * L::ROWS * K::BYTES);
                for line in 0..(L::ROWS * K::BYTES).div_ceil(LINE) {
                    L::prefetch(from.wrapping_add(LINE * line));
                }
            }
            let n_values = n_values(n_in, b);
            K::unpack::<L>(place, n_values, panel);
            all_columns::<L, K>(panel, n_values, blocks.add(b * n_columns), sums, n_columns);
            place = place.at(K::BYTES);
        }
        let n = L::ROWS.min(n_out - row);
        for column in 0..n_columns {
            let own = sums.add(column * MAX_ROWS + row - from);
            std::ptr::copy_nonoverlapping(own, run.output.add(column * n_out + row), n);
        }
    }
}

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
