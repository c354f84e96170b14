//! The transformer of the tower.

use crate::error::{Error, Result};
use crate::weights::Weights;
use ggml_ext::Tensor;
use ggml_ext::graph::Builder;
use gpt4roi_models::hparams::{Gelu, VisionHparams};
use gpt4roi_models::names::gguf::{self, vision as part, vision_block};

/// Hidden states by their number.
pub(super) struct States<'g>(Vec<Tensor<'g>>);

impl<'g> States<'g> {
    pub(super) fn new(first: Tensor<'g>) -> Self {
        States(vec![first])
    }

    pub(super) fn push(&mut self, state: Tensor<'g>) {
        self.0.push(state);
    }

    /// State `k`, the output of block `k` counted from 1.
    pub(super) fn get(&self, k: u32) -> Tensor<'g> {
        self.0[k as usize]
    }

    pub(super) fn last(&self) -> Tensor<'g> {
        self.0[self.0.len() - 1]
    }
}

/// Pixels `[side, side, 3]` to hidden state 0, `[D, 1 + n_patches]`: patch convolution, class
/// token, positions, and in CLIP a norm.
pub(super) fn embed<'g>(
    g: &Builder<'g>,
    w: &Weights<'_, 'g>,
    hp: &VisionHparams,
    pixels: Tensor<'g>,
) -> Result<Tensor<'g>> {
    let (d, n_patches) = (hp.n_embd as usize, hp.n_patches() as usize);
    let patches = w.conv_2d(pixels, gguf::PATCH_EMBD, hp.patch_size as usize, 0)?;
    let patches = g.reshape(patches, &[n_patches, d]); // row-major over the grid
    let mut patches = g.cont(g.permute(patches, [1, 0, 2, 3])); // [D, n_patches]
    if hp.patch_bias {
        patches = g.add(patches, w.bias(gguf::PATCH_EMBD)?);
    }
    let class = g.reshape(w.tensor(gguf::CLASS_EMBD)?, &[d, 1]);
    let x = g.add(g.concat(class, patches, 1), w.weight(gguf::POSITION_EMBD)?);
    if hp.pre_norm { w.layer_norm(x, gguf::PRE_LN, hp.ln_eps) } else { Ok(x) }
}

/// Block `il`: x `[D, n]` to the same shape.
pub(super) fn block<'g>(
    g: &Builder<'g>,
    w: &Weights<'_, 'g>,
    hp: &VisionHparams,
    il: u32,
    x: Tensor<'g>,
) -> Result<Tensor<'g>> {
    let name = |part| vision_block(il, part);
    let scaled =
        |x, part| Ok::<_, Error>(if hp.layer_scale { g.mul(x, w.weight(&name(part))?) } else { x });
    let h = w.layer_norm(x, &name(part::LN1), hp.ln_eps)?;
    let q = w.linear(h, &name(part::ATTN_Q))?;
    let k = w.linear(h, &name(part::ATTN_K))?;
    let v = w.linear(h, &name(part::ATTN_V))?;
    let h = g.attention(q, k, v, hp.n_head as usize);
    let h = w.linear(h, &name(part::ATTN_OUT))?;
    let x = g.add(x, scaled(h, part::LS1)?);
    let h = w.layer_norm(x, &name(part::LN2), hp.ln_eps)?;
    let h = w.linear(h, &name(part::FFN_UP))?;
    let h = match hp.gelu {
        Gelu::Quick => g.gelu_quick(h),
        Gelu::Erf => g.gelu_erf(h),
    };
    let h = w.linear(h, &name(part::FFN_DOWN))?;
    let x = g.add(x, scaled(h, part::LS2)?);
    Ok(g.named(x, &format!("vision.l_out-{il}")))
}
