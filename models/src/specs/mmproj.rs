//! Tensors of the mmproj file: vision tower, image projector, region extractor.

use super::vision::vision_specs;
use super::{Builder, Checkpoint, Kind, Part, TensorSpec};
use crate::hparams::{MmprojHparams, RegionHparams};
use crate::names::{self, gguf, hf};

/// Side of every spatial kernel of the region extractor.
const KERNEL: u32 = 3;

/// All tensors of the mmproj file, in file order.
///
/// Vision blocks above the last tap are listed too: llama.cpp refuses a tower with missing blocks.
/// A runtime that never touches them never reads them from disk.
pub fn mmproj_specs(h: &MmprojHparams) -> Vec<TensorSpec> {
    let mut specs = vision_specs(&h.vision);
    let mut b = Builder::new(Checkpoint::Language, Part::Vision);
    let (n_in, n_out) = (h.vision.n_embd, h.region.n_embd_out);
    b.linear(gguf::IMAGE_PROJECTOR, hf::MM_PROJECTOR, n_in, n_out);
    specs.extend(b.specs);
    specs.extend(second_projector_layer(n_out));
    specs.extend(region_specs(&h.region, h.vision.n_embd));
    specs
}

/// What makes llama.cpp's loader take the projector, which it believes to have two layers.
fn second_projector_layer(n: u32) -> Vec<TensorSpec> {
    let mut b = Builder::new(Checkpoint::Generated, Part::Vision);
    let (weight, bias) =
        (names::weight(gguf::IMAGE_PROJECTOR_2), names::bias(gguf::IMAGE_PROJECTOR_2));
    b.tensor(Kind::Identity, &weight, names::generated::IDENTITY, &[n, n]);
    b.tensor(Kind::Bias, &bias, names::generated::ZEROS, &[n]);
    b.specs
}

fn region_specs(h: &RegionHparams, n_embd: u32) -> Vec<TensorSpec> {
    let mut b = Builder::new(Checkpoint::Language, Part::Region);
    for l in 0..h.n_levels() {
        input_conv(&mut b, l, n_embd + 2, h.n_channels);
    }
    let c = h.n_channels;
    for f in 0..h.n_fuse {
        b.weight(Kind::Conv, &gguf::fuse_conv(f), &hf::fuse_conv(f), &[KERNEL, KERNEL, c, c]);
        b.norm(&gguf::fuse_norm(f), &hf::fuse_norm(f), c);
    }
    for l in 0..h.n_levels() {
        b.weight(Kind::Conv, &gguf::pconv(l), &hf::pconv(l), &[KERNEL, KERNEL, c, c]);
        b.bias(&gguf::pconv(l), &hf::pconv(l), c);
    }
    b.linear(gguf::FLATTEN, hf::FLATTEN_LINEAR, h.n_flat(), h.n_mid);
    b.linear(gguf::POS_FC1, &hf::pos_embedd(0), 4, h.n_pos_hidden);
    b.norm(gguf::POS_LN1, &hf::pos_embedd(2), h.n_pos_hidden);
    b.linear(gguf::POS_FC2, &hf::pos_embedd(3), h.n_pos_hidden, h.n_mid);
    b.norm(gguf::POS_LN2, &hf::pos_embedd(5), h.n_mid);
    b.linear(gguf::UPDIMS, hf::UPDIMS, h.n_mid, h.n_embd_out);
    b.specs
}

/// A 1x1 convolution is a matrix; the checkpoint keeps the two dimensions of its kernel.
fn input_conv(b: &mut Builder, l: u32, n_in: u32, n_out: u32) {
    let (name, source) = (names::weight(&gguf::input_conv(l)), names::weight(&hf::input_conv(l)));
    let spec = b.tensor(Kind::Matrix, &name, &source, &[n_in, n_out]);
    spec.source.shape.extend([1, 1]);
    b.bias(&gguf::input_conv(l), &hf::input_conv(l), n_out);
}
