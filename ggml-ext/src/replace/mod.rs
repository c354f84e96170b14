//! Kernels of our own in the place of nodes of graphs of the CPU.

mod attention;
mod filling;
mod products;

use crate::float_gemm::Floats;
use crate::quant_gemm::Quants;
use crate::tensor::Context;
use crate::{Error, Result, sys};
use attention::Attention;
use products::Products;
use std::ffi::c_void;
use std::ptr::{NonNull, null_mut};

/// What makes a node one of ours; ggml leaves the last of the numbers to us.
type OpParams = [i32; 16];

/// Makes nodes of ours out of ggml's, where ours are faster.
pub(crate) struct Replacements {
    quants: Option<Products<Quants>>,
    floats: Products<Floats>,
    attention: Attention,
}

impl Replacements {
    /// For graphs that at most `n_threads` run, with kernels for products of floats. Products of quantised matrices stay ggml's unless
    /// all weights are `plain`, in ggml's usual layout.
    ///
    /// # Errors
    /// If memory does not suffice.
    pub(crate) fn new(n_threads: usize, plain: bool, floats: Floats) -> Result<Replacements> {
        let quants = if plain { Quants::new() } else { None };
        let quants = quants.map(|gemm| Products::new(gemm, n_threads)).transpose()?;
        let floats = Products::new(floats, n_threads)?;
        Ok(Replacements { quants, floats, attention: Attention::new(n_threads)? })
    }

    /// Bytes of memory that the nodes share.
    pub(crate) fn bytes(&self) -> usize {
        let quants = self.quants.as_ref().map_or(0, Products::bytes);
        self.attention.bytes() + quants + self.floats.bytes()
    }

    /// Learns from a node that is about to be run, in which order a cache of keys and values is filled.
    ///
    /// # Safety
    /// `node` is of a graph that is run on the CPU, and not at present. Its sources are alive, and those that are inputs are set.
    pub(crate) unsafe fn foresee(&mut self, node: *const sys::ggml_tensor) {
        // SAFETY: passed on to the caller.
        unsafe { self.attention.foresee(node) }
    }

    /// Makes a custom op of a node that there is one for.
    ///
    /// # Safety
    /// `node` is of an allocated graph that is not being computed, its sources are alive. The graph is run before `self` is
    /// dropped, if at all, on the CPU by at most as many threads as `self` was made for, and one run at a time of all graphs
    /// whose nodes `self` replaced; its weights are in the CPU's memory, and plain if `self` was made for that.
    pub(crate) unsafe fn replace(&mut self, node: *mut sys::ggml_tensor) {
        // SAFETY: passed on to the caller.
        unsafe {
            match (*node).op {
                sys::GGML_OP_FLASH_ATTN_EXT => self.attention.replace(node),
                sys::GGML_OP_MUL_MAT => {
                    if let Some(quants) = &mut self.quants {
                        quants.replace(node);
                    }
                    self.floats.replace(node);
                }
                _ => {}
            }
        }
    }
}

/// What ggml writes into a node that calls `run` with `state`.
fn op_params(
    run: unsafe extern "C" fn(*mut sys::ggml_tensor, i32, i32, *mut c_void),
    state: *mut c_void,
) -> Result<OpParams> {
    let ctx = Context::with_room(1, 0)?;
    let (all, no_sources) = (-1, null_mut());
    let type_ = sys::GGML_TYPE_F32;
    // SAFETY: the context has room for a tensor. It has no data, and is read before the context is dropped.
    unsafe {
        let raw = ctx.as_ptr();
        let node =
            sys::ggml_custom_4d(raw, type_, 1, 1, 1, 1, no_sources, 0, Some(run), all, state);
        let node = NonNull::new(node);
        node.map(|n| n.as_ref().op_params)
            .ok_or_else(|| Error::Create { action: "make a node of our own".into() })
    }
}
