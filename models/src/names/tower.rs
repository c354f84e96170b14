//! Names of the vision tower's tensors in the two layouts of Hugging Face's checkpoints.

use crate::hparams::VisionHparams;

/// How checkpoints of one kind of tower name their tensors. Parts of a layer are bases.
#[derive(Debug)]
pub struct Layout {
    /// Class token, a full name.
    pub class_token: &'static str,
    /// Dimensions of size one in front of the class token's.
    pub class_token_ones: usize,
    /// Patch convolution (base).
    pub patch: &'static str,
    /// Position table, a full name.
    pub positions: &'static str,
    /// Dimensions of size one in front of the position table's.
    pub positions_ones: usize,
    /// What every layer's names begin with, up to the layer's number.
    pub layers: &'static str,
    /// Norm before attention.
    pub norm1: &'static str,
    /// Query projection.
    pub query: &'static str,
    /// Key projection.
    pub key: &'static str,
    /// Value projection.
    pub value: &'static str,
    /// Output projection of attention.
    pub attention_out: &'static str,
    /// Norm before the feed-forward part.
    pub norm2: &'static str,
    /// First feed-forward layer.
    pub fc1: &'static str,
    /// Second feed-forward layer.
    pub fc2: &'static str,
    /// Full names of tensors that GPT4RoI has no use for.
    ignored: &'static [&'static str],
    /// What names of further such tensors begin with.
    ignored_prefixes: &'static [&'static str],
}

/// OpenAI's CLIP and OpenCLIP's variants, the whole model or its vision half.
pub static CLIP: Layout = Layout {
    class_token: "vision_model.embeddings.class_embedding",
    class_token_ones: 0,
    patch: "vision_model.embeddings.patch_embedding",
    positions: "vision_model.embeddings.position_embedding.weight",
    positions_ones: 0,
    layers: "vision_model.encoder.layers",
    norm1: "layer_norm1",
    query: "self_attn.q_proj",
    key: "self_attn.k_proj",
    value: "self_attn.v_proj",
    attention_out: "self_attn.out_proj",
    norm2: "layer_norm2",
    fc1: "mlp.fc1",
    fc2: "mlp.fc2",
    // An integer buffer without information.
    ignored: &["vision_model.embeddings.position_ids"],
    // The norm after the last block, which is never applied, the text half, the contrastive loss.
    ignored_prefixes: &[
        "vision_model.post_layernorm",
        "text_model.",
        "visual_projection.",
        "text_projection.",
        "logit_scale",
    ],
};

/// DINOv2 without registers.
pub static DINOV2: Layout = Layout {
    class_token: "embeddings.cls_token",
    class_token_ones: 2,
    patch: "embeddings.patch_embeddings.projection",
    positions: "embeddings.position_embeddings",
    positions_ones: 1,
    layers: "encoder.layer",
    norm1: "norm1",
    query: "attention.attention.query",
    key: "attention.attention.key",
    value: "attention.attention.value",
    attention_out: "attention.output.dense",
    norm2: "norm2",
    fc1: "mlp.fc1",
    fc2: "mlp.fc2",
    // What stood for hidden patches in the training.
    ignored: &["embeddings.mask_token"],
    // The norm after the last block.
    ignored_prefixes: &["layernorm."],
};

/// Norm before the first block (base; the checkpoints spell it so): CLIP's alone.
pub const PRE_LAYRNORM: &str = "vision_model.pre_layrnorm";
/// Part of a layer, with its full ending: LayerScale of attention, DINOv2's alone.
pub const LAYER_SCALE1: &str = "layer_scale1.lambda1";
/// Part of a layer, with its full ending: LayerScale of the feed-forward part.
pub const LAYER_SCALE2: &str = "layer_scale2.lambda1";

impl Layout {
    /// The layout of checkpoints of such a tower: LayerScale tells.
    pub fn of(h: &VisionHparams) -> &'static Layout {
        if h.layer_scale { &DINOV2 } else { &CLIP }
    }

    /// Name of a part of layer `il`.
    pub fn layer(&self, il: u32, part: &str) -> String {
        format!("{}.{il}.{part}", self.layers)
    }

    /// Whether checkpoints of this layout hold such a tensor and GPT4RoI never uses it.
    pub fn ignores(&self, name: &str) -> bool {
        self.ignored.contains(&name) || self.ignored_prefixes.iter().any(|p| name.starts_with(p))
    }
}
