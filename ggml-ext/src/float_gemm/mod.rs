//! Products of matrices of floats with any number of columns.
//!
//! ggml's code for them reads rows where they lie, far apart in memory, again for every few columns. Here threads take panels of rows, as
//! many as the inner loop has. A stretch of each row of a panel is unpacked into single precision once, rows side by side as the inner loop
//! wants them, stays in a near cache, and all columns pass by, which were packed likewise before. Products are summed in single precision in
//! an order that is the same for any number of columns, rows, and threads. Where there is AMX, graphs of ours have another way (`tiles`), and
//! where pairs of `bf16` are multiplied, rows of them (`pairs`).
//!
//! Plain Rust over addresses: nothing here knows ggml.

// As in `crate::simd`.
#![allow(clippy::needless_range_loop)]

mod columns;
mod few;
#[cfg(target_arch = "x86_64")]
mod pairs;
mod panel;
mod rows;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod tiles;

use crate::DType;
use crate::barrier::{Barrier, Counter};
use crate::product::{Gemm, Product, Run};
use crate::scratch::{Line, Scratch};
use crate::simd::isa::ForIsa;
use crate::simd::kernel::Element;
use crate::simd::lanes::{Lanes, Task};
use crate::simd::{Isa, has_amx};
use columns::Columns;
use few::FEW;
use half::{bf16, f16};
use panel::Panel;
use std::marker::PhantomData;
use std::sync::atomic::Ordering;

/// Values of rows and columns that are worked on at a time: unpacked, the rows of an inner loop fill a first cache, or little more.
const CHUNK: usize = 256;
/// Values of a column that are packed at a time, whole chunks.
const SLAB: usize = 64 * CHUNK;

/// Products of matrices of floats.
pub(crate) struct Floats {
    isa: Isa,
    /// Whether to use AMX.
    on_tiles: bool,
    /// Whether to multiply pairs of `bf16`.
    on_pairs: bool,
    room: Room,
}

impl Floats {
    pub(crate) fn new() -> Floats {
        Floats { on_tiles: has_amx(), ..Floats::in_vectors() }
    }

    /// Without AMX, which is faster for many columns only, while a column must not depend on how many there are.
    pub(crate) fn in_vectors() -> Floats {
        Floats { on_pairs: multiplies_bf16(), ..Floats::on(Isa::detect()) }
    }

    fn on(isa: Isa) -> Floats {
        Floats { isa, on_tiles: false, on_pairs: false, room: Room::default() }
    }

    /// Rows that are longer are a few large matrices', which columns come to one by one.
    fn is_on_tiles(&self, product: &Product) -> bool {
        self.on_tiles && product.n_in <= SLAB
    }

    /// Of rows that are whole pairs.
    fn is_on_pairs(&self, product: &Product) -> bool {
        let is_whole = product.dtype == DType::Bf16 && product.n_in.is_multiple_of(2);
        self.on_pairs && is_whole && !self.is_on_tiles(product)
    }

    /// # Safety
    /// As for [`Gemm::run`]; the processor multiplies pairs of `bf16`.
    #[cfg(target_arch = "x86_64")]
    unsafe fn run_on_pairs(&self, run: Run) {
        use crate::simd::lanes::x86::Avx512Pairs;
        // SAFETY: the caller's word.
        unsafe { Avx512Pairs::call(pairs::OnPairs(Typed::new(run, &self.room))) }
    }

    #[cfg(not(target_arch = "x86_64"))]
    unsafe fn run_on_pairs(&self, _: Run) {
        unreachable!("nothing multiplies pairs");
    }

    /// # Safety
    /// As for [`Gemm::run`]; there is AMX.
    #[cfg(target_arch = "x86_64")]
    unsafe fn run_on_tiles(&self, run: Run) {
        use crate::simd::amx;
        use tiles::OnTiles;
        let room = &self.room;
        // SAFETY: the caller's word; and there is AMX.
        unsafe {
            match run.product.dtype {
                DType::F16 => amx::call(OnTiles(&Typed::<f16>::new(run, room))),
                DType::Bf16 => amx::call(OnTiles(&Typed::<bf16>::new(run, room))),
                _ => amx::call(OnTiles(&Typed::<f32>::new(run, room))),
            }
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    unsafe fn run_on_tiles(&self, _: Run) {
        unreachable!("there is no AMX");
    }
}

impl Gemm for Floats {
    fn is_known(&self, product: &Product) -> bool {
        let is_fastest = match product.dtype {
            DType::F32 => true,
            DType::F16 => !multiplies_f16(),
            DType::Bf16 => {
                // Few columns are left to ggml there, which reads rows from memory faster.
                let on_pairs = self.is_on_pairs(product) && product.n_columns > FEW;
                self.is_on_tiles(product) || on_pairs || !multiplies_bf16()
            }
            _ => false,
        };
        is_fastest
            && product.n_in > 0
            && product.n_out >= self.isa.micro().outs()
            && product.n_columns > 0
    }

    fn reserve(&mut self, product: &Product, n_threads: usize) {
        #[cfg(target_arch = "x86_64")]
        if self.is_on_tiles(product) {
            return tiles::reserve(&mut self.room.tiles, *product, n_threads);
        }
        if self.is_on_pairs(product) {
            self.room.rounded.reserve_floats(product.n_in / 2 * product.n_columns);
        }
        if product.n_columns > FEW {
            self.room.columns.reserve_floats(product.n_in.min(SLAB) * product.n_columns);
            self.room.rows.reserve_floats(self.isa.micro().outs() * CHUNK * n_threads);
        }
    }

    fn bytes(&self) -> usize {
        let Room { columns, rows, tiles, rounded, .. } = &self.room;
        [columns, rows, tiles, rounded].map(Scratch::bytes).iter().sum()
    }

    unsafe fn run(&self, run: Run) {
        let Floats { isa, room, .. } = self;
        // SAFETY: the instruction set is available; the rest is the caller's word.
        unsafe {
            if self.is_on_tiles(&run.product) {
                return self.run_on_tiles(run);
            }
            if self.is_on_pairs(&run.product) {
                return self.run_on_pairs(run);
            }
            match run.product.dtype {
                DType::F16 => isa.run(Typed::<f16>::new(run, room)),
                DType::Bf16 => isa.run(Typed::<bf16>::new(run, room)),
                _ => isa.run(Typed::<f32>::new(run, room)),
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
    return pairs::is_available();
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Memory and meeting points of runs, one at a time.
#[derive(Default)]
struct Room {
    /// A slab of all columns, packed.
    columns: Scratch<Line>,
    /// Of each thread, a chunk of a panel of rows.
    rows: Scratch<Line>,
    /// What AMX works on.
    tiles: Scratch<Line>,
    /// All columns, rounded to `bf16`.
    rounded: Scratch<Line>,
    barrier: Barrier,
    next: Counter,
}

/// A run with weights of one type.
struct Typed<'a, E> {
    run: Run,
    room: &'a Room,
    element: PhantomData<E>,
}

impl<E> Typed<'_, E> {
    fn new(run: Run, room: &Room) -> Typed<'_, E> {
        Typed { run, room, element: PhantomData }
    }
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
        // SAFETY: the caller's word.
        unsafe {
            if self.0.run.product.n_columns <= FEW {
                return few_columns::<L, E>(&self.0);
            }
            for first in (0..self.0.run.product.n_in).step_by(SLAB) {
                slab::<L, E, MR, NV>(&self.0, first);
            }
        }
    }
}

/// A thread's share of what values from `first` on contribute.
///
/// # Safety
/// As for [`Gemm::run`], of slabs one after the other; the processor has the instruction set.
#[inline(always)]
unsafe fn slab<L: Lanes, E: Element, const MR: usize, const NV: usize>(
    typed: &Typed<E>,
    first: usize,
) {
    let (run, room) = (&typed.run, typed.room);
    let Run { product, ith, nth, .. } = *run;
    let width = NV * L::N;
    // All have left the slab before.
    room.barrier.wait(nth);
    if ith == 0 {
        // The others take panels only behind the next barrier.
        room.next.0.store(0, Ordering::Relaxed);
    }
    // SAFETY: the caller's word; each thread packs columns of its own, and reads those of others behind the barrier.
    unsafe {
        let columns = &Columns { all: run.columns, packed: room.columns.floats(), product, first };
        for panel in (ith..product.n_columns.div_ceil(MR)).step_by(nth) {
            columns.pack::<L, MR>(panel);
        }
        room.barrier.wait(nth);
        let unpacked = room.rows.floats().add(ith * width * CHUNK);
        let mut row = width * room.next.0.fetch_add(1, Ordering::Relaxed);
        while row < product.n_out {
            let next = width * room.next.0.fetch_add(1, Ordering::Relaxed);
            let n_rows = width.min(product.n_out - row);
            Panel { run, columns, row, n_rows, next, unpacked }.multiply::<L, E, MR, NV>();
            row = next;
        }
    }
}

/// A thread's share of a product with few columns.
///
/// # Safety
/// As for [`Gemm::run`]; the processor has the instruction set.
#[inline(always)]
unsafe fn few_columns<L: Lanes, E: Element>(typed: &Typed<E>) {
    const { assert!(FEW == 8) };
    let (Run { product, ith, nth, .. }, room) = (typed.run, typed.room);
    if ith == 0 {
        // The others take rows only behind the barrier.
        room.next.0.store(0, Ordering::Relaxed);
    }
    room.barrier.wait(nth);
    let mut row = L::N * room.next.0.fetch_add(1, Ordering::Relaxed);
    while row < product.n_out {
        let next = L::N * room.next.0.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's word.
        unsafe {
            macro_rules! multiply {
                ($($t:literal)*) => {
                    match product.n_columns {
                        $($t => few::multiply::<L, E, $t>(&typed.run, row, next),)*
                        _ => return,
                    }
                };
            }
            multiply!(1 2 3 4 5 6 7 8);
        }
        row = next;
    }
}
