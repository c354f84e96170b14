//! What all types of weights have in common: unpacked rows, columns in 8 bits.

use super::quads::{MAX_ROWS, Quads, Rows};

/// Values of a row or a column that are worked on at a time.
pub(super) const CHUNK: usize = 256;

/// The fewest values that share a scale.
const LEAST: usize = 16;

/// A chunk of neighbouring rows, unpacked for the kernel.
#[repr(C, align(64))]
pub(super) struct Panel {
    /// Four values of each row.
    pub(super) quads: [[u8; 4 * MAX_ROWS]; CHUNK / 4],
    /// A number of each group and row: what, the type of the weights says.
    pub(super) floats: [[f32; MAX_ROWS]; CHUNK / LEAST],
    /// Another.
    pub(super) wholes: [[i32; MAX_ROWS]; CHUNK / LEAST],
    /// Two of each row.
    pub(super) factors: [[f32; MAX_ROWS]; 2],
}

impl Panel {
    pub(super) const EMPTY: Panel = Panel {
        quads: [[0; 4 * MAX_ROWS]; CHUNK / 4],
        floats: [[0.0; MAX_ROWS]; CHUNK / LEAST],
        wholes: [[0; MAX_ROWS]; CHUNK / LEAST],
        factors: [[0.0; MAX_ROWS]; 2],
    };
}

/// A chunk of a column in 8 bits.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Block {
    pub(super) values: [i8; CHUNK],
    /// A number of each group: what, the type of the weights says.
    pub(super) floats: [f32; CHUNK / LEAST],
    /// Another.
    pub(super) wholes: [i32; CHUNK / (2 * LEAST)],
    /// Of all values, if groups have none.
    pub(super) scale: f32,
}

impl Block {
    pub(super) const EMPTY: Block = Block {
        values: [0; CHUNK],
        floats: [0.0; CHUNK / LEAST],
        wholes: [0; CHUNK / (2 * LEAST)],
        scale: 0.0,
    };
}

/// A type of weights.
pub(super) trait Kind {
    /// Bytes of a chunk of a row.
    const BYTES: usize;
    /// Rows are multiples of that many values.
    const LEAST: usize;

    /// A chunk of a column, of as many values as there are, in the bits that ggml would give them.
    fn set(block: &mut Block, values: &[f32]);

    /// # Safety
    /// The processor has the instruction set; `n_values` values can be read in each row.
    unsafe fn unpack<L: Quads>(rows: Rows, n_values: usize, panel: &mut Panel);

    /// Adds to `T` columns' sums (`[T][MAX_ROWS]`) what a chunk of `n_values` values contributes.
    ///
    /// # Safety
    /// The processor has the instruction set; there are `T` blocks and `T` rows of sums.
    unsafe fn tile<L: Quads, const T: usize>(
        panel: &Panel,
        n_values: usize,
        blocks: *const Block,
        sums: *mut f32,
    );
}

/// The nearest whole number, of two the even one, for values of up to 2^22; bits of something else for others.
#[inline(always)]
pub(super) fn nearest(v: f32) -> i32 {
    const SHIFT: f32 = 12_582_912.0; // 1.5 * 2^23: ones are then the last bit of a float
    ((v + SHIFT).to_bits() as i32 & 0x007f_ffff) - 0x0040_0000
}
