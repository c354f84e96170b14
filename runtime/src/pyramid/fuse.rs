//! Channel exchange between levels, and the convolution that they share.

use crate::error::Result;
use crate::trace::Taps;
use crate::weights::Weights;
use ggml_ext::graph::Builder;
use ggml_ext::maps::{GroupNorm, Maps, Part};
use gpt4roi_models::hparams::RegionHparams;
use gpt4roi_models::names::gguf;

/// What each of `n` levels with `c` channels is made of: besides the first half of its own channels, the last
/// quarter of the next coarser level and the third quarter of the next finer one. The
/// coarsest and the finest level take the missing quarter from themselves.
pub(super) fn exchange(n: usize, c: usize) -> Vec<Vec<Part>> {
    let q = c / 4;
    let level = |l: usize| {
        let own = Part { level: l, first: 0, n: c - 2 * q };
        let coarse = Part { level: (l + 1).min(n - 1), first: c - q, n: q };
        let fine = Part { level: l.saturating_sub(1), first: c - 2 * q, n: q };
        vec![own, coarse, fine]
    };
    (0..n).map(level).collect()
}

/// 3x3 convolution `f` (padding 1, no bias), GroupNorm, ReLU on every level.
pub(super) fn conv_block<'g>(
    g: &Builder<'g>,
    w: &Weights<'_, 'g>,
    r: &RegionHparams,
    f: u32,
    maps: &Maps<'g>,
) -> Result<Maps<'g>> {
    let norm = gguf::fuse_norm(f);
    let (n_groups, scale, bias) = (r.gn_groups as usize, w.weight(&norm)?, w.bias(&norm)?);
    let convolved = w.conv_3x3(maps, &gguf::fuse_conv(f))?;
    Ok(g.group_norm_relu(&convolved, GroupNorm { n_groups, scale, bias, eps: r.gn_eps }))
}

/// Makes the maps after convolution `f` readable.
pub(super) fn tap<'g>(g: &Builder<'g>, f: u32, maps: &Maps<'g>, taps: &mut Taps) {
    for (l, map) in g.to_planes(maps).into_iter().enumerate() {
        let name = format!("fuse.{f}.{l}");
        taps.0.push((name.clone(), g.output(map, &name)));
    }
}
