//! Products of our own ([`crate::quant_gemm`]) as nodes of graphs of the CPU, in the place of ggml's.

use crate::quant_gemm::{Level, Product, Room, Run};
use crate::stable_box::StableBox;
use crate::tensor::Context;
use crate::{DType, Error, Result, sys};
use std::ffi::{c_int, c_void};
use std::ptr::{NonNull, null_mut};

/// Replaces products of quantised matrices in graphs of the CPU.
pub(crate) struct Products {
    state: StableBox<State>,
    /// What makes a node one of ours.
    op_params: [i32; 16],
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
        let op_params = op_params(state.as_ptr())?;
        Ok(Some(Products { state, op_params }))
    }

    /// Bytes of memory that the products share.
    pub(crate) fn bytes(&self) -> usize {
        self.state.get().room.bytes()
    }

    /// Makes a custom op of a node that is such a product.
    ///
    /// # Safety
    /// `node` is of an allocated graph that is not being computed, its sources are alive. The graph is run before `self` is
    /// dropped, if at all, on the CPU by at most as many threads as `self` was made for, and one run at a time of all graphs
    /// whose nodes `self` replaced; where its weights are quantised, they have ggml's plain layout in the CPU's memory.
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

/// What ggml writes into a node that calls [`run`] with `state`.
fn op_params(state: *mut State) -> Result<[i32; 16]> {
    let ctx = Context::with_room(1, 0)?;
    let (all, no_sources) = (-1, null_mut());
    let type_ = sys::GGML_TYPE_F32;
    // SAFETY: the context has room for a tensor. It has no data, and is read before the context is dropped.
    unsafe {
        let raw = ctx.as_ptr();
        let data = state.cast::<c_void>();
        let node = sys::ggml_custom_4d(raw, type_, 1, 1, 1, 1, no_sources, 0, Some(run), all, data);
        let node = NonNull::new(node);
        node.map(|n| n.as_ref().op_params)
            .ok_or_else(|| Error::Create { action: "make a node of our own".into() })
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
