//! Token ids to text, one token at a time, as SentencePiece would decode all of them at once.
//!
//! Beginning, end, unknown and padding tokens vanish. Added tokens are printed as they are
//! spelled, with one blank between them and their neighbours. Each run of ordinary tokens between
//! them is decoded by itself: its leading dummy blank is dropped, and bytes that do not form a
//! character become one replacement character each.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use gpt4roi_models::hparams::SpecialTokens;

use super::error::{BoxError, Error};

/// SentencePiece's mark of a blank.
const BLANK: char = '\u{2581}';

/// What a vocabulary holds under one id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Text, with U+2581 for blanks.
    Text(Cow<'a, str>),
    /// One byte of a character that has no piece of its own.
    Byte(u8),
    /// Something without text.
    Control,
}

impl<'a> Piece<'a> {
    /// The byte piece spelled like `<0x0A>`, if `text` is one.
    pub fn byte_from_text(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("<0x")?.strip_suffix('>')?;
        let plain = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        plain.then(|| u8::from_str_radix(digits, 16).ok().map(Piece::Byte))?
    }
}

/// A vocabulary, as decoding needs it.
pub trait PieceSource {
    /// The piece of `id`.
    ///
    /// # Errors
    /// If the vocabulary has no such id.
    fn piece(&self, id: i32) -> Result<Piece<'_>, BoxError>;
}

/// Decodes tokens as they come.
#[derive(Clone, Debug)]
pub struct Detokenizer {
    silent: HashSet<i32>,
    literal: HashMap<i32, String>,
    /// Whether encoding puts a blank in front of each piece of text.
    dummy_prefix: bool,
    /// What is certain.
    text: String,
    /// Bytes that may yet become a character.
    pending: Vec<u8>,
    /// Where the present run of ordinary tokens begins in `text`.
    run: Option<Run>,
    /// Whether anything was decoded, if only to nothing.
    begun: bool,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    start: usize,
    /// Whether the next piece may begin with the dummy blank.
    at_start: bool,
    /// Whether the last piece did.
    blank_seen: bool,
}

impl Detokenizer {
    /// A decoder for a model of the given special tokens; `dummy_prefix` says whether its
    /// vocabulary puts a blank in front of text, as that of LLaMA does.
    pub fn new(tokens: &SpecialTokens, dummy_prefix: bool) -> Self {
        let silent: HashSet<i32> =
            [Some(tokens.bos), Some(tokens.eos), Some(tokens.unk), tokens.pad]
                .into_iter()
                .flatten()
                .map(|id| id as i32)
                .collect();
        let added = tokens.split.iter().map(|t| (t.id as i32, t.text.clone()));
        let literal = added.filter(|(id, _)| !silent.contains(id)).collect();
        let (text, pending) = (String::new(), Vec::new());
        Self { silent, literal, dummy_prefix, text, pending, run: None, begun: false }
    }

    /// Takes the next token.
    ///
    /// # Errors
    /// [`Error::Decode`] if the vocabulary has no such token.
    pub fn push(&mut self, id: i32, vocabulary: &(impl PieceSource + ?Sized)) -> Result<(), Error> {
        if self.silent.contains(&id) {
            return Ok(());
        }
        if let Some(literal) = self.literal.get(&id).cloned() {
            self.flush_bytes();
            self.run = None;
            self.separate();
            self.text += &literal;
            return Ok(());
        }
        let piece = vocabulary.piece(id).map_err(|source| Error::Decode { id, source })?;
        let mut run = self.run.take().unwrap_or_else(|| self.begin_run());
        match piece {
            Piece::Byte(byte) => self.push_byte(byte),
            Piece::Text(text) => self.push_text(&text, &mut run),
            Piece::Control => self.push_text("", &mut run),
        }
        self.run = Some(run);
        Ok(())
    }

    /// The text that no further token can change.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text if no further token comes: unfinished characters are replaced.
    pub fn full_text(&self) -> String {
        let replaced = std::iter::repeat_n(char::REPLACEMENT_CHARACTER, self.pending.len());
        self.text.chars().chain(replaced).collect()
    }

    fn separate(&mut self) {
        if self.begun {
            self.text.push(' ');
        }
        self.begun = true;
    }

    fn begin_run(&mut self) -> Run {
        self.separate();
        Run { start: self.text.len(), at_start: self.dummy_prefix, blank_seen: false }
    }

    fn push_text(&mut self, piece: &str, run: &mut Run) {
        self.flush_bytes();
        if run.blank_seen || self.text.len() > run.start {
            run.at_start = false;
        }
        let stripped = if run.at_start { piece.strip_prefix(BLANK) } else { None };
        run.blank_seen = stripped.is_some();
        let piece = stripped.unwrap_or(piece);
        self.text.extend(piece.chars().map(|c| if c == BLANK { ' ' } else { c }));
    }

    fn push_byte(&mut self, byte: u8) {
        self.pending.push(byte);
        loop {
            match std::str::from_utf8(&self.pending) {
                Ok(text) => {
                    self.text += text;
                    self.pending.clear();
                }
                // The bytes may be the beginning of a character.
                Err(error) if error.error_len().is_none() => {}
                Err(_) => {
                    self.text.push(char::REPLACEMENT_CHARACTER);
                    self.pending.remove(0);
                    continue;
                }
            }
            return;
        }
    }

    fn flush_bytes(&mut self) {
        let replaced = self.pending.drain(..).map(|_| char::REPLACEMENT_CHARACTER);
        self.text.extend(replaced);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::testing::{Vocabulary, special_tokens};

    fn decoded(ids: &[i32]) -> (String, String) {
        let mut decoder = Detokenizer::new(&special_tokens(), true);
        ids.iter().for_each(|&id| decoder.push(id, &Vocabulary).unwrap());
        (decoder.text().to_owned(), decoder.full_text())
    }

    // Ids of the test vocabulary: 200 "▁", 201 "▁a", 202 "b", 203 "▁▁c", 1000 + n byte n.
    #[test]
    fn runs_drop_one_leading_blank() {
        let cases: [(&[i32], &str); 11] = [
            (&[], ""),
            (&[201, 202], "ab"),
            (&[202, 201], "b a"),
            (&[200, 201], " a"),
            (&[200, 200, 202], " b"),
            (&[203, 203], " c  c"),
            (&[1, 201, 2, 0, 201], "a a"),
            (&[102, 201, 102, 102], "<bbox> a <bbox> <bbox>"),
            (&[201, 102, 201], "a <bbox> a"),
            (&[102, 200, 102], "<bbox>  <bbox>"),
            (&[1010, 201], "\n a"),
        ];
        for (ids, expected) in cases {
            let (text, full) = decoded(ids);
            assert_eq!((text.as_str(), full.as_str()), (expected, expected), "{ids:?}");
        }
    }

    #[test]
    fn characters_wait_until_they_are_whole() {
        let face = "🙂".as_bytes();
        let ids: Vec<i32> = face.iter().map(|&b| 1000 + i32::from(b)).collect();
        assert_eq!(decoded(&ids[..3]), (String::new(), "\u{fffd}".repeat(3)));
        assert_eq!(decoded(&ids).0, "🙂");
        let cut = [&ids[..2], &[202]].concat();
        assert_eq!(decoded(&cut).0, "\u{fffd}\u{fffd}b");
        let twice = [&ids[..2], &ids].concat();
        assert_eq!(decoded(&twice).0, "\u{fffd}\u{fffd}🙂");
        assert_eq!(decoded(&[1000 + 0x80, 202]).0, "\u{fffd}b");
    }

    #[test]
    fn unknown_ids_are_errors() {
        let mut decoder = Detokenizer::new(&special_tokens(), true);
        let error = decoder.push(999_999, &Vocabulary).unwrap_err();
        assert!(matches!(error, Error::Decode { id: 999_999, .. }), "{error}");
    }

    #[test]
    fn byte_pieces_are_told_from_text() {
        assert_eq!(Piece::byte_from_text("<0x0A>"), Some(Piece::Byte(10)));
        for text in ["<0xA>", "<0x+1>", "<0x0AB>", "0x0A", "<0xzz>", ""] {
            assert_eq!(Piece::byte_from_text(text), None, "{text}");
        }
    }
}
