//! Tensor names: [`gguf`] as our files spell them, [`hf`] as the published checkpoints do.

pub mod tower;

/// `BASE.weight`.
pub fn weight(base: &str) -> String {
    format!("{base}.weight")
}

/// `BASE.bias`.
pub fn bias(base: &str) -> String {
    format!("{base}.bias")
}

/// Names in GGUF files. Most are bases to which [`weight`] and [`bias`] append.
pub mod gguf {
    /// Longest name that ggml can hold, in bytes.
    pub const MAX_LEN: usize = 63;

    /// Token embeddings (base).
    pub const TOKEN_EMBD: &str = "token_embd";
    /// Final norm of the language model (base).
    pub const OUTPUT_NORM: &str = "output_norm";
    /// Output matrix of the language model (base).
    pub const OUTPUT: &str = "output";

    /// Class token, a full name.
    pub const CLASS_EMBD: &str = "v.class_embd";
    /// Patch convolution (base).
    pub const PATCH_EMBD: &str = "v.patch_embd";
    /// Position table (base).
    pub const POSITION_EMBD: &str = "v.position_embd";
    /// Norm before the first block (base).
    pub const PRE_LN: &str = "v.pre_ln";
    /// Image projector (base).
    pub const IMAGE_PROJECTOR: &str = "mm.0";
    /// Second layer of the projector (base), which llama.cpp's loader insists on and this model does
    /// not have: the identity.
    pub const IMAGE_PROJECTOR_2: &str = "mm.2";

    /// Linear layer of C*out*out values into the region vector (base).
    pub const FLATTEN: &str = "r.flatten";
    /// Last linear layer of a region vector (base).
    pub const UPDIMS: &str = "r.updims";
    /// First linear layer of the box embedding (base).
    pub const POS_FC1: &str = "r.pos.0";
    /// First layer norm of the box embedding (base).
    pub const POS_LN1: &str = "r.pos.2";
    /// Second linear layer of the box embedding (base).
    pub const POS_FC2: &str = "r.pos.3";
    /// Second layer norm of the box embedding (base).
    pub const POS_LN2: &str = "r.pos.5";

    /// Parts of a language-model block.
    pub mod llm {
        /// Norm before attention.
        pub const ATTN_NORM: &str = "attn_norm";
        /// Query projection.
        pub const ATTN_Q: &str = "attn_q";
        /// Key projection.
        pub const ATTN_K: &str = "attn_k";
        /// Value projection.
        pub const ATTN_V: &str = "attn_v";
        /// Output projection of attention.
        pub const ATTN_OUTPUT: &str = "attn_output";
        /// Norm before the feed-forward part.
        pub const FFN_NORM: &str = "ffn_norm";
        /// Gate projection.
        pub const FFN_GATE: &str = "ffn_gate";
        /// Up projection.
        pub const FFN_UP: &str = "ffn_up";
        /// Down projection.
        pub const FFN_DOWN: &str = "ffn_down";
    }

    /// Parts of a vision block.
    pub mod vision {
        /// Norm before attention.
        pub const LN1: &str = "ln1";
        /// Query projection.
        pub const ATTN_Q: &str = "attn_q";
        /// Key projection.
        pub const ATTN_K: &str = "attn_k";
        /// Value projection.
        pub const ATTN_V: &str = "attn_v";
        /// Output projection of attention.
        pub const ATTN_OUT: &str = "attn_out";
        /// LayerScale of attention (it has no bias).
        pub const LS1: &str = "ls1";
        /// Norm before the feed-forward part.
        pub const LN2: &str = "ln2";
        /// First feed-forward layer.
        pub const FFN_UP: &str = "ffn_up";
        /// Second feed-forward layer.
        pub const FFN_DOWN: &str = "ffn_down";
        /// LayerScale of the feed-forward part (it has no bias).
        pub const LS2: &str = "ls2";
    }

    /// Base name of a part of language-model block `il`.
    pub fn llm_block(il: u32, part: &str) -> String {
        format!("blk.{il}.{part}")
    }

    /// Base name of a part of vision block `il`; block `il` makes hidden state `il + 1`.
    pub fn vision_block(il: u32, part: &str) -> String {
        format!("v.blk.{il}.{part}")
    }

    /// Base name of the 1x1 convolution of level `l`.
    pub fn input_conv(l: u32) -> String {
        format!("r.input_conv.{l}")
    }

    /// Base name of fuse convolution `f` (it has no bias).
    pub fn fuse_conv(f: u32) -> String {
        format!("r.fuse.{f}.conv")
    }

    /// Base name of the group norm after fuse convolution `f`.
    pub fn fuse_norm(f: u32) -> String {
        format!("r.fuse.{f}.norm")
    }

    /// Base name of the 3x3 convolution over the RoIs of level `l`.
    pub fn pconv(l: u32) -> String {
        format!("r.pconv.{l}")
    }
}

/// Names of tensors that the converter makes up.
pub mod generated {
    /// The identity matrix.
    pub const IDENTITY: &str = "identity";
    /// A vector of zeros.
    pub const ZEROS: &str = "zeros";
}

/// Names in checkpoints of the original code. Most are bases as above.
pub mod hf {
    /// Token embeddings (base).
    pub const EMBED_TOKENS: &str = "model.embed_tokens";
    /// Final norm (base).
    pub const NORM: &str = "model.norm";
    /// Output matrix (base).
    pub const LM_HEAD: &str = "lm_head";
    /// Image projector (base).
    pub const MM_PROJECTOR: &str = "model.mm_projector";
    /// What every tensor of the region extractor has in its name.
    pub const SPI_MODULE: &str = "spi_module";
    /// End of the rotary tables that old checkpoints carry and nobody needs.
    pub const ROTARY_SUFFIX: &str = ".self_attn.rotary_emb.inv_freq";

    /// Linear layer into the region vector (base).
    pub const FLATTEN_LINEAR: &str = "model.spi_module.roi_align.flatten_linear";
    /// Last linear layer of a region vector (base).
    pub const UPDIMS: &str = "model.spi_module.roi_align.updims";

    /// Parts of a language-model layer.
    pub mod llm {
        /// Norm before attention.
        pub const INPUT_LAYERNORM: &str = "input_layernorm";
        /// Query projection.
        pub const Q_PROJ: &str = "self_attn.q_proj";
        /// Key projection.
        pub const K_PROJ: &str = "self_attn.k_proj";
        /// Value projection.
        pub const V_PROJ: &str = "self_attn.v_proj";
        /// Output projection of attention.
        pub const O_PROJ: &str = "self_attn.o_proj";
        /// Norm before the feed-forward part.
        pub const POST_ATTENTION_LAYERNORM: &str = "post_attention_layernorm";
        /// Gate projection.
        pub const GATE_PROJ: &str = "mlp.gate_proj";
        /// Up projection.
        pub const UP_PROJ: &str = "mlp.up_proj";
        /// Down projection.
        pub const DOWN_PROJ: &str = "mlp.down_proj";
    }

    /// Base name of a part of language-model layer `il`.
    pub fn llm_layer(il: u32, part: &str) -> String {
        format!("model.layers.{il}.{part}")
    }

    /// Base name of the 1x1 convolution of level `l`.
    pub fn input_conv(l: u32) -> String {
        format!("model.spi_module.mlvl_fuse.input_conv.{l}")
    }

    /// Base name of fuse convolution `f`.
    pub fn fuse_conv(f: u32) -> String {
        format!("model.spi_module.mlvl_fuse.fuse_convs.{f}.conv")
    }

    /// Base name of the group norm after fuse convolution `f`.
    pub fn fuse_norm(f: u32) -> String {
        format!("model.spi_module.mlvl_fuse.fuse_convs.{f}.gn")
    }

    /// Base name of the 3x3 convolution over the RoIs of level `l`.
    pub fn pconv(l: u32) -> String {
        format!("model.spi_module.roi_align.pconvs.{l}")
    }

    /// Base name of layer `i` of the box embedding: 0 and 3 are linear, 2 and 5 layer norms.
    pub fn pos_embedd(i: u32) -> String {
        format!("model.spi_module.roi_align.pos_embedd.{i}")
    }
}
