//! Products of matrices ([`crate::product`]).

use super::{OpParams, op_params};
use crate::product::{Gemm, Product, Run};
use crate::stable_box::StableBox;
use crate::{DType, Result, sys};
use std::ffi::{c_int, c_void};

/// Replaces the products that there are kernels for.
pub(super) struct Products<G> {
    state: StableBox<State<G>>,
    /// What makes a node one of ours.
    op_params: OpParams,
}

/// What our nodes work on.
struct State<G> {
    gemm: G,
    n_threads: usize,
}

impl<G: Gemm + Sync> Products<G> {
    /// # Errors
    /// If memory does not suffice.
    pub(super) fn new(gemm: G, n_threads: usize) -> Result<Products<G>> {
        let state = StableBox::new(State { gemm, n_threads });
        let op_params = op_params(run::<G>, state.as_ptr().cast())?;
        Ok(Products { state, op_params })
    }

    /// Bytes of memory that the products share.
    pub(super) fn bytes(&self) -> usize {
        self.state.get().gemm.bytes()
    }

    /// Makes a custom op of a node that is such a product.
    ///
    /// # Safety
    /// As for [`super::Replacements::replace`].
    pub(super) unsafe fn replace(&mut self, node: *mut sys::ggml_tensor) {
        // SAFETY: passed on to the caller.
        let Some(product) = (unsafe { product(node) }) else { return };
        let State { gemm, n_threads } = self.state.get_mut();
        if !gemm.is_known(&product) {
            return;
        }
        gemm.reserve(&product, *n_threads);
        // SAFETY: the caller's node.
        unsafe {
            (*node).op = sys::GGML_OP_CUSTOM;
            (*node).op_params = self.op_params;
        }
    }
}

/// ggml's entry point.
unsafe extern "C" fn run<G: Gemm>(
    node: *mut sys::ggml_tensor,
    ith: c_int,
    nth: c_int,
    data: *mut c_void,
) {
    // SAFETY: `data` is the state that `Products` keeps alive, and only read while a graph is run. ggml calls this on all of its
    // threads at once with the same node, which `Products::replace` made of a known product, and runs one node at a time.
    unsafe {
        let State { gemm, .. } = &*data.cast::<State<G>>();
        let Some(product) = shapes(node) else { return };
        let [weights, columns, ..] = (*node).src;
        gemm.run(Run {
            product,
            weights: (*weights).data.cast_const().cast(),
            columns: (*columns).data.cast_const().cast(),
            output: (*node).data.cast(),
            ith: ith as usize,
            nth: nth as usize,
        });
    }
}

/// The product that a node is, if it is one of two plain matrices.
unsafe fn product(node: *const sys::ggml_tensor) -> Option<Product> {
    // SAFETY: the caller's node, whose sources are alive; only fields are read.
    unsafe {
        if (*node).op != sys::GGML_OP_MUL_MAT || (*node).type_ != sys::GGML_TYPE_F32 {
            return None;
        }
        let [weights, columns, ..] = (*node).src;
        let tensors = [weights.cast_const(), columns.cast_const(), node];
        for t in tensors {
            if !sys::ggml_is_contiguous(t) || !sys::ggml_is_matrix(t) {
                return None;
            }
        }
        // Buffers of other layouts than ggml's usual one are no host's; before there is memory, there is no buffer.
        let (buffer, floats) = ((*weights).buffer, (*columns).type_ == sys::GGML_TYPE_F32);
        if !floats || !(buffer.is_null() || sys::ggml_backend_buffer_is_host(buffer)) {
            return None;
        }
        shapes(node)
    }
}

/// Type and sizes of a node's two sources.
unsafe fn shapes(node: *const sys::ggml_tensor) -> Option<Product> {
    // SAFETY: the caller's node, whose sources are alive; only fields are read.
    unsafe {
        let [weights, columns, ..] = (*node).src;
        Some(Product {
            dtype: DType::from_raw((*weights).type_)?,
            n_in: (*weights).ne[0] as usize,
            n_out: (*weights).ne[1] as usize,
            n_columns: (*columns).ne[1] as usize,
        })
    }
}
