//! Hyper-parameters of the language model.

use super::checks::{MAX_LAYERS, MAX_WIDTH, Reader, require};
use super::{HparamsError, pair};
use crate::keys;
use crate::value::{KeyValues, Value};

/// Sizes and constants of the language model.
#[derive(Clone, Debug, PartialEq)]
pub struct LlmHparams {
    /// Name of the model, for people.
    pub name: String,
    /// Rows of the embedding table.
    pub n_vocab: u32,
    /// Positions that the model was trained for.
    pub n_ctx_train: u32,
    /// Width H.
    pub n_embd: u32,
    /// Blocks.
    pub n_layer: u32,
    /// Inner width of the feed-forward part.
    pub n_ff: u32,
    /// Attention heads.
    pub n_head: u32,
    /// Attention heads of keys and values.
    pub n_head_kv: u32,
    /// Epsilon of RMSNorm.
    pub rms_eps: f32,
    /// Base of the rotary frequencies.
    pub rope_theta: f32,
}

impl LlmHparams {
    /// Width of one head; all of it is rotated.
    pub fn n_embd_head(&self) -> u32 {
        self.n_embd / self.n_head
    }

    /// Width of all keys, or values, together.
    pub fn n_embd_kv(&self) -> u32 {
        self.n_embd_head() * self.n_head_kv
    }

    /// Keys of the file except the file type and the tokenizer, in the order in which they are
    /// written.
    pub fn to_kv(&self) -> Vec<(String, Value)> {
        vec![
            pair(keys::ARCHITECTURE, Value::Str(keys::ARCH_LLAMA.into())),
            pair(keys::TYPE, Value::Str(keys::TYPE_MODEL.into())),
            pair(keys::NAME, Value::Str(self.name.clone())),
            pair(keys::LLM_BLOCK_COUNT, Value::U32(self.n_layer)),
            pair(keys::LLM_CONTEXT_LENGTH, Value::U32(self.n_ctx_train)),
            pair(keys::LLM_EMBEDDING_LENGTH, Value::U32(self.n_embd)),
            pair(keys::LLM_FEED_FORWARD_LENGTH, Value::U32(self.n_ff)),
            pair(keys::LLM_HEAD_COUNT, Value::U32(self.n_head)),
            pair(keys::LLM_HEAD_COUNT_KV, Value::U32(self.n_head_kv)),
            pair(keys::LLM_RMS_EPS, Value::F32(self.rms_eps)),
            pair(keys::LLM_VOCAB_SIZE, Value::U32(self.n_vocab)),
            pair(keys::LLM_ROPE_DIMS, Value::U32(self.n_embd_head())),
            pair(keys::LLM_ROPE_BASE, Value::F32(self.rope_theta)),
        ]
    }

    /// Reads and checks the keys of a language model file.
    ///
    /// # Errors
    /// [`HparamsError`] for the first key that is missing, of the wrong kind or out of range.
    pub fn from_kv(kv: &(impl KeyValues + ?Sized)) -> Result<LlmHparams, HparamsError> {
        let r = Reader::new(kv);
        r.text_equal(keys::ARCHITECTURE, keys::ARCH_LLAMA)?;
        let n_embd = r.u32_in(keys::LLM_EMBEDDING_LENGTH, 1..=MAX_WIDTH)?;
        let n_head = r.u32_in(keys::LLM_HEAD_COUNT, 1..=n_embd)?;
        let even = n_embd % n_head == 0 && (n_embd / n_head) % 2 == 0;
        let allowed = format!("a divisor of {n_embd} that makes heads of even width");
        require(keys::LLM_HEAD_COUNT, &n_head, even, allowed)?;
        let n_head_kv = r.u32_in(keys::LLM_HEAD_COUNT_KV, 1..=n_head)?;
        let divides = n_head % n_head_kv == 0;
        require(keys::LLM_HEAD_COUNT_KV, &n_head_kv, divides, format!("a divisor of {n_head}"))?;
        let rope_theta = r.f32(keys::LLM_ROPE_BASE)?;
        let fits = rope_theta >= 1.0 && rope_theta.is_finite();
        require(keys::LLM_ROPE_BASE, &rope_theta, fits, "finite, at least 1")?;
        Ok(LlmHparams {
            name: r.text_or(keys::NAME, "")?,
            n_vocab: r.u32_in(keys::LLM_VOCAB_SIZE, 1..=1 << 20)?,
            n_ctx_train: r.u32_in(keys::LLM_CONTEXT_LENGTH, 1..=1 << 24)?,
            n_embd,
            n_layer: r.u32_in(keys::LLM_BLOCK_COUNT, 1..=MAX_LAYERS)?,
            n_ff: r.u32_in(keys::LLM_FEED_FORWARD_LENGTH, 1..=8 * MAX_WIDTH)?,
            n_head,
            n_head_kv,
            rms_eps: r.epsilon(keys::LLM_RMS_EPS)?,
            rope_theta,
        })
    }
}
