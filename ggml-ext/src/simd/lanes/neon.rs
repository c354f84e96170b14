//! Four lanes of NEON.

use super::{Lanes, MAX, Task};
use half::f16;
use std::arch::aarch64::*;
use std::arch::asm;

/// Four values. Exists only where the processor has NEON.
#[derive(Clone, Copy)]
pub(crate) struct Neon(float32x4_t);

#[target_feature(enable = "neon")]
unsafe fn with_neon<T: Task<Neon>>(task: T) {
    // SAFETY: the caller's word.
    unsafe { task.run() }
}

impl Lanes for Neon {
    const N: usize = 4;

    #[inline(always)]
    unsafe fn call<T: Task<Self>>(task: T) {
        // SAFETY: the caller's word.
        unsafe { with_neon(task) }
    }

    #[inline(always)]
    unsafe fn splat(v: f32) -> Self {
        // SAFETY: the caller's word.
        Neon(unsafe { vdupq_n_f32(v) })
    }

    #[inline(always)]
    unsafe fn load(src: *const f32) -> Self {
        // SAFETY: the caller's word.
        Neon(unsafe { vld1q_f32(src) })
    }

    #[inline(always)]
    unsafe fn load_f16(src: *const f16) -> Self {
        let wide;
        // Every 64-bit Arm has the instruction, but not yet every compiler a function for it.
        // SAFETY: the caller's word; four values are read, at any alignment.
        unsafe {
            asm!(
                "ldr {four:d}, [{src}]",
                "fcvtl {wide:v}.4s, {four:v}.4h",
                src = in(reg) src,
                four = out(vreg) _,
                wide = lateout(vreg) wide,
                options(pure, readonly, nostack, preserves_flags),
            );
        }
        Neon(wide)
    }

    #[inline(always)]
    unsafe fn store(self, dst: *mut f32) {
        // SAFETY: the caller's word; a value exists, hence NEON does.
        unsafe { vst1q_f32(dst, self.0) }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: a value exists, hence NEON does.
        Neon(unsafe { vaddq_f32(self.0, other.0) })
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        // SAFETY: a value exists, hence NEON does.
        Neon(unsafe { vsubq_f32(self.0, other.0) })
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        // SAFETY: a value exists, hence NEON does.
        Neon(unsafe { vmulq_f32(self.0, other.0) })
    }

    #[inline(always)]
    fn relu(self) -> Self {
        // Not the larger of two numbers: of a signalling NaN, that is a quiet one instead of zero.
        // SAFETY: a value exists, hence NEON does.
        Neon(unsafe {
            let positive = vcgtzq_f32(self.0);
            vreinterpretq_f32_u32(vandq_u32(positive, vreinterpretq_u32_f32(self.0)))
        })
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        // Not the larger of two numbers, which is none if either is none.
        // SAFETY: a value exists, hence NEON does.
        Neon(unsafe { vbslq_f32(vcgtq_f32(other.0, self.0), other.0, self.0) })
    }

    #[inline(always)]
    fn times_two_to(self, n: Self) -> Self {
        // SAFETY: a value exists, hence NEON does.
        Neon(unsafe {
            let exponent = vshlq_n_u32::<23>(vreinterpretq_u32_f32(n.0));
            let power = vaddq_u32(exponent, vdupq_n_u32(1f32.to_bits()));
            vmulq_f32(self.0, vreinterpretq_f32_u32(power))
        })
    }

    #[inline(always)]
    fn add_product(self, a: Self, b: Self) -> Self {
        // SAFETY: a value exists, hence NEON does.
        Neon(unsafe { vfmaq_f32(self.0, a.0, b.0) })
    }

    #[inline(always)]
    fn transpose(rows: &mut [Self; MAX]) {
        let [a, b, c, d] = [rows[0].0, rows[1].0, rows[2].0, rows[3].0];
        // SAFETY: values exist, hence NEON does.
        unsafe {
            let (ab0, ab1) = (vzip1q_f32(a, b), vzip2q_f32(a, b));
            let (cd0, cd1) = (vzip1q_f32(c, d), vzip2q_f32(c, d));
            rows[0] = Neon(vcombine_f32(vget_low_f32(ab0), vget_low_f32(cd0)));
            rows[1] = Neon(vcombine_f32(vget_high_f32(ab0), vget_high_f32(cd0)));
            rows[2] = Neon(vcombine_f32(vget_low_f32(ab1), vget_low_f32(cd1)));
            rows[3] = Neon(vcombine_f32(vget_high_f32(ab1), vget_high_f32(cd1)));
        }
    }

    #[inline(always)]
    fn lane_sums(rows: &[Self; MAX]) -> Self {
        // SAFETY: values exist, hence NEON does.
        Neon(unsafe {
            let ab = vpaddq_f32(rows[0].0, rows[1].0);
            let cd = vpaddq_f32(rows[2].0, rows[3].0);
            vpaddq_f32(ab, cd)
        })
    }
}
