//! q4_K and q5_K: eight groups of 32 values, each with scale and minimum.

use super::avx2::{Search, fit_affine};
use super::{BLOCK, GROUPS, level, round, rows};
use half::f16;

/// Values of a group.
const AFFINE: usize = BLOCK / GROUPS;

const Q4: Search = Search { top: 15, first: -1.0, steps: 20 };
const Q5: Search = Search { top: 31, first: -0.5, steps: 15 };

/// One super-block of q4_K.
#[target_feature(enable = "avx2")]
pub fn block_q4(src: &[f32], dst: &mut [u8]) {
    let levels = block(src, dst, Q4);
    pack_q4(&levels, &mut dst[16..]);
}

/// One super-block of q5_K.
#[target_feature(enable = "avx2")]
pub fn block_q5(src: &[f32], dst: &mut [u8]) {
    let levels = block(src, dst, Q5);
    pack_q5(&levels, &mut dst[16..]);
}

/// Writes the scales of a super-block; gives its levels, group after group.
#[target_feature(enable = "avx2")]
fn block(src: &[f32], dst: &mut [u8], search: Search) -> [u8; BLOCK] {
    let (scales, mins, found) = fit_affine(&rows(src), search);
    let (d, dm) = pack_scales(&scales, &mins, dst);
    let mut levels = [0; BLOCK];
    let groups = src.chunks_exact(AFFINE).zip(levels.chunks_exact_mut(AFFINE));
    for (k, (x, levels)) in groups.enumerate() {
        for (i, (&x, l)) in x.iter().zip(levels).enumerate() {
            // Once more, with the scales as they are stored.
            let again = level((x + dm[k]) / d[k], 0, search.top);
            *l = if d[k] != 0.0 { again } else { found[i][k] as i32 } as u8;
        }
    }
    levels
}

/// Writes the first 16 bytes of a q4_K or q5_K block: two halves, and eight scales and minima of
/// 6 bits. Gives scale and minimum of each group as they will be read.
fn pack_scales(
    scales: &[f32; GROUPS],
    mins: &[f32; GROUPS],
    dst: &mut [u8],
) -> ([f32; GROUPS], [f32; GROUPS]) {
    const TOP: f32 = 63.0;
    let largest = |v: &[f32; GROUPS]| v.iter().fold(0.0, |max, &v| if v > max { v } else { max });
    let (max_scale, max_min): (f32, f32) = (largest(scales), largest(mins));
    let inverse = |max: f32| if max > 0.0 { TOP / max } else { 0.0 };
    let (inverse_scale, inverse_min) = (inverse(max_scale), inverse(max_min));
    let (d, dm) = (f16::from_f32(max_scale / TOP), f16::from_f32(max_min / TOP));
    dst[..2].copy_from_slice(&d.to_le_bytes());
    dst[2..4].copy_from_slice(&dm.to_le_bytes());
    let packed = &mut dst[4..16];
    let (mut scale_steps, mut min_steps) = ([0.0; GROUPS], [0.0; GROUPS]);
    for j in 0..GROUPS {
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
