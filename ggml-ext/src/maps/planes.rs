//! Upsampling, convolution and exchange of channels in ggml's own nodes, on maps `[W, H, C]`.
//!
//! Each step is done for all levels before the next begins, so that no more than two sets of maps live at once.

use super::Part;
use super::upsampled::Upsampled;
use crate::graph::Builder;
use crate::tensor::Tensor;

impl<'g> Builder<'g> {
    /// Maps upsampled from their grids, and exchanged if they are to be.
    pub(super) fn upsample(&self, maps: &Upsampled<'g>, sides: &[[usize; 2]]) -> Vec<Tensor<'g>> {
        let [gw, gh] = maps.grid;
        let upsampled = maps.grids.iter().zip(sides).map(|(&grid, &[w, h])| {
            let map = self.cont(self.permute(grid, [1, 0, 2, 3]));
            self.resize_aligned(self.reshape(map, &[gw, gh, grid.ne()[0]]), w, h)
        });
        let whole: Vec<_> = upsampled.collect();
        match &maps.parts {
            Some(parts) => self.exchange_planes(&whole, parts),
            None => whole,
        }
    }

    pub(super) fn conv_of_planes(
        &self,
        maps: &[Tensor<'g>],
        kernel: Tensor<'g>,
    ) -> Vec<Tensor<'g>> {
        let conv = |(l, &map): (usize, &Tensor<'g>)| {
            let convolved = self.conv_2d(map, kernel, 1, 1);
            self.put_into_room(convolved, l);
            self.expand(convolved)
        };
        maps.iter().enumerate().map(conv).collect()
    }

    pub(super) fn exchange_planes(
        &self,
        maps: &[Tensor<'g>],
        parts: &[Vec<Part>],
    ) -> Vec<Tensor<'g>> {
        let level = |(l, parts): (usize, &Vec<Part>)| {
            let [w, h, ..] = maps[l].ne();
            let resized = parts.iter().map(|p| {
                let channels = self.slice(maps[p.level], 2, p.first, p.n);
                self.resize_aligned(channels, w, h)
            });
            // From the last: the first part is the largest, and is copied once.
            let joined = resized.rev().reduce(|rest, part| self.concat(part, rest, 2));
            self.expand(joined.expect("a map has parts"))
        };
        parts.iter().enumerate().map(level).collect()
    }
}
