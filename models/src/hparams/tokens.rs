//! Token ids, and how a prompt is cut up before SentencePiece sees it.

use super::checks::{Reader, require};
use super::{HparamsError, pair};
use crate::keys;
use crate::value::{KeyValues, Value};

/// Largest vocabulary.
const MAX_VOCAB: u32 = 1 << 20;
/// Largest number of texts at which prompts are split.
const MAX_SPLIT: usize = 4096;
/// Longest such text, in bytes.
const MAX_SPLIT_LEN: usize = 1024;

/// A text at which prompts are split: it becomes one token by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitToken {
    /// The text.
    pub text: String,
    /// Its token.
    pub id: u32,
    /// Whether all white space that touches it in the prompt (newlines too) is dropped.
    pub strip: bool,
}

/// Token ids of the model, all read from the tokenizer's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Placeholder of one image vector.
    pub im_patch: u32,
    /// Token before the image.
    pub im_start: u32,
    /// Token after the image.
    pub im_end: u32,
    /// Placeholder of one region vector.
    pub bbox: u32,
    /// Beginning of a sequence (old tokenizers may name `</s>` or nothing, which gives id 0).
    pub bos: u32,
    /// End of a sequence.
    pub eos: u32,
    /// Unknown piece.
    pub unk: u32,
    /// Padding, if the tokenizer names one.
    pub pad: Option<u32>,
    /// Whether prompts begin with `bos`.
    pub add_bos: bool,
    /// Longest sequence of the training, which cut longer ones.
    pub max_length: u32,
    /// Rows of the embedding table; all ids are below.
    pub n_vocab: u32,
    /// Texts at which prompts are split, longest first.
    pub split: Vec<SplitToken>,
}

impl SpecialTokens {
    pub(super) fn to_kv(&self) -> Vec<(String, Value)> {
        let mut kv = vec![
            pair(keys::TOKEN_VOCAB_SIZE, Value::U32(self.n_vocab)),
            pair(keys::TOKEN_IM_PATCH, Value::U32(self.im_patch)),
            pair(keys::TOKEN_IM_START, Value::U32(self.im_start)),
            pair(keys::TOKEN_IM_END, Value::U32(self.im_end)),
            pair(keys::TOKEN_BBOX, Value::U32(self.bbox)),
            pair(keys::TOKEN_BOS, Value::U32(self.bos)),
            pair(keys::TOKEN_EOS, Value::U32(self.eos)),
            pair(keys::TOKEN_UNK, Value::U32(self.unk)),
            pair(keys::TOKEN_ADD_BOS, Value::Bool(self.add_bos)),
            pair(keys::TOKEN_MAX_LENGTH, Value::U32(self.max_length)),
            pair(keys::SPLIT_TEXTS, Value::Strs(column(&self.split, |t| t.text.clone()))),
            pair(keys::SPLIT_IDS, Value::U32s(column(&self.split, |t| t.id))),
            pair(keys::SPLIT_STRIP, Value::Bools(column(&self.split, |t| t.strip))),
        ];
        kv.extend(self.pad.map(|id| pair(keys::TOKEN_PAD, Value::U32(id))));
        kv
    }

    pub(super) fn read<K: KeyValues + ?Sized>(r: &Reader<K>) -> Result<Self, HparamsError> {
        let n_vocab = r.u32_in(keys::TOKEN_VOCAB_SIZE, 1..=MAX_VOCAB)?;
        let id = |key| r.u32_in(key, 0..=n_vocab - 1);
        Ok(SpecialTokens {
            im_patch: id(keys::TOKEN_IM_PATCH)?,
            im_start: id(keys::TOKEN_IM_START)?,
            im_end: id(keys::TOKEN_IM_END)?,
            bbox: id(keys::TOKEN_BBOX)?,
            bos: id(keys::TOKEN_BOS)?,
            eos: id(keys::TOKEN_EOS)?,
            unk: id(keys::TOKEN_UNK)?,
            pad: r.has(keys::TOKEN_PAD).then(|| id(keys::TOKEN_PAD)).transpose()?,
            add_bos: r.bool(keys::TOKEN_ADD_BOS)?,
            max_length: r.u32_in(keys::TOKEN_MAX_LENGTH, 1..=1 << 30)?,
            n_vocab,
            split: read_split(r, n_vocab)?,
        })
    }
}

fn column<T>(split: &[SplitToken], f: impl Fn(&SplitToken) -> T) -> Vec<T> {
    split.iter().map(f).collect()
}

fn read_split<K: KeyValues + ?Sized>(
    r: &Reader<K>,
    n_vocab: u32,
) -> Result<Vec<SplitToken>, HparamsError> {
    let texts = r.texts(keys::SPLIT_TEXTS)?;
    let ids = r.u32s(keys::SPLIT_IDS)?;
    let strip = r.bools(keys::SPLIT_STRIP)?;
    let n = texts.len();
    let fits = n <= MAX_SPLIT && texts.iter().all(|t| !t.is_empty() && t.len() <= MAX_SPLIT_LEN);
    let allowed = format!("at most {MAX_SPLIT} texts of 1 to {MAX_SPLIT_LEN} bytes");
    require(keys::SPLIT_TEXTS, &n, fits, allowed)?;
    let fits = ids.len() == n && ids.iter().all(|&id| id < n_vocab);
    require(keys::SPLIT_IDS, &ids, fits, format!("{n} ids below {n_vocab}"))?;
    require(keys::SPLIT_STRIP, &strip, strip.len() == n, format!("{n} truth values"))?;
    let rows = texts.into_iter().zip(ids).zip(strip);
    Ok(rows.map(|((text, id), strip)| SplitToken { text, id, strip }).collect())
}
