//! Four lanes in plain Rust: what every processor can run, and what the compiler makes of it.

use super::{Lanes, MAX, Task};

/// Four values.
#[derive(Clone, Copy)]
pub(crate) struct Portable([f32; 4]);

impl Portable {
    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        let ([a, b, c, d], [e, g, h, i]) = (self.0, other.0);
        Portable([f(a, e), f(b, g), f(c, h), f(d, i)])
    }
}

impl Lanes for Portable {
    const N: usize = 4;

    #[inline(always)]
    unsafe fn call<T: Task<Self>>(task: T) {
        // SAFETY: the caller's word.
        unsafe { task.run() }
    }

    #[inline(always)]
    unsafe fn splat(v: f32) -> Self {
        Portable([v; 4])
    }

    #[inline(always)]
    unsafe fn load(src: *const f32) -> Self {
        // SAFETY: four values can be read, by the caller's word; arrays are aligned as elements.
        Portable(unsafe { *src.cast::<[f32; 4]>() })
    }

    #[inline(always)]
    unsafe fn store(self, dst: *mut f32) {
        // SAFETY: four values can be written, by the caller's word; arrays are aligned as elements.
        unsafe { *dst.cast::<[f32; 4]>() = self.0 }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }

    #[inline(always)]
    fn relu(self) -> Self {
        Portable(self.0.map(|v| if v > 0.0 { v } else { 0.0 }))
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if b > a { b } else { a })
    }

    #[inline(always)]
    fn times_two_to(self, n: Self) -> Self {
        self.zip(n, |a, n| a * f32::from_bits((n.to_bits() << 23).wrapping_add(1f32.to_bits())))
    }

    #[inline(always)]
    fn add_product(self, a: Self, b: Self) -> Self {
        // Not `mul_add`, which is a library call where the processor has no such instruction.
        self.add(a.mul(b))
    }

    #[inline(always)]
    fn transpose(rows: &mut [Self; MAX]) {
        for i in 0..4 {
            for j in 0..i {
                let v = rows[i].0[j];
                rows[i].0[j] = rows[j].0[i];
                rows[j].0[i] = v;
            }
        }
    }

    #[inline(always)]
    fn lane_sums(rows: &[Self; MAX]) -> Self {
        let mut sums = [0.0; 4];
        for i in 0..4 {
            let [a, b, c, d] = rows[i].0;
            sums[i] = (a + c) + (b + d);
        }
        Portable(sums)
    }
}
