//! Grids times all taps of a kernel.

use crate::simd::Isa;
use crate::simd::gemm::{Ahead, micro};
use crate::simd::kernel::{Element, TAPS, Taps, gather};
use crate::simd::lanes::{Lanes, MAX, Task};
use std::ops::Range;

/// Sizes of products.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Columns and rows of a grid.
    pub(crate) grid: [usize; 2],
    pub(crate) c_in: usize,
    pub(crate) c_out: usize,
    /// Tiles of the micro kernel, which are cells here, and its outputs.
    pub(crate) tiles: usize,
    pub(crate) outs: usize,
}

impl Shape {
    pub(crate) fn new(isa: Isa, grid: [usize; 2], [c_in, c_out]: [usize; 2]) -> Shape {
        let micro = isa.micro();
        Shape { grid, c_in, c_out, tiles: micro.tiles, outs: micro.outs() }
    }

    /// Panels of a grid.
    pub(crate) fn n_panels(&self) -> usize {
        (self.grid[0] * self.grid[1]).div_ceil(self.tiles)
    }

    /// Cells of a grid, filled up to whole panels.
    pub(crate) fn cells(&self) -> usize {
        self.n_panels() * self.tiles
    }

    /// Floats of a packed grid.
    pub(crate) fn packed(&self) -> usize {
        self.cells() * self.c_in
    }

    /// Floats of a group's weights.
    pub(crate) fn weights(&self) -> usize {
        TAPS * self.c_in * self.outs
    }

    /// Floats of a group's products.
    pub(crate) fn products(&self) -> usize {
        TAPS * self.cells() * self.outs
    }

    /// Brings some panels of grid `x`, `[C, W, H]`, into the order of the products:
    /// `dst` is `[panel][C][cell of the panel]`, for those panels; cells that do not exist are zero.
    ///
    /// # Panics
    /// If a length does not fit.
    pub(crate) fn pack(&self, x: &[f32], panels: Range<usize>, dst: &mut [f32]) {
        let Shape { grid, c_in, tiles, .. } = *self;
        assert_eq!(x.len(), grid[0] * grid[1] * c_in, "length of a grid");
        for (panel, dst) in panels.zip(dst.chunks_exact_mut(tiles * c_in)) {
            for tile in 0..tiles {
                let cell = (panel * tiles + tile) * c_in;
                for c in 0..c_in {
                    dst[c * tiles + tile] = x.get(cell + c).copied().unwrap_or(0.0);
                }
            }
        }
    }
}

/// Brings the kernel's elements for one group into the order of the matrix products, `[tap][C_in][out]`.
pub(crate) struct Weights<'a, E, const NV: usize> {
    pub(crate) kernel: &'a [E],
    /// In and out.
    pub(crate) channels: [usize; 2],
    pub(crate) first_out: usize,
    pub(crate) dst: *mut f32,
}

impl<L: Lanes, E: Element, const NV: usize> Task<L> for Weights<'_, E, NV> {
    #[inline(always)]
    unsafe fn run(self) {
        let [c_in, _] = self.channels;
        let mut taps: Taps = [[0.0; MAX]; TAPS * MAX];
        for j in 0..NV {
            let out = self.first_out + j * L::N;
            let mut c = 0;
            while c < c_in {
                let n = L::N.min(c_in - c);
                // SAFETY: the input channels exist; `dst` has room for all taps, by the word of
                // whoever made the task.
                unsafe {
                    gather::<L, E>(self.kernel, self.channels, &mut taps, out, c, n);
                    for i in 0..n {
                        for tap in 0..TAPS {
                            let row = (tap * c_in + c + i) * NV + j;
                            L::load(taps[i * TAPS + tap].as_ptr()).store(self.dst.add(row * L::N));
                        }
                    }
                }
                c += n;
            }
        }
    }
}

/// Multiplies channels of a packed grid, `n` from `first` on, with all taps: `to` is `[tap][cell][out]`. In the kernel
/// these are the input channels from `first_in` on.
pub(crate) struct Multiply<'a, const MR: usize, const NV: usize> {
    pub(crate) shape: &'a Shape,
    pub(crate) first: usize,
    pub(crate) first_in: usize,
    pub(crate) n: usize,
    pub(crate) packed: *const f32,
    pub(crate) weights: *const f32,
    pub(crate) to: *mut f32,
}

impl<L: Lanes, const MR: usize, const NV: usize> Task<L> for Multiply<'_, MR, NV> {
    #[inline(always)]
    unsafe fn run(self) {
        let (shape, n) = (self.shape, self.n);
        let (c_in, outs) = (shape.c_in, NV * L::N);
        for tap in 0..TAPS {
            for panel in 0..shape.n_panels() {
                // SAFETY: tap, panel and channels exist, by the word of whoever made the task.
                unsafe {
                    let v = self.packed.add((panel * c_in + self.first) * MR);
                    let u = self.weights.add((tap * c_in + self.first_in) * outs);
                    let to = self.to.add((tap * shape.cells() + panel * MR) * outs);
                    micro::<L, MR, NV>(v, u, n, to, outs, true, Ahead::next(v, c_in * MR));
                }
            }
        }
    }
}
