//! A matrix times columns, on the threads of a graph.

use crate::DType;

/// A matrix `[n_in, n_out]` times columns `[n_in, n_columns]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Product {
    pub(crate) dtype: DType,
    pub(crate) n_in: usize,
    pub(crate) n_out: usize,
    pub(crate) n_columns: usize,
}

/// A run, as every thread sees it.
#[derive(Clone, Copy)]
pub(crate) struct Run {
    pub(crate) product: Product,
    pub(crate) weights: *const u8,
    pub(crate) columns: *const f32,
    /// `[n_out, n_columns]`
    pub(crate) output: *mut f32,
    pub(crate) ith: usize,
    pub(crate) nth: usize,
}

/// Kernels for some products, with the memory that they share.
pub(crate) trait Gemm {
    /// Whether there is code for it.
    fn is_known(&self, product: &Product) -> bool;

    /// Makes room for a product that is known, on at most `n_threads` threads.
    fn reserve(&mut self, product: &Product, n_threads: usize);

    /// Size of the memory.
    fn bytes(&self) -> usize;

    /// Does the share of thread `ith` of `nth`.
    ///
    /// # Safety
    /// The product is known. Room was reserved for it and for `nth` threads, all of which call this at the same time; nobody
    /// else uses the kernels or the output until they have returned. Weights and columns can be read, and the output
    /// written, in full.
    unsafe fn run(&self, run: Run);
}

/// Runs a product that is known, on threads of its own.
#[cfg(test)]
pub(crate) fn compute(
    gemm: &mut (impl Gemm + Sync),
    product: Product,
    weights: &[u8],
    columns: &[f32],
    n_threads: usize,
) -> Vec<f32> {
    gemm.reserve(&product, n_threads);
    let gemm = &*gemm;
    // What lies behind must stay as it is.
    let n = product.n_out * product.n_columns;
    let mut output = vec![f32::NAN; n + 64];
    let out = output.as_mut_ptr().expose_provenance();
    std::thread::scope(|scope| {
        for ith in 0..n_threads {
            scope.spawn(move || {
                let run = Run {
                    product,
                    weights: weights.as_ptr(),
                    columns: columns.as_ptr(),
                    output: std::ptr::with_exposed_provenance_mut(out),
                    ith,
                    nth: n_threads,
                };
                // SAFETY: all is of the product's sizes, by the test's word, and room was reserved.
                unsafe { gemm.run(run) }
            });
        }
    });
    assert!(output[n..].iter().all(|v| v.is_nan()));
    output.truncate(n);
    output
}
