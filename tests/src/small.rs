//! Models of any sizes, written without a checkpoint: for shapes that no preset has, and for tests
//! that open thousands of files.

use crate::Pair;
use crate::kv::stored;
use ggml_ext::DType;
use ggml_ext::gguf::Writer;
use ggml_ext::quant::quantize;
use gpt4roi_models::synthetic::Noise;
use gpt4roi_models::synthetic::tokenizer::ADDED;
use gpt4roi_models::{
    Gelu, LlmHparams, MmprojHparams, RegionHparams, SpecialTokens, SplitToken, TensorSpec, Value,
    VisionHparams, keys, llm_specs, mmproj_specs,
};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Sizes and types of a model to be made.
#[derive(Clone, Debug)]
pub struct Small {
    /// The language model's sizes.
    pub llm: LlmHparams,
    /// Everything of the mmproj file.
    pub mmproj: MmprojHparams,
    /// Type of the matrices; rows that it cannot hold become f16.
    pub matrices: DType,
    /// Seed of the noise.
    pub seed: u64,
}

impl Default for Small {
    /// As little as makes a model: two vision blocks, two levels, one language block.
    fn default() -> Small {
        let n_vocab = vocabulary().len() as u32;
        let llm = LlmHparams {
            name: "small".into(),
            n_vocab,
            n_ctx_train: 512,
            n_embd: 32,
            n_layer: 1,
            n_ff: 64,
            n_head: 4,
            n_head_kv: 4,
            rms_eps: 1e-6,
            rope_theta: 10000.0,
        };
        let mmproj = MmprojHparams {
            name: "small".into(),
            vision: vision(),
            region: region(),
            tokens: tokens(n_vocab),
        };
        Small { llm, mmproj, matrices: DType::Q8_0, seed: 1 }
    }
}

impl Small {
    /// A model that answers in milliseconds and has enough room to tell pictures, boxes and
    /// questions apart. Single precision, so that neither batches nor caches round visibly.
    pub fn talker() -> Small {
        let mut small = Small { matrices: DType::F32, ..Small::default() }.with_width(64, 4);
        (small.llm.n_layer, small.llm.n_ctx_train) = (2, 2048);
        small.mmproj.vision.image_size = 56;
        small.llm.name = "talker".into();
        small.with_taps(&[1, 2])
    }

    /// [`Small::talker`], written once for each run of the tests.
    pub fn talking_pair() -> Pair {
        static PAIR: LazyLock<Pair> = LazyLock::new(|| Small::talker().write(&crate::scratch()));
        PAIR.clone()
    }

    /// Sets the width that both files share.
    #[must_use]
    pub fn with_width(mut self, n_embd: u32, n_head: u32) -> Small {
        (self.llm.n_embd, self.llm.n_head, self.llm.n_head_kv) = (n_embd, n_head, n_head);
        self.mmproj.vision.projection_dim = n_embd;
        self.mmproj.region.n_embd_out = n_embd;
        self
    }

    /// Sets the levels by their hidden states; sides follow from the grid.
    #[must_use]
    pub fn with_taps(mut self, taps: &[u32]) -> Small {
        let grid = self.mmproj.vision.grid();
        let region = &mut self.mmproj.region;
        region.taps = taps.to_vec();
        region.image_tap = taps.last().copied().unwrap_or(1);
        region.level_sizes = (0..taps.len()).rev().map(|k| grid << k).collect();
        self
    }

    /// Writes both files into `dir`.
    ///
    /// # Panics
    /// If they cannot be written.
    pub fn write(&self, dir: &Path) -> Pair {
        let mut llm_kv = self.llm.to_kv();
        llm_kv.extend(vocabulary_kv(&self.mmproj.tokens));
        let file = |prefix: &str| dir.join(format!("{prefix}{}.gguf", self.llm.name));
        let model = self.write_file(file(""), &llm_kv, &llm_specs(&self.llm));
        let kv = self.mmproj.to_kv();
        let mmproj = self.write_file(file("mmproj-"), &kv, &mmproj_specs(&self.mmproj));
        Pair { model, mmproj }
    }

    fn write_file(&self, path: PathBuf, kv: &[(String, Value)], specs: &[TensorSpec]) -> PathBuf {
        let kv: Vec<_> = kv.iter().map(|(k, v)| (k.clone(), stored(v))).collect();
        let tensors = specs.iter().map(|s| (s.name.as_str(), self.dtype(s), s.shape.as_slice()));
        let mut writer = Writer::create(&path, &kv, tensors).expect("a header");
        for spec in specs {
            writer.write(&self.data(spec)).expect("a tensor");
        }
        writer.finish().expect("a file");
        path
    }

    fn dtype(&self, spec: &TensorSpec) -> DType {
        let fits = self.matrices.row_size(spec.n_per_row() as usize).is_some();
        match spec.kind {
            k if k.is_always_f32() => DType::F32,
            k if k.is_quantizable() && fits => self.matrices,
            _ => DType::F16,
        }
    }

    fn data(&self, spec: &TensorSpec) -> Vec<u8> {
        let values = Noise::values(spec, self.seed);
        let floats: Vec<f32> = values.iter().map(|v| v.to_f32()).collect();
        let mut out = Vec::new();
        let n_per_row = spec.n_per_row() as usize;
        quantize(self.dtype(spec), &floats, n_per_row, 1, &mut out).expect("a type that fits");
        out
    }
}

fn vision() -> VisionHparams {
    VisionHparams {
        n_embd: 32,
        n_head: 2,
        n_ff: 32,
        n_layer: 2,
        image_size: 28,
        patch_size: 14,
        ln_eps: 1e-5,
        image_mean: [0.5; 3],
        image_std: [0.25; 3],
        projection_dim: 32,
        gelu: Gelu::Quick,
        pre_norm: true,
        patch_bias: false,
        layer_scale: false,
    }
}

fn region() -> RegionHparams {
    RegionHparams {
        taps: vec![1, 2],
        image_tap: 2,
        level_sizes: vec![4, 2],
        n_channels: 8,
        n_mid: 32,
        n_pos_hidden: 32,
        n_fuse: 1,
        gn_groups: 4,
        gn_eps: 1e-5,
        ln_eps: 1e-5,
        roi_output_size: 2,
        roi_sampling_ratio: 2,
        n_embd_out: 32,
    }
}

/// Text, score and type of every token: control pieces, bytes, characters, what ends an answer,
/// and the added tokens. Types are llama.cpp's.
fn vocabulary() -> Vec<(String, f32, i32)> {
    let mut all =
        vec![("<unk>".to_owned(), 0.0, 2), ("<s>".into(), 0.0, 3), ("</s>".into(), 0.0, 3)];
    all.extend((0..=255u8).map(|b| (format!("<0x{b:02X}>"), 0.0, 6)));
    all.extend(["##", "\u{2581}##", "\u{2581}###"].map(|t| (t.into(), -1.0, 1)));
    let chars = (' '..='~').map(|c| if c == ' ' { '\u{2581}' } else { c });
    all.extend(chars.map(|c| (c.into(), -2.0, 1)));
    all.extend(ADDED.map(|t| (t.into(), 0.0, 4)));
    all
}

/// Keys of the small models' tokenizer.
pub fn vocabulary_kv(t: &SpecialTokens) -> Vec<(String, Value)> {
    let all = vocabulary();
    let kv = [
        (keys::TOKENIZER_MODEL, Value::Str(keys::TOKENIZER_LLAMA.into())),
        (keys::TOKENIZER_PRE, Value::Str(keys::TOKENIZER_PRE_DEFAULT.into())),
        (keys::TOKENIZER_TOKENS, Value::Strs(all.iter().map(|v| v.0.clone()).collect())),
        (keys::TOKENIZER_SCORES, Value::F32s(all.iter().map(|v| v.1).collect())),
        (keys::TOKENIZER_TOKEN_TYPE, Value::I32s(all.iter().map(|v| v.2).collect())),
        (keys::TOKENIZER_BOS, Value::U32(t.bos)),
        (keys::TOKENIZER_EOS, Value::U32(t.eos)),
        (keys::TOKENIZER_UNK, Value::U32(t.unk)),
        (keys::TOKENIZER_ADD_BOS, Value::Bool(t.add_bos)),
        (keys::TOKENIZER_ADD_EOS, Value::Bool(false)),
        (keys::TOKENIZER_ADD_SPACE_PREFIX, Value::Bool(true)),
        (keys::CHAT_TEMPLATE, Value::Str("{{ messages }}".into())),
    ];
    kv.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
}

fn tokens(n_vocab: u32) -> SpecialTokens {
    let first = n_vocab - ADDED.len() as u32;
    let id = |text: &str| {
        let at = ADDED.iter().position(|t| *t == text);
        first + at.expect("an added token") as u32
    };
    let split = ADDED.iter().map(|t| SplitToken { text: (*t).into(), id: id(t), strip: true });
    SpecialTokens {
        im_patch: id("<im_patch>"),
        im_start: id("<im_start>"),
        im_end: id("<im_end>"),
        bbox: id("<bbox>"),
        bos: 1,
        eos: 2,
        unk: 0,
        pad: Some(id("[PAD]")),
        add_bos: true,
        max_length: 2048,
        n_vocab,
        split: split.collect(),
    }
}
