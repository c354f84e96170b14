//! Feature maps in the CPU's own layout against ggml's nodes.

use crate::{cpu, noise};
use ggml_ext::graph::{Builder, Graph};
use ggml_ext::maps::{GroupNorm, Maps, Part, stored_shapes};
use ggml_ext::roi_align::{RoiAlignParams, RoiBox};
use ggml_ext::weights::TensorSet;
use ggml_ext::{DType, Error, Tensor, numeric};
use std::sync::Arc;

/// Single precision leaves some 1e-12.
const NMSE: f64 = 1e-10;

/// The same maps as ggml's nodes know them, which is the plain way through every operation.
fn plain<'g>(g: &Builder<'g>, maps: &Maps<'g>) -> Maps<'g> {
    Maps::planes(g.to_planes(maps))
}

/// Levels that a neighbour gives a quarter of its channels each.
fn parts(n: usize, c: usize) -> Vec<Vec<Part>> {
    let q = c / 4;
    let level = |l: usize| {
        let part = |level, first, n| Part { level, first, n };
        vec![
            part(l, 0, c - 2 * q),
            part((l + 1).min(n - 1), c - q, q),
            part(l.saturating_sub(1), q, q),
        ]
    };
    (0..n).map(level).collect()
}

struct Pyramid {
    grid: [usize; 2],
    sides: Vec<[usize; 2]>,
    c: usize,
    n_groups: usize,
}

impl Pyramid {
    fn sizes(&self) -> [usize; 4] {
        let grids = self.sides.len() * self.grid[0] * self.grid[1] * self.c;
        [grids, 9 * self.c * self.c, self.c, self.c]
    }

    /// All values after three convolutions, with or without room for their results that is lent.
    fn run(&self, plainly: bool, lend: bool) -> Vec<f32> {
        let (n, backend) = (self.sizes().iter().sum(), cpu());
        let specs = stored_shapes(&backend, "room", &self.sides, self.c);
        let specs: Vec<_> = specs.iter().map(|(n, ne)| (n.as_str(), DType::F32, &ne[..])).collect();
        let room = Arc::new(TensorSet::allocate(&backend, &specs).expect("memory"));
        let (mut graph, (input, outputs)) = Graph::build("maps", &backend, 512, |g| {
            let (all, input) = g.input("all", &[n]);
            if lend {
                g.lend_maps(&room, "room", self.sides.len(), self.c).expect("room");
            }
            let maps = self.build(g, all, plainly)?;
            let outputs: Vec<_> = g.to_planes(&maps).iter().map(|&m| g.output(m, "y")).collect();
            Ok::<_, Error>((input, outputs))
        })
        .expect("a graph");
        graph.set(input, &noise(n, 3)).expect("the right size");
        graph.run().expect("a run");
        let mut values = Vec::new();
        for output in outputs {
            let mut map = Vec::new();
            graph.get(output, &mut map);
            values.extend(map);
        }
        values
    }

    fn build<'g>(
        &self,
        g: &Builder<'g>,
        all: Tensor<'g>,
        plainly: bool,
    ) -> Result<Maps<'g>, Error> {
        let ([n_grids, n_kernel, ..], c) = (self.sizes(), self.c);
        let [gw, gh] = self.grid;
        let kernel = g.reshape(g.slice(all, 0, n_grids, n_kernel), &[3, 3, c, c]);
        let scale = g.slice(all, 0, n_grids + n_kernel, c);
        let bias = g.slice(all, 0, n_grids + n_kernel + c, c);
        let norm = GroupNorm { n_groups: self.n_groups, scale, bias, eps: 1e-5 };
        let grid = |l| g.reshape(g.slice(all, 0, l * c * gw * gh, c * gw * gh), &[c, gw * gh]);
        let grids: Vec<_> = (0..self.sides.len()).map(grid).collect();
        let way = |maps: Maps<'g>| if plainly { plain(g, &maps) } else { maps };
        let mut maps = way(g.upsampled(&grids, self.grid, &self.sides));
        for _ in 0..2 {
            maps = way(g.exchanged(&maps, parts(self.sides.len(), c)));
            maps = way(g.conv_3x3(&maps, kernel)?);
            maps = way(g.group_norm_relu(&maps, norm));
        }
        // One convolution reads what another made.
        maps = way(g.conv_3x3(&maps, kernel)?);
        maps = way(g.conv_3x3(&maps, kernel)?);
        Ok(way(g.group_norm_relu(&maps, norm)))
    }

    fn check(&self) {
        let (got, expected) = (self.run(false, false), self.run(true, false));
        assert_eq!(self.run(false, true), got, "with room that is lent");
        let error = numeric::nmse(&got, &expected);
        assert!(error < NMSE, "{:?}, {} channels: {error:e}", self.sides, self.c);
        let positive = got.iter().filter(|v| **v > 0.0).count();
        assert!(positive * 10 > got.len(), "something is left after ReLU");
    }
}

#[test]
fn a_pyramid_is_the_same_in_both_layouts() {
    let square = |s: &[usize]| s.iter().map(|&s| [s, s]).collect::<Vec<_>>();
    for (grid, sides, c, n_groups) in [
        ([4, 4], square(&[32, 16, 8, 4]), 64, 4),
        ([6, 6], square(&[13, 9, 5]), 24, 2), // finer and coarser than the grid, no whole tiles
        ([3, 5], vec![[12, 20], [7, 4]], 20, 5), // not square; channels that fill no vector
        ([4, 4], square(&[8]), 8, 8),         // a level without neighbours
        ([4, 4], square(&[8, 4]), 6, 3),      // not for our kernels
        ([4, 4], square(&[32, 16, 8, 4]), 18, 3),
        ([3, 5], vec![[12, 20], [7, 4], [2, 9]], 10, 5),
    ] {
        Pyramid { grid, sides, c, n_groups }.check();
    }
}

#[test]
fn norms_of_constant_maps_are_finite() {
    let sides = [[4, 4], [2, 2]];
    let (mut graph, (input, output)) = Graph::build("maps", &cpu(), 64, |g| {
        let (x, input) = g.input("x", &[8 + 9 * 64]);
        let grid = g.reshape(g.slice(x, 0, 0, 8), &[8, 1]);
        let kernel = g.reshape(g.slice(x, 0, 8, 9 * 64), &[3, 3, 8, 8]);
        let maps = g.upsampled(&[grid, grid], [1, 1], &sides);
        let scale = g.slice(x, 0, 0, 8);
        let norm = GroupNorm { n_groups: 2, scale, bias: scale, eps: 1e-5 };
        let maps = g.group_norm_relu(&g.conv_3x3(&maps, kernel)?, norm);
        Ok::<_, Error>((input, g.output(g.to_planes(&maps)[0], "y")))
    })
    .expect("a graph");
    let mut x = vec![1.0; 8];
    x.resize(8 + 9 * 64, 0.0);
    graph.set(input, &x).expect("the right size");
    graph.run().expect("a run");
    let mut y = Vec::new();
    graph.get(output, &mut y);
    assert_eq!(y, [1.0; 8 * 16], "nothing but the bias");
}

/// Regions of stored maps, convolved and summed.
fn regions(c: usize, plainly: bool) -> Vec<f32> {
    let (sides, backend) = ([[12, 9], [6, 5]], cpu());
    let boxes: [RoiBox; 3] = [[0.0, 0.0, 9.0, 9.0], [3.0, 2.0, 4.5, 8.0], [-2.0, 1.0, 30.0, 4.0]];
    let specs = stored_shapes(&backend, "maps", &sides, c);
    let specs: Vec<_> = specs.iter().map(|(n, ne)| (n.as_str(), DType::F32, &ne[..])).collect();
    let set = Arc::new(TensorSet::allocate(&backend, &specs).expect("memory"));
    let n_maps = sides.iter().map(|[w, h]| w * h * c).sum::<usize>();
    let (mut fill, input) = Graph::build("fill", &backend, 64, |g| {
        let (x, input) = g.input("x", &[n_maps]);
        let mut first = 0;
        let plane = |&[w, h]: &[usize; 2]| {
            let plane = g.reshape(g.slice(x, 0, first, w * h * c), &[w, h, c]);
            first += w * h * c;
            plane
        };
        let planes = sides.iter().map(plane).collect();
        g.store_maps(&Maps::planes(planes), &set, "maps").expect("a place");
        Ok::<_, Error>(input)
    })
    .expect("a graph");
    fill.set(input, &noise(n_maps, 4)).expect("the right size");
    fill.run().expect("a run");
    let n_kernel = 9 * c * c;
    let (mut graph, (input, rois, output)) = Graph::build("regions", &backend, 256, |g| {
        let (x, input) = g.input("kernel", &[n_kernel + c]);
        let kernel = g.reshape(g.slice(x, 0, 0, n_kernel), &[3, 3, c, c]);
        let maps = g.stored_maps(&set, "maps", &sides, c).expect("maps");
        let (mut sum, mut rois) = (None, Vec::new());
        for (l, side) in sides.iter().enumerate() {
            let scale = side[0] as f32 / 12.0;
            let params = RoiAlignParams { output_size: 7, sampling_ratio: 2, spatial_scale: scale };
            let (pooled, roi) = g.roi_align(&maps, l, boxes.len(), params);
            let pooled = if plainly { Maps::batch(g.to_batch(&pooled)) } else { pooled };
            sum = Some(g.conv_3x3_onto(&pooled, kernel, sum.as_ref())?);
            rois.push(roi);
        }
        let sum = g.bias_relu(&sum.expect("levels"), g.slice(x, 0, n_kernel, c));
        Ok::<_, Error>((input, rois, g.output(sum, "y")))
    })
    .expect("a graph");
    graph.set(input, &noise(n_kernel + c, 6)).expect("the right size");
    for roi in rois {
        roi.set_boxes(&mut graph, &boxes).expect("boxes");
    }
    graph.run().expect("a run");
    assert_eq!(graph.output_ne(output), [7, 7, c, 3]);
    let mut y = Vec::new();
    graph.get(output, &mut y);
    y
}

#[test]
fn regions_are_the_same_in_both_layouts() {
    for c in [16, 40, 6] {
        let error = numeric::nmse(&regions(c, false), &regions(c, true));
        assert!(error < NMSE, "{c} channels: {error:e}");
    }
}
