//! What the processor reaches at best: multiply-adds that never leave the registers.

// As in `crate::simd`.
#![allow(clippy::needless_range_loop)]

use crate::simd::isa::ForIsa;
use crate::simd::lanes::{Lanes, MAX, Task};
use crate::simd::{Isa, has_amx};
use std::time::Instant;

/// Sums that are independent of each other: more than a processor has multiply-adds under way.
const SUMS: usize = 12;
/// Of a measurement, some hundred milliseconds.
const ROUNDS: usize = 20_000_000;

/// The instruction sets of this processor that our kernels use.
pub fn instructions() -> String {
    let vectors = format!("{:?}", Isa::detect());
    if has_amx() { vectors + ", Amx" } else { vectors }
}

/// 1e9 operations of single precision a second that `n_threads` threads reach together with the vectors
/// that our kernels use.
pub fn gflops(n_threads: usize) -> f64 {
    let start = Instant::now();
    let flop: f64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..n_threads).map(|_| scope.spawn(|| spin(ROUNDS))).collect();
        threads.into_iter().filter_map(|t| t.join().ok()).sum()
    });
    flop / start.elapsed().as_secs_f64() / 1e9
}

/// Does that many rounds of multiply-adds; gives the number of operations.
pub fn spin(rounds: usize) -> f64 {
    let mut flop = 0.0;
    // SAFETY: the instruction set was detected.
    unsafe { Isa::detect().run(Spin { rounds, flop: &mut flop }) }
    flop
}

struct Spin<'a> {
    rounds: usize,
    flop: &'a mut f64,
}

impl ForIsa for Spin<'_> {
    unsafe fn run<L: Lanes, const MR: usize, const NV: usize>(self) {
        *self.flop = (self.rounds * SUMS * L::N * 2) as f64;
        // SAFETY: the caller's word.
        unsafe { L::call(self) }
    }
}

impl<L: Lanes> Task<L> for Spin<'_> {
    #[inline(always)]
    unsafe fn run(self) {
        let [a, b] = std::hint::black_box([1.0e-3f32, 0.5]);
        // SAFETY: the caller's word.
        unsafe {
            let (a, b) = (L::splat(a), L::splat(b));
            let mut sums = [a; SUMS];
            for _ in 0..self.rounds {
                for i in 0..SUMS {
                    sums[i] = a.add_product(sums[i], b);
                }
            }
            let mut out = [0.0f32; MAX];
            let total = sums.into_iter().fold(a, |t, s| t.add(s));
            total.store(out.as_mut_ptr());
            std::hint::black_box(out);
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn there_is_a_peak() {
        assert!(super::spin(1000) > 0.0);
    }
}
