//! A box whose content is known to C by its address.

use std::ptr::NonNull;

/// Owns a value that does not move, and hands out its address. Unlike with `Box`, moving the owner
/// leaves earlier pointers valid.
pub(crate) struct StableBox<T>(NonNull<T>);

// SAFETY: owns the value as `Box` does.
unsafe impl<T: Send> Send for StableBox<T> {}
// SAFETY: as above; `&self` gives nothing but the address and `&T`.
unsafe impl<T: Sync> Sync for StableBox<T> {}

impl<T> StableBox<T> {
    pub(crate) fn new(value: T) -> StableBox<T> {
        StableBox(NonNull::from(Box::leak(Box::new(value))))
    }

    /// The address; valid as long as the owner lives.
    pub(crate) fn as_ptr(&self) -> *mut T {
        self.0.as_ptr()
    }

    pub(crate) fn get(&self) -> &T {
        // SAFETY: allocated in `new`, freed in `drop`; whoever writes through the pointer has the
        // owner borrowed mutably.
        unsafe { self.0.as_ref() }
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        // SAFETY: as in `get`, and the borrow is unique.
        unsafe { self.0.as_mut() }
    }
}

impl<T> Drop for StableBox<T> {
    fn drop(&mut self) {
        // SAFETY: the pointer came from a leaked Box and is freed once.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}
