//! Grids in the order of the products that [`crate::interpolated`] and regions make of them.

use crate::custom::{CustomOp, Node};
use crate::graph::Builder;
use crate::interpolated::products::Shape;
use crate::tensor::Tensor;
use std::sync::Arc;

/// Packs grids, see [`Shape::pack`].
struct Pack {
    shape: Shape,
    n_grids: usize,
}

impl CustomOp for Pack {
    unsafe fn run(&self, node: &Node, ith: usize, nth: usize) {
        let Pack { shape, n_grids } = self;
        let (n_panels, panel_len) = (shape.n_panels(), shape.tiles * shape.c_in);
        assert_eq!(node.result().len(), n_grids * shape.packed(), "length of the packed grids");
        for i in (ith..n_grids * n_panels).step_by(nth) {
            let (grid, panel) = (i / n_panels, i % n_panels);
            // SAFETY: the panel is inside of the result, whose length is checked, and no other thread's.
            let dst = unsafe {
                let first = node.result().cast::<f32>().add(i * panel_len);
                std::slice::from_raw_parts_mut(first, panel_len)
            };
            shape.pack(node.floats(grid), panel..panel + 1, dst);
        }
    }
}

impl<'g> Builder<'g> {
    /// Grids `[C, W * H]`, packed one after the other.
    pub(super) fn pack(&self, grids: &[Tensor<'g>], shape: Shape) -> Tensor<'g> {
        let n_grids = grids.len();
        self.custom(&[n_grids * shape.packed()], grids, Arc::new(Pack { shape, n_grids }), "pack")
    }
}
