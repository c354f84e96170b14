//! From hidden states to one map a level: coordinates, 1x1 convolution, upsampling.
//!
//! The original upsamples first. A 1x1 convolution commutes with bilinear interpolation, whose
//! weights sum to one, and the coordinates are linear along the map, so that interpolating them
//! gives the finer map's coordinates: the convolution runs on the small grid, exactly.

use super::super::vision::state_name;
use crate::error::Result;
use crate::trace::Taps;
use crate::weights::Weights;
use ggml_ext::Tensor;
use ggml_ext::graph::Builder;
use ggml_ext::maps::Maps;
use gpt4roi_models::hparams::MmprojHparams;
use gpt4roi_models::names::gguf;

/// x and y of every cell of a `grid x grid` map, -1 to 1 from the first cell to the last:
/// `[2, grid * grid]`.
pub(super) fn coords(grid: usize) -> Vec<f32> {
    let step = 2.0 / (grid.max(2) - 1) as f64;
    let at = |i: usize| (-1.0 + i as f64 * step) as f32;
    (0..grid * grid).flat_map(|i| [at(i % grid), at(i / grid)]).collect()
}

/// The map of every level, finest first.
pub(super) fn maps<'g>(
    g: &Builder<'g>,
    w: &Weights<'_, 'g>,
    hp: &MmprojHparams,
    states: &Weights<'_, 'g>,
    coords: Tensor<'g>,
    taps: Option<&mut Taps>,
) -> Result<Maps<'g>> {
    let (grid, n) = (hp.vision.grid() as usize, hp.vision.n_patches() as usize);
    let (mut inputs, mut grids) = (Vec::new(), Vec::new());
    for l in 0..hp.region.level_sizes.len() {
        let patches = g.slice(states.tensor(&state_name(l))?, 1, 1, n);
        let x = g.concat(patches, coords, 0); // [D + 2, n]
        grids.push(w.linear(x, &gguf::input_conv(l as u32))?); // [C, n]
        inputs.push(x);
    }
    let upsampled = |grids: &[_]| g.upsampled(grids, [grid, grid], &super::sides(&hp.region));
    let maps = upsampled(&grids);
    if let Some(taps) = taps {
        for (name, maps) in [("conv_in", &upsampled(&inputs)), ("input_conv", &maps)] {
            for (l, map) in g.to_planes(maps).into_iter().enumerate() {
                let name = format!("{name}.{l}");
                taps.0.push((name.clone(), g.output(map, &name)));
            }
        }
    }
    Ok(maps)
}

#[cfg(test)]
mod tests {
    #[test]
    fn coordinates_run_from_corner_to_corner() {
        let c = super::coords(16);
        assert_eq!(c[..2], [-1.0, -1.0]);
        assert_eq!(c[30..32], [1.0, -1.0], "x varies along the width");
        assert_eq!(c[c.len() - 2..], [1.0, 1.0]);
    }
}
