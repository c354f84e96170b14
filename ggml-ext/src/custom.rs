//! Our CPU kernels as nodes of ggml's graphs.

use crate::graph::Builder;
use crate::simd::Kernel;
use crate::tensor::Tensor;
use crate::{DType, sys};
use std::ffi::{c_int, c_void};
use std::mem::offset_of;
use std::ptr::slice_from_raw_parts_mut;
use std::slice::from_raw_parts;
use std::sync::Arc;

/// The most sources of a node.
pub(crate) const MAX_SOURCES: usize = {
    let [first, next] = [offset_of!(sys::ggml_tensor, src), offset_of!(sys::ggml_tensor, view_src)];
    (next - first) / size_of::<*mut sys::ggml_tensor>()
};

/// A kernel with what it needs beyond its inputs. Runs on the CPU only.
pub(crate) trait CustomOp: Send + Sync + 'static {
    /// Does the share of thread `ith` of `nth`.
    ///
    /// # Safety
    /// `nth` threads, at most as many as the backend has, call it at the same time, one for each
    /// `ith`, with the same node. Until all have returned, nobody else accesses what they write: the
    /// node's result, and the memory that the op shares with other nodes of the same backend, which
    /// runs one node at a time. Sources and result have the shapes of the node that the op was
    /// made for.
    unsafe fn run(&self, node: &Node, ith: usize, nth: usize);
}

/// A node during a run.
pub(crate) struct Node(*mut sys::ggml_tensor);

impl Node {
    /// Source `i`, which holds contiguous floats.
    pub(crate) fn floats(&self, i: usize) -> &[f32] {
        let [data, n] = self.source(i);
        // SAFETY: the source is allocated, contiguous and not written while the node runs, as
        // checked in `Builder::custom`.
        unsafe { from_raw_parts(data as *const f32, n) }
    }

    /// Source `i`, a kernel of a type that [`is_kernel`] knows.
    pub(crate) fn kernel(&self, i: usize) -> Kernel<'_> {
        let [data, n] = self.source(i);
        // SAFETY: as in `floats`.
        unsafe {
            match (*(*self.0).src[i]).type_ {
                sys::GGML_TYPE_F16 => Kernel::F16(from_raw_parts(data as *const _, n)),
                sys::GGML_TYPE_BF16 => Kernel::Bf16(from_raw_parts(data as *const _, n)),
                _ => Kernel::F32(from_raw_parts(data as *const _, n)),
            }
        }
    }

    /// The result.
    pub(crate) fn result(&self) -> *mut [f32] {
        // SAFETY: the node is alive and allocated.
        unsafe {
            let n = sys::ggml_nelements(self.0) as usize;
            slice_from_raw_parts_mut((*self.0).data.cast::<f32>(), n)
        }
    }

    /// Address and number of elements.
    fn source(&self, i: usize) -> [usize; 2] {
        // SAFETY: the node and its sources are alive.
        unsafe {
            let src = (&(*self.0).src)[i];
            [(*src).data.expose_provenance(), sys::ggml_nelements(src) as usize]
        }
    }
}

/// Whether [`Node::kernel`] can read the tensor.
pub(crate) fn is_kernel(t: Tensor<'_>) -> bool {
    matches!(t.dtype(), DType::F32 | DType::F16 | DType::Bf16)
}

impl<'g> Builder<'g> {
    /// A float node of shape `ne` that `op` computes from `sources`, contiguous floats or kernels.
    ///
    /// # Panics
    /// If the backend is not the CPU, if a source is of another kind, or there are more than [`MAX_SOURCES`].
    pub(crate) fn custom<T: CustomOp>(
        &self,
        ne: &[usize],
        sources: &[Tensor<'g>],
        op: Arc<T>,
        name: &str,
    ) -> Tensor<'g> {
        assert!(self.backend.is_cpu(), "`{name}` runs on the CPU only");
        assert!(sources.len() <= MAX_SOURCES, "`{name}` has too many sources");
        for &t in sources {
            // SAFETY: the tensor is alive for 'g.
            let contiguous = unsafe { sys::ggml_is_contiguous(t.as_ptr()) };
            assert!(contiguous && is_kernel(t), "`{name}` cannot read a source");
        }
        let user_data = Arc::as_ptr(&op).cast_mut().cast::<c_void>();
        self.ops.borrow_mut().push(op);
        let mut full = [1i64; 4];
        for (dst, &n) in full.iter_mut().zip(ne) {
            *dst = n as i64;
        }
        let mut args: Vec<_> = sources.iter().map(|t| t.as_ptr()).collect();
        let [a, b, c, d] = full;
        // SAFETY: all tensors are alive for 'g; the graph owns the op, whose address holds as long
        // as the node.
        let raw = unsafe {
            sys::ggml_custom_4d(
                self.ctx.as_ptr(),
                sys::GGML_TYPE_F32,
                a,
                b,
                c,
                d,
                args.as_mut_ptr(),
                args.len() as c_int,
                Some(run::<T>),
                self.backend.n_threads() as c_int,
                user_data,
            )
        };
        self.node(raw, name)
    }
}

/// ggml's entry point.
unsafe extern "C" fn run<T: CustomOp>(
    dst: *mut sys::ggml_tensor,
    ith: c_int,
    nth: c_int,
    data: *mut c_void,
) {
    // SAFETY: `data` is the op that `Builder::custom` registered for this node; the graph owns it and
    // is borrowed by the run. ggml calls this on all of its threads at once with the same tensors,
    // and runs one node at a time.
    unsafe { (*data.cast::<T>()).run(&Node(dst), ith as usize, nth as usize) }
}
