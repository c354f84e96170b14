//! For processors that we have no products of quantised matrices for.

use crate::product::{Gemm, Product, Run};

/// There are none.
pub(crate) enum Quants {}

impl Quants {
    /// `None`.
    pub(crate) fn new() -> Option<Quants> {
        None
    }
}

impl Gemm for Quants {
    fn is_known(&self, _product: &Product) -> bool {
        match *self {}
    }

    fn reserve(&mut self, _product: &Product, _n_threads: usize) {
        match *self {}
    }

    fn bytes(&self) -> usize {
        match *self {}
    }

    unsafe fn run(&self, _run: Run) {
        match *self {}
    }
}
