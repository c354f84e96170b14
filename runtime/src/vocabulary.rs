//! The language model's vocabulary, as prompts and answers need it.

use crate::prompt::{BoxError, Piece, PieceSource, TextEncoder};
use ggml_ext::llama::{Model, TokenKind};
use gpt4roi_models::hparams::{MmprojHparams, SpecialTokens};
use std::sync::OnceLock;

/// SentencePiece through llama.cpp, with the model's special tokens.
pub(crate) struct Vocabulary {
    model: Model,
    special: SpecialTokens,
    n_patches: usize,
    dummy_prefix: bool,
    /// See [`Vocabulary::bytes`]; made when it is first needed.
    bytes: OnceLock<Vec<Option<Box<[u8]>>>>,
}

impl Vocabulary {
    pub(crate) fn new(model: Model, hp: &MmprojHparams, dummy_prefix: bool) -> Vocabulary {
        let n_patches = hp.vision.n_patches() as usize;
        Vocabulary {
            model,
            special: hp.tokens.clone(),
            n_patches,
            dummy_prefix,
            bytes: OnceLock::new(),
        }
    }

    /// Ids with a meaning of their own.
    pub(crate) fn special(&self) -> &SpecialTokens {
        &self.special
    }

    /// Whether the vocabulary puts a blank in front of text.
    pub(crate) fn has_dummy_prefix(&self) -> bool {
        self.dummy_prefix
    }

    /// Whether a token ends the text. Only the tokenizer's own end does: llama.cpp takes others for
    /// ends by their names (`[PAD]`), which the model may well write.
    pub(crate) fn is_end(&self, id: i32) -> bool {
        i64::from(id) == i64::from(self.special.eos)
    }

    /// What a token writes within a text, a blank in front of a word included. `None` if it has no text, or is an added one, whose
    /// text means something else.
    pub(crate) fn bytes(&self, id: i32) -> Option<&[u8]> {
        let all = self
            .bytes
            .get_or_init(|| (0..self.model.n_vocab() as i32).map(|id| self.written(id)).collect());
        all.get(usize::try_from(id).ok()?)?.as_deref()
    }

    fn written(&self, id: i32) -> Option<Box<[u8]>> {
        let special = &self.special;
        let ends = [Some(special.bos), Some(special.eos), Some(special.unk), special.pad];
        let mut added = special.split.iter().map(|t| t.id).chain(ends.into_iter().flatten());
        if added.any(|a| i64::from(a) == i64::from(id)) {
            return None;
        }
        match self.piece(id).ok()? {
            Piece::Text(text) => Some(text.replace('\u{2581}', " ").into_bytes().into()),
            Piece::Byte(byte) => Some([byte].into()),
            Piece::Control => None,
        }
    }

    /// Vectors that stand for the image.
    pub(crate) fn n_patches(&self) -> usize {
        self.n_patches
    }
}

impl TextEncoder for Vocabulary {
    fn encode(&self, piece: &str) -> Result<Vec<i32>, BoxError> {
        Ok(self.model.tokenize(piece))
    }
}

impl PieceSource for Vocabulary {
    fn piece(&self, id: i32) -> Result<Piece<'_>, BoxError> {
        let token = self.model.token(id).ok_or("no such token in the vocabulary")?;
        Ok(match token.kind {
            TokenKind::Byte => Piece::byte_from_text(&token.text).unwrap_or(Piece::Control),
            TokenKind::Control => Piece::Control,
            TokenKind::Text => Piece::Text(token.text.into()),
        })
    }
}
