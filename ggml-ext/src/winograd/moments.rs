//! Sums and sums of squares, per level and channel, for a normalisation of the output.
//!
//! The tiles of one panel and one level are a segment. Within a segment single precision sums a few
//! hundred values; the segments are summed in double precision, in order. Neither depends on how
//! the work was divided, so the result does not.

use super::geometry::Geometry;
use std::ops::Range;

/// Sum and sum of squares of a channel over a level's pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
pub struct Moments {
    /// Sum.
    pub sum: f64,
    /// Sum of squares.
    pub sum_sq: f64,
}

/// Number of a panel's and level's segment: both only grow from tile to tile, and at least one
/// does from segment to segment, so that no two are the same.
#[inline(always)]
pub(super) fn segment(panel: usize, level: usize) -> usize {
    panel + level
}

/// Sums the segments of all levels in some output channels. `panel` is the number of tiles in one.
///
/// # Safety
/// `sums` are `[segment][2][c_pad]`, complete and not written meanwhile. `moments` are
/// `[level][c_out]`, which nobody else accesses in those channels.
pub(super) unsafe fn reduce(
    geometry: &Geometry,
    panel: usize,
    sums: *const f32,
    c_pad: usize,
    moments: *mut Moments,
    c_out: usize,
    channels: Range<usize>,
) {
    for (i, level) in geometry.levels.iter().enumerate() {
        let last_tile = level.first_tile + level.n_tiles - 1;
        let segments = segment(level.first_tile / panel, i)..=segment(last_tile / panel, i);
        for c in channels.clone() {
            let mut total = Moments::default();
            for s in segments.clone() {
                // SAFETY: the segment and the channel exist.
                unsafe {
                    total.sum += f64::from(*sums.add(2 * s * c_pad + c));
                    total.sum_sq += f64::from(*sums.add((2 * s + 1) * c_pad + c));
                }
            }
            // SAFETY: the level and the channel exist, and the channel is the caller's.
            unsafe { *moments.add(i * c_out + c) = total }
        }
    }
}
