//! Convolution of upsampled maps in ggml's own nodes, without ever making the maps.
//!
//! Interpolation and convolution are both linear, and interpolation goes one axis at a time: with `Ay` and `Ax` holding,
//! for each tap and position of an axis, the weights of the grid's cells (none where the tap falls on the padding), a level is
//! the sum over its parts of `Ay . (kernel . grid) . Ax^T`, where the kernel's taps stand beside the cells that
//! they are multiplied with.

use super::upsampled::Upsampled;
use crate::graph::Builder;
use crate::interpolated::{Level, Part, Rows};
use crate::tensor::Tensor;
use crate::weights::TensorSet;
use crate::{Backend, Result};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

const TAPS: usize = 3;
/// Elements that matrices begin at multiples of: devices align what they read.
const ALIGNED: usize = 64;

/// Interpolation matrices of all levels, in one tensor on the device.
struct Matrices {
    set: Arc<TensorSet>,
    /// Of each level: x of all parts together, then y of each part.
    places: Vec<Vec<Place>>,
}

struct Place {
    first: usize,
    ne: [usize; 2],
}

impl Matrices {
    const NAME: &str = "interpolation";

    fn new(backend: &Backend, grid: [usize; 2], levels: &[Level]) -> Result<Matrices> {
        let mut all = Vec::new();
        let mut add = |n_cells: usize, n: usize, parts: &[Part], axis: usize| {
            let columns = parts.len() * TAPS * n_cells;
            let first = all.len();
            all.resize((first + columns * n).next_multiple_of(ALIGNED), 0.0);
            let rows = all[first..].chunks_exact_mut(columns).take(n);
            for (i, row) in rows.enumerate() {
                for (part, row) in parts.iter().zip(row.chunks_exact_mut(TAPS * n_cells)) {
                    fill(&part.rows[axis], i, row);
                }
            }
            Place { first, ne: [columns, n] }
        };
        let level = |l: &Level| {
            let x = add(grid[0], l.width, &l.parts, 0);
            let y =
                l.parts.iter().map(|part| add(grid[1], l.height, std::slice::from_ref(part), 1));
            std::iter::once(x).chain(y.collect::<Vec<_>>()).collect()
        };
        let places = levels.iter().map(level).collect();
        Ok(Matrices { set: Arc::new(TensorSet::of_floats(backend, Self::NAME, &all)?), places })
    }

    fn of_level<'g>(&self, g: &Builder<'g>, level: usize) -> Vec<Tensor<'g>> {
        let all = g.tensor(&self.set, Self::NAME).expect("the set's only tensor");
        let matrix = |p: &Place| g.reshape(g.slice(all, 0, p.first, p.ne[0] * p.ne[1]), &p.ne);
        self.places[level].iter().map(matrix).collect()
    }
}

/// Position `i` of an axis: the weights `[tap, cell]` of the position before it, itself, and the one behind.
fn fill(rows: &Rows, i: usize, row: &mut [f32]) {
    for tap in 0..TAPS {
        let Some(at) = (i + tap).checked_sub(1).filter(|&at| at < rows.len()) else { continue };
        for (cell, weight) in rows.taps(at) {
            row[cell * TAPS + tap] += weight as f32;
        }
    }
}

impl<'g> Builder<'g> {
    /// Maps `[W, H, Cout]` by a kernel `[3, 3, Cin, Cout]`; `None` if it is another one.
    ///
    /// # Errors
    /// [`crate::Error::Create`] if there is no memory for the interpolation matrices.
    pub(super) fn conv_of_grids(
        &self,
        maps: &Upsampled<'g>,
        sides: &[[usize; 2]],
        kernel: Tensor<'g>,
    ) -> Result<Option<Vec<Tensor<'g>>>> {
        if kernel.ne()[..2] != [TAPS; 2] {
            return Ok(None);
        }
        let levels = maps.levels(sides);
        let matrices = Matrices::new(self.backend, maps.grid, &levels)?;
        // The levels' parts are of the same channels, mostly.
        let mut kernels = HashMap::new();
        let mut level = |(l, level): (usize, &Level)| {
            let matrices = matrices.of_level(self, l);
            let mut first = 0;
            let part = |(part, &y): (&Part, &Tensor<'g>)| {
                let channels = first..first + part.channels.len();
                first = channels.end;
                let own = kernels.entry([channels.start, channels.end]);
                let own = own.or_insert_with(|| self.kernel_of_channels(kernel, channels));
                self.along_y(maps, part, *own, y)
            };
            let parts = level.parts.iter().zip(&matrices[1..]).map(part);
            let joined = parts.reduce(|a, b| self.concat(a, b, 0)).expect("a level has parts");
            let convolved = self.mul_mat(matrices[0], joined);
            self.put_into_room(convolved, l);
            self.expand(convolved)
        };
        Ok(Some(levels.iter().enumerate().map(&mut level).collect()))
    }

    /// The kernel of some input channels, `[channels, Cout * 3 * 3]`.
    fn kernel_of_channels(&self, kernel: Tensor<'g>, channels: Range<usize>) -> Tensor<'g> {
        let (n, c_out) = (channels.len(), kernel.ne()[3]);
        let own = self.slice(kernel, 2, channels.start, n);
        let own = self.cont(self.permute(own, [2, 3, 0, 1])); // [channels, Cout, x, y]
        self.reshape(own, &[n, c_out * TAPS * TAPS])
    }

    /// A part of a level, convolved and interpolated along y: `[taps and cells of x, H, Cout]`.
    fn along_y(
        &self,
        maps: &Upsampled<'g>,
        part: &Part,
        kernel: Tensor<'g>,
        y: Tensor<'g>,
    ) -> Tensor<'g> {
        let ([gw, gh], n) = (maps.grid, part.channels.len());
        let (c_out, height) = (kernel.ne()[1] / (TAPS * TAPS), y.ne()[1]);
        let grid = self.cont(self.slice(maps.grids[part.grid], 0, part.channels.start, n));
        let taps = self.mul_mat(kernel, grid); // [Cout * 3 * 3, gw * gh]
        let taps = self.reshape(taps, &[c_out * TAPS, TAPS, gw, gh]);
        let taps = self.cont(self.permute(taps, [3, 0, 2, 1])); // [y tap, gh, gw, Cout * 3]
        let taps = self.reshape(taps, &[TAPS * gh, gw * c_out * TAPS]);
        let rows = self.reshape(self.mul_mat(y, taps), &[height, gw, c_out, TAPS]);
        let rows = self.cont(self.permute(rows, [2, 1, 3, 0])); // [x tap, gw, H, Cout]
        self.reshape(rows, &[TAPS * gw, height, c_out])
    }
}
