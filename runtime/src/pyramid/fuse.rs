//! Channel exchange between levels, and the convolution that they share.

use crate::error::Result;
use crate::trace::Taps;
use crate::weights::Weights;
use ggml_ext::Tensor;
use ggml_ext::graph::Builder;
use gpt4roi_models::hparams::RegionHparams;
use gpt4roi_models::names::gguf;

/// Gives every level, besides the first half of its own channels, the last quarter of the next
/// coarser level and the third quarter of the next finer one, resized with aligned corners. The
/// coarsest and the finest level take the missing quarter from themselves.
pub(super) fn exchange<'g>(g: &Builder<'g>, maps: &[Tensor<'g>]) -> Vec<Tensor<'g>> {
    let last = maps.len() - 1;
    let exchanged = maps.iter().enumerate().map(|(l, &own)| {
        let [w, h, c, _] = own.ne();
        let q = c / 4;
        let coarse = g.slice(maps[(l + 1).min(last)], 2, c - q, q);
        let fine = g.slice(maps[l.saturating_sub(1)], 2, c - 2 * q, q);
        let kept = g.slice(own, 2, 0, c - 2 * q);
        let borrowed = g.concat(g.resize_aligned(coarse, w, h), g.resize_aligned(fine, w, h), 2);
        g.concat(kept, borrowed, 2)
    });
    exchanged.collect()
}

/// 3x3 convolution `f` (padding 1, no bias), GroupNorm, ReLU on every level.
pub(super) fn conv_block<'g>(
    g: &Builder<'g>,
    w: &Weights<'_, 'g>,
    r: &RegionHparams,
    f: u32,
    maps: &[Tensor<'g>],
) -> Result<Vec<Tensor<'g>>> {
    let norm = gguf::fuse_norm(f);
    let convolved = w.conv_3x3(maps, &gguf::fuse_conv(f))?;
    let block = convolved.into_iter().enumerate().map(|(l, y)| {
        let (scale, bias) = (w.weight(&norm)?, w.bias(&norm)?);
        let y = g.relu(g.group_norm(y, r.gn_groups as usize, scale, bias, r.gn_eps));
        Ok(g.named(y, &format!("fuse.{f}.{l}")))
    });
    block.collect()
}

/// Makes the maps after convolution `f` readable.
pub(super) fn tap<'g>(g: &Builder<'g>, f: u32, maps: &[Tensor<'g>], taps: &mut Taps) {
    for (l, &map) in maps.iter().enumerate() {
        let name = format!("fuse.{f}.{l}");
        taps.0.push((name.clone(), g.output(map, &name)));
    }
}
