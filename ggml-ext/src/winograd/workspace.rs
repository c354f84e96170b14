//! Memory and meeting points of a run.

use super::Error;
use crate::barrier::{Barrier, Counter};
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;
use std::sync::atomic::AtomicUsize;

/// Of a cache line, and of the widest vector.
const ALIGN: usize = 64;

/// Scratch memory for runs, one at a time, of the convolutions that it is large enough for.
/// Untouched pages take no physical memory until the first run.
#[derive(Debug)]
pub struct Workspace {
    floats: NonNull<f32>,
    len: usize,
    /// The pixels around a map: never written, and thus not in the memory that convolutions of
    /// other sizes lay out differently.
    pub(super) zeros: Box<[f32]>,
    pub(super) barrier: Barrier,
    pub(super) teams: Box<[Team]>,
    /// The next panel and slab of the input to be transformed.
    pub(super) next_input: Counter,
    /// The next group of output channels.
    pub(super) next_group: Counter,
}

/// Threads that share transformed weights.
#[derive(Debug, Default)]
pub(super) struct Team {
    pub(super) barrier: Barrier,
    /// The group that the team is at: written by the first member.
    pub(super) group: AtomicUsize,
}

// SAFETY: the memory is owned, and only handed out as a raw pointer; whoever writes through that
// does so under the contract of a run.
unsafe impl Send for Workspace {}
// SAFETY: as above; the rest is atomic.
unsafe impl Sync for Workspace {}

impl Workspace {
    pub(crate) fn new(len: usize, c_in: usize, n_threads: usize) -> Result<Workspace, Error> {
        let layout = layout(len).ok_or(Error::TooLarge)?;
        // SAFETY: the size is not zero, since `layout` rounds up.
        let memory = unsafe { alloc_zeroed(layout) };
        let floats = NonNull::new(memory.cast()).ok_or(Error::Memory { bytes: layout.size() })?;
        Ok(Workspace {
            floats,
            len,
            zeros: vec![0.0; c_in].into(),
            barrier: Barrier::default(),
            teams: (0..n_threads).map(|_| Team::default()).collect(),
            next_input: Counter::default(),
            next_group: Counter::default(),
        })
    }

    /// The memory: zeros before the first run.
    pub(crate) fn floats(&self) -> *mut f32 {
        self.floats.as_ptr()
    }

    /// Number of floats.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Size of the scratch memory.
    pub fn bytes(&self) -> usize {
        (self.len + self.zeros.len()) * size_of::<f32>()
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if let Some(layout) = layout(self.len) {
            // SAFETY: allocated in `new`, with this layout.
            unsafe { dealloc(self.floats.as_ptr().cast(), layout) }
        }
    }
}

fn layout(len: usize) -> Option<Layout> {
    let bytes = len.max(1).checked_mul(size_of::<f32>())?;
    Layout::from_size_align(bytes, ALIGN).ok()
}
