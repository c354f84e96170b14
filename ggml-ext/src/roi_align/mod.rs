//! RoIAlign: average-pooled bilinear samples of boxes on a feature map.
//!
//! A box is cut into `out x out` bins and every bin into `s x s` sample points (`s` fixed, or as
//! many as keep them within one cell of each other). A sample reads the map bilinearly; one that
//! lies more than a cell outside counts zero; a bin is the mean of its samples. Coordinates are
//! shifted by half a cell ("aligned"), so that cell centres, not corners, carry the values.
//! Formula: the RoIAlign of Mask R-CNN as mmcv 1.4 and torchvision compute it.
//!
//! The regular grid makes the operation separable: with `Wy` and `Wx` holding, a row per bin, the
//! weight of every map row and column, the result is `Wy . F . Wx^T` for each channel. Two
//! lowerings use that: a fused kernel on the CPU, which walks the few non-zero
//! weights, all channels of a cell together, and two matrix products everywhere else. The scalar loop [`roi_align_reference`] knows
//! nothing of it and is the oracle of both.

pub(crate) mod convolved;
pub(crate) mod fused;
mod reference;
mod taps;

pub use reference::roi_align_reference;

use crate::graph::{Builder, Graph, Input};
use crate::maps::Maps;
use crate::tensor::Tensor;
use crate::{Error, Result};
pub(crate) use fused::RoiState;
use taps::AxisTaps;

/// What to sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RoiAlignParams {
    /// Bins along x and y.
    pub output_size: usize,
    /// Samples per bin and axis; 0 means adaptive: `ceil(box side / bins)`, in map cells.
    pub sampling_ratio: usize,
    /// Map cells per unit of the boxes' coordinates.
    pub spatial_scale: f32,
}

/// A box as x1, y1, x2, y2, in the units that [`RoiAlignParams::spatial_scale`] converts.
pub type RoiBox = [f32; 4];

/// Adaptive sampling of a box many times the map's size would ask for a senseless number of
/// points, nearly all outside: boxes beyond this many samples per bin and axis are refused.
const MAX_SAMPLES: usize = 1024;

/// How a RoIAlign node is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoiLowering {
    /// Our kernel, as a custom op; CPU only.
    Fused,
    /// Two matrix products with small interpolation matrices; any backend.
    MatMul,
}

/// Handle of a RoIAlign node: sets its boxes before a run.
#[derive(Clone, Copy, Debug)]
pub struct RoiAlign {
    params: RoiAlignParams,
    map_w: usize,
    map_h: usize,
    n_regions: usize,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Fused { state: usize },
    MatMul { wx: Input, wy: Input },
}

impl<'g> Builder<'g> {
    /// RoIAlign of `n_regions` boxes over one of the maps, giving `n_regions` maps of `out x out`, by the lowering
    /// that suits the backend.
    ///
    /// # Panics
    /// If there is no such map.
    pub fn roi_align(
        &self,
        maps: &Maps<'g>,
        level: usize,
        n_regions: usize,
        params: RoiAlignParams,
    ) -> (Maps<'g>, RoiAlign) {
        let lowering = if self.backend.is_cpu() { RoiLowering::Fused } else { RoiLowering::MatMul };
        self.roi_align_as(lowering, maps, level, n_regions, params)
    }

    /// [`Builder::roi_align`] by a given lowering.
    ///
    /// # Panics
    /// As there; and if the fused lowering is asked for on a backend that is not the CPU.
    pub fn roi_align_as(
        &self,
        lowering: RoiLowering,
        maps: &Maps<'g>,
        level: usize,
        n_regions: usize,
        params: RoiAlignParams,
    ) -> (Maps<'g>, RoiAlign) {
        let side @ [map_w, map_h] = maps.sides()[level];
        let out = params.output_size;
        let (pooled, kind) = match lowering {
            RoiLowering::Fused => {
                let map = self.packed_map(maps, level);
                let pooled = fused::regions(self, map, side, n_regions, out);
                let kind = Kind::Fused { state: pooled.state };
                (Maps::pooled(pooled), kind)
            }
            RoiLowering::MatMul => {
                let map = self.to_planes(maps)[level];
                let (pooled, kind) = lower_to_mul_mat(self, map, n_regions, params);
                (Maps::batch(pooled), kind)
            }
        };
        (pooled, RoiAlign { params, map_w, map_h, n_regions, kind })
    }
}

/// `out[n] = Wy[n] . F . Wx[n]^T`, the y axis first: of the large tensors, only the map itself is turned around.
fn lower_to_mul_mat<'g>(
    g: &Builder<'g>,
    map: Tensor<'g>,
    n: usize,
    params: RoiAlignParams,
) -> (Tensor<'g>, Kind) {
    let [w, h, c, _] = map.ne();
    let out = params.output_size;
    let (wx, wx_input) = g.input("roi.wx", &[w, out, 1, n]);
    let (wy, wy_input) = g.input("roi.wy", &[h, out * n]);
    let map = g.cont(g.permute(map, [1, 0, 2, 3])); // [H, W, C]
    let y = g.mul_mat(g.reshape(map, &[h, w * c]), wy); // [W * C, out(y) * n]
    let x = g.mul_mat(wx, g.reshape(y, &[w, c * out, 1, n]));
    let x = g.reshape(x, &[out, c, out, n]); // [out(x), C, out(y), n]
    let pooled = g.cont(g.permute(x, [0, 2, 1, 3]));
    (pooled, Kind::MatMul { wx: wx_input, wy: wy_input })
}

impl RoiAlign {
    /// Sets the boxes for the following runs of `graph`, the graph that the node was built in.
    ///
    /// # Errors
    /// [`Error::Box`] for a box that is not finite, upside down, or absurdly large under adaptive
    /// sampling; [`Error::Length`] if their number is not the one that the node was built for.
    ///
    /// # Panics
    /// If the node is not one of `graph`.
    pub fn set_boxes(&self, graph: &mut Graph, boxes: &[RoiBox]) -> Result<()> {
        if boxes.len() != self.n_regions {
            let (expected, got) = (self.n_regions, boxes.len());
            return Err(Error::Length { name: "roi boxes".into(), expected, got });
        }
        for (i, b) in boxes.iter().enumerate() {
            self.check(b).map_err(|reason| Error::Box { index: i, reason })?;
        }
        match self.kind {
            Kind::Fused { state } => {
                let (state, out) = (graph.roi_mut(state), self.params.output_size);
                let fits = state.fits([self.map_w, self.map_h], self.n_regions, out);
                assert!(fits, "the RoIAlign node of another graph");
                state.set_boxes(&self.params, boxes);
                Ok(())
            }
            Kind::MatMul { wx, wy } => {
                graph.set(wx, &self.matrices(boxes, 0, self.map_w))?;
                graph.set(wy, &self.matrices(boxes, 1, self.map_h))
            }
        }
    }

    fn check(&self, b: &RoiBox) -> std::result::Result<(), String> {
        let scaled = b.map(|v| v * self.params.spatial_scale);
        if !scaled.iter().all(|v| v.is_finite()) {
            return Err(format!("{b:?} is not finite"));
        }
        for axis in 0..2 {
            let (lo, hi) = (b[axis], b[axis + 2]);
            if hi < lo {
                return Err(format!("{b:?} is upside down"));
            }
            if taps::n_samples(&self.params, lo, hi) > MAX_SAMPLES {
                return Err(format!("{b:?} is too large for adaptive sampling"));
            }
        }
        Ok(())
    }

    /// The interpolation matrices of all boxes along one axis: `[n_cells, out, n]`.
    fn matrices(&self, boxes: &[RoiBox], axis: usize, n_cells: usize) -> Vec<f32> {
        let out = self.params.output_size;
        let mut m = vec![0.0; n_cells * out * boxes.len()];
        let mut taps = AxisTaps::default();
        for (b, m) in boxes.iter().zip(m.chunks_mut(n_cells * out)) {
            taps.fill(&self.params, b[axis], b[axis + 2], n_cells);
            for (bin, row) in m.chunks_mut(n_cells).enumerate() {
                let (cells, weights) = taps.bin(bin);
                for (&cell, &weight) in cells.iter().zip(weights) {
                    row[cell as usize] = weight;
                }
            }
        }
        m
    }
}
