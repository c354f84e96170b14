//! K-quants, eight groups at a time: the arithmetic of ggml's reference code, operation by
//! operation, with one group of values in each vector lane.
//!
//! ggml searches the scale of each group of 16 or 32 values by trying some twenty candidates, one
//! group after the other, in sums whose order forbids the compiler to vectorise them. Groups are
//! independent of each other, so here each lane follows one, in the same order: the bytes are equal,
//! not merely close, because neither side fuses or reorders operations. Where a C compiler did fuse,
//! `is_exact` finds out and the caller stays with ggml, as it does on processors without AVX2.

mod affine;
mod avx2;
mod scaled;

use super::quantize_with_ggml;
use crate::DType;
use std::sync::OnceLock;

/// Values of a super-block.
const BLOCK: usize = 256;
/// Groups that are searched at a time.
const GROUPS: usize = 8;

/// Values of eight groups, transposed: the i-th of each group side by side.
type Rows<const LEN: usize> = [[f32; GROUPS]; LEN];

/// Whether this module has code for the type, and that code runs and gives ggml's bytes here.
pub fn is_exact(dtype: DType) -> bool {
    static EXACT: OnceLock<bool> = OnceLock::new();
    let exact = || is_x86_feature_detected!("avx2") && agrees_with_ggml();
    matches!(dtype, DType::Q4K | DType::Q5K | DType::Q6K) && *EXACT.get_or_init(exact)
}

/// Compares both ways on a hundred super-blocks; takes milliseconds.
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
/// If `dst` does not hold exactly the super-blocks of `src`, for another type, or without AVX2.
pub fn quantize(dtype: DType, src: &[f32], dst: &mut [u8]) {
    let n = dtype.row_size(BLOCK).unwrap_or(1);
    assert!(src.len().is_multiple_of(BLOCK) && src.len() / BLOCK * n == dst.len());
    assert!(is_x86_feature_detected!("avx2"));
    for (src, dst) in src.chunks_exact(BLOCK).zip(dst.chunks_exact_mut(n)) {
        // SAFETY: the processor has AVX2, as asserted; nothing else is asked of the caller.
        unsafe {
            match dtype {
                DType::Q4K => affine::block_q4(src, dst),
                DType::Q5K => affine::block_q5(src, dst),
                DType::Q6K => scaled::block(src, dst),
                _ => panic!("{dtype} is not a k-quant"),
            }
        }
    }
}

/// Rounds to the nearest level from `low` to `high`, ties to even.
#[inline(always)]
fn level(v: f32, low: i32, high: i32) -> i32 {
    round(v).min(high).max(low)
}

/// Rounds to the nearest integer by the bits of a sum: also for values that are out of range or not
/// numbers, this gives what ggml gets.
#[inline(always)]
fn round(v: f32) -> i32 {
    ((v + 12_582_912.0).to_bits() & 0x007f_ffff) as i32 - 0x0040_0000
}

#[inline(always)]
fn rows<const LEN: usize>(src: &[f32]) -> Rows<LEN> {
    let mut out = [[0.0; GROUPS]; LEN];
    for (k, group) in src.chunks_exact(LEN).enumerate().take(GROUPS) {
        for (row, &v) in out.iter_mut().zip(group) {
            row[k] = v;
        }
    }
    out
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
