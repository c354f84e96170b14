//! Sixteen rows in AVX-512 with VNNI, and eight in AVX2.

use super::{Quads, Rows};
use crate::simd::lanes::Task;
use half::f16;
use std::arch::x86_64::*;

/// AVX-512 F, BW and VNNI: sums of four products in one instruction.
pub(in crate::quant_gemm) enum Vnni {}

/// AVX2 with FMA and F16C: sums of two products, in 16 bits.
pub(in crate::quant_gemm) enum Avx2 {}

impl Vnni {
    pub(in crate::quant_gemm) fn is_available() -> bool {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vnni")
    }
}

impl Avx2 {
    pub(in crate::quant_gemm) fn is_available() -> bool {
        is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c")
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn with_vnni<T: Task<Vnni>>(task: T) {
    // SAFETY: the caller's word.
    unsafe { task.run() }
}

#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn with_avx2<T: Task<Avx2>>(task: T) {
    // SAFETY: the caller's word.
    unsafe { task.run() }
}

/// Sixteen bytes of row `i` and of every fourth after it.
#[inline(always)]
unsafe fn every_fourth(rows: Rows, i: usize) -> __m512i {
    // SAFETY: the caller's word; no alignment is asked for.
    unsafe {
        let v = _mm512_castsi128_si512(_mm_loadu_si128(rows.row(i).cast()));
        let v = _mm512_inserti32x4::<1>(v, _mm_loadu_si128(rows.row(i + 4).cast()));
        let v = _mm512_inserti32x4::<2>(v, _mm_loadu_si128(rows.row(i + 8).cast()));
        _mm512_inserti32x4::<3>(v, _mm_loadu_si128(rows.row(i + 12).cast()))
    }
}

/// Sixteen bytes of row `i` and of the fourth after it.
#[inline(always)]
unsafe fn two_of_eight(rows: Rows, i: usize) -> __m256i {
    // SAFETY: the caller's word; no alignment is asked for.
    unsafe {
        let v = _mm256_castsi128_si256(_mm_loadu_si128(rows.row(i).cast()));
        _mm256_inserti128_si256::<1>(v, _mm_loadu_si128(rows.row(i + 4).cast()))
    }
}

/// The same function for both: intrinsics whose names differ in the width only.
macro_rules! alike {
    ($bytes:ty, $floats:ty; $and:ident $xor:ident $or:ident $set_byte:ident $shr:ident $shl:ident $slli:ident $srli:ident $srai:ident
     $to_floats:ident $splat:ident $load:ident $store:ident $mul:ident $fma:ident $load_bytes:ident $store_bytes:ident
     $add:ident $sub:ident $to_whole:ident) => {
        #[inline(always)]
        unsafe fn prefetch(src: *const u8) {
            // SAFETY: a hint may name any address; SSE is part of the architecture.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(src.cast()) }
        }

        #[inline(always)]
        unsafe fn load_bytes(src: *const u8) -> $bytes {
            // SAFETY: the caller's word; no alignment is asked for.
            unsafe { $load_bytes(src.cast()) }
        }

        #[inline(always)]
        unsafe fn store_bytes(v: $bytes, dst: *mut u8) {
            // SAFETY: the caller's word; no alignment is asked for.
            unsafe { $store_bytes(dst.cast(), v) }
        }

        #[inline(always)]
        unsafe fn and(v: $bytes, mask: u8) -> $bytes {
            // SAFETY: the caller's word.
            unsafe { $and(v, $set_byte(mask as i8)) }
        }

        #[inline(always)]
        unsafe fn xor(v: $bytes, mask: u8) -> $bytes {
            // SAFETY: the caller's word.
            unsafe { $xor(v, $set_byte(mask as i8)) }
        }

        #[inline(always)]
        unsafe fn or(a: $bytes, b: $bytes) -> $bytes {
            // SAFETY: the caller's word.
            unsafe { $or(a, b) }
        }

        #[inline(always)]
        unsafe fn shr(v: $bytes, bits: i32) -> $bytes {
            // SAFETY: the caller's word.
            unsafe { $shr(v, _mm_cvtsi32_si128(bits)) }
        }

        #[inline(always)]
        unsafe fn shl(v: $bytes, bits: i32) -> $bytes {
            // SAFETY: the caller's word.
            unsafe { $shl(v, _mm_cvtsi32_si128(bits)) }
        }

        #[inline(always)]
        unsafe fn byte(v: $bytes, i: i32) -> $bytes {
            // SAFETY: the caller's word.
            unsafe {
                let top = $slli(v, _mm_cvtsi32_si128(24 - 8 * i));
                $srli(top, _mm_cvtsi32_si128(24))
            }
        }

        #[inline(always)]
        unsafe fn signed_byte(v: $bytes, i: i32) -> $bytes {
            // SAFETY: the caller's word.
            unsafe {
                let top = $slli(v, _mm_cvtsi32_si128(24 - 8 * i));
                $srai(top, _mm_cvtsi32_si128(24))
            }
        }

        #[inline(always)]
        unsafe fn splat(v: f32) -> $floats {
            // SAFETY: the caller's word.
            unsafe { $splat(v) }
        }

        #[inline(always)]
        unsafe fn load(src: *const f32) -> $floats {
            // SAFETY: the caller's word; no alignment is asked for.
            unsafe { $load(src) }
        }

        #[inline(always)]
        unsafe fn store(v: $floats, dst: *mut f32) {
            // SAFETY: the caller's word; no alignment is asked for.
            unsafe { $store(dst, v) }
        }

        #[inline(always)]
        unsafe fn mul(a: $floats, b: $floats) -> $floats {
            // SAFETY: the caller's word.
            unsafe { $mul(a, b) }
        }

        #[inline(always)]
        unsafe fn add_product(sum: $floats, a: $floats, b: $floats) -> $floats {
            // SAFETY: the caller's word.
            unsafe { $fma(a, b, sum) }
        }

        #[inline(always)]
        unsafe fn add(a: $bytes, b: $bytes) -> $bytes {
            // SAFETY: the caller's word.
            unsafe { $add(a, b) }
        }

        #[inline(always)]
        unsafe fn sub(a: $bytes, b: $bytes) -> $bytes {
            // SAFETY: the caller's word.
            unsafe { $sub(a, b) }
        }

        #[inline(always)]
        unsafe fn load_whole(src: *const i32) -> $bytes {
            // SAFETY: the caller's word; no alignment is asked for.
            unsafe { $load_bytes(src.cast()) }
        }

        #[inline(always)]
        unsafe fn store_whole(v: $bytes, dst: *mut i32) {
            // SAFETY: the caller's word; no alignment is asked for.
            unsafe { $store_bytes(dst.cast(), v) }
        }

        #[inline(always)]
        unsafe fn to_floats(v: $bytes) -> $floats {
            // SAFETY: the caller's word.
            unsafe { $to_floats(v) }
        }

        #[inline(always)]
        unsafe fn to_whole(v: $floats) -> $bytes {
            // SAFETY: the caller's word.
            unsafe { $to_whole(v) }
        }
    };
}

impl Quads for Vnni {
    const ROWS: usize = 16;
    const TILE: usize = 8;
    const WIDE: bool = true;
    type Bytes = __m512i;
    type Floats = __m512;
    type Few = __m512i;
    type Whole = __m512i;

    #[inline(always)]
    fn lasts(_: usize, most: usize) -> usize {
        most
    }

    #[inline(always)]
    unsafe fn call<T: Task<Self>>(task: T) {
        // SAFETY: the caller's word.
        unsafe { with_vnni(task) }
    }

    alike! {
        __m512i, __m512; _mm512_and_si512 _mm512_xor_si512 _mm512_or_si512 _mm512_set1_epi8 _mm512_srl_epi16 _mm512_sll_epi16 _mm512_sll_epi32
        _mm512_srl_epi32 _mm512_sra_epi32 _mm512_cvtepi32_ps _mm512_set1_ps _mm512_loadu_ps _mm512_storeu_ps _mm512_mul_ps
        _mm512_fmadd_ps _mm512_loadu_si512 _mm512_storeu_si512 _mm512_add_epi32 _mm512_sub_epi32 _mm512_cvtps_epi32
    }

    /// Squares of 4 x 4 in each quarter, whose rows are neighbours.
    #[inline(always)]
    unsafe fn gather(rows: Rows) -> [__m512i; 4] {
        // SAFETY: the caller's word; no alignment is asked for.
        unsafe {
            let [a, b] = [every_fourth(rows, 0), every_fourth(rows, 1)];
            let [c, d] = [every_fourth(rows, 2), every_fourth(rows, 3)];
            let [ab0, ab1] = [_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b)];
            let [cd0, cd1] = [_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d)];
            [
                _mm512_unpacklo_epi64(ab0, cd0),
                _mm512_unpackhi_epi64(ab0, cd0),
                _mm512_unpacklo_epi64(ab1, cd1),
                _mm512_unpackhi_epi64(ab1, cd1),
            ]
        }
    }

    #[inline(always)]
    unsafe fn halves(v: __m512i) -> [__m512; 2] {
        // SAFETY: the caller's word.
        unsafe {
            let high = _mm512_srli_epi32::<16>(v);
            let [low, high] = [_mm512_cvtepi32_epi16(v), _mm512_cvtepi32_epi16(high)];
            [_mm512_cvtph_ps(low), _mm512_cvtph_ps(high)]
        }
    }

    #[inline(always)]
    unsafe fn load_halves(src: *const f16) -> __m512 {
        // SAFETY: the caller's word; no alignment is asked for.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(src.cast())) }
    }

    #[inline(always)]
    unsafe fn splat_whole(v: i32) -> __m512i {
        // SAFETY: the caller's word.
        unsafe { _mm512_set1_epi32(v) }
    }

    #[inline(always)]
    unsafe fn zero() -> __m512i {
        // SAFETY: the caller's word.
        unsafe { _mm512_setzero_si512() }
    }

    #[inline(always)]
    unsafe fn dot(sums: __m512i, weights: __m512i, column: *const i8) -> __m512i {
        // SAFETY: the caller's word.
        unsafe {
            let four = column.cast::<i32>().read_unaligned();
            _mm512_dpbusd_epi32(sums, weights, _mm512_set1_epi32(four))
        }
    }

    #[inline(always)]
    unsafe fn whole(sums: __m512i) -> __m512i {
        sums
    }

    #[inline(always)]
    unsafe fn factors(v: __m512i) -> __m512i {
        v
    }

    #[inline(always)]
    unsafe fn times(sums: __m512i, factors: __m512i) -> __m512i {
        // SAFETY: the caller's word.
        unsafe { _mm512_mullo_epi32(sums, factors) }
    }
}

impl Quads for Avx2 {
    const ROWS: usize = 8;
    const TILE: usize = 4;
    const WIDE: bool = false;
    type Bytes = __m256i;
    type Floats = __m256;
    type Few = __m256i;
    type Whole = __m256i;

    /// A lane of 16 bits gets two products of at most `127 * largest` at a time.
    #[inline(always)]
    fn lasts(largest: usize, most: usize) -> usize {
        let mut n = most;
        while n * 2 * 127 * largest > i16::MAX as usize {
            n /= 2;
        }
        n
    }

    #[inline(always)]
    unsafe fn call<T: Task<Self>>(task: T) {
        // SAFETY: the caller's word.
        unsafe { with_avx2(task) }
    }

    alike! {
        __m256i, __m256; _mm256_and_si256 _mm256_xor_si256 _mm256_or_si256 _mm256_set1_epi8 _mm256_srl_epi16 _mm256_sll_epi16 _mm256_sll_epi32
        _mm256_srl_epi32 _mm256_sra_epi32 _mm256_cvtepi32_ps _mm256_set1_ps _mm256_loadu_ps _mm256_storeu_ps _mm256_mul_ps
        _mm256_fmadd_ps _mm256_loadu_si256 _mm256_storeu_si256 _mm256_add_epi32 _mm256_sub_epi32 _mm256_cvtps_epi32
    }

    /// Squares of 4 x 4 in each half, whose rows are neighbours.
    #[inline(always)]
    unsafe fn gather(rows: Rows) -> [__m256i; 4] {
        // SAFETY: the caller's word; no alignment is asked for.
        unsafe {
            let [a, b] = [two_of_eight(rows, 0), two_of_eight(rows, 1)];
            let [c, d] = [two_of_eight(rows, 2), two_of_eight(rows, 3)];
            let [ab0, ab1] = [_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b)];
            let [cd0, cd1] = [_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d)];
            [
                _mm256_unpacklo_epi64(ab0, cd0),
                _mm256_unpackhi_epi64(ab0, cd0),
                _mm256_unpacklo_epi64(ab1, cd1),
                _mm256_unpackhi_epi64(ab1, cd1),
            ]
        }
    }

    #[inline(always)]
    unsafe fn halves(v: __m256i) -> [__m256; 2] {
        // SAFETY: the caller's word.
        unsafe {
            let low = _mm256_and_si256(v, _mm256_set1_epi32(0xffff));
            let high = _mm256_srli_epi32::<16>(v);
            // Quarters: four low halves, four high ones, and both again for the other four rows.
            let packed = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi32(low, high));
            let low = _mm256_cvtph_ps(_mm256_castsi256_si128(packed));
            [low, _mm256_cvtph_ps(_mm256_extracti128_si256::<1>(packed))]
        }
    }

    #[inline(always)]
    unsafe fn load_halves(src: *const f16) -> __m256 {
        // SAFETY: the caller's word; no alignment is asked for.
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(src.cast())) }
    }

    #[inline(always)]
    unsafe fn splat_whole(_: i32) -> __m256i {
        unreachable!("sums of 16 bits")
    }

    #[inline(always)]
    unsafe fn zero() -> __m256i {
        // SAFETY: the caller's word.
        unsafe { _mm256_setzero_si256() }
    }

    #[inline(always)]
    unsafe fn dot(sums: __m256i, weights: __m256i, column: *const i8) -> __m256i {
        // SAFETY: the caller's word.
        unsafe {
            let four = column.cast::<i32>().read_unaligned();
            _mm256_add_epi16(sums, _mm256_maddubs_epi16(weights, _mm256_set1_epi32(four)))
        }
    }

    #[inline(always)]
    unsafe fn whole(sums: __m256i) -> __m256i {
        // SAFETY: the caller's word.
        unsafe { _mm256_madd_epi16(sums, _mm256_set1_epi16(1)) }
    }

    /// For both halves of a sum.
    #[inline(always)]
    unsafe fn factors(v: __m256i) -> __m256i {
        // SAFETY: the caller's word.
        unsafe {
            let low = _mm256_and_si256(v, _mm256_set1_epi32(0xffff));
            _mm256_or_si256(low, _mm256_slli_epi32::<16>(v))
        }
    }

    #[inline(always)]
    unsafe fn times(sums: __m256i, factors: __m256i) -> __m256i {
        // SAFETY: the caller's word.
        unsafe { _mm256_madd_epi16(sums, factors) }
    }
}
