//! Any number of columns, with AMX.
//!
//! It multiplies numbers of eight bits, and adds up in single precision. A number of single precision is exactly three such numbers, a half
//! two; of the nine or six products of these parts, those that are below the last bit of the largest are left out. That many
//! products are still faster than one in vectors, unless there are few columns and the work is to bring rows from memory.

use super::Typed;
use crate::product::{Product, Run};
use crate::scratch::{self, Scratch};
use crate::simd::amx::{self, ROW, ROWS, Sizes, Sums, Tile, Tiles};
use crate::simd::kernel::Element;
use crate::simd::lanes::x86::Avx512;
use crate::simd::lanes::{Lanes, MAX, Task, load_up_to, store_up_to};
use half::{bf16, f16};
use std::arch::x86_64::*;
use std::sync::atomic::Ordering;

/// Values of a tile's row.
const DEPTH: usize = ROW / 2;
/// Values that are worked on at a time: two tiles of columns, in parts, fill half of a first cache.
const CHUNK: usize = 128;
/// Steps that a chunk has.
const STEPS: usize = CHUNK / DEPTH;
/// Parts of a column's values.
const PARTS: usize = 3;

const _: () = assert!(ROWS == MAX && ROWS == Avx512::N && CHUNK.is_multiple_of(DEPTH));

/// An element type of rows.
pub(super) trait Parts: Element {
    /// Numbers of eight bits each that a value is the sum of.
    const PARTS: usize;
}

impl Parts for f32 {
    const PARTS: usize = PARTS;
}

impl Parts for f16 {
    const PARTS: usize = 2;
}

impl Parts for bf16 {
    const PARTS: usize = 1;
}

/// Sizes of a product in tiles.
#[derive(Clone, Copy)]
struct Layout {
    product: Product,
    /// Tiles of columns.
    n_tiles: usize,
    /// Tiles of rows that a thread takes.
    panel: usize,
}

impl Layout {
    fn new(product: Product, n_threads: usize) -> Layout {
        // Rows are multiplied two tiles at a time.
        let panel = amx::panels(product.n_out, n_threads).max(2);
        Layout { product, n_tiles: product.n_columns.div_ceil(ROWS), panel }
    }

    /// Steps of all rows.
    fn n_steps(&self) -> usize {
        self.product.n_in.div_ceil(DEPTH)
    }

    /// Tiles that a thread unpacks rows to.
    fn n_unpacked(&self) -> usize {
        self.panel * STEPS * PARTS
    }

    /// Tiles of sums of a thread.
    fn n_totals(&self) -> usize {
        self.panel * self.n_tiles
    }
}

/// Tiles in all: of columns, of rows of all threads, and of sums.
fn n_tiles(product: Product, n_threads: usize) -> [usize; 3] {
    let layout = Layout::new(product, n_threads);
    let columns = layout.n_tiles * layout.n_steps() * PARTS;
    [columns, layout.n_unpacked() * n_threads, layout.n_totals() * n_threads]
}

/// Makes room for a product.
pub(super) fn reserve(room: &mut Scratch<scratch::Line>, product: Product, n_threads: usize) {
    // A graph may be run by fewer threads, with larger panels.
    let most = (1..=n_threads).map(|n| n_tiles(product, n).iter().sum()).max().unwrap_or(0);
    room.reserve_floats(most * size_of::<Tile>() / size_of::<f32>());
}

/// A thread's share with AMX.
pub(super) struct OnTiles<'a, E>(pub(super) &'a Typed<'a, E>);

impl<E: Parts> Task<Avx512> for OnTiles<'_, E> {
    #[inline(always)]
    unsafe fn run(self) {
        let OnTiles(Typed { run, room, .. }) = self;
        let Run { product, ith, nth, .. } = *run;
        let layout = Layout::new(product, nth);
        let [columns, unpacked, _] = n_tiles(product, nth);
        // SAFETY: the caller's word; there is room for that many tiles, of which each thread has its own, but for columns: it packs
        // some, and reads those of others behind the barrier.
        unsafe {
            let _tiles = Tiles::new(Sizes { rows: ROWS, bytes: ROW });
            let all: *mut Tile = room.tiles.first().cast();
            let own = all.add(columns + ith * layout.n_unpacked());
            let totals = all.add(columns + unpacked + ith * layout.n_totals());
            if ith == 0 {
                // The others take panels only behind the barrier.
                room.next.0.store(0, Ordering::Relaxed);
            }
            let work = Work { run, layout, n_steps: layout.n_steps(), columns: all };
            for tile in (ith..layout.n_tiles).step_by(nth) {
                work.pack(tile);
            }
            room.barrier.wait(nth);
            let width = layout.panel * ROWS;
            let mut row = width * room.next.0.fetch_add(1, Ordering::Relaxed);
            while row < product.n_out {
                let next = width * room.next.0.fetch_add(1, Ordering::Relaxed);
                let n_rows = width.min(product.n_out - row);
                let panel = Panel { row, n_rows, next, unpacked: own, totals: totals.cast() };
                work.multiply::<E>(&panel);
                row = next;
            }
        }
    }
}

/// A run with its columns packed.
struct Work<'a> {
    run: &'a Run,
    layout: Layout,
    n_steps: usize,
    /// `[tile][step][part]`
    columns: *mut Tile,
}

/// Rows of a thread.
struct Panel {
    row: usize,
    n_rows: usize,
    /// The first of the panel after it, which need not exist.
    next: usize,
    /// `[tile][step of the chunk][part]`
    unpacked: *mut Tile,
    /// `[tile][tile of columns]`, each `[row][column]`
    totals: *mut Sums<f32>,
}

/// The eight upper bits of a number, and its sign and exponent.
#[inline(always)]
unsafe fn upper(v: __m512) -> __m512i {
    // SAFETY: the caller's word.
    unsafe { _mm512_and_si512(_mm512_castps_si512(v), _mm512_set1_epi32(!0xffff)) }
}

/// What [`upper`] leaves, exactly.
#[inline(always)]
unsafe fn rest(v: __m512) -> __m512 {
    // SAFETY: the caller's word.
    unsafe { _mm512_sub_ps(v, _mm512_castsi512_ps(upper(v))) }
}

/// `n <= 16` values, one by one, and zeros.
#[inline(always)]
unsafe fn elements<E: Element>(src: *const E, n: usize) -> Avx512 {
    // SAFETY: the caller's word.
    unsafe {
        let mut row = [0.0; Avx512::N];
        for (i, v) in row.iter_mut().enumerate().take(n) {
            *v = (*src.add(i)).to_f32();
        }
        Avx512::load(row.as_ptr())
    }
}

/// The parts that [`upper`] gives of two vectors, side by side.
#[inline(always)]
unsafe fn upper_halves(low: __m512, high: __m512) -> __m512i {
    /// Every other word of both.
    const ODD: [u16; 32] = {
        let mut odd = [0; 32];
        let mut i = 0;
        while i < 32 {
            odd[i] = 2 * i as u16 + 1;
            i += 1;
        }
        odd
    };
    // SAFETY: the caller's word.
    unsafe {
        let odd = _mm512_loadu_si512(ODD.as_ptr().cast());
        _mm512_permutex2var_epi16(_mm512_castps_si512(low), odd, _mm512_castps_si512(high))
    }
}

/// Row `i` of the tiles from `to` on: the parts of a step of a row.
///
/// # Safety
/// The processor has AVX-512, and nobody else uses the tiles.
#[inline(always)]
unsafe fn split<E: Parts>([mut low, mut high]: [Avx512; 2], to: *mut Tile, i: usize) {
    for part in 0..E::PARTS {
        // SAFETY: the caller's word; there is a tile for each part.
        unsafe {
            let to = (&raw mut (*to.add(part)).0[i]).cast();
            _mm512_store_si512(to, upper_halves(low.0, high.0));
            (low.0, high.0) = (rest(low.0), rest(high.0));
        }
    }
}

impl Work<'_> {
    /// Packs the columns of a tile, as many as there are, and zeros: pairs of values, columns side by side.
    ///
    /// # Safety
    /// The processor has AVX-512; the tile exists, columns can be read in full, and nobody else accesses its place.
    #[inline(always)]
    unsafe fn pack(&self, tile: usize) {
        let Product { n_in, n_columns, .. } = self.run.product;
        let n = ROWS.min(n_columns - tile * ROWS);
        for half in 0..2 * self.n_steps {
            let c = half * Avx512::N;
            let n_values = Avx512::N.min(n_in.saturating_sub(c));
            // SAFETY: the caller's word; what is read exists, and a step has a tile for each part.
            unsafe {
                let mut square = [Avx512::splat(0.0); MAX];
                for i in 0..n {
                    let from = self.run.columns.wrapping_add((tile * ROWS + i) * n_in + c);
                    square[i] = load_up_to(from, n_values);
                }
                Avx512::transpose(&mut square);
                let step = self.columns.add((tile * self.n_steps + half / 2) * PARTS);
                for pair in 0..Avx512::N / 2 {
                    let [mut even, mut odd] = [square[2 * pair].0, square[2 * pair + 1].0];
                    let row = half % 2 * (Avx512::N / 2) + pair;
                    for part in 0..PARTS {
                        let both =
                            _mm512_or_si512(_mm512_srli_epi32::<16>(upper(even)), upper(odd));
                        let to = (&raw mut (*step.add(part)).0[row]).cast();
                        _mm512_store_si512(to, both);
                        (even, odd) = (rest(even), rest(odd));
                    }
                }
            }
        }
    }

    /// Multiplies a panel, chunk by chunk.
    ///
    /// # Safety
    /// The thread has tiles; the rows exist, the columns are packed, and nobody else uses the panel and the output of these rows.
    #[inline(always)]
    unsafe fn multiply<E: Parts>(&self, panel: &Panel) {
        let n_columns = self.layout.n_tiles;
        // Two by two, whatever is in place of the last.
        let n_rows = panel.n_rows.div_ceil(ROWS).next_multiple_of(2);
        // SAFETY: the caller's word.
        unsafe {
            for first in (0..self.n_steps).step_by(STEPS) {
                for row in 0..panel.n_rows.div_ceil(ROWS) {
                    self.unpack::<E>(panel, row, first);
                }
                let steps = [first, STEPS.min(self.n_steps - first)];
                for column in (0..n_columns).step_by(2) {
                    for row in (0..n_rows).step_by(2) {
                        if column + 1 < n_columns {
                            self.tiles::<E, 2>(panel, [row, column], steps);
                        } else {
                            self.tiles::<E, 1>(panel, [row, column], steps);
                        }
                    }
                }
            }
            for row in 0..panel.n_rows.div_ceil(ROWS) {
                for column in 0..n_columns {
                    self.write(panel, [row, column]);
                }
            }
        }
    }

    /// Unpacks the chunk that begins with step `first` of a tile of rows: those that do not exist are the last one.
    ///
    /// # Safety
    /// The processor has AVX-512; the first row exists, and nobody else uses the panel.
    #[inline(always)]
    unsafe fn unpack<E: Parts>(&self, panel: &Panel, tile: usize, first: usize) {
        let Product { n_in, n_out, .. } = self.run.product;
        let weights = self.run.weights.cast::<E>();
        let c = first * DEPTH;
        let n_values = CHUNK.min(n_in - c);
        // What comes after the chunk: more of these rows, or the panel after it.
        let (next, after) = match c + CHUNK < n_in {
            true => (panel.row, c + CHUNK),
            false => (panel.next, 0),
        };
        for i in 0..ROWS {
            let row = |first: usize| weights.wrapping_add((first + tile * ROWS + i) * n_in);
            let last = weights.wrapping_add((n_out - 1) * n_in);
            let (from, ahead) = (row(panel.row).min(last), row(next).wrapping_add(after));
            for line in 0..CHUNK * size_of::<E>() / ROW {
                let ahead = ahead.cast::<u8>().wrapping_add(line * ROW);
                // SAFETY: a hint may name any address.
                unsafe { _mm_prefetch::<_MM_HINT_T1>(ahead.cast()) };
            }
            // SAFETY: the caller's word; what is read exists, and a step has a tile for each part.
            unsafe {
                let to = panel.unpacked.add(tile * STEPS * E::PARTS);
                let whole = n_values / DEPTH;
                for step in 0..whole {
                    let from = from.add(c + step * DEPTH);
                    let [low, high] = [from, from.add(Avx512::N)].map(|at| E::load(at));
                    split::<E>([low, high], to.add(step * E::PARTS), i);
                }
                if whole * DEPTH < n_values {
                    let both = [0, Avx512::N].map(|half| {
                        let v = whole * DEPTH + half;
                        let n = n_values.saturating_sub(v).min(Avx512::N);
                        elements(from.wrapping_add(c + v), n)
                    });
                    split::<E>(both, to.add(whole * E::PARTS), i);
                }
            }
        }
    }

    /// Adds to totals what `n` steps from `first` on contribute to two tiles of rows and `T` of columns, one or two.
    ///
    /// Tiles 0 and 1 are sums of the first rows, 2 and 3 of the second; 4 and 5 rows, 6 and 7 columns.
    ///
    /// # Safety
    /// The thread has tiles; these exist, are unpacked and packed, and nobody else uses the panel.
    #[inline(always)]
    unsafe fn tiles<E: Parts, const T: usize>(
        &self,
        panel: &Panel,
        [row, column]: [usize; 2],
        [first, n]: [usize; 2],
    ) {
        // SAFETY: the caller's word.
        unsafe {
            amx::zero::<0>();
            amx::zero::<2>();
            if T == 2 {
                amx::zero::<1>();
                amx::zero::<3>();
            }
            for step in 0..n {
                let rows = |tile: usize, part: usize| {
                    let at = ((row + tile) * STEPS + step) * E::PARTS + part;
                    panel.unpacked.add(at).cast_const().cast::<u8>()
                };
                let columns = |tile: usize, part: usize| {
                    let at = ((column + tile) * self.n_steps + first + step) * PARTS + part;
                    self.columns.add(at).cast_const().cast::<u8>()
                };
                let mut loaded = PARTS;
                for part in 0..E::PARTS {
                    amx::load::<4>(rows(0, part), ROW);
                    amx::load::<5>(rows(1, part), ROW);
                    for i in 0..PARTS - part {
                        // Forth and back: what is loaded is multiplied with the next part, too.
                        let other = if part % 2 == 0 { PARTS - part - 1 - i } else { i };
                        if other != loaded {
                            amx::load::<6>(columns(0, other), ROW);
                            if T == 2 {
                                amx::load::<7>(columns(1, other), ROW);
                            }
                        }
                        loaded = other;
                        amx::add_floats::<0, 4, 6>();
                        amx::add_floats::<2, 5, 6>();
                        if T == 2 {
                            amx::add_floats::<1, 4, 7>();
                            amx::add_floats::<3, 5, 7>();
                        }
                    }
                }
            }
            let begin = first == 0;
            let total = |tile: usize| panel.totals.add((row + tile) * self.layout.n_tiles + column);
            add::<0>(total(0), begin);
            add::<2>(total(1), begin);
            if T == 2 {
                add::<1>(total(0).add(1), begin);
                add::<3>(total(1).add(1), begin);
            }
        }
    }

    /// Writes totals.
    ///
    /// # Safety
    /// The processor has AVX-512; the tiles exist, and nobody else uses the output of these rows.
    #[inline(always)]
    unsafe fn write(&self, panel: &Panel, [row, column]: [usize; 2]) {
        let Product { n_out, n_columns, .. } = self.run.product;
        // SAFETY: the caller's word.
        unsafe {
            let total = &*panel.totals.add(row * self.layout.n_tiles + column);
            let mut square = [Avx512::splat(0.0); MAX];
            for i in 0..ROWS {
                square[i] = Avx512::load(total.0[i].as_ptr());
            }
            Avx512::transpose(&mut square);
            let n = ROWS.min(panel.n_rows - row * ROWS);
            for t in 0..ROWS.min(n_columns - column * ROWS) {
                let at = (column * ROWS + t) * n_out + panel.row + row * ROWS;
                let to = self.run.output.add(at);
                store_up_to(square[t], to, n);
            }
        }
    }
}

/// Adds a tile of sums to totals, or begins them.
///
/// # Safety
/// The thread has tiles and AVX-512; nobody else uses the totals.
#[inline(always)]
unsafe fn add<const SUMS: u8>(total: *mut Sums<f32>, begin: bool) {
    // SAFETY: the caller's word.
    unsafe {
        if begin {
            return amx::store::<SUMS, _>(&mut *total);
        }
        let mut sums = Sums([[0.0f32; ROWS]; ROWS]);
        amx::store::<SUMS, _>(&mut sums);
        for i in 0..ROWS {
            let total = (*total).0[i].as_mut_ptr();
            let sum = _mm512_add_ps(_mm512_load_ps(total), _mm512_load_ps(sums.0[i].as_ptr()));
            _mm512_store_ps(total, sum);
        }
    }
}
