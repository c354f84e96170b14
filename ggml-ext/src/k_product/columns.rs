//! Columns in 8 bits, as ggml makes them of whatever it multiplies with k-quants (`q8_K`).

use super::BLOCK;

/// 256 values of a column: `scale * values`.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Block {
    pub(super) values: [i8; BLOCK],
    /// Of the values of each group of 16 or 32, as many as there are.
    pub(super) sums: [f32; 16],
    pub(super) scale: f32,
}

impl Block {
    pub(super) const EMPTY: Block = Block { values: [0; BLOCK], sums: [0.0; 16], scale: 0.0 };

    /// Values of `x`, which get the bits that ggml's reference code gives them, and sums of groups of `GROUP`.
    #[inline(always)]
    pub(super) fn set<const GROUP: usize>(&mut self, x: &[f32; BLOCK]) {
        let largest = largest(x);
        if largest == 0.0 {
            *self = Block::EMPTY;
            return;
        }
        let factor = -127.0 / largest;
        self.scale = 1.0 / factor;
        for (v, x) in self.values.iter_mut().zip(x) {
            *v = nearest(factor * x).min(127) as i8;
        }
        for (sum, group) in self.sums.iter_mut().zip(self.values.chunks_exact(GROUP)) {
            *sum = group.iter().map(|&v| i32::from(v)).sum::<i32>() as f32;
        }
    }
}

/// The first value of the largest magnitude.
#[inline(always)]
fn largest(x: &[f32; BLOCK]) -> f32 {
    let mut lanes = [0.0f32; 16];
    for row in x.as_chunks::<16>().0 {
        for (most, v) in lanes.iter_mut().zip(row) {
            let v = v.abs();
            *most = if v > *most { v } else { *most };
        }
    }
    let most = lanes.iter().fold(0.0f32, |a, &b| if b > a { b } else { a });
    x.iter().copied().find(|v| v.abs() == most).unwrap_or(0.0)
}

/// The nearest whole number, of two the even one, for values of up to 2^22; bits of something else for others.
#[inline(always)]
fn nearest(v: f32) -> i32 {
    const SHIFT: f32 = 12_582_912.0; // 1.5 * 2^23: ones are then the last bit of a float
    ((v + SHIFT).to_bits() as i32 & 0x007f_ffff) - 0x0040_0000
}
