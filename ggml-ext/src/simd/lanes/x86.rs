//! Sixteen lanes of AVX-512F, and eight of AVX2 with FMA and F16C.

use super::{Lanes, MAX, Task};
use half::{bf16, f16};
use std::arch::x86_64::*;

/// Sixteen values. Exists only where the processor has AVX-512F; if what is multiplied are pairs, AVX-512BW and AVX512_BF16, too.
#[derive(Clone, Copy)]
pub(crate) struct Vector512<const PAIRS: bool>(pub(crate) __m512);

/// Sixteen values.
pub(crate) type Avx512 = Vector512<false>;

/// Sixteen sums, or factors: [`Lanes::add_product`] takes two `bf16`s from each lane of both factors, and adds both products. Everything
/// else moves or adds lanes as they are.
pub(crate) type Avx512Pairs = Vector512<true>;

/// Eight values. Exists only where the processor has AVX2, FMA and F16C.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(__m256);

#[target_feature(enable = "avx512f")]
unsafe fn with_avx512<L, T: Task<L>>(task: T) {
    // SAFETY: the caller's word.
    unsafe { task.run() }
}

#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn with_avx512_bf16<L, T: Task<L>>(task: T) {
    // SAFETY: the caller's word.
    unsafe { task.run() }
}

#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn with_avx2<T: Task<Avx2>>(task: T) {
    // SAFETY: the caller's word.
    unsafe { task.run() }
}

impl<const PAIRS: bool> Lanes for Vector512<PAIRS> {
    const N: usize = 16;

    #[inline(always)]
    unsafe fn call<T: Task<Self>>(task: T) {
        // SAFETY: the caller's word.
        unsafe { if PAIRS { with_avx512_bf16(task) } else { with_avx512(task) } }
    }

    #[inline(always)]
    unsafe fn splat(v: f32) -> Self {
        // SAFETY: the caller's word.
        Self(unsafe { _mm512_set1_ps(v) })
    }

    #[inline(always)]
    unsafe fn load(src: *const f32) -> Self {
        // SAFETY: the caller's word; no alignment is asked for.
        Self(unsafe { _mm512_loadu_ps(src) })
    }

    #[inline(always)]
    unsafe fn load_f16(src: *const f16) -> Self {
        // SAFETY: the caller's word; no alignment is asked for.
        Self(unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(src.cast())) })
    }

    #[inline(always)]
    unsafe fn load_bf16(src: *const bf16) -> Self {
        // SAFETY: the caller's word; no alignment is asked for.
        unsafe {
            let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(src.cast()));
            Self(_mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide)))
        }
    }

    #[inline(always)]
    unsafe fn store(self, dst: *mut f32) {
        // SAFETY: the caller's word; no alignment is asked for.
        unsafe { _mm512_storeu_ps(dst, self.0) }
    }

    #[inline(always)]
    unsafe fn stream(self, dst: *mut f32) {
        // SAFETY: the caller's word.
        unsafe { _mm512_stream_ps(dst, self.0) }
    }

    #[inline(always)]
    fn fence() {
        // SAFETY: SSE is part of the architecture.
        unsafe { _mm_sfence() }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: a value exists, hence AVX-512F does.
        Self(unsafe { _mm512_add_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        // SAFETY: a value exists, hence AVX-512F does.
        Self(unsafe { _mm512_sub_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        // SAFETY: a value exists, hence AVX-512F does.
        Self(unsafe { _mm512_mul_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn relu(self) -> Self {
        // The second operand is what the instruction gives for values that are not numbers.
        // SAFETY: a value exists, hence AVX-512F does.
        Self(unsafe { _mm512_max_ps(self.0, _mm512_setzero_ps()) })
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        // The second operand is what the instruction gives for values that are not numbers.
        // SAFETY: a value exists, hence AVX-512F does.
        Self(unsafe { _mm512_max_ps(other.0, self.0) })
    }

    #[inline(always)]
    fn times_two_to(self, n: Self) -> Self {
        // SAFETY: a value exists, hence AVX-512F does.
        Self(unsafe {
            let exponent = _mm512_slli_epi32::<23>(_mm512_castps_si512(n.0));
            let power = _mm512_add_epi32(exponent, _mm512_set1_epi32(1f32.to_bits() as i32));
            _mm512_mul_ps(self.0, _mm512_castsi512_ps(power))
        })
    }

    #[inline(always)]
    fn add_product(self, a: Self, b: Self) -> Self {
        // SAFETY: a value exists, hence the instructions do; a lane is as long as a pair.
        Self(unsafe {
            if PAIRS {
                let [a, b] = std::mem::transmute::<[__m512; 2], [__m512bh; 2]>([a.0, b.0]);
                _mm512_dpbf16_ps(self.0, a, b)
            } else {
                _mm512_fmadd_ps(a.0, b.0, self.0)
            }
        })
    }

    /// Squares of 4 x 4 first, one in each quarter of the vectors, then the quarters.
    #[inline(always)]
    fn transpose(rows: &mut [Self; MAX]) {
        for g in 0..4 {
            let [a, b] = [rows[4 * g].0, rows[4 * g + 1].0];
            let [c, d] = [rows[4 * g + 2].0, rows[4 * g + 3].0];
            // SAFETY: values exist, hence AVX-512F does.
            unsafe {
                let ab0 = _mm512_castps_pd(_mm512_unpacklo_ps(a, b));
                let ab1 = _mm512_castps_pd(_mm512_unpackhi_ps(a, b));
                let cd0 = _mm512_castps_pd(_mm512_unpacklo_ps(c, d));
                let cd1 = _mm512_castps_pd(_mm512_unpackhi_ps(c, d));
                rows[4 * g] = Self(_mm512_castpd_ps(_mm512_unpacklo_pd(ab0, cd0)));
                rows[4 * g + 1] = Self(_mm512_castpd_ps(_mm512_unpackhi_pd(ab0, cd0)));
                rows[4 * g + 2] = Self(_mm512_castpd_ps(_mm512_unpacklo_pd(ab1, cd1)));
                rows[4 * g + 3] = Self(_mm512_castpd_ps(_mm512_unpackhi_pd(ab1, cd1)));
            }
        }
        for k in 0..4 {
            let [a, b, c, d] = [rows[k].0, rows[k + 4].0, rows[k + 8].0, rows[k + 12].0];
            // SAFETY: values exist, hence AVX-512F does.
            unsafe {
                let ab_even = _mm512_shuffle_f32x4::<0x88>(a, b);
                let ab_odd = _mm512_shuffle_f32x4::<0xdd>(a, b);
                let cd_even = _mm512_shuffle_f32x4::<0x88>(c, d);
                let cd_odd = _mm512_shuffle_f32x4::<0xdd>(c, d);
                rows[k] = Self(_mm512_shuffle_f32x4::<0x88>(ab_even, cd_even));
                rows[k + 4] = Self(_mm512_shuffle_f32x4::<0x88>(ab_odd, cd_odd));
                rows[k + 8] = Self(_mm512_shuffle_f32x4::<0xdd>(ab_even, cd_even));
                rows[k + 12] = Self(_mm512_shuffle_f32x4::<0xdd>(ab_odd, cd_odd));
            }
        }
    }

    /// Adds up within quarters of the vectors first, four rows side by side, then the quarters.
    #[inline(always)]
    fn lane_sums(rows: &[Self; MAX]) -> Self {
        let mut fours = [rows[0].0; 4];
        for g in 0..4 {
            let [a, b] = [rows[4 * g].0, rows[4 * g + 1].0];
            let [c, d] = [rows[4 * g + 2].0, rows[4 * g + 3].0];
            // SAFETY: values exist, hence AVX-512F does.
            unsafe {
                let ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
                let cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
                let [ab, cd] = [_mm512_castps_pd(ab), _mm512_castps_pd(cd)];
                let [lo, hi] = [_mm512_unpacklo_pd(ab, cd), _mm512_unpackhi_pd(ab, cd)];
                fours[g] = _mm512_add_ps(_mm512_castpd_ps(lo), _mm512_castpd_ps(hi));
            }
        }
        // SAFETY: values exist, hence AVX-512F does.
        unsafe {
            for pairs in [2, 1] {
                for i in 0..pairs {
                    let [a, b] = [fours[2 * i], fours[2 * i + 1]];
                    let even = _mm512_shuffle_f32x4::<0x88>(a, b);
                    fours[i] = _mm512_add_ps(even, _mm512_shuffle_f32x4::<0xdd>(a, b));
                }
            }
            Self(fours[0])
        }
    }

    #[inline(always)]
    fn prefetch(src: *const f32) {
        // SAFETY: every x86-64 processor has the instruction; it does not access memory.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(src.cast()) }
    }
}

impl Lanes for Avx2 {
    const N: usize = 8;

    #[inline(always)]
    unsafe fn call<T: Task<Self>>(task: T) {
        // SAFETY: the caller's word.
        unsafe { with_avx2(task) }
    }

    #[inline(always)]
    unsafe fn splat(v: f32) -> Self {
        // SAFETY: the caller's word.
        Avx2(unsafe { _mm256_set1_ps(v) })
    }

    #[inline(always)]
    unsafe fn load(src: *const f32) -> Self {
        // SAFETY: the caller's word; no alignment is asked for.
        Avx2(unsafe { _mm256_loadu_ps(src) })
    }

    #[inline(always)]
    unsafe fn load_f16(src: *const f16) -> Self {
        // SAFETY: the caller's word; no alignment is asked for.
        Avx2(unsafe { _mm256_cvtph_ps(_mm_loadu_si128(src.cast())) })
    }

    #[inline(always)]
    unsafe fn load_bf16(src: *const bf16) -> Self {
        // SAFETY: the caller's word; no alignment is asked for.
        unsafe {
            let wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(src.cast()));
            Avx2(_mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide)))
        }
    }

    #[inline(always)]
    unsafe fn store(self, dst: *mut f32) {
        // SAFETY: the caller's word; no alignment is asked for.
        unsafe { _mm256_storeu_ps(dst, self.0) }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: a value exists, hence AVX2 does.
        Avx2(unsafe { _mm256_add_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        // SAFETY: a value exists, hence AVX2 does.
        Avx2(unsafe { _mm256_sub_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        // SAFETY: a value exists, hence AVX2 does.
        Avx2(unsafe { _mm256_mul_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn relu(self) -> Self {
        // The second operand is what the instruction gives for values that are not numbers.
        // SAFETY: a value exists, hence AVX2 does.
        Avx2(unsafe { _mm256_max_ps(self.0, _mm256_setzero_ps()) })
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        // The second operand is what the instruction gives for values that are not numbers.
        // SAFETY: a value exists, hence AVX2 does.
        Avx2(unsafe { _mm256_max_ps(other.0, self.0) })
    }

    #[inline(always)]
    fn times_two_to(self, n: Self) -> Self {
        // SAFETY: a value exists, hence AVX2 does.
        Avx2(unsafe {
            let exponent = _mm256_slli_epi32::<23>(_mm256_castps_si256(n.0));
            let power = _mm256_add_epi32(exponent, _mm256_set1_epi32(1f32.to_bits() as i32));
            _mm256_mul_ps(self.0, _mm256_castsi256_ps(power))
        })
    }

    #[inline(always)]
    fn add_product(self, a: Self, b: Self) -> Self {
        // SAFETY: a value exists, hence FMA does.
        Avx2(unsafe { _mm256_fmadd_ps(a.0, b.0, self.0) })
    }

    /// Squares of 4 x 4 first, one in each half of the vectors, then the halves.
    #[inline(always)]
    fn transpose(rows: &mut [Self; MAX]) {
        for g in 0..2 {
            let [a, b] = [rows[4 * g].0, rows[4 * g + 1].0];
            let [c, d] = [rows[4 * g + 2].0, rows[4 * g + 3].0];
            // SAFETY: values exist, hence AVX2 does.
            unsafe {
                let ab0 = _mm256_castps_pd(_mm256_unpacklo_ps(a, b));
                let ab1 = _mm256_castps_pd(_mm256_unpackhi_ps(a, b));
                let cd0 = _mm256_castps_pd(_mm256_unpacklo_ps(c, d));
                let cd1 = _mm256_castps_pd(_mm256_unpackhi_ps(c, d));
                rows[4 * g] = Avx2(_mm256_castpd_ps(_mm256_unpacklo_pd(ab0, cd0)));
                rows[4 * g + 1] = Avx2(_mm256_castpd_ps(_mm256_unpackhi_pd(ab0, cd0)));
                rows[4 * g + 2] = Avx2(_mm256_castpd_ps(_mm256_unpacklo_pd(ab1, cd1)));
                rows[4 * g + 3] = Avx2(_mm256_castpd_ps(_mm256_unpackhi_pd(ab1, cd1)));
            }
        }
        for k in 0..4 {
            let [a, b] = [rows[k].0, rows[k + 4].0];
            // SAFETY: values exist, hence AVX2 does.
            unsafe {
                rows[k] = Avx2(_mm256_permute2f128_ps::<0x20>(a, b));
                rows[k + 4] = Avx2(_mm256_permute2f128_ps::<0x31>(a, b));
            }
        }
    }

    /// Adds up within halves of the vectors first, four rows side by side, then the halves.
    #[inline(always)]
    fn lane_sums(rows: &[Self; MAX]) -> Self {
        let mut fours = [rows[0].0; 2];
        for g in 0..2 {
            let [a, b] = [rows[4 * g].0, rows[4 * g + 1].0];
            let [c, d] = [rows[4 * g + 2].0, rows[4 * g + 3].0];
            // SAFETY: values exist, hence AVX2 does.
            unsafe {
                let ab = _mm256_add_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
                let cd = _mm256_add_ps(_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
                let [ab, cd] = [_mm256_castps_pd(ab), _mm256_castps_pd(cd)];
                let [lo, hi] = [_mm256_unpacklo_pd(ab, cd), _mm256_unpackhi_pd(ab, cd)];
                fours[g] = _mm256_add_ps(_mm256_castpd_ps(lo), _mm256_castpd_ps(hi));
            }
        }
        let [a, b] = fours;
        // SAFETY: values exist, hence AVX2 does.
        Avx2(unsafe {
            let low = _mm256_permute2f128_ps::<0x20>(a, b);
            _mm256_add_ps(low, _mm256_permute2f128_ps::<0x31>(a, b))
        })
    }

    #[inline(always)]
    fn prefetch(src: *const f32) {
        // SAFETY: every x86-64 processor has the instruction; it does not access memory.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(src.cast()) }
    }
}
