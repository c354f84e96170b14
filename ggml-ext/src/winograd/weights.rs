//! The transform of the weights: `G g G^T` of each 3 x 3 kernel `g`.
//!
//! Lanes are output channels, see [`gather`].

use super::plan::Span;
use super::scheme::Lines;
use crate::simd::kernel::{Element, TAPS, Taps, gather};
use crate::simd::lanes::{Lanes, MAX, Task};

/// Input channels by which the places to be written are fetched ahead.
const AHEAD: usize = 8;

/// Makes U of a group of output channels and a chunk of input channels, of which only for `first..last`.
///
/// `kernel` has `c_in * c_out * 9` elements. `dst`, the place of the group's U, is valid to write
/// at every point for `n_outs` floats of each channel of the chunk, and nobody else accesses the rows of those input
/// channels meanwhile. `n_outs` is a multiple of `NV * N`; output channels from `c_out` on count
/// as zero.
pub(super) struct TransformWeights<'a, E, S, const NV: usize, const IN: usize, const OUT: usize> {
    pub(super) scheme: S,
    pub(super) kernel: &'a [E],
    pub(super) c_in: usize,
    pub(super) c_out: usize,
    pub(super) first_out: usize,
    pub(super) n_outs: usize,
    pub(super) chunk: Span,
    pub(super) first: usize,
    pub(super) last: usize,
    pub(super) dst: *mut f32,
    pub(super) point_stride: usize,
}

impl<L, E, S, const NV: usize, const IN: usize, const OUT: usize> Task<L>
    for TransformWeights<'_, E, S, NV, IN, OUT>
where
    L: Lanes,
    E: Element,
    S: Lines<IN, OUT>,
{
    #[inline(always)]
    unsafe fn run(self) {
        debug_assert_eq!(self.kernel.len(), TAPS * self.c_in * self.c_out);
        let mut taps: Taps = [[0.0; MAX]; TAPS * MAX];
        for k in 0..self.n_outs / L::N {
            let (micro, vector) = (k / NV, k % NV);
            let mut c = self.first;
            while c < self.last {
                let n = L::N.min(self.last - c);
                // SAFETY: the instruction set by the caller's word; channels `c..c + n` exist.
                unsafe {
                    let channels = [self.c_in, self.c_out];
                    gather::<L, E>(
                        self.kernel,
                        channels,
                        &mut taps,
                        self.first_out + k * L::N,
                        c,
                        n,
                    );
                }
                for i in 0..n {
                    let row = (micro * self.chunk.n + c - self.chunk.first + i) * NV + vector;
                    // SAFETY: the row is one of this group, and of the channels `first..last`.
                    unsafe {
                        let dst = self.dst.add(row * L::N);
                        let taps = taps.as_ptr().add(i * TAPS);
                        let ahead = AHEAD * NV * L::N;
                        transform::<L, S, IN, OUT>(
                            self.scheme,
                            taps,
                            dst,
                            self.point_stride,
                            ahead,
                        );
                    }
                }
                c += n;
            }
        }
    }
}

/// `G g G^T` of one input channel.
///
/// # Safety
/// The processor has the instruction set; `taps` are nine rows of `MAX` floats; `N` floats can be
/// written at each of the points from `dst` on. `ahead` is the distance to what will be written
/// later, a hint.
#[inline(always)]
unsafe fn transform<L: Lanes, S: Lines<IN, OUT>, const IN: usize, const OUT: usize>(
    scheme: S,
    taps: *const [f32; MAX],
    dst: *mut f32,
    point_stride: usize,
    ahead: usize,
) {
    // SAFETY: the caller's word.
    unsafe {
        let mut columns = [[L::splat(0.0); 3]; IN];
        for x in 0..3 {
            let taps = taps.add(x);
            let (second, third) = (taps.add(3), taps.add(6));
            let column = scheme.kernel([
                L::load(taps.cast()),
                L::load(second.cast()),
                L::load(third.cast()),
            ]);
            for y in 0..IN {
                columns[y][x] = column[y];
            }
        }
        for y in 0..IN {
            let row = scheme.kernel(columns[y]);
            for x in 0..IN {
                let dst = dst.add((y * IN + x) * point_stride);
                L::prefetch(dst.wrapping_add(ahead));
                row[x].store(dst);
            }
        }
    }
}
