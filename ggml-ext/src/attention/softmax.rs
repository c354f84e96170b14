//! From scores to weights.

use super::Order;
use crate::simd::lanes::{Lanes, MAX, load_first, store_first};
use half::f16;

/// The scores of what is all but zero. `exp` of less would not be a normal number.
const LEAST: f32 = -87.0;

/// Adds what a mask holds besides zero and -inf to the scores of the query whose bit is `bit`.
///
/// # Safety
/// As many scores as cells are seen, `n_kv` marks, and as many values of the mask can be read.
#[inline(always)]
pub(super) unsafe fn add_mask(
    scores: *mut f32,
    seen: *const u8,
    bit: u8,
    mask: *const f16,
    order: Order,
    n_kv: usize,
) {
    // SAFETY: the caller's word.
    unsafe {
        let mask = std::slice::from_raw_parts(mask, n_kv);
        let mut odd = 0;
        for c in 0..n_kv {
            let bits = mask[c].to_bits();
            // Of zero and -inf nothing is left.
            let one = if bits == f16::NEG_INFINITY.to_bits() { 0 } else { bits & 0x7fff };
            odd |= one;
        }
        if odd == 0 {
            return;
        }
        let mut n = 0;
        for place in 0..n_kv {
            if *seen.add(place) & bit != 0 {
                *scores.add(n) += mask[order.cell(place)].to_f32();
                n += 1;
            }
        }
    }
}

/// Makes `exp(score - largest)` of the first `n` scores; returns the inverse of their sum, or zero if there are none.
///
/// # Safety
/// The processor has the instruction set; `n` scores can be read and written.
#[inline(always)]
pub(super) unsafe fn weigh<L: Lanes>(scores: *mut f32, n: usize) -> f32 {
    if n == 0 {
        return 0.0;
    }
    let whole = n - n % L::N;
    // SAFETY: the caller's word.
    unsafe {
        let mut largest = *scores;
        if whole > 0 {
            let mut all = L::load(scores);
            for i in (L::N..whole).step_by(L::N) {
                all = all.max(L::load(scores.add(i)));
            }
            let mut lanes = [0.0f32; MAX];
            all.store(lanes.as_mut_ptr());
            for lane in 0..L::N {
                largest = largest.max(lanes[lane]);
            }
        }
        for i in whole..n {
            largest = largest.max(*scores.add(i));
        }
        let largest = L::splat(largest);
        let mut sums = L::splat(0.0);
        for i in (0..whole).step_by(L::N) {
            let weight = exp(L::load(scores.add(i)).sub(largest));
            weight.store(scores.add(i));
            sums = sums.add(weight);
        }
        if whole < n {
            let weight = exp(load_first::<L>(scores.add(whole), n - whole).sub(largest));
            store_first(weight, scores.add(whole), n - whole);
            sums = sums.add(load_first(scores.add(whole), n - whole));
        }
        let mut lanes = [0.0f32; MAX];
        sums.store(lanes.as_mut_ptr());
        let mut width = L::N;
        while width > 1 {
            width /= 2;
            for i in 0..width {
                lanes[i] += lanes[i + width];
            }
        }
        1.0 / lanes[0]
    }
}

/// `e^x` of what is not positive, to a few units of the last place: a power of two times a polynomial.
///
/// # Safety
/// The processor has the instruction set.
#[inline(always)]
pub(super) unsafe fn exp<L: Lanes>(x: L) -> L {
    // Halves of the natural logarithm of two: the first has few enough bits that its products are exact.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    /// Added to a number, leaves its nearest integer in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    // SAFETY: the caller's word.
    unsafe {
        let x = x.max(L::splat(LEAST));
        let shifted = L::splat(ROUND).add_product(x, L::splat(std::f32::consts::LOG2_E));
        let n = shifted.sub(L::splat(ROUND));
        let r = x.add_product(n, L::splat(-LN_2[0])).add_product(n, L::splat(-LN_2[1]));
        // Taylor's series: |r| <= 0.35, where the next term is below 1e-8.
        let mut p = L::splat(1.0 / 5040.0);
        for k in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
            p = L::splat(k).add_product(p, r);
        }
        p.times_two_to(shifted)
    }
}
