//! K-quants, many groups at a time: the arithmetic of ggml's reference code, operation by
//! operation, with one group of values in each vector lane.
//!
//! ggml searches the scale of each group of 16 or 32 values by trying some twenty candidates, one
//! group after the other, in sums whose order forbids the compiler to vectorise them. Groups are
//! independent of each other, so here each lane follows one, in the same order: the bytes are equal,
//! not merely close, because neither side fuses or reorders operations. Where a C compiler may fuse
//! (other processors, other flags), [`is_exact`] finds out and the caller stays with ggml.

use super::quantize_with_ggml;
use crate::DType;
use half::f16;
use std::sync::OnceLock;

/// Values of a super-block.
const BLOCK: usize = 256;
/// Values of a group with scale and minimum (q4_K, q5_K).
const AFFINE: usize = 32;
/// Groups of a super-block with scale and minimum.
const N_AFFINE: usize = BLOCK / AFFINE;
/// Values of a group with a scale alone (q6_K), and groups of a super-block.
const SCALED: usize = 16;
/// Scales below this count as zero.
const EPS: f32 = 1e-15;

/// Values of `N` groups, transposed: the i-th of each group side by side.
type Columns<const N: usize, const LEN: usize> = [[f32; N]; LEN];

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

/// Whether this module has code for the type, and that code gives ggml's bytes here.
pub fn is_exact(dtype: DType) -> bool {
    static EXACT: OnceLock<bool> = OnceLock::new();
    matches!(dtype, DType::Q4K | DType::Q5K | DType::Q6K) && *EXACT.get_or_init(agrees_with_ggml)
}

/// Compares both ways on a few hundred super-blocks; takes milliseconds.
fn agrees_with_ggml() -> bool {
    let mut state = 1u32;
    let mut uniform = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1u32 << 24) as f32 - 0.5
    };
    let src: Vec<f32> = (0..128 * BLOCK).map(|_| uniform() + uniform() + uniform()).collect();
    [DType::Q4K, DType::Q5K, DType::Q6K].into_iter().all(|t| {
        let Some(n) = t.row_size(src.len()) else { return false };
        let (mut ours, mut theirs) = (vec![0; n], vec![0; n]);
        quantize(t, &src, &mut ours);
        quantize_with_ggml(t, &src, src.len(), &mut theirs) && ours == theirs
    })
}

/// Converts super-blocks of finite values.
///
/// # Panics
/// If `dst` does not hold exactly the super-blocks of `src`, or for another type.
pub fn quantize(dtype: DType, src: &[f32], dst: &mut [u8]) {
    let n = dtype.row_size(BLOCK).unwrap_or(1);
    assert!(src.len().is_multiple_of(BLOCK) && src.len() / BLOCK * n == dst.len());
    match dtype {
        DType::Q4K => affine(src, dst, n, Q4, pack_q4),
        DType::Q5K => affine(src, dst, n, Q5, pack_q5),
        DType::Q6K => {
            for (src, dst) in src.chunks_exact(BLOCK).zip(dst.chunks_exact_mut(n)) {
                scaled(src, dst);
            }
        }
        _ => panic!("{dtype} is not a k-quant"),
    }
}

/// Rounds to the nearest level from `low` to `high`, ties to even, by the bits of a sum: also for
/// values that are out of range or not numbers, this gives what ggml gets.
#[inline(always)]
fn level(v: f32, low: i32, high: i32) -> f32 {
    round(v).min(high).max(low) as f32
}

#[inline(always)]
fn round(v: f32) -> i32 {
    ((v + 12_582_912.0).to_bits() & 0x007f_ffff) as i32 - 0x0040_0000
}

/// One value for each lane. Vector code comes of many small steps like this one; loops that do
/// several things at a time stay scalar.
#[inline(always)]
fn lanes<const N: usize>(f: impl FnMut(usize) -> f32) -> [f32; N] {
    std::array::from_fn(f)
}

#[inline(always)]
fn columns<const N: usize, const LEN: usize>(src: &[f32]) -> Columns<N, LEN> {
    let mut out = [[0.0; N]; LEN];
    for (k, group) in src.chunks_exact(LEN).enumerate().take(N) {
        for (column, &v) in out.iter_mut().zip(group) {
            column[k] = v;
        }
    }
    out
}

fn affine(
    src: &[f32],
    dst: &mut [u8],
    n: usize,
    search: Search,
    pack: fn(&[u8; BLOCK], &mut [u8]),
) {
    for (src, dst) in src.chunks_exact(BLOCK).zip(dst.chunks_exact_mut(n)) {
        affine_block(src, dst, search, pack);
    }
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

/// `a` in the lanes where `first` is true, else `b`.
#[inline(always)]
fn choose<const N: usize>(first: &[bool; N], a: &[f32; N], b: &[f32; N]) -> [f32; N] {
    lanes(|k| if first[k] { a[k] } else { b[k] })
}

/// Replaces levels in the lanes that are `better`.
#[inline(always)]
fn keep<const N: usize, const LEN: usize>(
    best: &mut Columns<N, LEN>,
    levels: &Columns<N, LEN>,
    better: &[bool; N],
) {
    for (best, levels) in best.iter_mut().zip(levels) {
        *best = choose(better, levels, best);
    }
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

/// One super-block of q6_K.
fn scaled(src: &[f32], dst: &mut [u8]) {
    let x = columns(src);
    let (scales, mut levels) = fit_scaled(&x);
    let (mut max, mut max_abs) = (0.0, 0.0f32);
    for &scale in &scales {
        if scale.abs() > max_abs {
            (max, max_abs) = (scale, scale.abs());
        }
    }
    if max_abs < EPS {
        dst.fill(0);
        return;
    }
    let inverse = -128.0 / max;
    let d = f16::from_f32(1.0 / inverse);
    let stored = scales.map(|s| round(inverse * s).min(127) as i8);
    let steps = stored.map(|s| d.to_f32() * f32::from(s));
    // Once more, with the scales as they are stored.
    for (x, levels) in x.iter().zip(&mut levels) {
        let l: [f32; SCALED] = lanes(|k| level(x[k] / steps[k], -32, 31));
        *levels = lanes(|k| if steps[k] != 0.0 { l[k] } else { levels[k] });
    }
    let (low, rest) = dst.split_at_mut(BLOCK / 2);
    let (high, rest) = rest.split_at_mut(BLOCK / 4);
    let level = |i: usize| (levels[i % SCALED][i / SCALED] + 32.0) as u8;
    for half in 0..2 {
        for i in 0..32 {
            let [a, b, c, e] = [0, 32, 64, 96].map(|n| level(128 * half + n + i));
            low[64 * half + i] = (a & 15) | (c & 15) << 4;
            low[64 * half + 32 + i] = (b & 15) | (e & 15) << 4;
            high[32 * half + i] = (a >> 4) | (b >> 4) << 2 | (c >> 4) << 4 | (e >> 4) << 6;
        }
    }
    for (dst, scale) in rest.iter_mut().zip(stored) {
        *dst = scale as u8;
    }
    rest[SCALED..].copy_from_slice(&d.to_le_bytes());
}

/// Least squares, weighted with the squares of the values, for the scale of each group.
#[inline(always)]
fn fit_scaled(x: &Columns<SCALED, SCALED>) -> ([f32; SCALED], Columns<SCALED, SCALED>) {
    let (mut max, mut max_abs) = ([0.0; SCALED], [0.0; SCALED]);
    for x in x {
        max = lanes(|k| if x[k].abs() > max_abs[k] { x[k] } else { max[k] });
        max_abs = lanes(|k| if x[k].abs() > max_abs[k] { x[k].abs() } else { max_abs[k] });
    }
    let mut best_levels = [[0.0; SCALED]; SCALED];
    let [sum_lx, sum_l2] = project_scaled(x, &max.map(|m| -32.0 / m), &mut best_levels);
    let mut scale: [f32; SCALED] =
        lanes(|k| if sum_l2[k] != 0.0 { sum_lx[k] / sum_l2[k] } else { 0.0 });
    let mut best = lanes(|k| scale[k] * sum_lx[k]);
    let mut levels = [[0.0; SCALED]; SCALED];
    for step in (-9..=9).filter(|&step| step != 0) {
        let wanted = -(32.0 + 0.1 * step as f32);
        let [sum_lx, sum_l2] = project_scaled(x, &max.map(|m| wanted / m), &mut levels);
        let better: [bool; SCALED] = std::array::from_fn(|k| {
            (sum_l2[k] > 0.0) & (sum_lx[k] * sum_lx[k] > best[k] * sum_l2[k])
        });
        if better.contains(&true) {
            let this: [f32; SCALED] = lanes(|k| sum_lx[k] / sum_l2[k]);
            scale = choose(&better, &this, &scale);
            best = choose(&better, &lanes(|k| this[k] * sum_lx[k]), &best);
            keep(&mut best_levels, &levels, &better);
        }
    }
    for k in (0..SCALED).filter(|&k| max_abs[k] < EPS) {
        scale[k] = 0.0;
        // As ggml has it, which leaves level 0 here, 32 below the middle.
        best_levels.iter_mut().for_each(|l| l[k] = -32.0);
    }
    (scale, best_levels)
}

/// Levels from -32 to 31 of all values, and the sums of level times value and level squared,
/// weighted with the squares of the values.
#[inline(always)]
fn project_scaled(
    x: &Columns<SCALED, SCALED>,
    inverse: &[f32; SCALED],
    levels: &mut Columns<SCALED, SCALED>,
) -> [[f32; SCALED]; 2] {
    let [mut sum_lx, mut sum_l2] = [[0.0; SCALED]; 2];
    for (l, x) in levels.iter_mut().zip(x) {
        *l = lanes(|k| level(inverse[k] * x[k], -32, 31));
        let w: [f32; SCALED] = lanes(|k| x[k] * x[k]);
        sum_lx = lanes(|k| sum_lx[k] + w[k] * x[k] * l[k]);
        sum_l2 = lanes(|k| sum_l2[k] + w[k] * l[k] * l[k]);
    }
    [sum_lx, sum_l2]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SplitMix64, as a number from -1 to 1.
    fn uniform(state: &mut u64) -> f32 {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    /// Values of many characters, some of them odd.
    fn sample(kind: usize, i: usize, state: &mut u64) -> f32 {
        let u = uniform(state);
        match kind {
            0 => (0..4).map(|_| uniform(state)).sum(),
            1 => u * 1e-3,
            2 => u.abs() + 0.5,
            3 => -u.abs(),
            4 => u * 1e-30,
            5 => u * 1e15,
            6 if i.is_multiple_of(97) => u * 1000.0,
            7 => [0.25, -0.0, 0.0, 1.0][(i / 16) % 4],
            8 => (u * 8.0).round() / 8.0,
            9 if (i / 32).is_multiple_of(2) => 0.0,
            10 => u * f32::MIN_POSITIVE * 4.0,
            11 => half::f16::from_f32(u * 0.02).to_f32(),
            _ => u * u * u,
        }
    }

    #[test]
    fn bytes_are_ggmls_for_values_of_every_kind() {
        if !is_exact(DType::Q4K) {
            eprintln!("skipped: the C compiler fuses operations here, so this code is not used");
            return;
        }
        let mut state = 1;
        for kind in 0..13 {
            for n_blocks in [1, 2, 3, 512] {
                let n = n_blocks * BLOCK;
                let src: Vec<f32> = (0..n).map(|i| sample(kind, i, &mut state)).collect();
                for t in [DType::Q4K, DType::Q5K, DType::Q6K] {
                    let n_bytes = t.row_size(n).unwrap();
                    let (mut ours, mut theirs) = (vec![1; n_bytes], vec![2; n_bytes]);
                    quantize(t, &src, &mut ours);
                    let finite = quantize_with_ggml(t, &src, n, &mut theirs);
                    assert!(!finite || ours == theirs, "{t}, kind {kind}, {n_blocks} blocks");
                }
            }
        }
    }

    #[test]
    #[ignore = "a measurement"]
    fn bench_against_ggml() {
        let mut state = 1;
        let src: Vec<f32> = (0..4096 * BLOCK).map(|i| sample(0, i, &mut state)).collect();
        for t in [DType::Q4K, DType::Q5K, DType::Q6K] {
            let mut dst = vec![0; t.row_size(src.len()).unwrap()];
            let start = std::time::Instant::now();
            quantize(t, &src, &mut dst);
            let ours = start.elapsed().as_secs_f64();
            let start = std::time::Instant::now();
            quantize_with_ggml(t, &src, src.len(), &mut dst);
            let theirs = start.elapsed().as_secs_f64();
            let rate = |s: f64| src.len() as f64 / s / 1e6;
            println!("{t}: {:.1} against {:.1} million values a second", rate(ours), rate(theirs));
        }
    }
}
