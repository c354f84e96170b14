//! Which type each tensor gets: llama.cpp's mixes, and its fallbacks for odd rows.

use ggml_ext::DType;
use ggml_ext::FileType;
use gpt4roi_models::names::gguf;
use gpt4roi_models::{Kind, TensorSpec};

/// The type of a tensor, and the one that it would have if its shape allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// What is written.
    pub dtype: DType,
    /// What the mix asks for; differs if the tensor cannot hold it.
    pub wanted: DType,
}

/// The type of `spec` in a file of type `file_type` whose stack has `n_layer` blocks.
///
/// The rules are those of llama.cpp's quantiser, so that the same tensors get the same types.
pub fn choose(spec: &TensorSpec, file_type: FileType, n_layer: u32) -> Choice {
    if spec.kind.is_always_f32() {
        return Choice { dtype: DType::F32, wanted: DType::F32 };
    }
    if spec.kind == Kind::Identity {
        let dtype = fit(spec, DType::Q4_0);
        return Choice { dtype, wanted: dtype };
    }
    let wanted = wanted(spec, file_type, n_layer);
    Choice { dtype: fit(spec, wanted), wanted }
}

fn wanted(spec: &TensorSpec, file_type: FileType, n_layer: u32) -> DType {
    let base = file_type.base();
    if !base.is_quantized() {
        return base;
    }
    if spec.kind == Kind::Output && base != DType::Q8_0 {
        return DType::Q6K;
    }
    let mixed = matches!(file_type, FileType::Q4KM | FileType::Q5KM);
    match sensitive_layer(&spec.name) {
        Some(il) if mixed && needs_more_bits(il, n_layer) => DType::Q6K,
        _ => base,
    }
}

/// The block of a value or down projection, which suffer most from few bits.
fn sensitive_layer(name: &str) -> Option<u32> {
    let (block, part) = name.rsplit_once(".weight")?.0.rsplit_once('.')?;
    if part != gguf::llm::ATTN_V && part != gguf::llm::FFN_DOWN {
        return None;
    }
    block.rsplit_once('.')?.1.parse().ok()
}

/// The first and last eighth of the blocks, and each third one between.
fn needs_more_bits(il: u32, n_layer: u32) -> bool {
    let eighth = n_layer / 8;
    il < eighth || il >= 7 * n_layer / 8 || (il - eighth) % 3 == 2
}

/// The nearest type that the tensor's shape allows.
fn fit(spec: &TensorSpec, wanted: DType) -> DType {
    if !spec.kind.is_quantizable() {
        return if wanted == DType::F32 { DType::F32 } else { DType::F16 };
    }
    let fits = |t: DType| spec.n_per_row().is_multiple_of(t.block_size() as u64);
    let smaller_blocks = match wanted {
        DType::Q4K => DType::Q5_0,
        DType::Q5K => DType::Q5_1,
        DType::Q6K => DType::Q8_0,
        other => other,
    };
    [wanted, smaller_blocks].into_iter().find(|&t| fits(t)).unwrap_or(DType::F16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gpt4roi_models::{Preset, llm_specs, mmproj_specs};

    fn llm(name: &str, t: FileType) -> DType {
        let h = Preset::B7.llm();
        let specs = llm_specs(&h);
        let spec = specs.iter().find(|s| s.name == name).unwrap();
        choose(spec, t, h.n_layer).dtype
    }

    #[test]
    fn the_published_sizes_get_the_types_of_llama_cpp() {
        use DType::*;
        let cases = [
            ("token_embd.weight", FileType::Q4KM, Q4K),
            ("output.weight", FileType::Q4KM, Q6K),
            ("output.weight", FileType::Q4_0, Q6K),
            ("output.weight", FileType::Q8_0, Q8_0),
            ("output.weight", FileType::F16, F16),
            ("output_norm.weight", FileType::Q4KM, F32),
            ("blk.0.attn_norm.weight", FileType::F16, F32),
            ("blk.0.attn_v.weight", FileType::Q4KM, Q6K),
            ("blk.4.attn_v.weight", FileType::Q4KM, Q4K),
            ("blk.6.attn_v.weight", FileType::Q4KM, Q6K),
            ("blk.27.ffn_down.weight", FileType::Q4KM, Q6K),
            ("blk.28.ffn_down.weight", FileType::Q5KM, Q6K),
            ("blk.5.ffn_down.weight", FileType::Q5KM, Q5K),
            ("blk.0.ffn_down.weight", FileType::Q4_0, Q4_0),
            ("blk.0.attn_q.weight", FileType::Q5KM, Q5K),
            ("blk.0.attn_k.weight", FileType::Bf16, Bf16),
        ];
        for (name, file_type, dtype) in cases {
            assert_eq!(llm(name, file_type), dtype, "{name} in {file_type}");
        }
    }

    #[test]
    fn rows_that_hold_no_blocks_fall_back_to_a_named_type() {
        let h = Preset::B7.mmproj();
        let specs = mmproj_specs(&h);
        let region = |name: &str, t| {
            choose(specs.iter().find(|s| s.name == name).unwrap(), t, h.vision.n_layer)
        };
        let conv = region("r.fuse.0.conv.weight", FileType::Q4KM);
        assert_eq!((conv.dtype, conv.wanted), (DType::F16, DType::Q4K));
        assert_eq!(region("r.pconv.0.weight", FileType::F32).dtype, DType::F32);
        assert_eq!(region("v.patch_embd.weight", FileType::Bf16).dtype, DType::F16);
        assert_eq!(region("r.input_conv.0.weight", FileType::Q8_0).dtype, DType::F16);
        assert_eq!(region("r.pos.0.weight", FileType::Q6K).dtype, DType::F16);
        assert_eq!(region("r.flatten.weight", FileType::Q6K).dtype, DType::Q6K);
        assert_eq!(region("v.position_embd.weight", FileType::Q8_0).dtype, DType::F32);
    }

    #[test]
    fn small_widths_take_blocks_of_32() {
        let h = Preset::Tiny.llm();
        let specs = llm_specs(&h);
        let down = specs.iter().find(|s| s.name == "blk.0.ffn_down.weight").unwrap();
        assert_eq!(choose(down, FileType::Q4KM, 2).dtype, DType::Q5_0);
        assert_eq!(choose(down, FileType::Q5KM, 2).wanted, DType::Q5K);
        assert_eq!(choose(down, FileType::Q5KM, 2).dtype, DType::Q5_1);
        let out = specs.iter().find(|s| s.name == "output.weight").unwrap();
        assert_eq!(choose(out, FileType::Q4KM, 2).dtype, DType::Q8_0);
    }
}
