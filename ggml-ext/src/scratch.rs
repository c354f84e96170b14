//! Memory that the threads of a run work on.

use std::cell::UnsafeCell;

/// Floats of a cache line.
pub(crate) const LINE: usize = 16;

/// Floats that begin with a cache line: a vector never lies in two of them, which would take twice as long to load.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(crate) struct Line(#[expect(dead_code, reason = "read as floats")] [f32; LINE]);

/// Memory that grows between runs. In them it is raw, and who reads and writes it answers for that.
#[derive(Debug)]
pub(crate) struct Scratch<T>(UnsafeCell<Vec<T>>);

// SAFETY: shared, it gives nothing but the address, and its length, which nobody changes without a unique borrow.
unsafe impl<T: Send> Sync for Scratch<T> {}

impl<T> Default for Scratch<T> {
    fn default() -> Scratch<T> {
        Scratch(UnsafeCell::default())
    }
}

impl<T: Clone> Scratch<T> {
    /// Makes room for `n`, the new ones as given; all may move.
    pub(crate) fn reserve(&mut self, n: usize, new: T) {
        let all = self.0.get_mut();
        if all.len() < n {
            all.resize(n, new);
        }
    }

    /// The first of them.
    pub(crate) fn first(&self) -> *mut T {
        // SAFETY: nobody resizes without a unique borrow.
        unsafe { (*self.0.get()).as_mut_ptr() }
    }

    pub(crate) fn bytes(&self) -> usize {
        // SAFETY: as above.
        unsafe { (*self.0.get()).len() * size_of::<T>() }
    }
}

impl Scratch<Line> {
    /// Makes room for `n` floats; all may move.
    pub(crate) fn reserve_floats(&mut self, n: usize) {
        self.reserve(n.div_ceil(LINE), Line([0.0; LINE]));
    }

    pub(crate) fn n_floats(&self) -> usize {
        self.bytes() / size_of::<f32>()
    }

    /// The first of them.
    pub(crate) fn floats(&self) -> *mut f32 {
        self.first().cast()
    }
}
