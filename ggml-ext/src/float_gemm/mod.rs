//! Products of matrices of floats with any number of columns.
//!
//! ggml's code for them reads rows where they lie, far apart in memory, again for every few columns. Here threads take groups of rows. A
//! stretch of each row of a group is unpacked into single precision once, rows side by side as the inner loop wants
//! them, stays in the second cache, and all columns pass by, which were packed likewise before. Products are summed in single precision in
//! an order that is the same for any number of columns, rows, and threads.
//!
//! Plain Rust over addresses: nothing here knows ggml.

// As in `crate::simd`.
#![allow(clippy::needless_range_loop)]

mod columns;
mod rows;
#[cfg(test)]
mod tests;

use crate::DType;
use crate::barrier::{Barrier, Counter};
use crate::product::{Gemm, Product, Run};
use crate::scratch::{Line, Scratch};
use crate::simd::Isa;
use crate::simd::gemm::{Ahead, micro};
use crate::simd::isa::ForIsa;
use crate::simd::kernel::Element;
use crate::simd::lanes::{Lanes, MAX, Task, load_up_to, store_up_to};
use columns::Columns;
use half::{bf16, f16};
use rows::Rows;
use std::marker::PhantomData;
use std::sync::atomic::Ordering;

/// Values of rows and columns that are worked on at a time: unpacked, the rows of an inner loop fill a first cache.
const CHUNK: usize = 256;
/// Rows of a group at most: unpacked, they take a part of a second cache.
const GROUP: usize = 128;
/// Groups that a thread shall have at least, so that all are ready at about the same time.
const TURNS: usize = 4;
/// Sums of an inner loop at most.
const TILE: usize = 12 * 2 * MAX;

/// Products of matrices of floats.
pub(crate) struct Floats {
    isa: Isa,
    room: Room,
}

impl Floats {
    pub(crate) fn new() -> Floats {
        Floats::on(Isa::detect())
    }

    fn on(isa: Isa) -> Floats {
        Floats { isa, room: Room::default() }
    }
}

impl Gemm for Floats {
    fn is_known(&self, product: &Product) -> bool {
        let is_fastest = match product.dtype {
            DType::F32 => true,
            DType::F16 => !multiplies_f16(),
            DType::Bf16 => !multiplies_bf16(),
            _ => false,
        };
        is_fastest
            && product.n_in > 0
            && product.n_out >= self.isa.micro().outs()
            && product.n_columns > 0
    }

    fn reserve(&mut self, product: &Product, n_threads: usize) {
        self.room.columns.reserve_floats(product.n_in * product.n_columns);
        self.room.rows.reserve_floats(GROUP * CHUNK * n_threads);
    }

    fn bytes(&self) -> usize {
        self.room.columns.bytes() + self.room.rows.bytes()
    }

    unsafe fn run(&self, run: Run) {
        let Floats { isa, room } = self;
        // SAFETY: the instruction set is available; the rest is the caller's word.
        unsafe {
            match run.product.dtype {
                DType::F16 => isa.run(Typed { run, room, element: PhantomData::<f16> }),
                DType::Bf16 => isa.run(Typed { run, room, element: PhantomData::<bf16> }),
                _ => isa.run(Typed { run, room, element: PhantomData::<f32> }),
            }
        }
    }
}

/// Whether the processor has instructions for products of halves, which ggml uses.
fn multiplies_f16() -> bool {
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("fp16");
    #[cfg(not(target_arch = "aarch64"))]
    false
}

/// The same for the upper halves of single precision.
fn multiplies_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Memory and meeting points of runs, one at a time.
#[derive(Default)]
struct Room {
    /// All columns, packed.
    columns: Scratch<Line>,
    /// Of each thread, a chunk of a group of rows.
    rows: Scratch<Line>,
    barrier: Barrier,
    next: Counter,
}

/// A run with weights of one type.
struct Typed<'a, E> {
    run: Run,
    room: &'a Room,
    element: PhantomData<E>,
}

impl<E: Element> ForIsa for Typed<'_, E> {
    unsafe fn run<L: Lanes, const MR: usize, const NV: usize>(self) {
        // SAFETY: the caller's word.
        unsafe { L::call(Share::<E, MR, NV>(self)) }
    }
}

/// A thread's share, for tiles of `MR` columns and `NV` vectors of rows.
struct Share<'a, E, const MR: usize, const NV: usize>(Typed<'a, E>);

impl<L: Lanes, E: Element, const MR: usize, const NV: usize> Task<L> for Share<'_, E, MR, NV> {
    #[inline(always)]
    unsafe fn run(self) {
        let (Run { product, ith, nth, .. }, room) = (self.0.run, self.0.room);
        if ith == 0 {
            // The others take groups only behind the barrier.
            room.next.0.store(0, Ordering::Relaxed);
        }
        // SAFETY: the caller's word; each thread packs columns of its own, and reads those of others behind the barrier.
        unsafe {
            let packed = room.columns.floats();
            let columns = Columns { first: self.0.run.columns, packed, product };
            for panel in (ith..product.n_columns.div_ceil(MR)).step_by(nth) {
                columns.pack::<L, MR>(panel);
            }
            room.barrier.wait(nth);
            let unpacked = room.rows.floats().add(ith * GROUP * CHUNK);
            let panels = panels_of_group(product.n_out.div_ceil(NV * L::N), NV * L::N, nth);
            let n_rows = panels * NV * L::N;
            let mut row = n_rows * room.next.0.fetch_add(1, Ordering::Relaxed);
            while row < product.n_out {
                let next = n_rows * room.next.0.fetch_add(1, Ordering::Relaxed);
                let weights = self.0.run.weights.cast::<E>();
                let n_rows = n_rows.min(product.n_out - row);
                let rows = Rows { weights, row, n_rows, next, unpacked, product };
                group::<L, E, MR, NV>(&rows, &columns, self.0.run.output);
                row = next;
            }
        }
    }
}

/// Panels, of `width` rows, of a group.
fn panels_of_group(n_panels: usize, width: usize, nth: usize) -> usize {
    n_panels.div_ceil(TURNS * nth).clamp(1, GROUP / width)
}

/// A group's rows times all columns.
#[inline(always)]
unsafe fn group<L: Lanes, E: Element, const MR: usize, const NV: usize>(
    rows: &Rows<E>,
    columns: &Columns,
    output: *mut f32,
) {
    let Product { n_in, n_columns, .. } = rows.product;
    for start in (0..n_in).step_by(CHUNK) {
        let len = CHUNK.min(n_in - start);
        // SAFETY: the caller's word; the chunk exists.
        unsafe {
            rows.unpack::<L, NV>(start, len);
            let mut column = 0;
            while column < n_columns {
                macro_rules! tile {
                    ($($t:literal)*) => {
                        match MR.min(n_columns - column) {
                            $($t if $t <= MR => {
                                let tile = Tile { start, len, column };
                                tile.multiply::<L, E, $t, NV>(rows, columns, output);
                            })*
                            _ => return,
                        }
                    };
                }
                tile!(12 11 10 9 8 7 6 5 4 3 2 1);
                column += MR;
            }
        }
    }
}

/// A chunk of a few columns.
struct Tile {
    start: usize,
    len: usize,
    column: usize,
}

impl Tile {
    /// Adds what the chunk contributes to `T` columns of a group's rows.
    #[inline(always)]
    unsafe fn multiply<L: Lanes, E: Element, const T: usize, const NV: usize>(
        &self,
        rows: &Rows<E>,
        columns: &Columns,
        output: *mut f32,
    ) {
        let width = NV * L::N;
        let mut sums = [0.0f32; TILE];
        // SAFETY: the caller's word; a tile has at most as many sums as there is room for.
        unsafe {
            let v = columns.chunk(self.start, self.len, self.column);
            for first in (0..rows.n_rows).step_by(width) {
                let u = rows.unpacked.add(first * self.len);
                micro::<L, T, NV>(
                    v,
                    u,
                    self.len,
                    sums.as_mut_ptr(),
                    width,
                    Ahead::next(v, T * self.len),
                );
                let n_rows = width.min(rows.n_rows - first);
                let to = output.add(self.column * rows.product.n_out + rows.row + first);
                for t in 0..T {
                    let to = to.add(t * rows.product.n_out);
                    for j in (0..n_rows).step_by(L::N) {
                        let n = L::N.min(n_rows - j);
                        let own = L::load(sums.as_ptr().add(t * width + j));
                        let sum = match self.start {
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
