//! Rows of `bf16` on processors that multiply pairs of them, at twice the rate of single precision.
//!
//! Columns are rounded to `bf16` first, as ggml does there. A row of pairs is then moved like one of half as many floats, and only the
//! multiplication knows the difference.

use super::{Share, Typed};
use crate::DType;
use crate::product::{Product, Run};
use crate::simd::Isa;
use crate::simd::isa::Micro;
use crate::simd::lanes::Task;
use crate::simd::lanes::x86::Avx512Pairs;
use half::bf16;
use std::arch::x86_64::*;

/// Values that are rounded at a time.
const STEP: usize = 32;

/// The inner loop's shape, which is AVX-512's.
const MICRO: Micro = Isa::Avx512.micro();

pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512bf16")
}

/// The product of pairs in place of floats.
fn halved(product: &Product) -> Product {
    Product { dtype: DType::F32, n_in: product.n_in / 2, ..*product }
}

/// A thread's share of a run.
pub(super) struct OnPairs<'a>(pub(super) Typed<'a, f32>);

impl Task<Avx512Pairs> for OnPairs<'_> {
    #[inline(always)]
    unsafe fn run(self) {
        let Typed { run, room, .. } = self.0;
        let Run { product, ith, nth, .. } = run;
        let rounded = room.rounded.floats();
        let n = product.n_in * product.n_columns;
        for start in (ith * STEP..n).step_by(nth * STEP) {
            // SAFETY: the caller's word; there is room for all values, and each thread writes others. None reads them before the first
            // barrier of its share.
            unsafe { round(run.columns.add(start), rounded.cast::<bf16>().add(start), n - start) };
        }
        let run = Run { product: halved(&product), columns: rounded, ..run };
        // SAFETY: the caller's word.
        unsafe {
            let share = Share::<f32, { MICRO.tiles }, { MICRO.vectors }>(Typed::new(run, room));
            Task::<Avx512Pairs>::run(share);
        }
    }
}

/// Rounds up to `STEP` of `n` values.
///
/// # Safety
/// The processor has AVX512_BF16; that much can be read and written.
#[inline(always)]
unsafe fn round(from: *const f32, to: *mut bf16, n: usize) {
    // SAFETY: the caller's word; the masks leave out what does not exist.
    unsafe {
        let mask = u32::MAX >> (STEP - n.min(STEP));
        let low = _mm512_maskz_loadu_ps(mask as u16, from);
        let high = _mm512_maskz_loadu_ps((mask >> 16) as u16, from.wrapping_add(STEP / 2));
        let pairs = _mm512_cvtne2ps_pbh(high, low);
        _mm512_mask_storeu_epi16(to.cast(), mask, std::mem::transmute::<__m512bh, __m512i>(pairs));
    }
}
