//! The fused CPU kernel: a ggml custom op, threaded over (region, channel) planes.
//!
//! For each plane and output row the few map rows that the row's samples touch are summed first,
//! over the box's columns only (contiguous, so the compiler vectorises it), then the sum is read
//! at the columns' taps. Nothing is allocated during a run.

use super::taps::AxisTaps;
use super::{Kind, RoiAlignParams, RoiBox};
use crate::graph::Builder;
use crate::stable_box::StableBox;
use crate::sys;
use crate::tensor::Tensor;
use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};

/// What the kernel needs beyond its input: the taps of every region, and a row of scratch space
/// for every thread.
pub(crate) struct RoiState {
    map: [usize; 3],
    out: usize,
    regions: Vec<Region>,
    scratch: Vec<UnsafeCell<f32>>,
}

// SAFETY: during a run the threads only read everything but `scratch`, of which each touches its
// own row; between runs access is through `&mut`.
unsafe impl Sync for RoiState {}

struct Region {
    x: AxisTaps,
    y: AxisTaps,
}

impl RoiState {
    fn new(map: [usize; 3], n_regions: usize, out: usize, n_threads: usize) -> RoiState {
        let region = || Region { x: AxisTaps::empty(out), y: AxisTaps::empty(out) };
        let regions = std::iter::repeat_with(region).take(n_regions).collect();
        let scratch =
            std::iter::repeat_with(UnsafeCell::default).take(map[0] * n_threads).collect();
        RoiState { map, out, regions, scratch }
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

    /// Pools planes `first..last` of the `n_regions * C` output planes.
    fn pool(&self, map: &[f32], dst: &mut [f32], first: usize, row: &mut [f32]) {
        let [w, h, c] = self.map;
        let plane_size = self.out * self.out;
        for (i, dst) in dst.chunks_mut(plane_size).enumerate() {
            let (n, channel) = ((first + i) / c, (first + i) % c);
            let plane = &map[channel * w * h..][..w * h];
            self.regions[n].pool_plane(plane, w, dst, self.out, row);
        }
    }
}

impl Region {
    fn pool_plane(&self, plane: &[f32], w: usize, dst: &mut [f32], out: usize, row: &mut [f32]) {
        let span = self.x.span();
        for (by, dst) in dst.chunks_mut(out).enumerate() {
            let row = &mut row[span.clone()];
            row.fill(0.0);
            for (y, weight) in self.y.bin(by) {
                let src = &plane[y * w..][span.clone()];
                for (r, &v) in row.iter_mut().zip(src) {
                    *r += weight * v;
                }
            }
            for (bx, d) in dst.iter_mut().enumerate() {
                *d = self.x.bin(bx).map(|(x, weight)| weight * row[x - span.start]).sum();
            }
        }
    }
}

/// Adds the custom op to the graph.
pub(super) fn lower<'g>(
    g: &Builder<'g>,
    map: Tensor<'g>,
    n_regions: usize,
    p: RoiAlignParams,
) -> (Tensor<'g>, Kind) {
    assert!(g.backend.is_cpu(), "the fused RoIAlign runs on the CPU only");
    let [w, h, c, _] = map.ne();
    assert_eq!(map.dtype(), crate::DType::F32, "the fused RoIAlign reads float maps");
    let n_threads = g.backend.n_threads();
    let state = StableBox::new(RoiState::new([w, h, c], n_regions, p.output_size, n_threads));
    let user_data = state.as_ptr();
    let mut states = g.rois.borrow_mut();
    states.push(state);
    let out = p.output_size as i64;
    // SAFETY: `map` is alive for 'g; the state is boxed and owned by the graph, so its address
    // holds as long as the node; `n_tasks` rows of scratch space exist.
    let raw = unsafe {
        let mut args = [map.as_ptr()];
        sys::ggml_custom_4d(
            g.ctx.as_ptr(),
            sys::GGML_TYPE_F32,
            out,
            out,
            c as i64,
            n_regions as i64,
            args.as_mut_ptr(),
            1,
            Some(kernel),
            n_threads as c_int,
            user_data.cast(),
        )
    };
    (g.node(raw, "roi_align"), Kind::Fused { state: states.len() - 1 })
}

/// ggml's entry point: thread `ith` of `nth` pools its share of the planes.
unsafe extern "C" fn kernel(dst: *mut sys::ggml_tensor, ith: c_int, nth: c_int, data: *mut c_void) {
    // SAFETY: `data` is the RoiState that `lower` registered; the graph owns it and is borrowed by
    // the run. `dst` and its source are float, contiguous, allocated, of the recorded shapes.
    // Threads write disjoint planes of `dst` and disjoint rows of the scratch space.
    unsafe {
        let state = &*data.cast::<RoiState>();
        let (ith, nth) = (ith as usize, nth as usize);
        let [w, h, c] = state.map;
        let n_planes = state.regions.len() * c;
        let per_thread = n_planes.div_ceil(nth);
        let first = (ith * per_thread).min(n_planes);
        let last = (first + per_thread).min(n_planes);
        let plane_size = state.out * state.out;
        let src = (*dst).src[0];
        let map = std::slice::from_raw_parts((*src).data.cast::<f32>(), w * h * c);
        let dst = (*dst).data.cast::<f32>().add(first * plane_size);
        let dst = std::slice::from_raw_parts_mut(dst, (last - first) * plane_size);
        let row = UnsafeCell::raw_get(state.scratch.as_ptr().add(ith * w));
        state.pool(map, dst, first, std::slice::from_raw_parts_mut(row, w));
    }
}
