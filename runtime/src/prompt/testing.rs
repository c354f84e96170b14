//! A small vocabulary for the tests of this stage.

use super::{BoxError, Piece, PieceSource};
use gpt4roi_models::hparams::{SpecialTokens, SplitToken};

/// Special tokens numbered like the published ones, from 100 on.
pub(crate) fn special_tokens() -> SpecialTokens {
    let added = ["[PAD]", "<im_patch>", "<bbox>", "<point>", "<im_start>", "<im_end>"];
    let token = |text: &str, id, strip| SplitToken { text: text.into(), id, strip };
    let mut split: Vec<SplitToken> =
        added.iter().zip(100..).map(|(text, id)| token(text, id, true)).collect();
    split.extend([token("<unk>", 0, false), token("<s>", 1, false), token("</s>", 2, false)]);
    SpecialTokens {
        im_patch: 101,
        im_start: 104,
        im_end: 105,
        bbox: 102,
        bos: 1,
        eos: 2,
        unk: 0,
        pad: Some(100),
        add_bos: true,
        max_length: 2048,
        n_vocab: 2000,
        split,
    }
}

/// Pieces 200 to 203, a character from 300 on, a byte from 1000 on.
pub(crate) struct Vocabulary;

impl PieceSource for Vocabulary {
    fn piece(&self, id: i32) -> Result<Piece<'_>, BoxError> {
        let text = |t: &'static str| Ok(Piece::Text(t.into()));
        match id {
            200 => text("\u{2581}"),
            201 => text("\u{2581}a"),
            202 => text("b"),
            203 => text("\u{2581}\u{2581}c"),
            204 => text("###"),
            205 => text("##"),
            206 => text("#"),
            207 => text("\u{2581}Assistant"),
            208 => text("Assis"),
            209 => text("tant"),
            210 => text(":"),
            211 => Ok(Piece::Control),
            1000..1256 => Ok(Piece::Byte((id - 1000) as u8)),
            _ => Err(format!("no token {id}").into()),
        }
    }
}
