//! Which cells the queries of a tile see, and the way through them.

use super::{Run, Shape, Tile};
use crate::simd::lanes::{Lanes, MAX};
use half::f16;

/// Queries that go through the cells together.
pub(super) const TILE: usize = 4;
/// Seen by all queries of a tile.
const ALL: u8 = (1 << TILE) - 1;

/// Marks which queries of tile `tile` see which of the cells, in their order: bit `q` of a cell's mark is query `q`'s.
///
/// # Safety
/// Room for `n_kv` marks at `seen`; the mask has rows for all queries.
#[inline(always)]
pub(super) unsafe fn mark(run: &Run, tile: usize, seen: *mut u8) {
    let Shape { n_queries, n_kv, .. } = run.shape;
    let first = tile * TILE;
    let n = TILE.min(n_queries - first);
    // A query that is alone goes its own way; where others are missing, they are like the last one.
    let bits = |q: usize| if n > 1 && q == n - 1 { ALL & !((1 << q) - 1) } else { 1 << q };
    let hidden = f16::NEG_INFINITY.to_bits();
    // SAFETY: the caller's word.
    unsafe {
        let marks = std::slice::from_raw_parts_mut(seen, n_kv);
        let Some(mask) = run.mask else {
            marks.fill(if n > 1 { ALL } else { 1 });
            return;
        };
        marks.fill(0);
        for q in 0..n {
            let bits = bits(q);
            let row = std::slice::from_raw_parts(mask.row(first + q), n_kv);
            if run.order.0.is_none() {
                for c in 0..n_kv {
                    marks[c] |= if row[c].to_bits() == hidden { 0 } else { bits };
                }
                continue;
            }
            for place in 0..n_kv {
                let value = row[run.order.cell(place)];
                marks[place] |= if value.to_bits() == hidden { 0 } else { bits };
            }
        }
    }
}

/// Marks the cells that all queries of some tile see.
///
/// # Safety
/// `n_kv` marks of each of the tiles can be read; room for as many at `shared`.
#[inline(always)]
pub(super) unsafe fn mark_shared(seen: *const u8, n_tiles: usize, n_kv: usize, shared: *mut u8) {
    // SAFETY: the caller's word.
    unsafe {
        let shared = std::slice::from_raw_parts_mut(shared, n_kv);
        shared.fill(0);
        for tile in 0..n_tiles {
            let marks = std::slice::from_raw_parts(seen.add(tile * n_kv), n_kv);
            for c in 0..n_kv {
                shared[c] |= u8::from(marks[c] == ALL);
            }
        }
    }
}

/// What is done with cells on the way through them.
pub(super) trait Visit<L> {
    /// All queries of the tile see the cells at places `from..from + len`; each has seen `n` before.
    ///
    /// # Safety
    /// The processor has the instruction set; there are such cells.
    unsafe fn all(tile: &Tile, n: &[usize; TILE], from: usize, len: usize);

    /// Cell `cell` will be among those of the next [`Visit::some`].
    ///
    /// # Safety
    /// As for [`Visit::all`].
    unsafe fn soon(_tile: &Tile, _cell: usize) {}

    /// Query `query`, which has seen `n` before, sees these cells, at most as many as there are lanes.
    ///
    /// # Safety
    /// As for [`Visit::all`].
    unsafe fn some(tile: &Tile, n: usize, query: usize, cells: &[usize]);
}

/// How far the queries of a tile have come.
#[derive(Clone, Copy)]
pub(super) struct Way {
    /// Cells that each query has seen.
    pub(super) n: [usize; TILE],
    /// Those that it will see next, and how many they are.
    waiting: [[usize; MAX]; TILE],
    n_waiting: [usize; TILE],
}

impl Way {
    pub(super) const START: Way =
        Way { n: [0; TILE], waiting: [[0; MAX]; TILE], n_waiting: [0; TILE] };

    /// Leads the tile through those of the cells at places `from..to` that are seen. Some are left for later.
    ///
    /// # Safety
    /// The processor has the instruction set; `to` marks can be read.
    #[inline(always)]
    pub(super) unsafe fn walk<L: Lanes, V: Visit<L>>(
        &mut self,
        seen: *const u8,
        [from, to]: [usize; 2],
        tile: &Tile,
    ) {
        let mut place = from;
        // SAFETY: the caller's word.
        unsafe {
            while place < to {
                let mark = *seen.add(place);
                let next = place + same(seen.add(place), to - place);
                if mark == ALL {
                    self.finish::<L, V>(tile);
                    V::all(tile, &self.n, place, next - place);
                    for n in &mut self.n {
                        *n += next - place;
                    }
                } else if mark != 0 {
                    for q in 0..TILE {
                        if mark >> q & 1 != 0 {
                            self.queue::<L, V>(q, [place, next], tile);
                        }
                    }
                }
                place = next;
            }
        }
    }

    #[inline(always)]
    unsafe fn queue<L: Lanes, V: Visit<L>>(
        &mut self,
        query: usize,
        [from, to]: [usize; 2],
        tile: &Tile,
    ) {
        for place in from..to {
            let cell = tile.cells.order.cell(place);
            let n = &mut self.n_waiting[query];
            self.waiting[query][*n] = cell;
            *n += 1;
            // SAFETY: the caller's word.
            unsafe {
                V::soon(tile, cell);
                if *n == L::N {
                    self.send::<L, V>(query, tile);
                }
            }
        }
    }

    /// Leads the tile to what was left.
    ///
    /// # Safety
    /// As for [`Way::walk`].
    #[inline(always)]
    pub(super) unsafe fn finish<L: Lanes, V: Visit<L>>(&mut self, tile: &Tile) {
        for q in 0..TILE {
            if self.n_waiting[q] > 0 {
                // SAFETY: the caller's word.
                unsafe { self.send::<L, V>(q, tile) }
            }
        }
    }

    #[inline(always)]
    unsafe fn send<L: Lanes, V: Visit<L>>(&mut self, query: usize, tile: &Tile) {
        let n = self.n_waiting[query];
        // SAFETY: the caller's word.
        unsafe { V::some(tile, self.n[query], query, &self.waiting[query][..n]) }
        self.n[query] += n;
        self.n_waiting[query] = 0;
    }
}

/// How many of the first of `n >= 1` marks are the same.
#[inline(always)]
unsafe fn same(marks: *const u8, n: usize) -> usize {
    const WORD: usize = size_of::<u64>();
    // SAFETY: the caller's word.
    unsafe {
        let first = *marks;
        let word = u64::from_ne_bytes([first; WORD]);
        let mut len = 1;
        while len + WORD <= n && marks.add(len).cast::<u64>().read_unaligned() == word {
            len += WORD;
        }
        while len < n && *marks.add(len) == first {
            len += 1;
        }
        len
    }
}
