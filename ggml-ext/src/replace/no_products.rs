//! For processors that we have no products for.

use crate::{Result, sys};

/// There are none.
pub(crate) enum Products {}

impl Products {
    /// `None`.
    ///
    /// # Errors
    /// None; those of other processors' are of memory.
    pub(crate) fn new(_n_threads: usize) -> Result<Option<Products>> {
        Ok(None)
    }

    pub(crate) fn bytes(&self) -> usize {
        match *self {}
    }

    /// # Safety
    /// Never called.
    pub(crate) unsafe fn replace(&mut self, _node: *mut sys::ggml_tensor) {
        match *self {}
    }
}
