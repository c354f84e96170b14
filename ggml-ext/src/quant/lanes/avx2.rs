//! The searches, one group in each of eight lanes.
//!
//! Intrinsics rather than loops: whether the compiler makes vector code of loops here changes with
//! the smallest edit, and the speed with it by a factor of four.

use super::{GROUPS, Rows};
use std::arch::x86_64::*;

/// Scales of groups that are smaller than this count as zero.
const EPS: f32 = 1e-15;

/// How a type with scale and minimum searches.
#[derive(Clone, Copy)]
pub struct Search {
    /// Largest level.
    pub top: i32,
    /// Distance of the first candidate from `top` levels.
    pub first: f32,
    /// Number of candidates after the first, each 0.1 level further.
    pub steps: i32,
}

/// Weighted least squares for scale and (negated) minimum of each group of 32, over candidate
/// scales. Gives both, and the levels, from 0 up.
#[target_feature(enable = "avx2")]
pub fn fit_affine(x: &Rows<32>, search: Search) -> ([f32; GROUPS], [f32; GROUPS], Rows<32>) {
    let x = x.each_ref().map(|row| load(row));
    let weights = weights(&x);
    let (mut min, mut max) = (x[0], x[0]);
    let mut sum_w = weights[0];
    let mut sum_x = _mm256_mul_ps(sum_w, x[0]);
    for (&x, &w) in x.iter().zip(&weights).skip(1) {
        min = choose(less(x, min), x, min);
        max = choose(less(max, x), x, max);
        sum_w = _mm256_add_ps(sum_w, w);
        sum_x = _mm256_add_ps(sum_x, _mm256_mul_ps(w, x));
    }
    let zero = _mm256_setzero_ps();
    min = choose(less(zero, min), zero, min);
    let lowest = min;
    let top = _mm256_set1_ps(search.top as f32);
    let inverse = _mm256_div_ps(top, _mm256_sub_ps(max, min));
    let mut scale = _mm256_div_ps(_mm256_set1_ps(1.0), inverse);
    let (mut best, _) = project(&x, &weights, inverse, min, search.top);
    let mut best_error = error(&x, &weights, &best, scale, min);
    for step in 0..=search.steps {
        let wanted = _mm256_set1_ps(search.first + 0.1 * step as f32 + search.top as f32);
        // The minimum moves with the best fit so far, and later candidates start from it.
        let inverse = _mm256_div_ps(wanted, _mm256_sub_ps(max, min));
        let (levels, sums) = project(&x, &weights, inverse, min, search.top);
        let (this_scale, this_min, solvable) = solve(sums, sum_w, sum_x);
        let error = error(&x, &weights, &levels, this_scale, this_min);
        let better = _mm256_and_ps(solvable, less(error, best_error));
        best_error = choose(better, error, best_error);
        scale = choose(better, this_scale, scale);
        min = choose(better, this_min, min);
        keep(&mut best, &levels, better);
    }
    // All values equal (and not positive): nothing was to be searched.
    let flat = _mm256_cmp_ps::<_CMP_EQ_OQ>(max, lowest);
    let minus = _mm256_set1_ps(-0.0);
    let min = _mm256_xor_ps(minus, choose(flat, lowest, min));
    keep(&mut best, &[zero; 32], flat);
    (store(choose(flat, zero, scale)), store(min), best.map(|row| store(row)))
}

/// Least squares, weighted with the squares of the values, for the scale of each group of 16.
/// Gives the scales, and the levels from -32 to 31.
#[target_feature(enable = "avx2")]
pub fn fit_scaled(x: &Rows<16>) -> ([f32; GROUPS], Rows<16>) {
    let x = x.each_ref().map(|row| load(row));
    let zero = _mm256_setzero_ps();
    let (mut max, mut max_abs) = (zero, zero);
    for &x in &x {
        let larger = less(max_abs, abs(x));
        max = choose(larger, x, max);
        max_abs = choose(larger, abs(x), max_abs);
    }
    let (mut best_levels, lx, l2) = project_scaled(&x, _mm256_div_ps(_mm256_set1_ps(-32.0), max));
    let some = _mm256_cmp_ps::<_CMP_NEQ_UQ>(l2, zero);
    let mut scale = choose(some, _mm256_div_ps(lx, l2), zero);
    let mut best = _mm256_mul_ps(scale, lx);
    for step in (-9..=9).filter(|&step| step != 0) {
        let wanted = _mm256_set1_ps(-(32.0 + 0.1 * step as f32));
        let (levels, lx, l2) = project_scaled(&x, _mm256_div_ps(wanted, max));
        let more = less(_mm256_mul_ps(best, l2), _mm256_mul_ps(lx, lx));
        let better = _mm256_and_ps(less(zero, l2), more);
        let this = _mm256_div_ps(lx, l2);
        scale = choose(better, this, scale);
        best = choose(better, _mm256_mul_ps(this, lx), best);
        keep(&mut best_levels, &levels, better);
    }
    let nothing = less(max_abs, _mm256_set1_ps(EPS));
    // ggml leaves 0 here, which is 32 below the middle.
    keep(&mut best_levels, &[_mm256_set1_ps(-32.0); 16], nothing);
    (store(choose(nothing, zero, scale)), best_levels.map(|row| store(row)))
}

/// Weight of each value in the fit: its size plus the root mean square of its group.
#[target_feature(enable = "avx2")]
fn weights(x: &[__m256; 32]) -> [__m256; 32] {
    let mut squares = _mm256_setzero_ps();
    for &x in x {
        squares = _mm256_add_ps(squares, _mm256_mul_ps(x, x));
    }
    let mean = _mm256_sqrt_ps(_mm256_div_ps(squares, _mm256_set1_ps(32.0)));
    x.map(|x| _mm256_add_ps(mean, abs(x)))
}

/// Levels from 0 to `top` of all values above `min`, and the weighted sums of level, level squared
/// and level times value.
#[target_feature(enable = "avx2")]
fn project(
    x: &[__m256; 32],
    weights: &[__m256; 32],
    inverse: __m256,
    min: __m256,
    top: i32,
) -> ([__m256; 32], [__m256; 3]) {
    let mut levels = [_mm256_setzero_ps(); 32];
    let [mut sum_l, mut sum_l2, mut sum_xl] = [_mm256_setzero_ps(); 3];
    for ((&x, &w), level_out) in x.iter().zip(weights).zip(&mut levels) {
        let l = level(_mm256_mul_ps(inverse, _mm256_sub_ps(x, min)), 0, top);
        *level_out = l;
        let wl = _mm256_mul_ps(w, l);
        sum_l = _mm256_add_ps(sum_l, wl);
        sum_l2 = _mm256_add_ps(sum_l2, _mm256_mul_ps(wl, l));
        sum_xl = _mm256_add_ps(sum_xl, _mm256_mul_ps(wl, x));
    }
    (levels, [sum_l, sum_l2, sum_xl])
}

/// Weighted squared error of a fit.
#[target_feature(enable = "avx2")]
fn error(
    x: &[__m256; 32],
    weights: &[__m256; 32],
    levels: &[__m256; 32],
    scale: __m256,
    min: __m256,
) -> __m256 {
    let mut sum = _mm256_setzero_ps();
    for ((&x, &w), &l) in x.iter().zip(weights).zip(levels) {
        let d = _mm256_sub_ps(_mm256_add_ps(_mm256_mul_ps(scale, l), min), x);
        sum = _mm256_add_ps(sum, _mm256_mul_ps(w, _mm256_mul_ps(d, d)));
    }
    sum
}

/// The scale and minimum (at most 0) that fit given levels best, and where there are such.
#[target_feature(enable = "avx2")]
fn solve(
    [sum_l, sum_l2, sum_xl]: [__m256; 3],
    sum_w: __m256,
    sum_x: __m256,
) -> (__m256, __m256, __m256) {
    // a * b - c * d
    let cross = |a, b, c, d| _mm256_sub_ps(_mm256_mul_ps(a, b), _mm256_mul_ps(c, d));
    let determinant = cross(sum_w, sum_l2, sum_l, sum_l);
    let scale = _mm256_div_ps(cross(sum_w, sum_xl, sum_x, sum_l), determinant);
    let min = _mm256_div_ps(cross(sum_l2, sum_x, sum_l, sum_xl), determinant);
    let zero = _mm256_setzero_ps();
    let above = less(zero, min);
    let scale = choose(above, _mm256_div_ps(sum_xl, sum_l2), scale);
    (scale, choose(above, zero, min), less(zero, determinant))
}

/// Levels from -32 to 31, and the sums of level times value and level squared, weighted with the
/// squares of the values.
#[target_feature(enable = "avx2")]
fn project_scaled(x: &[__m256; 16], inverse: __m256) -> ([__m256; 16], __m256, __m256) {
    let mut levels = [_mm256_setzero_ps(); 16];
    let [mut sum_lx, mut sum_l2] = [_mm256_setzero_ps(); 2];
    for (&x, level_out) in x.iter().zip(&mut levels) {
        let l = level(_mm256_mul_ps(inverse, x), -32, 31);
        *level_out = l;
        let w = _mm256_mul_ps(x, x);
        sum_lx = _mm256_add_ps(sum_lx, _mm256_mul_ps(_mm256_mul_ps(w, x), l));
        sum_l2 = _mm256_add_ps(sum_l2, _mm256_mul_ps(_mm256_mul_ps(w, l), l));
    }
    (levels, sum_lx, sum_l2)
}

/// Rounds to the nearest level from `low` to `high`, as the scalar function of that name.
#[target_feature(enable = "avx2")]
fn level(v: __m256, low: i32, high: i32) -> __m256 {
    let sum = _mm256_castps_si256(_mm256_add_ps(v, _mm256_set1_ps(12_582_912.0)));
    let l = _mm256_and_si256(sum, _mm256_set1_epi32(0x007f_ffff));
    let l = _mm256_sub_epi32(l, _mm256_set1_epi32(0x0040_0000));
    let l = _mm256_min_epi32(l, _mm256_set1_epi32(high));
    _mm256_cvtepi32_ps(_mm256_max_epi32(l, _mm256_set1_epi32(low)))
}

/// Where `a` is below `b`; nowhere if one is not a number.
#[target_feature(enable = "avx2")]
fn less(a: __m256, b: __m256) -> __m256 {
    _mm256_cmp_ps::<_CMP_LT_OQ>(a, b)
}

#[target_feature(enable = "avx2")]
fn abs(v: __m256) -> __m256 {
    _mm256_andnot_ps(_mm256_set1_ps(-0.0), v)
}

/// `a` in the lanes of `first`, else `b`.
#[target_feature(enable = "avx2")]
fn choose(first: __m256, a: __m256, b: __m256) -> __m256 {
    _mm256_blendv_ps(b, a, first)
}

/// Replaces levels in the lanes of `better`.
#[target_feature(enable = "avx2")]
fn keep<const LEN: usize>(best: &mut [__m256; LEN], levels: &[__m256; LEN], better: __m256) {
    if _mm256_movemask_ps(better) == 0 {
        return;
    }
    for (best, &levels) in best.iter_mut().zip(levels) {
        *best = choose(better, levels, *best);
    }
}

#[target_feature(enable = "avx2")]
fn load(row: &[f32; GROUPS]) -> __m256 {
    // SAFETY: the array has the eight values that are read; no alignment is asked for.
    unsafe { _mm256_loadu_ps(row.as_ptr()) }
}

#[target_feature(enable = "avx2")]
fn store(v: __m256) -> [f32; GROUPS] {
    let mut row = [0.0; GROUPS];
    // SAFETY: the array has room for the eight values that are written; no alignment is asked for.
    unsafe { _mm256_storeu_ps(row.as_mut_ptr(), v) };
    row
}
