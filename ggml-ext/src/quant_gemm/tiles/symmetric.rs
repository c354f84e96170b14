//! Weights of a scale only: sums become floats group by group, as in vectors.

use super::{STRIDE, Tiled};
use crate::quant_gemm::kind::{Block, CHUNK, Panel};
use crate::quant_gemm::quads::x86::Vnni;
use crate::quant_gemm::quads::{MAX_ROWS, Rows};
use crate::quant_gemm::symmetric::{GROUP, Q8_0, unpack};
use crate::simd::amx::{self, ROW, ROWS, Sums};
use std::arch::x86_64::*;
use std::mem::offset_of;

impl Tiled for Q8_0 {
    type Panel = Panel;
    type Products = [[Sums<i32>; 2]; CHUNK / GROUP];
    const DEPTH: usize = GROUP;

    #[inline(always)]
    fn panel() -> Panel {
        Panel::EMPTY
    }

    #[inline(always)]
    fn products() -> Self::Products {
        [[Sums([[0; ROWS]; ROWS]); 2]; CHUNK / GROUP]
    }

    #[inline(always)]
    fn complete(_: &mut Block) {}

    #[inline(always)]
    unsafe fn unpack(rows: Rows, n_values: usize, panel: &mut Panel) {
        // SAFETY: the caller's word.
        unsafe { unpack::<Vnni, 0>(rows, n_values, panel) }
    }

    #[inline(always)]
    unsafe fn multiply<const T: usize>(
        panel: &Panel,
        n_values: usize,
        blocks: *const Block,
        products: &mut Self::Products,
    ) {
        for g in 0..n_values / GROUP {
            // SAFETY: the caller's word.
            unsafe {
                let at = offset_of!(Block, values) + g * GROUP;
                let [first, second] = products.get_unchecked_mut(g);
                amx::zero::<0>();
                amx::load::<4>(blocks.cast::<u8>().add(at), STRIDE);
                amx::load::<6>(panel.quads.as_ptr().add(8 * g).cast(), ROW);
                amx::add_signed::<0, 4, 6>();
                amx::store::<0, _>(first);
                if T == 2 {
                    amx::zero::<1>();
                    amx::load::<5>(blocks.add(ROWS).cast::<u8>().add(at), STRIDE);
                    amx::add_signed::<1, 5, 6>();
                    amx::store::<1, _>(second);
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn add(
        panel: &Panel,
        n_values: usize,
        blocks: *const Block,
        products: &Self::Products,
        sums: *mut f32,
        n: usize,
    ) {
        for t in 0..n {
            // SAFETY: the caller's word; sums are aligned as vectors are.
            unsafe {
                let sum = sums.add(t * MAX_ROWS);
                let mut own = _mm512_load_ps(sum);
                for g in 0..n_values / GROUP {
                    let whole = &products.get_unchecked(g)[t / ROWS].0[t % ROWS];
                    let whole = _mm512_cvtepi32_ps(_mm512_load_si512(whole.as_ptr().cast()));
                    let other = _mm512_set1_ps(*(*blocks.add(t)).floats.get_unchecked(g));
                    let scale = _mm512_load_ps(panel.floats.get_unchecked(g).as_ptr());
                    own = _mm512_fmadd_ps(_mm512_mul_ps(whole, other), scale, own);
                }
                _mm512_store_ps(sum, own);
            }
        }
    }
}
