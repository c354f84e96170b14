//! Maps that are upsampled from small grids, and their convolution without ever making them.

use super::convolve::Convolved;
use super::{Part, SharedMoments};
use crate::custom::{CustomOp, MAX_SOURCES, Node, is_kernel};
use crate::graph::Builder;
use crate::interpolated::{Conv, Job, Level, Part as Interpolated, Rows};
use crate::simd::Isa;
use crate::tensor::Tensor;
use std::sync::Arc;

/// Grids `[C, gw * gh]` of the levels, and what a level is made of, if not of its own grid alone.
#[derive(Clone)]
pub(super) struct Upsampled<'g> {
    pub(super) grids: Vec<Tensor<'g>>,
    pub(super) grid: [usize; 2],
    pub(super) parts: Option<Vec<Vec<Part>>>,
}

impl<'g> Upsampled<'g> {
    pub(super) fn new(grids: &[Tensor<'g>], grid: [usize; 2]) -> Upsampled<'g> {
        Upsampled { grids: grids.to_vec(), grid, parts: None }
    }

    /// Whether each level is its own grid, upsampled.
    pub(super) fn is_whole(&self) -> bool {
        self.parts.is_none()
    }

    /// The same grids, other parts.
    pub(super) fn exchanged(&self, parts: Vec<Vec<Part>>) -> Upsampled<'g> {
        Upsampled { parts: Some(parts), ..self.clone() }
    }

    pub(super) fn levels(&self, sides: &[[usize; 2]]) -> Vec<Level> {
        let c = self.grids[0].ne()[0];
        let own = |level| vec![Part { level, first: 0, n: c }];
        let level = |(l, &[width, height]): (usize, &[usize; 2])| {
            let parts = self.parts.as_ref().map_or_else(|| own(l), |parts| parts[l].clone());
            let part = |p: &Part| Interpolated {
                grid: p.level,
                channels: p.first..p.first + p.n,
                // To the level that it belongs to first, and from there on.
                rows: [0, 1].map(|axis| {
                    let (through, to) = (sides[p.level][axis], [width, height][axis]);
                    Rows::aligned(self.grid[axis], through).then(&Rows::aligned(through, to))
                }),
            };
            Level { width, height, parts: parts.iter().map(part).collect() }
        };
        sides.iter().enumerate().map(level).collect()
    }
}

struct Convolve {
    conv: Conv,
    moments: Arc<SharedMoments>,
}

impl CustomOp for Convolve {
    unsafe fn run(&self, node: &Node, ith: usize, nth: usize) {
        let (y, moments) = (node.result(), self.moments.as_ptr());
        let job = Job { packed: node.floats(0), kernel: node.kernel(1), y, moments };
        // SAFETY: result, moments and the convolution's memory are this node's, by the caller's word.
        unsafe { self.conv.run(&job, ith, nth) }
    }
}

impl<'g> Builder<'g> {
    /// `None` if kernel or sizes are not ones for this.
    pub(super) fn conv_of_upsampled(
        &self,
        maps: &Upsampled<'g>,
        sides: &[[usize; 2]],
        kernel: Tensor<'g>,
    ) -> Option<Convolved<'g>> {
        let ([kw, kh, c_in, c_out], n_grids) = (kernel.ne(), maps.grids.len());
        if !is_kernel(kernel) || [kw, kh] != [3, 3] || n_grids > MAX_SOURCES {
            return None;
        }
        let (levels, n_threads) = (maps.levels(sides), self.backend.n_threads());
        let conv = Conv::new(Isa::detect(), maps.grid, n_grids, &levels, [c_in, c_out], n_threads)?;
        let moments = SharedMoments::new(sides.len() * c_out);
        let (packed, ne) = (self.pack(&maps.grids, conv.shape()), [c_out, conv.n_pixels()]);
        let op = Arc::new(Convolve { conv, moments: moments.clone() });
        let values = self.custom(&ne, &[packed, kernel], op, "conv_3x3_upsampled");
        self.put_into_room(values, 0);
        Some(Convolved { values, moments })
    }
}
