//! With AVX-512 and VNNI, or AVX2.

use super::{Filter, LANES, Planes, Portable, QUAD, Quad, Sums, Variant, Words};
use crate::simd::lanes::Lanes;
use crate::simd::lanes::x86::Avx512;
use std::arch::x86_64::*;
use std::ops::Range;

/// AVX-512 F, BW and VNNI: used only where the processor has them.
struct Vnni;

pub(super) fn has_vnni() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vnni")
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn run_vnni(f: &Filter, rows: &[&[u8]], used: &[Range<usize>], out: &mut [u8]) {
    f.run_on::<Vnni>(rows, used, out);
}

/// Three times as fast as without those instructions, in a build for any processor.
#[target_feature(enable = "avx2")]
pub(super) fn run_avx2(f: &Filter, rows: &[&[u8]], used: &[Range<usize>], out: &mut [u8]) {
    f.run_on::<Portable>(rows, used, out);
}

impl Variant for Vnni {
    /// As many words of a lane as there are lanes at a time: bits, as floats.
    #[inline(always)]
    fn turn(planes: &Planes, words: &mut [Words]) {
        for c in 0..3 {
            for (i, words) in words.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
                // SAFETY: the processor has the instructions. A plane has as many bytes as there are words of four, and words
                // are as long as a vector.
                unsafe {
                    let mut square = [Avx512::splat(0.0); LANES];
                    for (lane, v) in square.iter_mut().enumerate() {
                        let bytes = &planes.plane(lane, c)[i * LANES * QUAD..][..LANES * QUAD];
                        *v = Avx512::load(bytes.as_ptr().cast());
                    }
                    Avx512::transpose(&mut square);
                    for (v, words) in square.iter().zip(words) {
                        v.store(words[c].as_mut_ptr().cast());
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn sums(words: &[Words], quads: &[Quad]) -> Sums {
        // SAFETY: the processor has the instructions; words and sums are as long as a vector, at any alignment.
        unsafe {
            let mut parts = [[_mm512_setzero_si512(); 3]; 3];
            for (words, quad) in words.iter().zip(quads) {
                let bytes = quad.bytes.map(|bytes| _mm512_set1_epi32(bytes));
                for (parts, words) in parts.iter_mut().zip(words) {
                    let words = _mm512_loadu_si512(words.as_ptr().cast());
                    for (part, bytes) in parts.iter_mut().zip(bytes) {
                        *part = _mm512_dpbusd_epi32(*part, words, bytes);
                    }
                }
            }
            parts.map(|[low, middle, high]| {
                let high = _mm512_add_epi32(_mm512_slli_epi32::<8>(high), middle);
                let sum = _mm512_add_epi32(_mm512_slli_epi32::<8>(high), low);
                let mut sums = [0; LANES];
                _mm512_storeu_si512(sums.as_mut_ptr().cast(), sum);
                sums
            })
        }
    }
}
