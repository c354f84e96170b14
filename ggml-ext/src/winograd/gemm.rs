//! The matrix products: for each point, M = V U.
//!
//! U of a point and group stays in the second-level cache while the panels of V stream by, each
//! read once for all of the group's output channels.

use crate::simd::gemm::{Ahead, micro};
use crate::simd::lanes::{Lanes, Task};

/// Multiplies `n_panels` panels with a group's weights, in some input channels: the first, or more on top of what they gave.
///
/// `v` is the first panel's place of those channels for point 0, `u` the group's, both transformed; `m` is the first
/// panel's, valid to write for `n_panels` panels, and nobody else accesses those meanwhile. `n_outs` is a multiple
/// of `NV * N`, and as many fit into a point of M.
pub(super) struct Multiply<const MR: usize, const NV: usize> {
    pub(super) v: *const f32,
    pub(super) v_point: usize,
    pub(super) v_panel: usize,
    pub(super) u: *const f32,
    pub(super) u_point: usize,
    pub(super) m: *mut f32,
    pub(super) m_point: usize,
    pub(super) n_points: usize,
    pub(super) n_panels: usize,
    pub(super) n_outs: usize,
    /// Input channels.
    pub(super) n_channels: usize,
    pub(super) begin: bool,
}

impl<L: Lanes, const MR: usize, const NV: usize> Task<L> for Multiply<MR, NV> {
    #[inline(always)]
    unsafe fn run(self) {
        let outs = NV * L::N;
        let kernels = self.n_outs / outs;
        // U of the next point, a part of it in each call: so many floats for each input channel.
        let part = outs.div_ceil(self.n_panels.max(1));
        for p in 0..self.n_points {
            for panel in 0..self.n_panels {
                for k in 0..kernels {
                    // SAFETY: point, panel and outputs exist, by the word of whoever made the task.
                    unsafe {
                        let v = self.v.add(p * self.v_point + panel * self.v_panel);
                        let u = self.u.add(p * self.u_point + k * outs * self.n_channels);
                        let m =
                            self.m.add((panel * self.n_points + p) * self.m_point + k * MR * outs);
                        let done = (panel * kernels + k) * part * self.n_channels;
                        let next = self.u.wrapping_add((p + 1) * self.u_point + done);
                        let ahead = Ahead { next: self.v_panel, later: next, step: part };
                        micro::<L, MR, NV>(v, u, self.n_channels, m, outs, self.begin, ahead);
                    }
                }
            }
        }
    }
}
