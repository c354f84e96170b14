//! The fused CPU kernel: a ggml custom op over packed maps (channels fastest), threaded over rows of the mosaic that the
//! regions make.
//!
//! A bin is a weighted sum of a few cells, each a contiguous run of channels. Nothing is allocated
//! during a run.

// As in `crate::simd`.
#![allow(clippy::needless_range_loop)]

use super::taps::AxisTaps;
use super::{RoiAlignParams, RoiBox};
use crate::graph::Builder;
use crate::maps::{Mosaic, Pooled};
use crate::simd::Isa;
use crate::simd::isa::ForIsa;
use crate::simd::lanes::{Lanes, Task, load_up_to, store_up_to};
use crate::stable_box::StableBox;
use crate::sys;
use crate::tensor::Tensor;
use std::ffi::{c_int, c_void};
use std::ops::Range;
use std::rc::Rc;

/// Vectors of channels that are summed together: as many as there are registers to spare.
const VECTORS: usize = 4;

/// What the kernel needs beyond its input: the taps of every region.
pub(crate) struct RoiState {
    isa: Isa,
    /// Width, height and channels of the map.
    map: [usize; 3],
    out: usize,
    mosaic: Mosaic,
    regions: Vec<Region>,
}

/// The taps of a region.
pub(super) struct Region {
    pub(super) x: AxisTaps,
    pub(super) y: AxisTaps,
}

impl RoiState {
    fn new(map: [usize; 3], n_regions: usize, out: usize, mosaic: Mosaic) -> RoiState {
        let region = || Region { x: AxisTaps::empty(out), y: AxisTaps::empty(out) };
        let regions = std::iter::repeat_with(region).take(n_regions).collect();
        RoiState { isa: Isa::detect(), map, out, mosaic, regions }
    }

    pub(super) fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// Whether the state is of a node with that map, number of regions and output size.
    pub(super) fn fits(&self, map: [usize; 2], n_regions: usize, out: usize) -> bool {
        self.map[..2] == map && self.regions.len() == n_regions && self.out == out
    }

    /// Computes the taps of the boxes, which the caller checked.
    pub(super) fn set_boxes(&mut self, p: &RoiAlignParams, boxes: &[RoiBox]) {
        let [w, h, _] = self.map;
        for (region, b) in self.regions.iter_mut().zip(boxes) {
            region.x.fill(p, b[0], b[2], w);
            region.y.fill(p, b[1], b[3], h);
        }
    }
}

/// Pools rows of the mosaic of regions into `dst`, which is those rows' place.
struct Pool<'a> {
    state: &'a RoiState,
    map: &'a [f32],
    rows: Range<usize>,
    dst: &'a mut [f32],
}

impl ForIsa for Pool<'_> {
    unsafe fn run<L: Lanes, const MR: usize, const NV: usize>(self) {
        // SAFETY: the caller's word.
        unsafe { L::call(self) }
    }
}

impl<L: Lanes> Task<L> for Pool<'_> {
    #[inline(always)]
    unsafe fn run(self) {
        let (out, c) = (self.state.out, self.state.map[2]);
        let row_len = self.state.mosaic.sides()[0] * c;
        for (y, row) in self.rows.clone().zip(self.dst.chunks_exact_mut(row_len)) {
            // A region's bins and the pixel behind them, which the last one does not have.
            let places = row.chunks_mut((out + 1) * c);
            for (place, region) in places.zip(self.state.mosaic.row(y)) {
                match region {
                    // SAFETY: the caller's word.
                    Some((region, bins)) => unsafe {
                        let (place, gap) = place.split_at_mut(out * c);
                        pool_row::<L>(self.state, self.map, [region, bins], place);
                        gap.fill(0.0);
                    },
                    None => place.fill(0.0),
                }
            }
        }
    }
}

/// A row of a region's bins.
///
/// # Safety
/// The processor has the instruction set.
#[inline(always)]
unsafe fn pool_row<L: Lanes>(
    state: &RoiState,
    map: &[f32],
    [region, row]: [usize; 2],
    dst: &mut [f32],
) {
    let [w, _, c] = state.map;
    let region = &state.regions[region];
    let (rows, row_weights) = region.y.bin(row);
    for (column, dst) in dst.chunks_exact_mut(c).enumerate() {
        let (columns, column_weights) = region.x.bin(column);
        for first in (0..c).step_by(VECTORS * L::N) {
            // SAFETY: the instruction set by the caller's word; each vector is of channels that exist.
            unsafe {
                let mut sums = [L::splat(0.0); VECTORS];
                for y in 0..rows.len() {
                    for x in 0..columns.len() {
                        let cell = rows[y] as usize * w + columns[x] as usize;
                        let weight = row_weights[y] * column_weights[x];
                        add_scaled(&mut sums, &map[cell * c..][first..c], weight);
                    }
                }
                store(&sums, &mut dst[first..]);
            }
        }
    }
}

/// Adds `weight` times the first values of `src`, as many as there are or vectors take.
///
/// # Safety
/// The processor has the instruction set.
#[inline(always)]
unsafe fn add_scaled<L: Lanes>(sums: &mut [L; VECTORS], src: &[f32], weight: f32) {
    for j in 0..VECTORS {
        let n = src.len().saturating_sub(j * L::N).min(L::N);
        // SAFETY: the caller's word; `n` values are left.
        unsafe {
            let v = load_up_to(src.as_ptr().wrapping_add(j * L::N), n);
            sums[j] = sums[j].add_scaled(v, weight);
        }
    }
}

/// Writes as many values as `dst` has room for.
///
/// # Safety
/// The processor has the instruction set.
#[inline(always)]
unsafe fn store<L: Lanes>(sums: &[L; VECTORS], dst: &mut [f32]) {
    for j in 0..VECTORS {
        let n = dst.len().saturating_sub(j * L::N).min(L::N);
        let dst = dst.as_mut_ptr().wrapping_add(j * L::N);
        // SAFETY: the caller's word; there is room for `n` values.
        unsafe { store_up_to(sums[j], dst, n) }
    }
}

/// Regions of a map, `[C, W * H]`, whose boxes the graph keeps.
pub(super) fn regions<'g>(
    g: &Builder<'g>,
    map: Tensor<'g>,
    side: [usize; 2],
    n_regions: usize,
    out: usize,
) -> Pooled<'g> {
    assert!(g.backend.is_cpu(), "the fused RoIAlign runs on the CPU only");
    let ([c, n_cells, ..], [w, h]) = (map.ne(), side);
    assert!(map.dtype() == crate::DType::F32 && n_cells == w * h, "a packed map of floats");
    let mosaic = Mosaic::new([out, out], n_regions);
    let mut states = g.rois.borrow_mut();
    let state = states.len();
    states.push(StableBox::new(RoiState::new([w, h, c], n_regions, out, mosaic)));
    Pooled { map, side, out, n_regions, mosaic, state, made: Rc::default() }
}

/// Adds the custom op to the graph: the result is a mosaic of `out x out` bins, `[C, pixels]`.
pub(crate) fn lower<'g>(g: &Builder<'g>, pooled: &Pooled<'g>) -> Tensor<'g> {
    let &Pooled { map, mosaic, .. } = pooled;
    let user_data = g.rois.borrow()[pooled.state].as_ptr();
    // SAFETY: `map` is alive for 'g; the state is boxed and owned by the graph, so its address
    // holds as long as the node.
    let raw = unsafe {
        let mut args = [map.as_ptr()];
        sys::ggml_custom_4d(
            g.ctx.as_ptr(),
            sys::GGML_TYPE_F32,
            map.ne()[0] as i64,
            mosaic.n_pixels() as i64,
            1,
            1,
            args.as_mut_ptr(),
            1,
            Some(kernel),
            g.backend.n_threads() as c_int,
            user_data.cast(),
        )
    };
    g.node(raw, "roi_align")
}

/// ggml's entry point: thread `ith` of `nth` pools its share of the rows.
unsafe extern "C" fn kernel(dst: *mut sys::ggml_tensor, ith: c_int, nth: c_int, data: *mut c_void) {
    // SAFETY: `data` is the RoiState that `lower` registered; the graph owns it and is borrowed by
    // the run. `dst` and its source are float, contiguous, allocated, of the recorded shapes.
    // Threads write disjoint rows of `dst`. The instruction set was detected.
    unsafe {
        let state = &*data.cast::<RoiState>();
        let (ith, nth) = (ith as usize, nth as usize);
        let [w, h, c] = state.map;
        let [columns, n_rows] = state.mosaic.sides();
        let per_thread = n_rows.div_ceil(nth);
        let rows = (ith * per_thread).min(n_rows)..((ith + 1) * per_thread).min(n_rows);
        let map = std::slice::from_raw_parts((*(*dst).src[0]).data.cast::<f32>(), w * h * c);
        let row_len = columns * c;
        let dst = (*dst).data.cast::<f32>().add(rows.start * row_len);
        let dst = std::slice::from_raw_parts_mut(dst, rows.len() * row_len);
        state.isa.run(Pool { state, map, rows, dst });
    }
}
