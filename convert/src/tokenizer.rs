//! The tokenizer's files: pieces, added tokens, special tokens, and what GGUF says of them.

mod sentencepiece;
mod special;

use crate::config;
use crate::error::{Error, Result};
use gpt4roi_models::{SpecialTokens, Value, keys};
use sentencepiece::{Pieces, Role};
use serde::Deserialize;
use special::Texts;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// llama.cpp's token types.
mod token_type {
    pub const NORMAL: i32 = 1;
    pub const UNKNOWN: i32 = 2;
    pub const CONTROL: i32 = 3;
    pub const USER_DEFINED: i32 = 4;
    pub const UNUSED: i32 = 5;
    pub const BYTE: i32 = 6;
}

/// Score that llama.cpp's converter gives to ids which nothing describes.
const SCORE_UNUSED: f32 = -10000.0;
/// Score that it gives to added tokens.
const SCORE_ADDED: f32 = -1000.0;

/// Tokenizer of the language checkpoint.
pub struct Tokenizer {
    pieces: Pieces,
    /// Added tokens, by id.
    added: BTreeMap<u32, String>,
    texts: Texts,
    n_vocab: u32,
}

/// `tokenizer_config.json`, as far as it is used beside the texts of special tokens.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TokenizerConfig {
    add_bos_token: Option<bool>,
    add_eos_token: Option<bool>,
    model_max_length: Option<f64>,
    added_tokens_decoder: BTreeMap<u32, AddedToken>,
}

/// A token with its flags, of which only the text matters here.
#[derive(Debug, Deserialize)]
struct AddedToken {
    content: String,
}

/// `tokenizer.json`, as far as it is used.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TokenizerJson {
    added_tokens: Vec<NumberedToken>,
}

#[derive(Debug, Deserialize)]
struct NumberedToken {
    id: u32,
    content: String,
}

impl Tokenizer {
    /// Reads the tokenizer of a checkpoint whose embedding table has `n_vocab` rows.
    ///
    /// # Errors
    /// If `tokenizer.model` is missing, a file is malformed, or an id lies beyond the table.
    pub fn open(dir: &Path, n_vocab: u32) -> Result<Tokenizer> {
        let pieces = Pieces::open(&dir.join("tokenizer.model"))?;
        let added = added_tokens(dir, pieces.len())?;
        let texts = Texts::open(dir)?;
        let beyond = added.keys().next_back().map_or(0, |id| id.saturating_add(1));
        let n = pieces.len().max(beyond);
        if n > n_vocab {
            let reason = format!(
                "the tokenizer has {n} tokens, but config.json promises embeddings for {n_vocab}: \
                 the files are of different models"
            );
            return Err(Error::malformed(dir, reason));
        }
        let tokenizer = Tokenizer { pieces, added, texts, n_vocab };
        tokenizer.check_texts(dir)?;
        Ok(tokenizer)
    }

    /// Ids of the tokens that the runtime treats specially, and the texts at which it splits.
    ///
    /// # Errors
    /// If one of the tokens that GPT4RoI adds is not there.
    pub fn special(&self, dir: &Path) -> Result<SpecialTokens> {
        let config: TokenizerConfig = self.config(dir)?;
        let need = |text: &str| {
            self.added_id(text).ok_or_else(|| Error::NotFound {
                path: dir.to_owned(),
                what: format!("the added token `{text}`"),
                remedy:
                    "it belongs in added_tokens.json (or tokenizer_config.json); a plain LLaMA \
                    or LLaVA tokenizer does not have it"
                        .into(),
            })
        };
        let max_length = config.model_max_length.unwrap_or(2048.0);
        Ok(SpecialTokens {
            im_patch: need(special::IM_PATCH)?,
            im_start: need(special::IM_START)?,
            im_end: need(special::IM_END)?,
            bbox: need(special::BBOX)?,
            bos: self.id(&self.texts.bos.text),
            eos: self.id(&self.texts.eos.text),
            unk: self.id(&self.texts.unk.text),
            pad: self.texts.pad.as_ref().map(|t| self.id(&t.text)),
            add_bos: config.add_bos_token.unwrap_or(true),
            max_length: max_length.clamp(1.0, f64::from(1u32 << 30)) as u32,
            n_vocab: self.n_vocab,
            split: self.texts.split(&self.added, |text| self.id(text)),
        })
    }

    /// The tokenizer's keys in the language model file, as llama.cpp's converter writes them.
    ///
    /// # Errors
    /// If `tokenizer_config.json` is malformed.
    pub fn to_kv(&self, dir: &Path, special: &SpecialTokens) -> Result<Vec<(String, Value)>> {
        let config: TokenizerConfig = self.config(dir)?;
        let (tokens, scores, types) = self.table();
        let mut kv = vec![
            (keys::TOKENIZER_MODEL, Value::Str(keys::TOKENIZER_LLAMA.into())),
            (keys::TOKENIZER_PRE, Value::Str(keys::TOKENIZER_PRE_DEFAULT.into())),
            (keys::TOKENIZER_TOKENS, Value::Strs(tokens)),
            (keys::TOKENIZER_SCORES, Value::F32s(scores)),
            (keys::TOKENIZER_TOKEN_TYPE, Value::I32s(types)),
            (keys::TOKENIZER_BOS, Value::U32(special.bos)),
            (keys::TOKENIZER_EOS, Value::U32(special.eos)),
            (keys::TOKENIZER_UNK, Value::U32(special.unk)),
            (keys::TOKENIZER_ADD_BOS, Value::Bool(special.add_bos)),
            (keys::TOKENIZER_ADD_EOS, Value::Bool(config.add_eos_token.unwrap_or(false))),
            (keys::TOKENIZER_ADD_SPACE_PREFIX, Value::Bool(self.pieces.dummy_prefix)),
            (keys::CHAT_TEMPLATE, Value::Str(special::CHAT_TEMPLATE.into())),
        ];
        kv.extend(special.pad.map(|id| (keys::TOKENIZER_PAD, Value::U32(id))));
        Ok(kv.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
    }

    /// Text, score and type of every id.
    fn table(&self) -> (Vec<String>, Vec<f32>, Vec<i32>) {
        let n = self.n_vocab as usize;
        let mut tokens: Vec<String> = (0..n).map(|i| format!("[PAD{i}]")).collect();
        let (mut scores, mut types) = (vec![SCORE_UNUSED; n], vec![token_type::UNUSED; n]);
        for (i, piece) in self.pieces.all().iter().enumerate() {
            tokens[i] = piece.text.clone();
            scores[i] = piece.score;
            types[i] = match piece.role {
                Role::Normal => token_type::NORMAL,
                Role::Unknown => token_type::UNKNOWN,
                Role::Control => token_type::CONTROL,
                Role::UserDefined => token_type::USER_DEFINED,
                Role::Unused => token_type::UNUSED,
                Role::Byte => token_type::BYTE,
            };
        }
        for (&id, text) in &self.added {
            tokens[id as usize] = text.clone();
            scores[id as usize] = SCORE_ADDED;
            types[id as usize] = token_type::USER_DEFINED;
        }
        (tokens, scores, types)
    }

    /// llama.cpp finds tokens by their texts: each must be there once.
    fn check_texts(&self, dir: &Path) -> Result<()> {
        let (texts, ..) = self.table();
        let mut ids = HashMap::new();
        for (id, text) in texts.iter().enumerate() {
            if text.is_empty() || text.contains('\0') {
                let reason = format!("token {id} has no usable text ({text:?})");
                return Err(Error::malformed(dir, reason));
            }
            if let Some(other) = ids.insert(text, id) {
                let reason = format!("tokens {other} and {id} have the same text {text:?}");
                return Err(Error::malformed(dir, reason));
            }
        }
        Ok(())
    }

    fn config(&self, dir: &Path) -> Result<TokenizerConfig> {
        Ok(config::read_optional(&dir.join("tokenizer_config.json"))?.unwrap_or_default())
    }

    fn added_id(&self, text: &str) -> Option<u32> {
        self.added.iter().find(|(_, t)| *t == text).map(|(&id, _)| id)
    }

    /// The id of a text: an added token, else a piece, else the unknown piece.
    fn id(&self, text: &str) -> u32 {
        self.added_id(text).unwrap_or_else(|| self.pieces.id(text))
    }
}

/// Added tokens by id, from whichever file lists them.
fn added_tokens(dir: &Path, n_pieces: u32) -> Result<BTreeMap<u32, String>> {
    let path = dir.join("added_tokens.json");
    let listed: Option<HashMap<String, u32>> = config::read_optional(&path)?;
    if let Some(listed) = listed {
        return Ok(listed.into_iter().map(|(text, id)| (id, text)).collect());
    }
    // Newer libraries list the base's own special tokens here too; those are pieces.
    let config: Option<TokenizerConfig> =
        config::read_optional(&dir.join("tokenizer_config.json"))?;
    let decoder = config.unwrap_or_default().added_tokens_decoder;
    let mut added: BTreeMap<u32, String> =
        decoder.into_iter().map(|(id, token)| (id, token.content)).collect();
    if added.keys().all(|&id| id < n_pieces) {
        let fast: Option<TokenizerJson> = config::read_optional(&dir.join("tokenizer.json"))?;
        let tokens = fast.unwrap_or_default().added_tokens;
        added.extend(tokens.into_iter().map(|t| (t.id, t.content)));
    }
    added.retain(|&id, _| id >= n_pieces);
    Ok(added)
}
