//! Memory for the intermediate tensors of graphs, which graphs can take turns with.

use crate::tensor::Context;
use crate::{Backend, Error, Result, sys};
use std::ffi::c_void;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// Memory on a device for graphs that run one after the other ([`crate::graph::Graph::build_in`]): it is as large as the
/// largest of them needs. Clones are the same memory.
///
/// A graph has it from when its first input is set, or its run begins, until another graph takes it: inputs have to be set
/// before every run, and outputs to be read before another graph begins.
#[derive(Clone)]
pub struct Memory {
    backend: Backend,
    turn: Arc<Mutex<Turn>>,
    id: u64,
}

impl Memory {
    /// No memory yet: it grows with what is built in it.
    ///
    /// # Errors
    /// [`Error::Create`] if ggml has no room for the record of it.
    pub fn new(backend: &Backend) -> Result<Memory> {
        // SAFETY: the buffer type belongs to a registered device.
        let raw = unsafe { sys::ggml_gallocr_new(backend.buffer_type()) };
        let action = || "allocate the record of a graph's memory".into();
        let galloc = NonNull::new(raw).ok_or_else(|| Error::Create { action: action() })?;
        let turn = Turn { galloc, holder: 0 };
        Ok(Memory { backend: backend.clone(), turn: Arc::new(Mutex::new(turn)), id: fresh_id() })
    }

    /// The device that it is on.
    pub fn backend(&self) -> &Backend {
        &self.backend
    }

    /// The same for clones, and no other.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(|p| p.into_inner())
    }
}

/// A number that nothing else of this process has; not 0.
pub(crate) fn fresh_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Whose turn it is.
pub(crate) struct Turn {
    galloc: NonNull<sys::ggml_gallocr>,
    /// The graph whose tensors lie in the memory; 0 for none.
    holder: u64,
}

// SAFETY: the allocator is an opaque handle that is bound to no thread.
unsafe impl Send for Turn {}

impl Drop for Turn {
    fn drop(&mut self) {
        // SAFETY: created by ggml_gallocr_new, freed once.
        unsafe { sys::ggml_gallocr_free(self.galloc.as_ptr()) }
    }
}

impl Turn {
    pub(crate) fn is_of(&self, id: u64) -> bool {
        self.holder == id
    }

    /// Bytes that there are now.
    pub(crate) fn bytes(&self) -> usize {
        // SAFETY: the allocator has one buffer, index 0.
        unsafe { sys::ggml_gallocr_get_buffer_size(self.galloc.as_ptr(), 0) }
    }

    /// Bytes that a graph needs, found out without taking them.
    ///
    /// # Safety
    /// `graph` is alive and none of its tensors lie here.
    pub(crate) unsafe fn need(&self, graph: NonNull<sys::ggml_cgraph>) -> usize {
        let (mut bytes, none) = (0, std::ptr::null());
        // SAFETY: the graph is alive by the caller; without node buffers all nodes are for the one buffer, whose size is
        // written.
        unsafe {
            let (galloc, graph) = (self.galloc.as_ptr(), graph.as_ptr());
            sys::ggml_gallocr_reserve_n_size(galloc, graph, none, none, &mut bytes);
        }
        bytes
    }

    /// Gives the memory to a graph: false if there is not enough.
    ///
    /// # Safety
    /// `graph` is alive, and `floating` has its tensors.
    pub(crate) unsafe fn take(
        &mut self,
        id: u64,
        graph: NonNull<sys::ggml_cgraph>,
        floating: &Floating,
    ) -> bool {
        self.holder = 0;
        // SAFETY: alive by the caller. The plan is always made anew: ggml would take that of another graph with as many nodes
        // for this one's. If the memory grows, tensors of other graphs are left without storage, which nobody reaches
        // before those graphs have taken the memory again.
        let taken = unsafe {
            floating.reset();
            sys::ggml_gallocr_reserve(self.galloc.as_ptr(), graph.as_ptr())
                && sys::ggml_gallocr_alloc_graph(self.galloc.as_ptr(), graph.as_ptr())
        };
        if taken {
            self.holder = id;
        }
        taken
    }
}

/// The tensors of a graph that have no storage of their own, with the address that each had before there was any: views of
/// stored tensors have one from the start.
pub(crate) struct Floating(Vec<(NonNull<sys::ggml_tensor>, *mut c_void)>);

impl Floating {
    /// All tensors of a context that was just filled.
    pub(crate) fn of(ctx: &Context) -> Floating {
        let mut found = Vec::new();
        // SAFETY: the context and its tensors are alive.
        unsafe {
            let mut at = sys::ggml_get_first_tensor(ctx.as_ptr());
            while let Some(t) = NonNull::new(at) {
                if (*at).buffer.is_null() {
                    found.push((t, (*at).data));
                }
                at = sys::ggml_get_next_tensor(ctx.as_ptr(), at);
            }
        }
        Floating(found)
    }

    /// Makes them as they were before the graph was given memory.
    ///
    /// # Safety
    /// The tensors are alive, and nobody else reads them meanwhile.
    unsafe fn reset(&self) {
        for &(t, data) in &self.0 {
            // SAFETY: by the caller.
            unsafe {
                ((*t.as_ptr()).buffer, (*t.as_ptr()).data) = (null_mut(), data);
            }
        }
    }
}
