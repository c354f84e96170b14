//! q4_K and q5_K: groups of 32 values with scale and minimum.

use super::{BLOCK, Columns, choose, columns, keep, lanes, level, round};
use half::f16;

/// Values of a group.
const AFFINE: usize = 32;
/// Groups of a super-block.
const N_AFFINE: usize = BLOCK / AFFINE;

/// How a type with scale and minimum searches.
#[derive(Clone, Copy)]
struct Search {
    /// Largest level.
    top: i32,
    /// Distance of the first candidate from `top` levels.
    first: f32,
    /// Number of candidates after the first, each 0.1 level further.
    steps: i32,
}

const Q4: Search = Search { top: 15, first: -1.0, steps: 20 };
const Q5: Search = Search { top: 31, first: -0.5, steps: 15 };

/// One super-block of q4_K.
pub fn block_q4(src: &[f32], dst: &mut [u8]) {
    affine_block(src, dst, Q4, pack_q4);
}

/// One super-block of q5_K.
pub fn block_q5(src: &[f32], dst: &mut [u8]) {
    affine_block(src, dst, Q5, pack_q5);
}

/// One super-block with scales and minima.
fn affine_block(src: &[f32], dst: &mut [u8], search: Search, pack: fn(&[u8; BLOCK], &mut [u8])) {
    let x = columns::<N_AFFINE, AFFINE>(src);
    let (scales, mins, mut levels) = fit_affine(&x, search);
    let (d, dm) = pack_scales(&scales, &mins, dst);
    // Once more, with the scales as they are stored.
    for (x, levels) in x.iter().zip(&mut levels) {
        let l: [f32; N_AFFINE] = lanes(|k| level((x[k] + dm[k]) / d[k], 0, search.top));
        *levels = lanes(|k| if d[k] != 0.0 { l[k] } else { levels[k] });
    }
    let mut flat = [0; BLOCK];
    for (i, v) in flat.iter_mut().enumerate() {
        *v = levels[i % AFFINE][i / AFFINE] as u8;
    }
    pack(&flat, &mut dst[16..]);
}

/// Weighted least squares for scale and (negated) minimum of each group, over candidate scales.
#[inline(always)]
fn fit_affine<const N: usize>(
    x: &Columns<N, AFFINE>,
    search: Search,
) -> ([f32; N], [f32; N], Columns<N, AFFINE>) {
    let weights = weights(x);
    let (mut min, mut max) = (x[0], x[0]);
    let mut sum_w = weights[0];
    let mut sum_x = lanes(|k| sum_w[k] * x[0][k]);
    for (x, w) in x.iter().zip(&weights).skip(1) {
        min = lanes(|k| if x[k] < min[k] { x[k] } else { min[k] });
        max = lanes(|k| if x[k] > max[k] { x[k] } else { max[k] });
        sum_w = lanes(|k| sum_w[k] + w[k]);
        sum_x = lanes(|k| sum_x[k] + w[k] * x[k]);
    }
    min = lanes(|k| if min[k] > 0.0 { 0.0 } else { min[k] });
    let lowest = min;
    let inverse = lanes(|k| search.top as f32 / (max[k] - min[k]));
    let mut scale = lanes(|k| 1.0 / inverse[k]);
    let mut best = [[0.0; N]; AFFINE];
    project(x, &weights, &inverse, &min, search.top, &mut best);
    let mut best_error = error(x, &weights, &best, &scale, &min);
    let mut levels = [[0.0; N]; AFFINE];
    for step in 0..=search.steps {
        let wanted = search.first + 0.1 * step as f32 + search.top as f32;
        // The minimum moves with the best fit so far, and later candidates start from it.
        let inverse = lanes(|k| wanted / (max[k] - min[k]));
        let sums = project(x, &weights, &inverse, &min, search.top, &mut levels);
        let (this_scale, this_min, determinant) = solve(&sums, &sum_w, &sum_x);
        let error = error(x, &weights, &levels, &this_scale, &this_min);
        let better: [bool; N] =
            std::array::from_fn(|k| (determinant[k] > 0.0) & (error[k] < best_error[k]));
        if better.contains(&true) {
            best_error = choose(&better, &error, &best_error);
            scale = choose(&better, &this_scale, &scale);
            min = choose(&better, &this_min, &min);
            keep(&mut best, &levels, &better);
        }
    }
    for k in 0..N {
        // All values equal (and not positive): nothing was to be searched.
        let flat = max[k] == lowest[k];
        scale[k] = if flat { 0.0 } else { scale[k] };
        min[k] = if flat { -lowest[k] } else { -min[k] };
        best.iter_mut().for_each(|l| l[k] = if flat { 0.0 } else { l[k] });
    }
    (scale, min, best)
}

/// Weight of each value in the fit: its size plus the root mean square of its group.
#[inline(always)]
fn weights<const N: usize>(x: &Columns<N, AFFINE>) -> Columns<N, AFFINE> {
    let mut squares = [0.0; N];
    for x in x {
        squares = lanes(|k| squares[k] + x[k] * x[k]);
    }
    let mean: [f32; N] = lanes(|k| (squares[k] / AFFINE as f32).sqrt());
    let mut out = [[0.0; N]; AFFINE];
    for (out, x) in out.iter_mut().zip(x) {
        *out = lanes(|k| mean[k] + x[k].abs());
    }
    out
}

/// Levels from 0 to `top` of all values above `min`, and the weighted sums of level, level squared
/// and level times value.
#[inline(always)]
fn project<const N: usize>(
    x: &Columns<N, AFFINE>,
    weights: &Columns<N, AFFINE>,
    inverse: &[f32; N],
    min: &[f32; N],
    top: i32,
    levels: &mut Columns<N, AFFINE>,
) -> [[f32; N]; 3] {
    let [mut sum_l, mut sum_l2, mut sum_xl] = [[0.0; N]; 3];
    for ((x, w), l) in x.iter().zip(weights).zip(levels) {
        *l = lanes(|k| level(inverse[k] * (x[k] - min[k]), 0, top));
        let wl: [f32; N] = lanes(|k| w[k] * l[k]);
        sum_l = lanes(|k| sum_l[k] + wl[k]);
        sum_l2 = lanes(|k| sum_l2[k] + wl[k] * l[k]);
        sum_xl = lanes(|k| sum_xl[k] + wl[k] * x[k]);
    }
    [sum_l, sum_l2, sum_xl]
}

/// Weighted squared error of a fit.
#[inline(always)]
fn error<const N: usize>(
    x: &Columns<N, AFFINE>,
    weights: &Columns<N, AFFINE>,
    levels: &Columns<N, AFFINE>,
    scale: &[f32; N],
    min: &[f32; N],
) -> [f32; N] {
    let mut sum = [0.0; N];
    for ((x, w), l) in x.iter().zip(weights).zip(levels) {
        let difference: [f32; N] = lanes(|k| scale[k] * l[k] + min[k] - x[k]);
        sum = lanes(|k| sum[k] + w[k] * (difference[k] * difference[k]));
    }
    sum
}

/// The scale and minimum (at most 0) that fit given levels best, if the determinant, which comes
/// third, is positive.
#[inline(always)]
fn solve<const N: usize>(
    [sum_l, sum_l2, sum_xl]: &[[f32; N]; 3],
    sum_w: &[f32; N],
    sum_x: &[f32; N],
) -> ([f32; N], [f32; N], [f32; N]) {
    let determinant = lanes(|k| sum_w[k] * sum_l2[k] - sum_l[k] * sum_l[k]);
    let scale: [f32; N] = lanes(|k| (sum_w[k] * sum_xl[k] - sum_x[k] * sum_l[k]) / determinant[k]);
    let min: [f32; N] = lanes(|k| (sum_l2[k] * sum_x[k] - sum_l[k] * sum_xl[k]) / determinant[k]);
    let at_zero: [f32; N] = lanes(|k| sum_xl[k] / sum_l2[k]);
    let scale = lanes(|k| if min[k] > 0.0 { at_zero[k] } else { scale[k] });
    let min = lanes(|k| if min[k] > 0.0 { 0.0 } else { min[k] });
    (scale, min, determinant)
}

/// Writes the first 16 bytes of a q4_K or q5_K block: two halves, and eight scales and minima of
/// 6 bits. Gives scale and minimum of each group as they will be read.
fn pack_scales(
    scales: &[f32; N_AFFINE],
    mins: &[f32; N_AFFINE],
    dst: &mut [u8],
) -> ([f32; N_AFFINE], [f32; N_AFFINE]) {
    const TOP: f32 = 63.0;
    let largest = |v: &[f32; N_AFFINE]| v.iter().fold(0.0, |max, &v| if v > max { v } else { max });
    let (max_scale, max_min): (f32, f32) = (largest(scales), largest(mins));
    let inverse = |max: f32| if max > 0.0 { TOP / max } else { 0.0 };
    let (inverse_scale, inverse_min) = (inverse(max_scale), inverse(max_min));
    let (d, dm) = (f16::from_f32(max_scale / TOP), f16::from_f32(max_min / TOP));
    dst[..2].copy_from_slice(&d.to_le_bytes());
    dst[2..4].copy_from_slice(&dm.to_le_bytes());
    let packed = &mut dst[4..16];
    let (mut scale_steps, mut min_steps) = ([0.0; N_AFFINE], [0.0; N_AFFINE]);
    for j in 0..N_AFFINE {
        let scale = (round(inverse_scale * scales[j]) as u8).min(TOP as u8);
        let min = (round(inverse_min * mins[j]) as u8).min(TOP as u8);
        if j < 4 {
            packed[j] = scale;
            packed[j + 4] = min;
        } else {
            // The low halves side by side; the high bits where the first four left room.
            packed[j + 4] = (scale & 15) | (min & 15) << 4;
            packed[j - 4] |= (scale >> 4) << 6;
            packed[j] |= (min >> 4) << 6;
        }
        scale_steps[j] = d.to_f32() * f32::from(scale);
        min_steps[j] = dm.to_f32() * f32::from(min);
    }
    (scale_steps, min_steps)
}

/// Each byte holds a value of one group and, above it, of the next.
fn pack_q4(levels: &[u8; BLOCK], dst: &mut [u8]) {
    for (pair, dst) in levels.chunks_exact(2 * AFFINE).zip(dst.chunks_exact_mut(AFFINE)) {
        let (low, high) = pair.split_at(AFFINE);
        for ((dst, low), high) in dst.iter_mut().zip(low).zip(high) {
            *dst = low | high << 4;
        }
    }
}

/// Fifth bits first, then the rest as in q4_K.
fn pack_q5(levels: &[u8; BLOCK], dst: &mut [u8]) {
    let (high, low) = dst.split_at_mut(AFFINE);
    high.fill(0);
    for (i, &l) in levels.iter().enumerate() {
        high[i % AFFINE] |= (l >> 4) << (i / AFFINE);
    }
    pack_q4(&levels.map(|l| l & 15), low);
}
