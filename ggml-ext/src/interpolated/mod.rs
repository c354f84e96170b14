//! 3 x 3 convolution, on the CPU, of maps that are interpolated from small grids.
//!
//! Interpolation is linear, and so is the convolution. With `x` a part of the input channels on their
//! grid, `g_k` the kernel's nine taps and `R` the interpolation,
//!
//! ```text
//! y(p) = sum over parts and taps of  [R (g_k x)](p + k)        (zero outside of the map)
//! ```
//!
//! so that the channels are multiplied on the grid, nine times as many cells as it has, however large the map is.
//! What is left for the map's pixels is to interpolate: along x for each row of the grid that is needed, then along y.
//! An upsampled pyramid of 128 x 128 and smaller, from 16 x 16, takes a fifth of the multiplications
//! that Winograd's algorithm needs, which takes a quarter.
//!
//! # Shapes
//! In ggml's order: grids are `[C_in, W, H]` (channels last), the kernel is `[3, 3, C_in, C_out]`
//! (`[C_out, C_in, 3, 3]`), maps are `[C_out, W, H]`, one after the other.

// As in `crate::simd`.
#![allow(clippy::needless_range_loop)]

mod combine;
pub(crate) mod products;
mod rows;
mod worker;

pub use crate::winograd::Moments;
pub use rows::Rows;
pub use worker::Job;

use crate::scratch::{LINE, Line, Scratch};
use crate::simd::Isa;
use combine::PartTaps;
use products::Shape;
use std::ops::Range;

/// A map to be made, from parts that follow each other as the convolution's input channels.
#[derive(Clone, Debug)]
pub struct Level {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// What the input channels are.
    pub parts: Vec<Part>,
}

/// Some channels of a grid, interpolated.
#[derive(Clone, Debug)]
pub struct Part {
    /// Number of the grid.
    pub grid: usize,
    /// Which of its channels.
    pub channels: Range<usize>,
    /// From the grid's columns to the map's, and from rows to rows.
    pub rows: [Rows; 2],
}

/// A convolution of given sizes, and the memory for its runs.
#[derive(Debug)]
pub struct Conv {
    isa: Isa,
    shape: Shape,
    n_grids: usize,
    levels: Vec<Planned>,
    /// A thread's part is `scratch_len` long.
    scratch: Scratch<Line>,
    scratch_len: usize,
}

#[derive(Debug)]
struct Planned {
    width: usize,
    height: usize,
    first_pixel: usize,
    parts: Vec<PlannedPart>,
}

#[derive(Debug)]
struct PlannedPart {
    grid: usize,
    /// First channel on the grid, first of the input channels, and how many.
    first: usize,
    first_in: usize,
    n: usize,
    taps: PartTaps,
}

impl Conv {
    /// Of maps made of `n_grids` grids of `grid` columns and rows with as many channels as the input, `c_in`. At most
    /// `n_threads` will run it. `None` if sizes do not fit together, or the processor lacks the
    /// instruction set.
    pub fn new(
        isa: Isa,
        grid: [usize; 2],
        n_grids: usize,
        levels: &[Level],
        [c_in, c_out]: [usize; 2],
        n_threads: usize,
    ) -> Option<Conv> {
        let shape = Shape::new(isa, grid, [c_in, c_out]);
        let sound = isa.is_available() && c_out.is_multiple_of(4) && !grid.contains(&0);
        let (mut planned, mut first_pixel) = (Vec::new(), 0);
        for level in levels {
            planned.push(Planned::new(&shape, n_grids, level, first_pixel)?);
            first_pixel += level.width * level.height;
        }
        let scratch_len = planned.iter().map(|l| l.scratch(&shape)).max()?.next_multiple_of(LINE);
        let mut scratch = Scratch::default();
        scratch.reserve_floats(scratch_len * n_threads);
        sound.then_some(Conv { isa, shape, n_grids, levels: planned, scratch, scratch_len })
    }

    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    /// Pixels of all levels.
    pub fn n_pixels(&self) -> usize {
        self.levels.iter().map(|l| l.width * l.height).sum()
    }

    /// Number of grids.
    pub fn n_grids(&self) -> usize {
        self.n_grids
    }

    /// Floats of the packed grids, see [`Conv::pack`].
    pub fn packed_len(&self) -> usize {
        self.n_grids * self.shape.packed()
    }

    /// Brings some panels of grid `x`, `[C, W, H]`, into the order of the matrix products:
    /// `dst` is `[panel][C][cell of the panel]`, for those panels; cells that do not exist are zero.
    ///
    /// # Panics
    /// If a length does not fit.
    pub fn pack(&self, x: &[f32], panels: Range<usize>, dst: &mut [f32]) {
        self.shape.pack(x, panels, dst);
    }

    /// Panels of a grid.
    pub fn n_panels(&self) -> usize {
        self.shape.n_panels()
    }
}

impl Planned {
    fn new(shape: &Shape, n_grids: usize, level: &Level, first_pixel: usize) -> Option<Planned> {
        let (mut parts, mut first_in) = (Vec::new(), 0);
        for part in &level.parts {
            let [x, y] = &part.rows;
            let (n, end) = (part.channels.len(), part.channels.end);
            let fits = [x.len(), y.len()] == [level.width, level.height]
                && x.n_cells() <= shape.grid[0]
                && y.n_cells() <= shape.grid[1]
                && part.grid < n_grids
                && end <= shape.c_in;
            if !fits {
                return None;
            }
            let taps = PartTaps::new(shape, [x, y]);
            parts.push(PlannedPart {
                grid: part.grid,
                first: part.channels.start,
                first_in,
                n,
                taps,
            });
            first_in += n;
        }
        let Level { width, height, .. } = *level;
        let terms: usize = parts.iter().map(|p| 3 * p.taps.window()).sum();
        let fits = first_in == shape.c_in && terms <= combine::MAX_TERMS && width * height > 0;
        fits.then_some(Planned { width, height, first_pixel, parts })
    }

    /// Floats of scratch memory: a group's weights, products, and interpolated rows.
    fn scratch(&self, shape: &Shape) -> usize {
        let slots: usize = self.parts.iter().map(|p| 3 * p.taps.window()).sum();
        let products = self.parts.len() * shape.products();
        shape.weights() + products + slots * self.width * shape.outs
    }
}
