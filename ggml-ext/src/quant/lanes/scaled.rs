//! q6_K: sixteen groups of 16 values, each with a scale.

use super::avx2::fit_scaled;
use super::{BLOCK, GROUPS, level, round, rows};
use half::f16;

/// Values of a group, and groups of a super-block.
const SCALED: usize = 16;
/// Scales of super-blocks that are smaller than this count as zero.
const EPS: f32 = 1e-15;

/// One super-block of q6_K.
#[target_feature(enable = "avx2")]
pub fn block(src: &[f32], dst: &mut [u8]) {
    let (mut scales, mut found) = ([0.0; SCALED], [0; BLOCK]);
    for (half, src) in src.chunks_exact(BLOCK / 2).enumerate() {
        let (these, levels) = fit_scaled(&rows(src));
        scales[half * GROUPS..][..GROUPS].copy_from_slice(&these);
        for (k, group) in
            found[half * BLOCK / 2..].chunks_exact_mut(SCALED).take(GROUPS).enumerate()
        {
            for (l, row) in group.iter_mut().zip(&levels) {
                *l = row[k] as i32;
            }
        }
    }
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
    let mut levels = [0; BLOCK];
    let groups = levels.chunks_exact_mut(SCALED).zip(src.chunks_exact(SCALED));
    for ((levels, x), (found, &step)) in groups.zip(found.chunks_exact(SCALED).zip(&steps)) {
        for ((l, &x), &found) in levels.iter_mut().zip(x).zip(found) {
            // Once more, with the scales as they are stored.
            let again = level(x / step, -32, 31);
            *l = (if step != 0.0 { again } else { found } + 32) as u8;
        }
    }
    pack(&levels, dst);
    let scales = &mut dst[BLOCK / 4 * 3..];
    for (dst, scale) in scales.iter_mut().zip(stored) {
        *dst = scale as u8;
    }
    scales[SCALED..].copy_from_slice(&d.to_le_bytes());
}

/// Low halves of the levels, then their upper two bits.
fn pack(levels: &[u8; BLOCK], dst: &mut [u8]) {
    let (low, rest) = dst.split_at_mut(BLOCK / 2);
    for (half, levels) in levels.chunks_exact(BLOCK / 2).enumerate() {
        for i in 0..32 {
            let [a, b, c, e] = [0, 32, 64, 96].map(|n| levels[n + i]);
            low[64 * half + i] = (a & 15) | (c & 15) << 4;
            low[64 * half + 32 + i] = (b & 15) | (e & 15) << 4;
            rest[32 * half + i] = (a >> 4) | (b >> 4) << 2 | (c >> 4) << 4 | (e >> 4) << 6;
        }
    }
}
