//! Every GGUF metadata key that this project reads or writes.

macro_rules! keys {
    ($($(#[$doc:meta])* $name:ident = $key:literal;)*) => {
        $($(#[$doc])* pub const $name: &str = $key;)*

        /// Every key, for checks that none is written twice.
        pub const ALL: &[&str] = &[$($key,)*];
    };
}

keys! {
    /// Architecture of the file: [`ARCH_LLAMA`] or [`ARCH_CLIP`].
    ARCHITECTURE = "general.architecture";
    /// What the file is: [`TYPE_MODEL`] or [`TYPE_MMPROJ`].
    TYPE = "general.type";
    /// Name of the model.
    NAME = "general.name";
    /// One sentence about the file.
    DESCRIPTION = "general.description";
    /// llama.cpp's number for the mix of tensor types.
    FILE_TYPE = "general.file_type";
    /// Version of ggml's quantisation formats.
    QUANTIZATION_VERSION = "general.quantization_version";
    /// Byte alignment of tensors.
    ALIGNMENT = "general.alignment";

    /// Rows of the embedding table.
    LLM_VOCAB_SIZE = "llama.vocab_size";
    /// Positions that the model was trained for.
    LLM_CONTEXT_LENGTH = "llama.context_length";
    /// Width of the language model.
    LLM_EMBEDDING_LENGTH = "llama.embedding_length";
    /// Blocks of the language model.
    LLM_BLOCK_COUNT = "llama.block_count";
    /// Inner width of the feed-forward part.
    LLM_FEED_FORWARD_LENGTH = "llama.feed_forward_length";
    /// Attention heads.
    LLM_HEAD_COUNT = "llama.attention.head_count";
    /// Attention heads of keys and values.
    LLM_HEAD_COUNT_KV = "llama.attention.head_count_kv";
    /// Epsilon of RMSNorm.
    LLM_RMS_EPS = "llama.attention.layer_norm_rms_epsilon";
    /// Rotated dimensions of a head.
    LLM_ROPE_DIMS = "llama.rope.dimension_count";
    /// Base of the rotary frequencies.
    LLM_ROPE_BASE = "llama.rope.freq_base";

    /// Kind of tokenizer; `llama` is SentencePiece BPE.
    TOKENIZER_MODEL = "tokenizer.ggml.model";
    /// Pre-tokenizer.
    TOKENIZER_PRE = "tokenizer.ggml.pre";
    /// Texts of all tokens.
    TOKENIZER_TOKENS = "tokenizer.ggml.tokens";
    /// Scores of all tokens.
    TOKENIZER_SCORES = "tokenizer.ggml.scores";
    /// Types of all tokens.
    TOKENIZER_TOKEN_TYPE = "tokenizer.ggml.token_type";
    /// Beginning-of-sequence token.
    TOKENIZER_BOS = "tokenizer.ggml.bos_token_id";
    /// End-of-sequence token.
    TOKENIZER_EOS = "tokenizer.ggml.eos_token_id";
    /// Unknown token.
    TOKENIZER_UNK = "tokenizer.ggml.unknown_token_id";
    /// Padding token.
    TOKENIZER_PAD = "tokenizer.ggml.padding_token_id";
    /// Whether a prompt begins with the beginning-of-sequence token.
    TOKENIZER_ADD_BOS = "tokenizer.ggml.add_bos_token";
    /// Whether a prompt ends with the end-of-sequence token.
    TOKENIZER_ADD_EOS = "tokenizer.ggml.add_eos_token";
    /// Whether a blank is put before the text (SentencePiece's dummy prefix).
    TOKENIZER_ADD_SPACE_PREFIX = "tokenizer.ggml.add_space_prefix";
    /// Jinja template of a dialogue.
    CHAT_TEMPLATE = "tokenizer.chat_template";

    /// That the file has a vision tower.
    CLIP_HAS_VISION = "clip.has_vision_encoder";
    /// Kind of image projector; LLaVA's is [`PROJECTOR_MLP`].
    CLIP_PROJECTOR_TYPE = "clip.projector_type";
    /// Present and true if the tower uses GELU, absent for the "quick" one. It is computed exactly
    /// here; llama.cpp takes the tanh approximation under this key.
    CLIP_USE_GELU = "clip.use_gelu";
    /// Side of the square input image, in pixels.
    VISION_IMAGE_SIZE = "clip.vision.image_size";
    /// Side of a square patch, in pixels.
    VISION_PATCH_SIZE = "clip.vision.patch_size";
    /// Width of the tower.
    VISION_EMBEDDING_LENGTH = "clip.vision.embedding_length";
    /// Inner width of the feed-forward part.
    VISION_FEED_FORWARD_LENGTH = "clip.vision.feed_forward_length";
    /// Blocks of the tower.
    VISION_BLOCK_COUNT = "clip.vision.block_count";
    /// Attention heads.
    VISION_HEAD_COUNT = "clip.vision.attention.head_count";
    /// Epsilon of the layer norms.
    VISION_LN_EPS = "clip.vision.attention.layer_norm_epsilon";
    /// Width of the projected image vectors.
    VISION_PROJECTION_DIM = "clip.vision.projection_dim";
    /// Mean of each colour channel.
    VISION_IMAGE_MEAN = "clip.vision.image_mean";
    /// Standard deviation of each colour channel.
    VISION_IMAGE_STD = "clip.vision.image_std";

    /// Version of this project's part of the mmproj file, [`crate::hparams::FORMAT_VERSION`].
    FORMAT_VERSION = "gpt4roi.format_version";
    /// Whether a norm stands before the tower's first block; if absent, there is one. For this and
    /// the next two llama.cpp looks which tensors there are, so that one missing is another tower.
    VISION_PRE_NORM = "gpt4roi.vision.pre_norm";
    /// Whether the patch convolution has a bias; if absent, it has none.
    VISION_PATCH_BIAS = "gpt4roi.vision.patch_bias";
    /// Whether the tower has LayerScale; if absent, it has none.
    VISION_LAYER_SCALE = "gpt4roi.vision.layer_scale";
    /// Hidden state that feeds the image projector.
    IMAGE_TAP = "gpt4roi.image_tap";
    /// Hidden states that feed the levels, shallowest (finest) first.
    TAPS = "gpt4roi.taps";
    /// Side of each level's map, finest first.
    LEVEL_SIZES = "gpt4roi.level_sizes";
    /// Channels of the fused maps.
    N_CHANNELS = "gpt4roi.channels";
    /// Width between the two parts of the region vector.
    N_MID = "gpt4roi.mid_length";
    /// Inner width of the box embedding.
    N_POS_HIDDEN = "gpt4roi.box_hidden_length";
    /// Width of region vectors, that of the language model.
    N_EMBD_OUT = "gpt4roi.embedding_length_out";
    /// Number of fuse convolutions.
    N_FUSE = "gpt4roi.fuse_count";
    /// Groups of the group norms.
    GN_GROUPS = "gpt4roi.group_norm.groups";
    /// Epsilon of the group norms.
    GN_EPS = "gpt4roi.group_norm.epsilon";
    /// Epsilon of the box embedding's layer norms.
    LN_EPS = "gpt4roi.layer_norm.epsilon";
    /// Bins on a side of RoIAlign's output.
    ROI_OUTPUT_SIZE = "gpt4roi.roi.output_size";
    /// Samples on a side of a bin; 0 lets the box decide.
    ROI_SAMPLING_RATIO = "gpt4roi.roi.sampling_ratio";

    /// Id of the image placeholder token.
    TOKEN_IM_PATCH = "gpt4roi.token.im_patch";
    /// Id of the token before the image.
    TOKEN_IM_START = "gpt4roi.token.im_start";
    /// Id of the token after the image.
    TOKEN_IM_END = "gpt4roi.token.im_end";
    /// Id of the region placeholder token.
    TOKEN_BBOX = "gpt4roi.token.bbox";
    /// Id of the beginning-of-sequence token, as the training code saw it.
    TOKEN_BOS = "gpt4roi.token.bos";
    /// Id of the end-of-sequence token.
    TOKEN_EOS = "gpt4roi.token.eos";
    /// Id of the unknown token.
    TOKEN_UNK = "gpt4roi.token.unk";
    /// Id of the padding token; absent if there is none.
    TOKEN_PAD = "gpt4roi.token.pad";
    /// Whether a prompt begins with the beginning-of-sequence token.
    TOKEN_ADD_BOS = "gpt4roi.token.add_bos";
    /// Longest sequence of the training, in tokens.
    TOKEN_MAX_LENGTH = "gpt4roi.token.max_length";
    /// Rows of the embedding table that the ids belong to.
    TOKEN_VOCAB_SIZE = "gpt4roi.token.vocab_size";
    /// Texts at which a prompt is split before SentencePiece sees it.
    SPLIT_TEXTS = "gpt4roi.token.split.texts";
    /// Ids of those texts.
    SPLIT_IDS = "gpt4roi.token.split.ids";
    /// Whether white space around each of those texts is dropped.
    SPLIT_STRIP = "gpt4roi.token.split.strip";
}

/// Architecture of the language model file.
pub const ARCH_LLAMA: &str = "llama";
/// Architecture of the mmproj file.
pub const ARCH_CLIP: &str = "clip";
/// Type of the language model file.
pub const TYPE_MODEL: &str = "model";
/// Type of the mmproj file.
pub const TYPE_MMPROJ: &str = "mmproj";
/// Projector type under which llama.cpp loads LLaVA's projector.
pub const PROJECTOR_MLP: &str = "mlp";
/// llama.cpp's name of a SentencePiece tokenizer.
pub const TOKENIZER_LLAMA: &str = "llama";
/// The pre-tokenizer that goes with it.
pub const TOKENIZER_PRE_DEFAULT: &str = "default";

/// Keys that hold a token's id.
pub const TOKENIZER_IDS: &[&str] = &[TOKENIZER_BOS, TOKENIZER_EOS, TOKENIZER_UNK, TOKENIZER_PAD];

/// Whether a key is only a note to people: it changes nothing about how a model is computed.
pub fn is_note(key: &str) -> bool {
    key.starts_with("general.") || key.starts_with("quantize.")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    #[test]
    fn no_key_is_defined_twice() {
        let unique: HashSet<_> = super::ALL.iter().collect();
        assert_eq!(unique.len(), super::ALL.len());
    }
}
