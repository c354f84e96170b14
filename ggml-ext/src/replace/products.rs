//! Products of quantised matrices ([`crate::quant_gemm`]).

use super::{OpParams, op_params};
use crate::quant_gemm::{Level, Product, Room, Run};
use crate::stable_box::StableBox;
use crate::{DType, Result, sys};
use std::ffi::{c_int, c_void};

/// Replaces products of quantised matrices.
pub(crate) struct Products {
    state: StableBox<State>,
    /// What makes a node one of ours.
    op_params: OpParams,
}

/// What our nodes work on.
struct State {
    level: Level,
    n_threads: usize,
    room: Room,
}

impl Products {
    /// `None` if this processor has no instructions that there is code for.
    ///
    /// # Errors
    /// If memory does not suffice.
    pub(crate) fn new(n_threads: usize) -> Result<Option<Products>> {
        let Some(level) = Level::available().next() else { return Ok(None) };
        let state = StableBox::new(State { level, n_threads, room: Room::default() });
        let op_params = op_params(run, state.as_ptr().cast())?;
        Ok(Some(Products { state, op_params }))
    }

    /// Bytes of memory that the products share.
    pub(crate) fn bytes(&self) -> usize {
        self.state.get().room.bytes()
    }

    /// Makes a custom op of a node that is such a product.
    ///
    /// # Safety
    /// As for [`super::Replacements::replace`].
    pub(crate) unsafe fn replace(&mut self, node: *mut sys::ggml_tensor) {
        // SAFETY: passed on to the caller.
        let Some(product) = (unsafe { product(node) }) else { return };
        let State { level, room, n_threads } = self.state.get_mut();
        if !product.is_known(*level) {
            return;
        }
        room.reserve(&product, *n_threads);
        // SAFETY: the caller's node.
        unsafe {
            (*node).op = sys::GGML_OP_CUSTOM;
            (*node).op_params = self.op_params;
        }
    }
}

/// ggml's entry point.
unsafe extern "C" fn run(node: *mut sys::ggml_tensor, ith: c_int, nth: c_int, data: *mut c_void) {
    // SAFETY: `data` is the state that `Products` keeps alive, and only read while a graph is run. ggml calls this on all of its
    // threads at once with the same node, which `Products::replace` made of a known product, and runs one node at a time.
    unsafe {
        let State { level, room, .. } = &*data.cast::<State>();
        let Some(product) = shapes(node) else { return };
        let [weights, columns, ..] = (*node).src;
        let run = Run {
            product,
            room,
            weights: (*weights).data.cast(),
            columns: (*columns).data.cast(),
            output: (*node).data.cast(),
            ith: ith as usize,
            nth: nth as usize,
        };
        run.run(*level);
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
        if (*columns).type_ != sys::GGML_TYPE_F32 {
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
