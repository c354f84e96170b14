//! A flag that stops long computations from another thread.

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Shared flag: clones see the same state. Backends and language-model contexts poll it
/// between graph nodes.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// A token that is not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks whatever runs under this token to stop. Async-signal-safe.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Makes the token usable again.
    pub fn reset(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// Whether [`CancelToken::cancel`] was called since the last reset.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The pointer that [`poll_cancelled`] expects; valid while `self` or a clone lives.
    pub(crate) fn as_user_data(&self) -> *mut c_void {
        Arc::as_ptr(&self.0).cast_mut().cast()
    }
}

/// ggml's abort callback over [`CancelToken::as_user_data`].
pub(crate) unsafe extern "C" fn poll_cancelled(data: *mut c_void) -> bool {
    // SAFETY: every registration passes `as_user_data` of a token that is stored beside the
    // handle on which the callback is registered, so the AtomicBool outlives the call.
    unsafe { (*data.cast::<AtomicBool>()).load(Ordering::Relaxed) }
}
