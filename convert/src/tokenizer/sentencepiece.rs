//! `tokenizer.model`: SentencePiece's own file, a protocol buffer.

use crate::error::{Error, Result};
use prost::Message;
use std::collections::HashMap;
use std::path::Path;

/// SentencePiece's number for byte-pair encoding.
const MODEL_TYPE_BPE: i32 = 2;
/// Largest file that is read; LLaMA's has half a megabyte.
const MAX_FILE: u64 = 64 << 20;

#[derive(Clone, PartialEq, Message)]
struct ModelProto {
    #[prost(message, repeated, tag = "1")]
    pieces: Vec<PieceProto>,
    #[prost(message, optional, tag = "2")]
    trainer_spec: Option<TrainerSpec>,
    #[prost(message, optional, tag = "3")]
    normalizer_spec: Option<NormalizerSpec>,
}

#[derive(Clone, PartialEq, Message)]
struct PieceProto {
    #[prost(string, tag = "1")]
    piece: String,
    #[prost(float, tag = "2")]
    score: f32,
    #[prost(int32, optional, tag = "3")]
    role: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct TrainerSpec {
    #[prost(int32, optional, tag = "3")]
    model_type: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct NormalizerSpec {
    #[prost(bytes = "vec", optional, tag = "2")]
    precompiled_charsmap: Option<Vec<u8>>,
    #[prost(bool, optional, tag = "3")]
    add_dummy_prefix: Option<bool>,
    #[prost(bool, optional, tag = "4")]
    remove_extra_whitespaces: Option<bool>,
}

/// What a piece stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

/// A piece of the vocabulary; its id is its place.
#[derive(Clone, Debug)]
pub struct Piece {
    pub text: String,
    pub score: f32,
    pub role: Role,
}

/// The vocabulary.
pub struct Pieces {
    all: Vec<Piece>,
    ids: HashMap<String, u32>,
    unknown: u32,
    /// Whether a blank is put before every text.
    pub dummy_prefix: bool,
}

impl Pieces {
    /// Reads a `tokenizer.model`.
    ///
    /// # Errors
    /// If it is missing, malformed, or of a kind that llama.cpp's `llama` tokenizer is not.
    pub fn open(path: &Path) -> Result<Pieces> {
        let len = std::fs::metadata(path).map(|m| m.len()).map_err(|_| Error::NotFound {
            path: path.to_owned(),
            what: "the tokenizer".into(),
            remedy: "fetch LLaMA's SentencePiece tokenizer.model into the checkpoint's directory"
                .into(),
        })?;
        if len > MAX_FILE {
            return Err(Error::malformed(path, "too large for a SentencePiece model"));
        }
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        Pieces::parse(&bytes).map_err(|reason| Error::malformed(path, reason))
    }

    fn parse(bytes: &[u8]) -> std::result::Result<Pieces, String> {
        let proto = ModelProto::decode(bytes)
            .map_err(|e| format!("not a SentencePiece model, or cut off: {e}"))?;
        let trainer = proto.trainer_spec.unwrap_or_default();
        // 1, unigram, is what an absent field means.
        if trainer.model_type.unwrap_or(1) != MODEL_TYPE_BPE {
            return Err("the SentencePiece model is not byte-pair encoding, LLaMA's is".into());
        }
        let normalizer = proto.normalizer_spec.unwrap_or_default();
        if normalizer.precompiled_charsmap.is_some_and(|map| !map.is_empty())
            || normalizer.remove_extra_whitespaces.unwrap_or(true)
        {
            return Err("the SentencePiece model normalises its input, LLaMA's does not".into());
        }
        let all: Vec<Piece> =
            proto.pieces.into_iter().map(piece).collect::<std::result::Result<_, _>>()?;
        let unknown = all.iter().position(|p| p.role == Role::Unknown);
        let unknown = unknown.ok_or("the SentencePiece model has no unknown piece")? as u32;
        let mut ids = HashMap::with_capacity(all.len());
        for (piece, id) in all.iter().zip(0..) {
            ids.entry(piece.text.clone()).or_insert(id);
        }
        let dummy_prefix = normalizer.add_dummy_prefix.unwrap_or(true);
        Ok(Pieces { all, ids, unknown, dummy_prefix })
    }

    pub fn all(&self) -> &[Piece] {
        &self.all
    }

    pub fn len(&self) -> u32 {
        self.all.len() as u32
    }

    /// The id of a piece, or of the unknown one.
    pub fn id(&self, text: &str) -> u32 {
        self.ids.get(text).copied().unwrap_or(self.unknown)
    }
}

fn piece(p: PieceProto) -> std::result::Result<Piece, String> {
    let role = match p.role.unwrap_or(1) {
        1 => Role::Normal,
        2 => Role::Unknown,
        3 => Role::Control,
        4 => Role::UserDefined,
        5 => Role::Unused,
        6 => Role::Byte,
        other => {
            return Err(format!("piece `{}` is of the unknown kind {other}", p.piece));
        }
    };
    if p.piece.is_empty() || p.piece.contains('\0') || !p.score.is_finite() {
        return Err(format!("piece `{}` is empty, holds a NUL or has no score", p.piece));
    }
    Ok(Piece { text: p.piece, score: p.score, role })
}

#[cfg(test)]
mod tests {
    use super::*;
    use gpt4roi_models::synthetic::tokenizer::model_proto;

    #[test]
    fn our_synthetic_model_is_understood() {
        let pieces = Pieces::parse(&model_proto(1024)).unwrap();
        assert_eq!(pieces.len(), 1024);
        assert_eq!((pieces.id("<unk>"), pieces.id("<s>"), pieces.id("</s>")), (0, 1, 2));
        assert_eq!(pieces.id("<0x0A>"), 3 + 10);
        assert_eq!(pieces.all()[13].role, Role::Byte);
        assert_eq!(pieces.id("no such piece"), 0);
        assert!(pieces.dummy_prefix);
    }

    #[test]
    fn cut_or_foreign_files_are_errors() {
        let bytes = model_proto(1024);
        assert!(Pieces::parse(&bytes[..bytes.len() / 2]).is_err());
        assert!(Pieces::parse(b"").is_err());
        assert!(Pieces::parse(b"{\"not\": \"a protocol buffer\"}").is_err());
    }
}
