//! Regions that are pooled from a map, and their convolution without ever pooling them.

use super::Mosaic;
use super::convolve::failed;
use crate::Result;
use crate::custom::{CustomOp, Node, is_kernel};
use crate::graph::Builder;
use crate::roi_align::{RoiState, convolved, fused};
use crate::tensor::Tensor;
use crate::winograd::{Conv, Options, Workspace};
use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;

/// Regions of a map.
#[derive(Clone)]
pub(crate) struct Pooled<'g> {
    /// `[C, W * H]`
    pub(crate) map: Tensor<'g>,
    /// Width and height.
    pub(crate) side: [usize; 2],
    /// Bins a side.
    pub(crate) out: usize,
    pub(crate) n_regions: usize,
    pub(crate) mosaic: Mosaic,
    /// Number of its state in the graph.
    pub(crate) state: usize,
    /// The mosaic, once it is needed.
    pub(crate) made: Rc<OnceCell<Tensor<'g>>>,
}

/// The convolution on the map, if it is faster than pooling the regions first.
fn on_the_map(
    map: [usize; 2],
    out: usize,
    mosaic: Mosaic,
    n_regions: usize,
    channels: [usize; 2],
) -> Option<convolved::Conv> {
    let conv = convolved::Conv::new(map, out, mosaic, channels)?;
    let of_pooled = Conv::new(&[mosaic.sides()], channels, Options::default()).ok()?;
    (conv.cost(n_regions) < of_pooled.cost()).then_some(conv)
}

/// Multiply-adds of the matrix products of a 3 x 3 convolution of `n_regions` regions, of `out x out` bins each, of a map of the given sides, as
/// it is done on the CPU. Channels are in and out. `None` if ggml does it.
pub fn n_products_of_pooled(
    map: [usize; 2],
    out: usize,
    n_regions: usize,
    channels: [usize; 2],
) -> Option<u64> {
    let mosaic = Mosaic::new([out; 2], n_regions);
    if let Some(conv) = on_the_map(map, out, mosaic, n_regions, channels) {
        return Some(conv.n_products());
    }
    let of_pooled = Conv::new(&[mosaic.sides()], channels, Options::default()).ok()?;
    Some(of_pooled.n_products())
}

struct Convolve {
    conv: convolved::Conv,
    state: *const RoiState,
    /// Whether the first source is what is added to. It comes first so that it is made before the map is packed.
    is_onto: bool,
    /// As many as there is scratch memory for.
    n_threads: usize,
    workspace: Arc<Workspace>,
}

// SAFETY: the state is the graph's, as the op is, and lives as long; it is changed only while the graph does not run.
unsafe impl Send for Convolve {}
// SAFETY: as above.
unsafe impl Sync for Convolve {}

impl CustomOp for Convolve {
    unsafe fn run(&self, node: &Node, ith: usize, nth: usize) {
        let (map, nth) = (usize::from(self.is_onto), nth.min(self.n_threads));
        if ith >= nth {
            return;
        }
        // SAFETY: the graph owns the state, and nobody changes it during a run; the result is this node's, and the workspace is used by
        // one node of the backend at a time, by the caller's word. It is large enough for these threads.
        unsafe {
            let job = convolved::Job {
                state: &*self.state,
                packed: node.floats(map),
                kernel: node.kernel(map + 1),
                onto: self.is_onto.then(|| node.floats(0)),
                y: node.result(),
                scratch: self.workspace.floats(),
            };
            self.conv.run(&job, ith, nth);
        }
    }
}

impl<'g> Builder<'g> {
    /// The mosaic of the regions.
    pub(super) fn pool(&self, pooled: &Pooled<'g>) -> Tensor<'g> {
        *pooled.made.get_or_init(|| fused::lower(self, pooled))
    }

    /// The regions convolved, a mosaic, added to another. `None` if it is faster to pool them first, or kernel or sizes are not ones for this.
    ///
    /// # Errors
    /// If there is no memory for scratch space.
    pub(super) fn conv_of_pooled(
        &self,
        pooled: &Pooled<'g>,
        kernel: Tensor<'g>,
        onto: Option<Tensor<'g>>,
    ) -> Result<Option<Tensor<'g>>> {
        let &Pooled { map, side, out, n_regions, mosaic, state, .. } = pooled;
        let [kw, kh, c_in, c_out] = kernel.ne();
        if !is_kernel(kernel) || [kw, kh] != [3, 3] {
            return Ok(None);
        }
        let Some(conv) = on_the_map(side, out, mosaic, n_regions, [c_in, c_out]) else {
            return Ok(None);
        };
        let each = conv.scratch();
        let most = self.backend.scratch_limit() / (each * size_of::<f32>());
        let n_threads = self.backend.n_threads().min(most.max(1));
        let workspace = self.backend.scratch_of(n_threads * each).map_err(failed)?;
        let state = self.rois.borrow()[state].as_ptr().cast_const();
        let (packed, is_onto) = (self.pack(&[map], conv.shape), onto.is_some());
        let op = Arc::new(Convolve { conv, state, is_onto, n_threads, workspace });
        let sources: Vec<_> = onto.into_iter().chain([packed, kernel]).collect();
        let ne = [c_out, mosaic.n_pixels()];
        Ok(Some(self.custom(&ne, &sources, op, "conv_3x3_pooled")))
    }
}
