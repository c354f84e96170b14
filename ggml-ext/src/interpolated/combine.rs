//! From products on the grid to a map: interpolation along x, then along y, summed over taps and parts.

use super::{Planned, Rows, Shape};
use crate::simd::kernel::TAPS;
use crate::simd::lanes::{Lanes, MAX, Task, write_up_to};

/// The most rows that are summed up to one: parts x taps along y x cells of a position.
pub(super) const MAX_TERMS: usize = 96;

/// The most vectors of a micro kernel.
pub(super) const MAX_VECTORS: usize = 3;

/// How a part's products make pixels.
#[derive(Debug)]
pub(super) struct PartTaps {
    /// For each column of the map: from where on in a row of products, and with which weight, for all
    /// three taps along x. `x_starts` says which are whose.
    x: Vec<(usize, f32)>,
    x_starts: Vec<usize>,
    /// For each row of the map, rows of the grid.
    y: Vec<Vec<(usize, f32)>>,
    window: usize,
}

impl PartTaps {
    pub(super) fn new(shape: &Shape, [x, y]: [&Rows; 2]) -> PartTaps {
        let (mut taps, mut x_starts) = (Vec::new(), vec![0]);
        for column in 0..x.len() {
            for k in 0..3 {
                // Shifted by one, the padding: 1 is the first column.
                if (1..=x.len()).contains(&(column + k)) {
                    for &(cell, weight) in x.row(column + k - 1) {
                        taps.push(((k * shape.cells() + cell) * shape.outs, weight as f32));
                    }
                }
            }
            x_starts.push(taps.len());
        }
        let single = |row: &[(usize, f64)]| row.iter().map(|&(c, w)| (c, w as f32)).collect();
        let rows = (0..y.len()).map(|i| single(y.row(i))).collect();
        PartTaps { x: taps, x_starts, y: rows, window: y.window().max(1) }
    }

    /// Rows of the grid that a row of the map is between.
    pub(super) fn window(&self) -> usize {
        self.window
    }
}

/// A row of products, interpolated along x, and its weight.
#[derive(Clone, Copy)]
struct Term {
    row: *const f32,
    weight: f32,
}

/// Makes one level in the output channels of one group.
///
/// `products` are `[part][tap][cell][out]`; `rows` is scratch memory for `[part][tap along y][slot][column][out]`.
/// Both, and those channels of `y`, the whole output, are accessed by nobody else meanwhile. `sums` receive each
/// channel's sum and sum of squares.
pub(super) struct Combine<'a, const NV: usize> {
    pub(super) shape: &'a Shape,
    pub(super) level: &'a Planned,
    pub(super) products: *const f32,
    pub(super) rows: *mut f32,
    pub(super) y: *mut f32,
    /// Whether pixels begin cache lines, and are not read soon.
    pub(super) streamed: bool,
    pub(super) first_out: usize,
    pub(super) sums: &'a mut [[f64; 2]; MAX_VECTORS * MAX],
}

impl<L: Lanes, const NV: usize> Task<L> for Combine<'_, NV> {
    #[inline(always)]
    unsafe fn run(mut self) {
        const { assert!(NV <= MAX_VECTORS) };
        let level = self.level;
        // Which row of the grid each slot holds.
        let mut held = [usize::MAX; MAX_TERMS];
        for row in 0..level.height {
            let mut terms = [Term { row: self.products, weight: 0.0 }; MAX_TERMS];
            let (mut n_terms, mut first_slot) = (0, 0);
            for (p, part) in level.parts.iter().enumerate() {
                let window = part.taps.window;
                for k in 0..3 {
                    if (1..=level.height).contains(&(row + k)) {
                        for &(cell, weight) in &part.taps.y[row + k - 1] {
                            let slot = first_slot + cell % window;
                            // SAFETY: slots, `3 * window` of each part, lie inside of `rows`, as do the
                            // products' rows inside of `products`.
                            unsafe {
                                let to = self.rows.add(slot * level.width * self.shape.outs);
                                if held[slot] != cell {
                                    let from = (p * TAPS + 3 * k) * self.shape.cells()
                                        + cell * self.shape.grid[0];
                                    let from = self.products.add(from * self.shape.outs);
                                    along_x::<L, NV>(&part.taps, from, to);
                                    held[slot] = cell;
                                }
                                terms[n_terms] = Term { row: to, weight };
                            }
                            n_terms += 1;
                        }
                    }
                    first_slot += window;
                }
            }
            // SAFETY: the terms' rows are complete; the row of the map exists.
            unsafe { self.along_y::<L>(row, &terms[..n_terms]) }
        }
        L::fence();
    }
}

/// One row of the grid, `3 x [cell][out]` at `from`, to the map's columns, `[column][out]` at `to`.
///
/// # Safety
/// The processor has the instruction set. The taps' places can be read, and as many columns be written.
#[inline(always)]
unsafe fn along_x<L: Lanes, const NV: usize>(taps: &PartTaps, from: *const f32, to: *mut f32) {
    for column in 0..taps.x_starts.len() - 1 {
        // SAFETY: the caller's word.
        unsafe {
            let mut sums = [L::splat(0.0); NV];
            for &(at, weight) in &taps.x[taps.x_starts[column]..taps.x_starts[column + 1]] {
                for j in 0..NV {
                    let v = L::load(from.add(at + j * L::N));
                    sums[j] = sums[j].add_scaled(v, weight);
                }
            }
            for j in 0..NV {
                sums[j].store(to.add((column * NV + j) * L::N));
            }
        }
    }
}

impl<const NV: usize> Combine<'_, NV> {
    /// Sums the terms to a row of the map.
    ///
    /// # Safety
    /// The processor has the instruction set. The terms' rows can be read; the row of the map exists.
    #[inline(always)]
    unsafe fn along_y<L: Lanes>(&mut self, row: usize, terms: &[Term]) {
        let (level, c_out) = (self.level, self.shape.c_out);
        let pixel = level.first_pixel + row * level.width;
        // SAFETY: the caller's word; only channels that exist are written.
        unsafe {
            let mut moments = [[L::splat(0.0); 2]; NV];
            for column in 0..level.width {
                let mut sums = [L::splat(0.0); NV];
                for term in terms {
                    for j in 0..NV {
                        let v = L::load(term.row.add((column * NV + j) * L::N));
                        sums[j] = sums[j].add_scaled(v, term.weight);
                    }
                }
                let y = self.y.add((pixel + column) * c_out + self.first_out);
                for j in 0..NV {
                    let n = c_out.saturating_sub(self.first_out + j * L::N).min(L::N);
                    write_up_to(sums[j], y.wrapping_add(j * L::N), n, self.streamed);
                    let [sum, squares] = moments[j];
                    moments[j] = [sum.add(sums[j]), squares.add_product(sums[j], sums[j])];
                }
            }
            for j in 0..NV {
                let mut row = [[0.0f32; MAX]; 2];
                moments[j][0].store(row[0].as_mut_ptr());
                moments[j][1].store(row[1].as_mut_ptr());
                for i in 0..L::N {
                    let sums = &mut self.sums[j * L::N + i];
                    sums[0] += f64::from(row[0][i]);
                    sums[1] += f64::from(row[1][i]);
                }
            }
        }
    }
}
