//! What one thread of a run does: groups of output channels, all levels of each.

use super::combine::{Combine, MAX_VECTORS};
use super::products::{Multiply, Weights};
use super::{Conv, Moments};
use crate::simd::Kernel;
use crate::simd::isa::ForIsa;
use crate::simd::kernel::{Element, TAPS};
use crate::simd::lanes::{Lanes, MAX, is_streamed};

/// What a run reads and writes: the same for all threads.
#[derive(Debug)]
pub struct Job<'a> {
    /// The packed grids, see [`Conv::pack`].
    pub packed: &'a [f32],
    /// The kernel.
    pub kernel: Kernel<'a>,
    /// All levels' pixels, `[C_out]` each.
    pub y: *mut [f32],
    /// Their sums per level and channel, `[level][C_out]`.
    pub moments: *mut [Moments],
}

impl Conv {
    /// Does the share of thread `ith` of `nth`: groups of output channels. Threads do not wait for each other.
    ///
    /// # Safety
    /// * Each `ith` below `nth` runs once, with the same job (or jobs of equal parts).
    /// * Until all have returned, no other run of this convolution begins, and nobody else accesses
    ///   what the job writes, which is valid to write.
    ///
    /// # Panics
    /// If a length does not fit, or `nth` is more than was planned for.
    pub unsafe fn run(&self, job: &Job<'_>, ith: usize, nth: usize) {
        let s = &self.shape;
        assert!(
            ith < nth && nth * self.scratch_len <= self.scratch.n_floats(),
            "thread {ith} of {nth}"
        );
        assert_eq!(job.packed.len(), self.packed_len(), "length of the grids");
        assert_eq!(job.kernel.len(), TAPS * s.c_in * s.c_out, "length of the kernel");
        assert_eq!(job.y.len(), self.n_pixels() * s.c_out, "length of y");
        assert_eq!(job.moments.len(), self.levels.len() * s.c_out, "length of the moments");
        // SAFETY: the instruction set was checked; the rest is the caller's word, and above.
        unsafe {
            match job.kernel {
                Kernel::F32(kernel) => self.isa.run(Share { conv: self, job, kernel, ith, nth }),
                Kernel::F16(kernel) => self.isa.run(Share { conv: self, job, kernel, ith, nth }),
                Kernel::Bf16(kernel) => self.isa.run(Share { conv: self, job, kernel, ith, nth }),
            }
        }
    }
}

struct Share<'a, E> {
    conv: &'a Conv,
    job: &'a Job<'a>,
    kernel: &'a [E],
    ith: usize,
    nth: usize,
}

impl<E: Element> ForIsa for Share<'_, E> {
    unsafe fn run<L: Lanes, const MR: usize, const NV: usize>(self) {
        let outs = NV * L::N;
        debug_assert_eq!([MR, outs], [self.conv.shape.tiles, self.conv.shape.outs]);
        let n_groups = self.conv.shape.c_out.div_ceil(outs);
        for group in (self.ith..n_groups).step_by(self.nth) {
            // SAFETY: each group is one thread's.
            unsafe { self.group::<L, MR, NV>(group * outs) }
        }
    }
}

impl<E: Element> Share<'_, E> {
    /// # Safety
    /// Nobody else makes these output channels; the processor has the instruction set.
    unsafe fn group<L: Lanes, const MR: usize, const NV: usize>(&self, first_out: usize) {
        let (conv, shape) = (self.conv, &self.conv.shape);
        // SAFETY: scratch memory of this thread alone, as long as `Planned::scratch` says; each of
        // the three parts begins where the one before ends. Lengths of the job were checked.
        unsafe {
            let weights = conv.scratch.floats().add(self.ith * conv.scratch_len);
            let products = weights.add(shape.weights());
            let task = Weights::<E, NV> {
                kernel: self.kernel,
                channels: [shape.c_in, shape.c_out],
                first_out,
                dst: weights,
            };
            L::call(task);
            for (l, level) in conv.levels.iter().enumerate() {
                for (p, part) in level.parts.iter().enumerate() {
                    L::call(Multiply::<MR, NV> {
                        shape,
                        first: part.first,
                        first_in: part.first_in,
                        n: part.n,
                        packed: self.job.packed.as_ptr().add(part.grid * shape.packed()),
                        weights,
                        to: products.add(p * shape.products()),
                    });
                }
                let n_products = level.parts.len() * shape.products();
                let mut sums = [[0.0; 2]; MAX_VECTORS * MAX];
                let task = Combine::<NV> {
                    shape,
                    level,
                    products,
                    rows: products.add(n_products),
                    y: self.job.y.cast(),
                    streamed: is_streamed(self.job.y, shape.c_out),
                    first_out,
                    sums: &mut sums,
                };
                L::call(task);
                self.store_moments(&sums, l, first_out);
            }
        }
    }

    /// # Safety
    /// Nobody else makes these output channels.
    unsafe fn store_moments(&self, sums: &[[f64; 2]], level: usize, first_out: usize) {
        let shape = &self.conv.shape;
        let n = shape.outs.min(shape.c_out - first_out);
        let moments = self.job.moments.cast::<Moments>();
        for (i, &[sum, sum_sq]) in sums.iter().enumerate().take(n) {
            // SAFETY: level and channel exist, and the length was checked.
            unsafe { *moments.add(level * shape.c_out + first_out + i) = Moments { sum, sum_sq } }
        }
    }
}
