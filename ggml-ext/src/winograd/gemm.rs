//! The matrix products: for each of the 64 points, M = V U.
//!
//! U of a point and group stays in the second-level cache while the panels of V stream by, each
//! read once for all of the group's output channels.

use super::geometry::POINTS;
use crate::simd::gemm::micro;
use crate::simd::lanes::{Lanes, Task};

/// Multiplies `n_panels` panels with a group's weights.
///
/// `v` is the first panel's place for point 0, `u` the group's, both transformed; `m` is the first
/// panel's first tile, valid to write for `n_panels * MR` tiles, and nobody else accesses those
/// meanwhile. `n_outs`, at most `width`, is a multiple of `NV * N`.
pub(super) struct Multiply<const MR: usize, const NV: usize> {
    pub(super) v: *const f32,
    pub(super) v_point: usize,
    pub(super) v_panel: usize,
    pub(super) u: *const f32,
    pub(super) u_point: usize,
    pub(super) m: *mut f32,
    pub(super) width: usize,
    pub(super) n_panels: usize,
    pub(super) n_outs: usize,
    pub(super) c_in: usize,
}

impl<L: Lanes, const MR: usize, const NV: usize> Task<L> for Multiply<MR, NV> {
    #[inline(always)]
    unsafe fn run(self) {
        let outs = NV * L::N;
        let tile_stride = POINTS * self.width;
        for p in 0..POINTS {
            for panel in 0..self.n_panels {
                for k in 0..self.n_outs / outs {
                    // SAFETY: point, panel and outputs exist, by the word of whoever made the task.
                    unsafe {
                        let v = self.v.add(p * self.v_point + panel * self.v_panel);
                        let u = self.u.add(p * self.u_point + k * outs * self.c_in);
                        let tile = self.m.add(panel * MR * tile_stride);
                        let m = tile.add(p * self.width + k * outs);
                        micro::<L, MR, NV>(v, u, self.c_in, m, tile_stride, self.v_panel);
                    }
                }
            }
        }
    }
}
