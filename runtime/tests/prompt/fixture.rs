//! Two vocabularies as far as the tests need them; see `make_text_fixture.py`.

use std::collections::HashMap;

use gpt4roi::prompt::{BoxError, Detokenizer, Piece, PieceSource, TextEncoder};
use gpt4roi_models::hparams::{SpecialTokens, SplitToken};
use serde::Deserialize;

#[derive(Deserialize)]
pub struct Fixture {
    special: HashMap<String, u32>,
    split: Vec<(String, u32, bool)>,
    encode: HashMap<String, Vec<i32>>,
    pieces: HashMap<i32, String>,
    pub decode: Vec<(Vec<i32>, String)>,
}

impl Fixture {
    /// The vocabulary of LLaMA and a small one.
    pub fn both() -> [Self; 2] {
        ["p1-real-vocab", "p2-delta-multiround"].map(Self::named)
    }

    pub fn named(name: &str) -> Self {
        let text = include_str!("../data/text_fixture.json");
        let mut all: HashMap<String, Self> = serde_json::from_str(text).unwrap();
        all.remove(name).unwrap()
    }

    pub fn tokens(&self) -> SpecialTokens {
        let split = self.split.iter().map(|(text, id, strip)| SplitToken {
            text: text.clone(),
            id: *id,
            strip: *strip,
        });
        let id = |text: &str| self.split.iter().find(|t| t.0 == text).unwrap().1;
        SpecialTokens {
            im_patch: id("<im_patch>"),
            im_start: id("<im_start>"),
            im_end: id("<im_end>"),
            bbox: id("<bbox>"),
            bos: self.special["bos"],
            eos: self.special["eos"],
            unk: self.special["unk"],
            pad: Some(self.special["pad"]),
            add_bos: true,
            max_length: 2048,
            n_vocab: 32_006,
            split: split.collect(),
        }
    }

    pub fn decoder(&self) -> Detokenizer {
        Detokenizer::new(&self.tokens(), true)
    }
}

impl PieceSource for Fixture {
    fn piece(&self, id: i32) -> Result<Piece<'_>, BoxError> {
        let text = self.pieces.get(&id).ok_or("not in the fixture")?;
        Ok(match id {
            0..=2 => Piece::Control,
            _ => Piece::byte_from_text(text).unwrap_or(Piece::Text(text.into())),
        })
    }
}

impl TextEncoder for Fixture {
    fn encode(&self, piece: &str) -> Result<Vec<i32>, BoxError> {
        Ok(self.encode.get(piece).ok_or("not in the fixture")?.clone())
    }
}
