//! From pooled maps and boxes to region vectors.

use crate::error::Result;
use crate::trace::Taps;
use crate::weights::Weights;
use ggml_ext::Tensor;
use ggml_ext::graph::Builder;
use ggml_ext::maps::Maps;
use gpt4roi_models::hparams::RegionHparams;
use gpt4roi_models::names::gguf;

/// `pooled`: RoIAlign's `n` maps `[out, out, C]` of every level; `boxes`: fractions `[4, n]`. Gives
/// `[H, n]`.
pub(super) fn embed<'g>(
    g: &Builder<'g>,
    w: &Weights<'_, 'g>,
    r: &RegionHparams,
    pooled: &[Maps<'g>],
    boxes: Tensor<'g>,
    taps: Option<&mut Taps>,
) -> Result<Tensor<'g>> {
    let summed = sum_of_convs(g, w, pooled)?;
    let n = boxes.ne()[1];
    // Channel-major like PyTorch's flatten: c * out * out + y * out + x.
    let flat = g.reshape(summed, &[summed.n_elements() / n, n]);
    let lin = w.linear(flat, gguf::FLATTEN)?;
    let pos = box_embedding(g, w, r, boxes)?;
    let mid = g.add(lin, pos);
    let out = w.linear(mid, gguf::UPDIMS)?;
    if let Some(taps) = taps {
        let mut tap = |t, name: &str| taps.0.push((name.to_owned(), g.output(t, name)));
        for (l, roi) in pooled.iter().enumerate() {
            tap(g.to_batch(roi), &format!("roi.{l}"));
        }
        tap(summed, "roi_sum_relu");
        tap(lin, "flatten_linear");
        tap(pos, "pos_embed");
        tap(mid, "region_mid");
        tap(out, "region_embed");
    }
    Ok(out)
}

/// ReLU of the sum over levels of a 3x3 convolution with bias, `[out, out, C, n]`.
fn sum_of_convs<'g>(
    g: &Builder<'g>,
    w: &Weights<'_, 'g>,
    pooled: &[Maps<'g>],
) -> Result<Tensor<'g>> {
    let mut sums: Option<(Maps<'g>, Tensor<'g>)> = None;
    for (l, roi) in pooled.iter().enumerate() {
        let (name, before) = (gguf::pconv(l as u32), sums.as_ref());
        let maps = w.conv_3x3_onto(roi, &name, before.map(|(maps, _)| maps))?;
        let bias = w.bias(&name)?;
        sums = Some((maps, before.map_or(bias, |&(_, sum)| g.add(sum, bias))));
    }
    let (maps, bias) = sums.ok_or_else(|| crate::Error::internal("a model without levels"))?;
    Ok(g.bias_relu(&maps, bias))
}

/// The box's own embedding: two linear layers, each with ReLU and LayerNorm.
fn box_embedding<'g>(
    g: &Builder<'g>,
    w: &Weights<'_, 'g>,
    r: &RegionHparams,
    boxes: Tensor<'g>,
) -> Result<Tensor<'g>> {
    let h = g.relu(w.linear(boxes, gguf::POS_FC1)?);
    let h = w.layer_norm(h, gguf::POS_LN1, r.ln_eps)?;
    let h = g.relu(w.linear(h, gguf::POS_FC2)?);
    w.layer_norm(h, gguf::POS_LN2, r.ln_eps)
}
