//! Tensors of the language model file.

use super::{Builder, Checkpoint, Kind, Part, TensorSpec, Transform};
use crate::hparams::LlmHparams;
use crate::names::{gguf, hf};

/// All tensors of the language model file, in file order.
pub fn llm_specs(h: &LlmHparams) -> Vec<TensorSpec> {
    let mut b = Builder::new(Checkpoint::Language, Part::Llm);
    let table = [h.n_embd, h.n_vocab];
    b.weight(Kind::Embedding, gguf::TOKEN_EMBD, hf::EMBED_TOKENS, &table);
    for il in 0..h.n_layer {
        block(&mut b, h, il);
    }
    b.weight(Kind::Norm, gguf::OUTPUT_NORM, hf::NORM, &[h.n_embd]);
    b.weight(Kind::Output, gguf::OUTPUT, hf::LM_HEAD, &table);
    b.specs
}

fn block(b: &mut Builder, h: &LlmHparams, il: u32) {
    use gguf::llm as to;
    use hf::llm as from;
    let (n, n_kv) = (h.n_embd, h.n_embd_kv());
    let mut add = |kind, to: &str, from: &str, shape: &[u32], transform| {
        let (to, from) = (gguf::llm_block(il, to), hf::llm_layer(il, from));
        b.weight(kind, &to, &from, shape).transform = transform;
    };
    let (norm, mat, same) = (Kind::Norm, Kind::Matrix, Transform::None);
    let rope = |n_head| Transform::PermuteRope { n_head };
    add(norm, to::ATTN_NORM, from::INPUT_LAYERNORM, &[n], same);
    add(mat, to::ATTN_Q, from::Q_PROJ, &[n, n], rope(h.n_head));
    add(mat, to::ATTN_K, from::K_PROJ, &[n, n_kv], rope(h.n_head_kv));
    add(mat, to::ATTN_V, from::V_PROJ, &[n, n_kv], same);
    add(mat, to::ATTN_OUTPUT, from::O_PROJ, &[n, n], same);
    add(norm, to::FFN_NORM, from::POST_ATTENTION_LAYERNORM, &[n], same);
    add(mat, to::FFN_GATE, from::GATE_PROJ, &[n, h.n_ff], same);
    add(mat, to::FFN_UP, from::UP_PROJ, &[n, h.n_ff], same);
    add(mat, to::FFN_DOWN, from::DOWN_PROJ, &[h.n_ff, n], same);
}
