//! K-quants: values times the scales of their groups, in two bytes.

use super::{STRIDE, Tiled};
use crate::quant_gemm::affine::{Affine, Scales, Unpacked};
use crate::quant_gemm::kind::{Block, CHUNK};
use crate::quant_gemm::quads::x86::Vnni;
use crate::quant_gemm::quads::{MAX_ROWS, Quads, Rows};
use crate::simd::amx::{self, ROW, ROWS, Sums, Tile};
use std::arch::x86_64::*;
use std::marker::PhantomData;
use std::mem::offset_of;

/// Tiles that a chunk of a column or of rows is.
const DEPTH: usize = CHUNK / ROW;

/// A chunk of rows of k-quants: values times scales.
#[repr(C, align(64))]
pub(crate) struct Scaled {
    /// Without a sign: values times the low three bits of scales, or the low bytes of the products.
    low: [Tile; DEPTH],
    /// Values times the bits above, or the high bytes, with a sign.
    high: [Tile; DEPTH],
    /// Minima of pairs of groups, as `bf16`s: for the high parts of columns' sums, then for the low ones.
    minima: Tile,
    /// Of each row: what sums with scales are multiplied with, and sums with minima.
    factor: __m512,
    minus: __m512,
}

/// Sums of a panel and a tile of columns.
#[derive(Clone, Copy)]
pub(crate) struct ScaledProducts {
    /// With the low and the high parts.
    whole: [Sums<i32>; 2],
    minima: Sums<f32>,
}

/// The bits of a float that a `bf16` has.
const HIGH: u32 = 0xffff_0000;

/// Two `bf16`s, in the bits of a float.
fn pair(even: f32, odd: f32) -> f32 {
    f32::from_bits(even.to_bits() >> 16 | odd.to_bits() & HIGH)
}

impl<A: Affine> Tiled for A {
    type Panel = Scaled;
    type Products = [ScaledProducts; 2];
    const DEPTH: usize = ROW;

    #[inline(always)]
    fn panel() -> Scaled {
        let none = Tile([[0; ROW]; ROWS]);
        // SAFETY: bits of zero are a vector.
        let zero = unsafe { std::mem::zeroed() };
        Scaled { low: [none; DEPTH], high: [none; DEPTH], minima: none, factor: zero, minus: zero }
    }

    #[inline(always)]
    fn products() -> Self::Products {
        let whole = [Sums([[0; ROWS]; ROWS]); 2];
        [ScaledProducts { whole, minima: Sums([[0.0; ROWS]; ROWS]) }; 2]
    }

    /// The groups' sums, of at most 13 bits, as two `bf16`s each.
    #[inline(always)]
    fn complete(block: &mut Block) {
        if A::CENTRE != 0 {
            return;
        }
        let sums = block.floats;
        let high = sums.map(|v| f32::from_bits(v.to_bits() & HIGH));
        block.floats = [0.0; CHUNK / 16];
        for p in 0..CHUNK / A::GROUP / 2 {
            let [even, odd] = [2 * p, 2 * p + 1];
            block.floats[p] = pair(high[even], high[odd]);
            block.floats[p + 4] = pair(sums[even] - high[even], sums[odd] - high[odd]);
        }
    }

    #[inline(always)]
    unsafe fn unpack(rows: Rows, _: usize, panel: &mut Scaled) {
        // SAFETY: the caller's word.
        unsafe {
            let zero = _mm512_setzero_si512();
            let mut multiplied =
                Multiplied::<A> { panel, scales: [[zero; 2]; 16], kind: PhantomData };
            A::unpack::<Vnni, _>(rows, &mut multiplied);
        }
    }

    /// Tiles 0 and 1 are sums of the first columns, 2 and 3 of others; 4 and 5 columns, 6 and 7 rows.
    #[inline(always)]
    unsafe fn multiply<const T: usize>(
        panel: &Scaled,
        _: usize,
        blocks: *const Block,
        products: &mut Self::Products,
    ) {
        let [low, high] = [&panel.low, &panel.high];
        // SAFETY: the caller's word.
        unsafe {
            let column = |t: usize, byte: usize| blocks.add(t * ROWS).cast::<u8>().add(byte);
            amx::zero::<0>();
            amx::zero::<1>();
            if T == 2 {
                amx::zero::<2>();
                amx::zero::<3>();
            }
            for d in 0..DEPTH {
                let at = offset_of!(Block, values) + d * ROW;
                amx::load::<4>(column(0, at), STRIDE);
                amx::load::<6>(low[d].0.as_ptr().cast(), ROW);
                amx::add_unsigned::<0, 4, 6>();
                amx::load::<7>(high[d].0.as_ptr().cast(), ROW);
                if A::CENTRE == 0 {
                    amx::add_unsigned::<1, 4, 7>();
                } else {
                    amx::add_signed::<1, 4, 7>();
                }
                if T == 2 {
                    amx::load::<5>(column(1, at), STRIDE);
                    amx::add_unsigned::<2, 5, 6>();
                    if A::CENTRE == 0 {
                        amx::add_unsigned::<3, 5, 7>();
                    } else {
                        amx::add_signed::<3, 5, 7>();
                    }
                }
            }
            amx::store::<0, _>(&mut products[0].whole[0]);
            amx::store::<1, _>(&mut products[0].whole[1]);
            if T == 2 {
                amx::store::<2, _>(&mut products[1].whole[0]);
                amx::store::<3, _>(&mut products[1].whole[1]);
            }
            if A::CENTRE == 0 {
                let at = offset_of!(Block, floats);
                amx::zero::<0>();
                amx::load::<4>(column(0, at), STRIDE);
                amx::load::<6>(panel.minima.0.as_ptr().cast(), ROW);
                amx::add_floats::<0, 4, 6>();
                if T == 2 {
                    amx::zero::<2>();
                    amx::load::<5>(column(1, at), STRIDE);
                    amx::add_floats::<2, 5, 6>();
                    amx::store::<2, _>(&mut products[1].minima);
                }
                amx::store::<0, _>(&mut products[0].minima);
            }
        }
    }

    #[inline(always)]
    unsafe fn add(
        panel: &Scaled,
        _: usize,
        blocks: *const Block,
        products: &Self::Products,
        sums: *mut f32,
        n: usize,
    ) {
        for t in 0..n {
            // SAFETY: the caller's word; sums are aligned as vectors are.
            unsafe {
                let products = products.get_unchecked(t / ROWS);
                let load = |of: &Sums<i32>| _mm512_load_si512(of.0[t % ROWS].as_ptr().cast());
                let high = match A::CENTRE {
                    0 => _mm512_slli_epi32::<3>(load(&products.whole[1])),
                    _ => _mm512_slli_epi32::<8>(load(&products.whole[1])),
                };
                let whole = _mm512_add_epi32(load(&products.whole[0]), high);
                let mut own = _mm512_mul_ps(_mm512_cvtepi32_ps(whole), panel.factor);
                if A::CENTRE == 0 {
                    let minima = _mm512_load_ps(products.minima.0[t % ROWS].as_ptr());
                    own = _mm512_fmadd_ps(minima, panel.minus, own);
                }
                let scale = _mm512_set1_ps((*blocks.add(t)).scale);
                let sum = sums.add(t * MAX_ROWS);
                _mm512_store_ps(sum, _mm512_fmadd_ps(own, scale, _mm512_load_ps(sum)));
            }
        }
    }
}

/// Multiplies values on their way into a panel.
struct Multiplied<'a, A> {
    panel: &'a mut Scaled,
    /// Of each group: low and high bits, or all, as words.
    scales: [[__m512i; 2]; 16],
    kind: PhantomData<A>,
}

impl<A> Multiplied<'_, A> {
    /// # Safety
    /// The processor has AVX-512; the quad exists.
    #[inline(always)]
    unsafe fn store(&mut self, quad: usize, low: __m512i, high: __m512i) {
        // SAFETY: a quad is a row of a tile.
        unsafe {
            let (tile, row) = (quad / ROWS, quad % ROWS);
            _mm512_store_si512(self.panel.low[tile].0[row].as_mut_ptr().cast(), low);
            _mm512_store_si512(self.panel.high[tile].0[row].as_mut_ptr().cast(), high);
        }
    }
}

impl<A: Affine> Unpacked<Vnni> for Multiplied<'_, A> {
    #[inline(always)]
    unsafe fn set_scales(&mut self, scales: Scales<Vnni>) {
        // SAFETY: the caller's word.
        unsafe {
            let twice = |v| _mm512_or_si512(v, _mm512_slli_epi32::<16>(v));
            match scales {
                Scales::Affine { factors, scales, minima } => {
                    self.panel.factor = factors[0];
                    self.panel.minus = Vnni::mul(factors[1], Vnni::splat(-1.0));
                    for g in 0..8 {
                        let scale = Vnni::byte(scales[g / 4], g as i32 % 4);
                        let low = _mm512_and_si512(scale, _mm512_set1_epi32(7));
                        self.scales[g] = [twice(low), twice(_mm512_srli_epi32::<3>(scale))];
                    }
                    for p in 0..4 {
                        let float = |g: usize| {
                            let minimum = Vnni::byte(minima[g / 4], g as i32 % 4);
                            _mm512_castps_si512(Vnni::to_floats(minimum))
                        };
                        let even = _mm512_srli_epi32::<16>(float(2 * p));
                        let pair = _mm512_or_si512(even, float(2 * p + 1));
                        for row in [p, p + 4] {
                            let row = self.panel.minima.0[row].as_mut_ptr();
                            _mm512_store_si512(row.cast(), pair);
                        }
                    }
                }
                Scales::Signed { factor, scales } => {
                    self.panel.factor = factor;
                    for g in 0..16 {
                        let scale = Vnni::signed_byte(scales[g / 4], g as i32 % 4);
                        let low = _mm512_and_si512(scale, _mm512_set1_epi32(0xffff));
                        self.scales[g][0] = _mm512_or_si512(low, _mm512_slli_epi32::<16>(scale));
                    }
                }
            }
        }
    }

    /// With four bits of values and three of scales, or five and three, no product of bytes is larger than a byte: two are multiplied
    /// as one word.
    #[inline(always)]
    unsafe fn put(&mut self, quad: usize, v: __m512i) {
        let [low, high] = self.scales[quad / (A::GROUP / 4)];
        // SAFETY: the caller's word.
        unsafe {
            if A::CENTRE == 0 {
                let low = _mm512_mullo_epi16(v, low);
                return self.store(quad, low, _mm512_mullo_epi16(v, high));
            }
            let (centre, byte) = (_mm512_set1_epi16(A::CENTRE), _mm512_set1_epi16(0xff));
            let even = _mm512_sub_epi16(_mm512_and_si512(v, byte), centre);
            let odd = _mm512_sub_epi16(_mm512_srli_epi16::<8>(v), centre);
            let (even, odd) = (_mm512_mullo_epi16(even, low), _mm512_mullo_epi16(odd, low));
            let low = _mm512_or_si512(_mm512_and_si512(even, byte), _mm512_slli_epi16::<8>(odd));
            let high =
                _mm512_or_si512(_mm512_srli_epi16::<8>(even), _mm512_andnot_si512(byte, odd));
            self.store(quad, low, high);
        }
    }
}
