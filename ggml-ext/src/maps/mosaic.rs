//! Many small maps side by side in one.
//!
//! Convolutions cut a map into tiles, and small maps do not fill theirs. Laid out as a mosaic, with a line of zeros between
//! neighbours that is the padding of both, they share tiles: 32 maps of 14 x 14 take 200 of 6 x 6, and
//! 288 each for itself. What a convolution makes of the lines between is not used.

use super::{Data, Maps, Pooled};
use crate::custom::{CustomOp, Node};
use crate::graph::Builder;
use crate::simd::Isa;
use crate::simd::isa::ForIsa;
use crate::simd::lanes::{Lanes, Task, load_up_to, store_up_to};
use crate::tensor::Tensor;
use crate::winograd::Scheme;
use std::sync::Arc;

/// Side of tiles that many maps are cut into.
const TILE: usize = Scheme::Six.side();

/// How maps are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mosaic {
    /// Width and height of a map.
    side: [usize; 2],
    n: usize,
    columns: usize,
}

impl Mosaic {
    /// The layout of `n` maps that takes the fewest tiles.
    pub(crate) fn new(side: [usize; 2], n: usize) -> Mosaic {
        let with = |columns| Mosaic { side, n, columns };
        let tiles = |m: &Mosaic| m.sides().map(|s| s.div_ceil(TILE)).iter().product::<usize>();
        (1..=n.max(1)).map(with).min_by_key(tiles).unwrap_or(with(1))
    }

    /// Width and height of the whole.
    pub(crate) fn sides(&self) -> [usize; 2] {
        let [w, h] = self.side;
        let rows = self.n.div_ceil(self.columns).max(1);
        [self.columns * (w + 1) - 1, rows * (h + 1) - 1]
    }

    /// Pixels of the whole.
    pub(crate) fn n_pixels(&self) -> usize {
        self.sides().iter().product()
    }

    /// What row `y` of the whole goes through: for each column of the mosaic the map, if there is one, and the row
    /// of it.
    pub(crate) fn row(&self, y: usize) -> impl Iterator<Item = Option<(usize, usize)>> {
        let (n, columns, h) = (self.n, self.columns, self.side[1]);
        let (row, inner) = (y / (h + 1), y % (h + 1));
        (0..columns).map(move |column| {
            let map = row * columns + column;
            (map < n && inner < h).then_some((map, inner))
        })
    }

    /// First pixel of row `y` of a map.
    pub(crate) fn pixel(&self, map: usize, y: usize) -> usize {
        let [w, h] = self.side;
        let (row, column) = (map / self.columns, map % self.columns);
        (row * (h + 1) + y) * self.sides()[0] + column * (w + 1)
    }
}

/// Takes maps out of a mosaic, plus a bias and not below zero if there is one, with the channels slowest.
struct TakeOut {
    isa: Isa,
    mosaic: Mosaic,
    n_channels: usize,
    with_bias: bool,
}

/// Channels that are read before they are written in their places.
const BLOCK: usize = 64;

impl<'g> Builder<'g> {
    /// The maps of a mosaic `[C, pixels]`; with a bias `[C]`, max(map + bias, 0). Gives `[W, H, C, n]`.
    pub(super) fn take_out(
        &self,
        mosaic: Mosaic,
        whole: Tensor<'g>,
        bias: Option<Tensor<'g>>,
    ) -> Tensor<'g> {
        let n_channels = whole.ne()[0];
        let op = TakeOut { isa: Isa::detect(), mosaic, n_channels, with_bias: bias.is_some() };
        let [w, h] = mosaic.side;
        let sources: Vec<_> = [whole].into_iter().chain(bias).collect();
        self.custom(&[w, h, n_channels, mosaic.n], &sources, Arc::new(op), "take_out")
    }
}

impl<'g> Maps<'g> {
    /// Maps of a mosaic `[C, pixels]`.
    pub(super) fn mosaic(mosaic: Mosaic, whole: Tensor<'g>) -> Maps<'g> {
        let (sides, n_channels) = (vec![mosaic.side; mosaic.n], whole.ne()[0]);
        Maps { sides, n_channels, data: Data::Mosaic(mosaic, whole) }
    }

    /// What is pooled of regions.
    pub(crate) fn pooled(pooled: Pooled<'g>) -> Maps<'g> {
        let sides = vec![[pooled.out; 2]; pooled.n_regions];
        Maps { sides, n_channels: pooled.map.ne()[0], data: Data::Pooled(pooled) }
    }
}

impl CustomOp for TakeOut {
    unsafe fn run(&self, node: &Node, ith: usize, nth: usize) {
        let ([w, h], c) = (self.mosaic.side, self.n_channels);
        let n_blocks = c.div_ceil(BLOCK);
        let n_pixels = self.mosaic.n_pixels();
        for i in (ith..self.mosaic.n * n_blocks).step_by(nth) {
            let (map, first) = (i / n_blocks, i % n_blocks * BLOCK);
            let n = BLOCK.min(c - first);
            let len = n * w * h;
            assert!(node.result().len() == self.mosaic.n * c * w * h, "length of the result");
            // SAFETY: channels of a map that are no other thread's; the length is checked.
            let dst = unsafe {
                let dst = node.result().cast::<f32>().add((map * c + first) * w * h);
                std::slice::from_raw_parts_mut(dst, len)
            };
            assert_eq!(node.floats(0).len(), n_pixels * c, "length of the mosaic");
            // SAFETY: the instruction set was detected.
            unsafe { self.isa.run(Block { op: self, node, map, channels: [first, n], dst }) }
        }
    }
}

/// Some channels of one map.
struct Block<'a> {
    op: &'a TakeOut,
    node: &'a Node,
    map: usize,
    /// The first, and how many.
    channels: [usize; 2],
    dst: &'a mut [f32],
}

impl ForIsa for Block<'_> {
    unsafe fn run<L: Lanes, const MR: usize, const NV: usize>(self) {
        // SAFETY: the caller's word.
        unsafe { L::call(self) }
    }
}

impl<L: Lanes> Task<L> for Block<'_> {
    #[inline(always)]
    unsafe fn run(self) {
        let (op, [first, n]) = (self.op, self.channels);
        let ([w, h], c) = (op.mosaic.side, op.n_channels);
        for y in 0..h {
            for x in 0..w {
                let at = (op.mosaic.pixel(self.map, y) + x) * c + first;
                let mut values = [0.0f32; BLOCK];
                for from in (0..n).step_by(L::N) {
                    let lanes = L::N.min(n - from);
                    // SAFETY: the instruction set by the caller's word; the lanes are channels that
                    // exist, by the slices.
                    unsafe {
                        let src = &self.node.floats(0)[at + from..][..lanes];
                        let mut v = load_up_to::<L>(src.as_ptr(), lanes);
                        if op.with_bias {
                            let bias = &self.node.floats(1)[first + from..][..lanes];
                            v = v.add(load_up_to(bias.as_ptr(), lanes)).relu();
                        }
                        store_up_to(v, values[from..].as_mut_ptr(), lanes);
                    }
                }
                for (channel, &v) in self.dst.chunks_exact_mut(w * h).zip(&values) {
                    channel[y * w + x] = v;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_map_has_a_place_of_its_own() {
        for (side, n) in [([14, 14], 1), ([14, 14], 2), ([14, 14], 32), ([7, 3], 5), ([1, 1], 9)] {
            let m = Mosaic::new(side, n);
            let [w, h] = m.sides();
            let mut seen = vec![false; w * h];
            for map in 0..n {
                for y in 0..side[1] {
                    for x in 0..side[0] {
                        let pixel = m.pixel(map, y) + x;
                        assert!(!std::mem::replace(&mut seen[pixel], true), "{side:?} {n}");
                    }
                }
            }
            // Rows tell of the same places.
            for y in 0..h {
                for (column, place) in m.row(y).enumerate() {
                    if let Some((map, inner)) = place {
                        assert_eq!(m.pixel(map, inner), y * w + column * (side[0] + 1));
                    }
                }
            }
        }
    }

    #[test]
    fn maps_share_tiles() {
        let sides = |n| Mosaic::new([14, 14], n).sides();
        let tiles = |n| sides(n).map(|s| s.div_ceil(TILE)).iter().product::<usize>();
        assert_eq!([1, 2, 4, 32].map(tiles), [9, 15, 25, 200]);
    }
}
