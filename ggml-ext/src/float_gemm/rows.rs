//! Rows, turned into what the inner loops want: one value of each row in a vector.

use super::CHUNK;
use crate::simd::kernel::Element;
use crate::simd::lanes::{Lanes, MAX};

/// Bytes of a cache line.
const LINE: usize = 64;

/// As many rows as a vector has lanes.
pub(super) struct Rows<E> {
    rows: [*const E; MAX],
    n_in: usize,
    /// From a row to the one that is fetched for it behind the end.
    ahead: usize,
}

/// A cache line of each row.
#[repr(align(64))]
struct Lines([[u8; LINE]; MAX]);

impl<E: Element> Rows<E> {
    /// The rows from `row` on, of `n_rows` that there are: those that do not exist are the last one. Behind their end, what is
    /// fetched are the first values of the rows from `next` on, which need not exist.
    #[inline(always)]
    pub(super) fn new<L: Lanes>(
        weights: *const E,
        n_in: usize,
        row: usize,
        n_rows: usize,
        next: usize,
    ) -> Rows<E> {
        let mut rows = [weights; MAX];
        for i in 0..L::N {
            rows[i] = weights.wrapping_add((row + i).min(n_rows - 1) * n_in);
        }
        Rows { rows, n_in, ahead: next.wrapping_sub(row).wrapping_mul(n_in) }
    }

    /// Copies up to a cache line of each row from value `c` on: of the rows' lines, which are a round number of bytes apart, not
    /// all fit into a first cache. What is in place of values that do not exist is not defined.
    ///
    /// # Safety
    /// The rows have `n` values there.
    #[inline(always)]
    unsafe fn copy<L: Lanes>(&self, c: usize, n: usize, lines: &mut Lines) {
        for i in 0..L::N {
            // SAFETY: the caller's word; a line has room for `n` values.
            unsafe {
                let (from, to) = (self.rows[i].add(c).cast::<u8>(), lines.0[i].as_mut_ptr());
                if n * size_of::<E>() == LINE {
                    to.cast::<[u8; LINE]>().write(from.cast::<[u8; LINE]>().read());
                } else {
                    std::ptr::copy_nonoverlapping(from, to, n * size_of::<E>());
                }
            }
        }
    }

    /// Fetches a part of what comes after a chunk, some rows at a time: memory gives neighbours fastest.
    #[inline(always)]
    fn fetch<L: Lanes>(&self, start: usize, c: usize) {
        let per_line = LINE / size_of::<E>();
        let (step, steps) = ((c - start) / per_line, CHUNK / per_line);
        let ahead = match start + CHUNK < self.n_in {
            true => start + CHUNK,
            false => self.ahead,
        };
        for i in step * L::N / steps..(step + 1) * L::N / steps {
            for line in 0..steps {
                L::prefetch(self.rows[i].wrapping_add(ahead + line * per_line).cast());
            }
        }
    }

    /// Unpacks a chunk of `len` values from `start` on: value `c` of all rows goes to `to + (c - start) * stride`.
    ///
    /// # Safety
    /// The processor has the instruction set; the values exist, and that much can be written.
    #[inline(always)]
    pub(super) unsafe fn unpack<L: Lanes>(
        &self,
        start: usize,
        len: usize,
        to: *mut f32,
        stride: usize,
    ) {
        let per_line = LINE / size_of::<E>();
        let mut lines = Lines([[0; LINE]; MAX]);
        for c in (start..start + len).step_by(per_line) {
            let n = per_line.min(start + len - c);
            // SAFETY: the caller's word; a line has `per_line` values, a multiple of a vector's.
            unsafe {
                self.copy::<L>(c, n, &mut lines);
                self.fetch::<L>(start, c);
                for from in (0..n).step_by(L::N) {
                    let square = square::<L, E>(&lines, from);
                    for i in 0..L::N.min(n - from) {
                        square[i].store(to.add((c - start + from + i) * stride));
                    }
                }
            }
        }
    }

    /// Adds to the sums of `T` columns a chunk of `len` values from `start` on times the columns, which are `n_in` values apart.
    ///
    /// # Safety
    /// The processor has the instruction set; the values exist.
    #[inline(always)]
    pub(super) unsafe fn multiply<L: Lanes, const T: usize>(
        &self,
        start: usize,
        len: usize,
        columns: *const f32,
        sums: &mut [L; T],
    ) {
        let per_line = LINE / size_of::<E>();
        let mut lines = Lines([[0; LINE]; MAX]);
        for c in (start..start + len).step_by(per_line) {
            let n = per_line.min(start + len - c);
            // SAFETY: the caller's word; a line has `per_line` values, a multiple of a vector's.
            unsafe {
                self.copy::<L>(c, n, &mut lines);
                self.fetch::<L>(start, c);
                for from in (0..n).step_by(L::N) {
                    let square = square::<L, E>(&lines, from);
                    for i in 0..L::N.min(n - from) {
                        for t in 0..T {
                            let value = L::splat(*columns.add(t * self.n_in + c + from + i));
                            sums[t] = sums[t].add_product(value, square[i]);
                        }
                    }
                }
            }
        }
    }
}

/// Values `from..from + N` of all rows, transposed.
///
/// # Safety
/// The processor has the instruction set; a line has that many.
#[inline(always)]
unsafe fn square<L: Lanes, E: Element>(lines: &Lines, from: usize) -> [L; MAX] {
    // SAFETY: the caller's word.
    unsafe {
        let mut square = [L::splat(0.0); MAX];
        for i in 0..L::N {
            square[i] = E::load(lines.0[i].as_ptr().cast::<E>().add(from));
        }
        L::transpose(&mut square);
        square
    }
}
