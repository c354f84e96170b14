//! Arithmetic and bytes of the stages, from their sizes. An addition and a multiplication are two operations.

use super::Cost;
use ggml_ext::DType;
use ggml_ext::maps::n_products_of_pooled;
use ggml_ext::winograd::{Conv, Options};
use gpt4roi_models::hparams::{LlmHparams, MmprojHparams, RegionHparams};

/// Multiply-adds count twice.
const FLOP: f64 = 2.0;
/// Elements of a 3x3 kernel.
const TAPS: f64 = 9.0;
const FLOAT: f64 = 4.0;

fn f(n: u32) -> f64 {
    f64::from(n)
}

/// Multiplications of a 3x3 convolution from `c` channels to as many, as it is done on the CPU: by Winograd's algorithm, if it can.
fn convolution(sides: &[[usize; 2]], c: u32) -> f64 {
    let direct = || sides.iter().map(|[w, h]| (w * h) as f64).sum::<f64>() * TAPS * f(c) * f(c);
    let conv = Conv::new(sides, [c as usize; 2], Options::default());
    conv.map_or_else(|_| direct(), |conv| conv.n_products() as f64)
}

/// Weights of a stage.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weights {
    pub(super) bytes: f64,
    pub(super) elements: f64,
}

impl Weights {
    /// Of so many operations those with quantised matrices: all or none.
    fn quantized(self, flop: f64) -> f64 {
        if self.bytes < 1.5 * self.elements { flop } else { 0.0 }
    }
}

/// Of the tower up to the last hidden state that is read, and of the image projector.
pub(super) fn vision(hp: &MmprojHparams, weights: Weights) -> Cost {
    let v = &hp.vision;
    let (d, n, n_ff) = (f(v.n_embd), f(v.n_positions()), f(v.n_ff));
    let products = n * (4.0 * d * d + 2.0 * d * n_ff);
    let block = products + 2.0 * n * n * d;
    let patches = f(v.n_patches()) * d * 3.0 * f(v.patch_size).powi(2);
    let projector = f(v.n_patches()) * d * f(hp.region.n_embd_out);
    let flop = FLOP * (f(hp.region.last_tap()) * block + patches + projector);
    let flop_quantized = weights.quantized(FLOP * (f(hp.region.last_tap()) * products + projector));
    Cost { flop, flop_done: flop, flop_quantized, bytes: weights.bytes }
}

/// Of the pyramid: by its definition, and as it is done on the CPU.
pub(super) fn pyramid(hp: &MmprojHparams, weights: f64) -> Cost {
    let r = &hp.region;
    let (c, grid) = (f(r.n_channels), f(hp.vision.grid()).powi(2));
    let pixels: f64 = r.level_sizes.iter().map(|&s| f(s).powi(2)).sum();
    let n_levels = r.level_sizes.len() as f64;
    let input = (f(hp.vision.n_embd) + 2.0) * c;
    let (first, others) = (f(r.n_fuse.min(1)), f(r.n_fuse.saturating_sub(1)));
    let sides: Vec<_> = r.level_sizes.iter().map(|&s| [s as usize; 2]).collect();
    let done = n_levels * grid * input
        + first * n_levels * grid * TAPS * c * c
        + others * convolution(&sides, r.n_channels);
    Cost {
        flop: FLOP * (pixels * input + f(r.n_fuse) * pixels * TAPS * c * c),
        flop_done: FLOP * done,
        flop_quantized: 0.0,
        // Each convolution writes its result, and reads and writes what the exchange makes of it.
        bytes: weights + f(r.n_fuse) * 4.0 * pixels * c * FLOAT,
    }
}

/// Of pooling `n` regions on all levels.
pub(super) fn roi_align(r: &RegionHparams, n: usize) -> Cost {
    let (c, cells) = (f(r.n_channels), f(r.roi_output_size).powi(2));
    let samples = f(r.roi_sampling_ratio.max(1)).powi(2) * 4.0;
    let values = n as f64 * r.level_sizes.len() as f64 * cells * c;
    let flop = FLOP * values * samples;
    // What is written; of the maps, at most as much is read as the boxes cover.
    Cost { flop, flop_done: flop, flop_quantized: 0.0, bytes: values * FLOAT }
}

/// Of `n` regions.
pub(super) fn region(r: &RegionHparams, n: usize, weights: Weights) -> Cost {
    let (c, cells) = (f(r.n_channels), f(r.roi_output_size).powi(2));
    let (mid, n_levels) = (f(r.n_mid), r.level_sizes.len() as f64);
    let pool = roi_align(r, 1).flop / FLOP;
    let linear =
        cells * c * mid + mid * f(r.n_embd_out) + 4.0 * f(r.n_pos_hidden) + f(r.n_pos_hidden) * mid;
    let direct = n_levels * cells * TAPS * c * c;
    let channels = [r.n_channels as usize; 2];
    let level = |&size: &u32| {
        let done =
            n_products_of_pooled([size as usize; 2], r.roi_output_size as usize, n, channels);
        done.map_or_else(|| n as f64 * direct / n_levels, |n| n as f64)
    };
    let short: f64 = r.level_sizes.iter().map(level).sum();
    let n = n as f64;
    Cost {
        flop: FLOP * n * (pool + direct + linear),
        flop_done: FLOP * (n * (pool + linear) + short),
        flop_quantized: weights.quantized(FLOP * n * linear),
        bytes: weights.bytes + n * n_levels * cells * c * FLOAT * 4.0,
    }
}

/// Of `n_new` tokens behind `n_past` others, in one batch.
pub(super) fn llm(hp: &LlmHparams, n_past: usize, n_new: usize, weights: Weights) -> Cost {
    let (d, n_ff, n_layer) = (f(hp.n_embd), f(hp.n_ff), f(hp.n_layer));
    let layer = 2.0 * d * d + 2.0 * d * f(hp.n_embd_kv()) + 3.0 * d * n_ff;
    let (new, past) = (n_new as f64, n_past as f64);
    let seen = new * past + new * (new + 1.0) / 2.0;
    let products = n_layer * new * layer + d * f(hp.n_vocab);
    let flop = FLOP * (products + n_layer * 2.0 * seen * d);
    let cache = 2.0
        * n_layer
        * (past + new)
        * f(hp.n_embd_kv())
        * DType::F16.row_size(1).unwrap_or(2) as f64;
    let flop_quantized = weights.quantized(FLOP * products);
    Cost { flop, flop_done: flop, flop_quantized, bytes: weights.bytes + cache }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gpt4roi_models::Preset;

    #[test]
    fn costs_are_those_of_the_published_sizes() {
        let hp = Preset::B7.mmproj();
        let near = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 0.01, "{a:e}, not {b:e}");
        near(pyramid(&hp, 0.0).flop, 2054e9 + 45.7e9);
        let [one, two] = [1, 2].map(|n| region(&hp.region, n, Weights::default()));
        near(one.flop, 15.2e9);
        near(two.flop, 2.0 * one.flop);
        assert!(pyramid(&hp, 0.0).flop_done < pyramid(&hp, 0.0).flop / 4.0);
    }
}
