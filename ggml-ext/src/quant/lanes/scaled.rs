//! q6_K: groups of 16 values with a scale.

use super::{BLOCK, Columns, choose, columns, keep, lanes, level, round};
use half::f16;

/// Values of a group, and groups of a super-block.
const SCALED: usize = 16;
/// Scales below this count as zero.
const EPS: f32 = 1e-15;

/// One super-block of q6_K.
pub fn block(src: &[f32], dst: &mut [u8]) {
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
