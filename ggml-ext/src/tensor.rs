//! Tensor handles and the ggml contexts that own their metadata.

use crate::{DType, Error, Result, sys};
use std::marker::PhantomData;
use std::ptr::NonNull;

/// Ties a value to one graph: invariant in `'g`, so that no other graph's lifetime will do.
pub(crate) type Brand<'g> = PhantomData<fn(&'g ()) -> &'g ()>;

/// A tensor of a graph under construction. Shapes are in ggml order: `ne()[0]` varies fastest.
#[derive(Clone, Copy)]
pub struct Tensor<'g> {
    raw: NonNull<sys::ggml_tensor>,
    brand: Brand<'g>,
}

impl<'g> Tensor<'g> {
    pub(crate) fn new(raw: NonNull<sys::ggml_tensor>) -> Self {
        Tensor { raw, brand: PhantomData }
    }

    /// # Panics
    /// On null: ggml's constructors never return it (they end the process instead).
    pub(crate) fn from_ptr(raw: *mut sys::ggml_tensor) -> Self {
        Self::new(NonNull::new(raw).expect("ggml returned a null tensor"))
    }

    pub(crate) fn raw(self) -> NonNull<sys::ggml_tensor> {
        self.raw
    }

    pub(crate) fn as_ptr(self) -> *mut sys::ggml_tensor {
        self.raw.as_ptr()
    }

    /// The shape, padded with ones to four dimensions.
    pub fn ne(self) -> [usize; 4] {
        ne_of(self.raw)
    }

    /// Number of elements.
    pub fn n_elements(self) -> usize {
        self.ne().iter().product()
    }

    /// The element type.
    ///
    /// # Panics
    /// If the tensor has a type outside [`DType`]; no constructor of this crate makes one.
    pub fn dtype(self) -> DType {
        // SAFETY: the tensor is alive for 'g.
        let raw = unsafe { (*self.as_ptr()).type_ };
        DType::from_raw(raw).expect("a tensor type that this crate creates")
    }
}

/// Shape of a tensor that the caller keeps alive.
pub(crate) fn ne_of(t: NonNull<sys::ggml_tensor>) -> [usize; 4] {
    // SAFETY: the caller's owner keeps the tensor alive; `ne` is never negative.
    unsafe { (*t.as_ptr()).ne.map(|n| n as usize) }
}

/// An arena for tensor metadata; the data itself lives in backend buffers.
pub(crate) struct Context {
    raw: NonNull<sys::ggml_context>,
    remaining: std::cell::Cell<usize>,
}

// SAFETY: the context is plain memory, bound to no thread; it is only written by the owner of the
// graph in it.
unsafe impl Send for Context {}
// SAFETY: after construction only addresses of tensors are written, by the graph that owns them,
// which is not Sync and holds the lock of its memory (`memory::Turn::take`); the rest is only read.
unsafe impl Sync for Context {}

impl Context {
    /// Room for a graph of `max_nodes` nodes and as many leaves.
    pub(crate) fn for_graph(max_nodes: usize) -> Result<Context> {
        // SAFETY: pure size queries.
        let graph = unsafe { sys::ggml_graph_overhead_custom(max_nodes, false) };
        Self::with_room(2 * max_nodes, graph)
    }

    /// Room for `n` tensors and `extra` bytes of other objects.
    pub(crate) fn with_room(n: usize, extra: usize) -> Result<Context> {
        crate::backend::init();
        // SAFETY: pure size query.
        let per_tensor = unsafe { sys::ggml_tensor_overhead() };
        let mem_size = (n + 1) * per_tensor + extra;
        let params =
            sys::ggml_init_params { mem_size, mem_buffer: std::ptr::null_mut(), no_alloc: true };
        // SAFETY: ggml allocates the arena itself.
        let raw = NonNull::new(unsafe { sys::ggml_init(params) })
            .ok_or_else(|| Error::Create { action: "allocate tensor metadata".into() })?;
        Ok(Context { raw, remaining: std::cell::Cell::new(n) })
    }

    pub(crate) fn as_ptr(&self) -> *mut sys::ggml_context {
        self.raw.as_ptr()
    }

    pub(crate) fn new_graph(&self, max_nodes: usize) -> NonNull<sys::ggml_cgraph> {
        // SAFETY: `for_graph` reserved the room.
        let raw = unsafe { sys::ggml_new_graph_custom(self.as_ptr(), max_nodes, false) };
        NonNull::new(raw).expect("the arena has room for its graph")
    }

    /// A tensor without data.
    ///
    /// # Panics
    /// If the arena is full or `ne` has more than four dimensions: programming errors.
    pub(crate) fn new_tensor<'g>(&self, dtype: DType, ne: &[usize]) -> Tensor<'g> {
        assert!((1..=4).contains(&ne.len()), "1 to 4 dimensions");
        let left = self.remaining.get();
        assert!(left > 0, "the arena is sized for the tensors that go into it");
        self.remaining.set(left - 1);
        let ne: Vec<i64> = ne.iter().map(|&n| n as i64).collect();
        // SAFETY: `ne` has as many elements as announced; room is checked above.
        let raw = unsafe {
            sys::ggml_new_tensor(self.as_ptr(), dtype.raw(), ne.len() as i32, ne.as_ptr())
        };
        Tensor::from_ptr(raw)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: created by ggml_init, freed once; owners of tensors hold the context.
        unsafe { sys::ggml_free(self.as_ptr()) }
    }
}
