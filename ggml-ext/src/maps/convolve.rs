//! Convolution of packed maps by Winograd's algorithm.

use super::SharedMoments;
use crate::custom::{CustomOp, Node, is_kernel};
use crate::graph::Builder;
use crate::tensor::Tensor;
use crate::winograd::{self, Conv, Job, Options, Workspace};
use crate::{Error, Result};
use std::sync::Arc;

/// What a convolution made: `[C, pixels]`, and the sums of each level and channel.
#[derive(Clone)]
pub(super) struct Convolved<'g> {
    pub(super) values: Tensor<'g>,
    pub(super) moments: Arc<SharedMoments>,
}

struct Winograd {
    conv: Conv,
    /// Whether the first source is what is added to. It comes first so that it is made before the maps are.
    is_onto: bool,
    workspace: Arc<Workspace>,
    moments: Arc<SharedMoments>,
}

impl CustomOp for Winograd {
    unsafe fn run(&self, node: &Node, ith: usize, nth: usize) {
        // SAFETY: result and moments are this node's, and the workspace is used by one node of the
        // backend at a time, by the caller's word.
        unsafe {
            let (y, moments) = (node.result(), self.moments.as_ptr());
            let maps = usize::from(self.is_onto);
            let mut job = Job::from_raw(node.floats(maps), node.kernel(maps + 1), y, moments);
            if self.is_onto {
                job = job.onto(node.floats(0));
            }
            self.conv.run(&self.workspace, &job, ith, nth, &mut ());
        }
    }
}

/// That there is no memory, or sizes are too large.
pub(super) fn failed(e: winograd::Error) -> Error {
    Error::Create { action: format!("convolve: {e}") }
}

impl<'g> Builder<'g> {
    /// Of maps `[C, pixels]`, one after the other, added to others. `None` if the kernel is not one for this.
    pub(super) fn winograd(
        &self,
        maps: Tensor<'g>,
        sides: &[[usize; 2]],
        kernel: Tensor<'g>,
        onto: Option<Tensor<'g>>,
    ) -> Result<Option<Convolved<'g>>> {
        let [kw, kh, c_in, c_out] = kernel.ne();
        if !is_kernel(kernel) || [kw, kh] != [3, 3] || c_in % 4 != 0 || c_out % 4 != 0 {
            return Ok(None);
        }
        let (n_threads, budget) = (self.backend.n_threads(), self.backend.scratch_limit());
        let options = Options { n_threads, budget, ..Options::default() };
        let conv = Conv::new(sides, [c_in, c_out], options).map_err(failed)?;
        let workspace = self.backend.scratch(&conv).map_err(failed)?;
        let moments = SharedMoments::new(sides.len() * c_out);
        let ne = [c_out, conv.n_pixels()];
        let sources: Vec<_> = onto.into_iter().chain([maps, kernel]).collect();
        let is_onto = onto.is_some();
        let op = Arc::new(Winograd { conv, is_onto, workspace, moments: moments.clone() });
        let values = self.custom(&ne, &sources, op, "conv_3x3");
        self.put_into_room(values, 0);
        Ok(Some(Convolved { values, moments }))
    }
}
