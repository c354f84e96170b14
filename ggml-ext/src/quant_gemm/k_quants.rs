//! K-quants, as `ggml-common.h` and `dequantize_row_*` in `ggml-quants.c` define them: values of 4 to 6 bits, each group with a scale
//! and a minimum of its own.

use super::affine::{Affine, Scales, Unpacked};
use super::quads::{MAX_ROWS, Quads, Rows};
use half::f16;

pub(super) enum Q4K {}
pub(super) enum Q5K {}
pub(super) enum Q6K {}

impl Affine for Q4K {
    const BYTES: usize = 144;
    const GROUP: usize = 32;
    const LARGEST: usize = 15;

    #[inline(always)]
    unsafe fn unpack<L: Quads, U: Unpacked<L>>(rows: Rows, to: &mut U) {
        // SAFETY: the caller's word; what is read lies in the super-blocks.
        unsafe {
            scales::<L, U>(rows, to);
            for i in 0..8 {
                let bytes = L::gather(rows.at(16 + 16 * i));
                for (j, v) in bytes.into_iter().enumerate() {
                    let low = first_of_64(i) + j;
                    to.put(low, L::and(v, 15));
                    to.put(low + 8, L::and(L::shr(v, 4), 15));
                }
            }
        }
    }
}

impl Affine for Q5K {
    const BYTES: usize = 176;
    const GROUP: usize = 32;
    const LARGEST: usize = 31;

    #[inline(always)]
    unsafe fn unpack<L: Quads, U: Unpacked<L>>(rows: Rows, to: &mut U) {
        // SAFETY: the caller's word; what is read lies in the super-blocks.
        unsafe {
            scales::<L, U>(rows, to);
            let fifth = [L::gather(rows.at(16)), L::gather(rows.at(32))];
            for i in 0..8 {
                let bytes = L::gather(rows.at(48 + 16 * i));
                let bit = i as i32 / 2 * 2; // of the fifth bits, for the low half
                for (j, v) in bytes.into_iter().enumerate() {
                    let (low, fifth) = (first_of_64(i) + j, fifth[i % 2][j]);
                    let high_bit = L::shl(L::and(L::shr(fifth, bit), 1), 4);
                    to.put(low, L::or(L::and(v, 15), high_bit));
                    let high_bit = L::shl(L::and(L::shr(fifth, bit + 1), 1), 4);
                    to.put(low + 8, L::or(L::and(L::shr(v, 4), 15), high_bit));
                }
            }
        }
    }
}

impl Affine for Q6K {
    const BYTES: usize = 210;
    const GROUP: usize = 16;
    const LARGEST: usize = 63;
    const CENTRE: i16 = 32;

    #[inline(always)]
    unsafe fn unpack<L: Quads, U: Unpacked<L>>(rows: Rows, to: &mut U) {
        const HIGH: usize = 128; // where the high bits are
        const SCALES: usize = 192;
        const FACTOR: usize = 208;
        // SAFETY: the caller's word; what is read lies in the super-blocks.
        unsafe {
            let mut factors = [f16::ZERO; MAX_ROWS];
            for i in 0..L::ROWS {
                factors[i] = rows.at(FACTOR).row(i).cast::<f16>().read_unaligned();
            }
            let factor = L::load_halves(factors.as_ptr());
            to.set_scales(Scales::Signed { factor, scales: L::gather(rows.at(SCALES)) });
            for half in 0..2 {
                for i in 0..2 {
                    let first = L::gather(rows.at(64 * half + 16 * i));
                    let second = L::gather(rows.at(64 * half + 32 + 16 * i));
                    let high = L::gather(rows.at(HIGH + 32 * half + 16 * i));
                    for j in 0..4 {
                        let [a, b, h] = [first[j], second[j], high[j]];
                        let quad = 32 * half + 4 * i + j;
                        to.put(quad, six::<L>(a, 0, h, 0));
                        to.put(quad + 8, six::<L>(b, 0, h, 2));
                        to.put(quad + 16, six::<L>(a, 4, h, 4));
                        to.put(quad + 24, six::<L>(b, 4, h, 6));
                    }
                }
            }
        }
    }
}

/// Of sixteen bytes that hold low and high halves of values 32 apart: the quad of the first low half.
#[inline(always)]
fn first_of_64(sixteenth: usize) -> usize {
    sixteenth / 2 * 16 + sixteenth % 2 * 4
}

/// Four bits of `low` from `shift` on, and above them two bits of `high`.
#[inline(always)]
unsafe fn six<L: Quads>(low: L::Bytes, shift: i32, high: L::Bytes, high_shift: i32) -> L::Bytes {
    // SAFETY: the caller's word.
    unsafe {
        let high = L::and(L::shr(high, high_shift), 3);
        L::or(L::and(L::shr(low, shift), 15), L::shl(high, 4))
    }
}

/// The eight scales and minima of types that begin with two halves and twelve bytes of 6-bit numbers
/// (`get_scale_min_k4`).
#[inline(always)]
unsafe fn scales<L: Quads, U: Unpacked<L>>(rows: Rows, to: &mut U) {
    // SAFETY: the caller's word; a super-block of these types begins with 16 bytes of this kind.
    unsafe {
        let [halves, a, b, c] = L::gather(rows);
        let factors = L::halves(halves);
        let scales = [L::and(a, 63), top_bits::<L>(L::and(c, 15), a)];
        let minima = [L::and(b, 63), top_bits::<L>(L::and(L::shr(c, 4), 15), b)];
        to.set_scales(Scales::Affine { factors, scales, minima });
    }
}

/// Four bits, and above them the top two of `other`.
#[inline(always)]
unsafe fn top_bits<L: Quads>(low: L::Bytes, other: L::Bytes) -> L::Bytes {
    // SAFETY: the caller's word.
    unsafe { L::or(low, L::shl(L::and(L::shr(other, 6), 3), 4)) }
}
