//! The inner loop of matrix products.

use super::lanes::Lanes;

/// What is fetched meanwhile, which need not exist.
#[derive(Clone, Copy)]
pub(crate) struct Ahead {
    /// Distance from `v` to what will be read after it, in floats.
    pub(crate) next: usize,
    /// From here on `step` floats for each input channel.
    pub(crate) later: *const f32,
    pub(crate) step: usize,
}

impl Ahead {
    /// Nothing but what is read after `v`.
    pub(crate) fn next(v: *const f32, next: usize) -> Ahead {
        Ahead { next, later: v, step: 0 }
    }
}

/// `MR` tiles x `NV` vectors of output channels, summed over the input channels in registers; if it does not `begin`, on top
/// of what there is at `m`.
///
/// # Safety
/// The processor has the instruction set. `c_in` rows of `MR` floats can be read at `v`, of
/// `NV * N` floats at `u`; `NV * N` floats can be written at `m` for each tile, and read if it does not begin.
#[inline(always)]
pub(crate) unsafe fn micro<L: Lanes, const MR: usize, const NV: usize>(
    v: *const f32,
    u: *const f32,
    c_in: usize,
    m: *mut f32,
    tile_stride: usize,
    begin: bool,
    ahead: Ahead,
) {
    // SAFETY: the caller's word.
    unsafe {
        let mut sums = [[L::splat(0.0); NV]; MR];
        if !begin {
            for i in 0..MR {
                for j in 0..NV {
                    sums[i][j] = L::load(m.add(i * tile_stride + j * L::N));
                }
            }
        }
        accumulate(v, u, c_in, &mut sums, ahead);
        for i in 0..MR {
            for j in 0..NV {
                sums[i][j].store(m.add(i * tile_stride + j * L::N));
            }
        }
    }
}

/// Adds to the sums of `MR` tiles x `NV` vectors the products over the input channels.
///
/// # Safety
/// As for [`micro`], but for `m`.
#[inline(always)]
pub(crate) unsafe fn accumulate<L: Lanes, const MR: usize, const NV: usize>(
    v: *const f32,
    u: *const f32,
    c_in: usize,
    sums: &mut [[L; NV]; MR],
    ahead: Ahead,
) {
    // SAFETY: the caller's word.
    unsafe {
        for c in 0..c_in {
            let (v, u) = (v.add(c * MR), u.add(c * NV * L::N));
            L::prefetch(v.wrapping_add(ahead.next));
            L::prefetch(ahead.later.wrapping_add(c * ahead.step));
            let mut weights = [L::splat(0.0); NV];
            for j in 0..NV {
                weights[j] = L::load(u.add(j * L::N));
            }
            for i in 0..MR {
                let value = L::splat(*v.add(i));
                for j in 0..NV {
                    sums[i][j] = sums[i][j].add_product(value, weights[j]);
                }
            }
        }
    }
}
