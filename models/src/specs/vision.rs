//! Tensors of the vision tower.

use super::{Builder, Checkpoint, Kind, Part, TensorSpec};
use crate::hparams::VisionHparams;
use crate::names::gguf::{self, vision as to};
use crate::names::tower::{self, Layout};
use crate::names::weight;
use std::collections::HashSet;

/// All tensors of the tower, in file order.
pub(super) fn vision_specs(h: &VisionHparams) -> Vec<TensorSpec> {
    let mut b = Builder::new(Checkpoint::Clip, Part::Vision);
    embeddings(&mut b, h, Layout::of(h));
    for il in 0..h.n_layer {
        block(&mut b, h, Layout::of(h), il);
    }
    b.specs
}

/// Names of tensors that towers may have and that this one has not. llama.cpp computes with
/// whatever it finds, so a file that holds one of them says two things.
pub fn foreign_vision_tensors(h: &VisionHparams) -> Vec<String> {
    let all = VisionHparams { pre_norm: true, patch_bias: true, layer_scale: true, ..h.clone() };
    let own: HashSet<String> = vision_specs(h).into_iter().map(|s| s.name).collect();
    vision_specs(&all).into_iter().map(|s| s.name).filter(|name| !own.contains(name)).collect()
}

fn embeddings(b: &mut Builder, h: &VisionHparams, from: &Layout) {
    let (n, p) = (h.n_embd, h.patch_size);
    let class = b.tensor(Kind::Table, gguf::CLASS_EMBD, from.class_token, &[n]);
    prepend_ones(class, from.class_token_ones);
    b.weight(Kind::Conv, gguf::PATCH_EMBD, from.patch, &[p, p, 3, n]);
    if h.patch_bias {
        b.bias(gguf::PATCH_EMBD, from.patch, n);
    }
    let (table, shape) = (weight(gguf::POSITION_EMBD), [n, h.n_positions()]);
    let positions = b.tensor(Kind::Table, &table, from.positions, &shape);
    prepend_ones(positions, from.positions_ones);
    if h.pre_norm {
        b.norm(gguf::PRE_LN, tower::PRE_LAYRNORM, n);
    }
}

/// Gives the tensor `n` more dimensions of size one in the checkpoint.
fn prepend_ones(spec: &mut TensorSpec, n: usize) {
    spec.source.shape.splice(0..0, std::iter::repeat_n(1, n));
}

fn block(b: &mut Builder, h: &VisionHparams, from: &Layout, il: u32) {
    let (n, n_ff) = (h.n_embd, h.n_ff);
    let name = |part| gguf::vision_block(il, part);
    let source = |part| from.layer(il, part);
    b.norm(&name(to::LN1), &source(from.norm1), n);
    b.linear(&name(to::ATTN_Q), &source(from.query), n, n);
    b.linear(&name(to::ATTN_K), &source(from.key), n, n);
    b.linear(&name(to::ATTN_V), &source(from.value), n, n);
    b.linear(&name(to::ATTN_OUT), &source(from.attention_out), n, n);
    if h.layer_scale {
        b.tensor(Kind::Norm, &weight(&name(to::LS1)), &source(tower::LAYER_SCALE1), &[n]);
    }
    b.norm(&name(to::LN2), &source(from.norm2), n);
    b.linear(&name(to::FFN_UP), &source(from.fc1), n, n_ff);
    b.linear(&name(to::FFN_DOWN), &source(from.fc2), n_ff, n);
    if h.layer_scale {
        b.tensor(Kind::Norm, &weight(&name(to::LS2)), &source(tower::LAYER_SCALE2), &[n]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presets::Preset;

    fn sources(preset: Preset) -> Vec<(String, String, Vec<u64>)> {
        let specs = vision_specs(&preset.mmproj().vision);
        specs.into_iter().map(|s| (s.name, s.source.name, s.source.shape)).collect()
    }

    #[test]
    fn each_tower_is_found_under_the_names_of_its_layout() {
        let row = |name: &str, source: &str, shape: &[u64]| {
            (name.to_owned(), source.to_owned(), shape.to_vec())
        };
        let clip = sources(Preset::Tiny);
        let start = "vision_model.embeddings";
        assert_eq!(clip[0], row("v.class_embd", &format!("{start}.class_embedding"), &[64]));
        let positions = format!("{start}.position_embedding.weight");
        assert_eq!(clip[2], row("v.position_embd.weight", &positions, &[257, 64]));
        let dino = sources(Preset::TinyDino);
        assert_eq!(dino[0], row("v.class_embd", "embeddings.cls_token", &[1, 1, 64]));
        let patch = "embeddings.patch_embeddings.projection.bias";
        assert_eq!(dino[2], row("v.patch_embd.bias", patch, &[64]));
        let positions = "embeddings.position_embeddings";
        assert_eq!(dino[3], row("v.position_embd.weight", positions, &[1, 257, 64]));
        let scale = "encoder.layer.9.layer_scale2.lambda1";
        assert_eq!(dino.last(), Some(&row("v.blk.9.ls2.weight", scale, &[64])));
    }

    #[test]
    fn a_tower_and_its_foreign_tensors_are_all_that_there_can_be() {
        let clip = Preset::Tiny.mmproj().vision;
        let foreign = foreign_vision_tensors(&clip);
        assert_eq!(foreign.len(), 1 + 2 * clip.n_layer as usize);
        assert!(foreign.contains(&"v.blk.11.ls1.weight".into()), "{foreign:?}");
        let dino = Preset::TinyDino.mmproj().vision;
        assert_eq!(foreign_vision_tensors(&dino), ["v.pre_ln.weight", "v.pre_ln.bias"]);
    }
}
