//! Text to token ids, by the rules of the tokenizer that the model was trained with.
//!
//! That tokenizer (the slow one of Hugging Face) cuts the text at every special string, longest
//! first; next to strings marked so it drops all white space, newlines too; then it encodes every
//! remaining piece by itself, each with SentencePiece's dummy blank in front. The ids depend on
//! all of this: a question that ends in a region is followed by other ids than one that does not.

use gpt4roi_models::hparams::{SpecialTokens, SplitToken};

use super::error::{BoxError, Error};
use super::text::is_space;

/// Encodes plain text with the model's vocabulary.
pub trait TextEncoder {
    /// Ids of `piece`, with the vocabulary's dummy blank in front and without beginning-of-text;
    /// nothing in `piece` may be read as a special token.
    ///
    /// # Errors
    /// Whatever the tokenizer reports.
    fn encode(&self, piece: &str) -> Result<Vec<i32>, BoxError>;
}

impl<F: Fn(&str) -> Result<Vec<i32>, BoxError>> TextEncoder for F {
    fn encode(&self, piece: &str) -> Result<Vec<i32>, BoxError> {
        self(piece)
    }
}

/// A part of the text.
#[derive(Debug, PartialEq, Eq)]
enum Part<'a> {
    Plain(&'a str),
    Special(&'a SplitToken),
}

/// Ids of `text`, at most `limit` of them.
///
/// # Errors
/// [`Error::Encode`] if the encoder fails; [`Error::TooLong`] instead of cutting the text off, as
/// the original does.
pub fn tokenize(
    text: &str,
    tokens: &SpecialTokens,
    encoder: &(impl TextEncoder + ?Sized),
    limit: usize,
) -> Result<Vec<i32>, Error> {
    let mut ids = Vec::new();
    if tokens.add_bos {
        ids.push(tokens.bos as i32);
    }
    for part in split(text, &tokens.split) {
        match part {
            Part::Special(token) => ids.push(token.id as i32),
            Part::Plain(piece) => ids.extend(encode(piece, encoder)?),
        }
    }
    if ids.len() > limit {
        return Err(Error::TooLong { tokens: ids.len(), limit });
    }
    Ok(ids)
}

fn encode(piece: &str, encoder: &(impl TextEncoder + ?Sized)) -> Result<Vec<i32>, Error> {
    encoder.encode(piece).map_err(|source| {
        let piece = piece.chars().take(60).collect();
        Error::Encode { piece, source }
    })
}

/// Cuts `text` at the strings of `table` and drops the white space that they ask to be dropped.
fn split<'a>(text: &'a str, table: &'a [SplitToken]) -> Vec<Part<'a>> {
    let mut table: Vec<&SplitToken> = table.iter().filter(|t| !t.text.is_empty()).collect();
    table.sort_by_key(|t| std::cmp::Reverse(t.text.len()));
    let mut parts = Vec::new();
    let (mut begin, mut at) = (0, 0);
    let mut strip_start = false;
    while at < text.len() {
        let Some(token) =
            table.iter().find(|t| text.as_bytes()[at..].starts_with(t.text.as_bytes()))
        else {
            at += 1;
            continue;
        };
        push_plain(&mut parts, &text[begin..at], strip_start, token.strip);
        parts.push(Part::Special(token));
        at += token.text.len();
        (begin, strip_start) = (at, token.strip);
    }
    push_plain(&mut parts, &text[begin..], strip_start, false);
    parts
}

fn push_plain<'a>(parts: &mut Vec<Part<'a>>, piece: &'a str, strip_start: bool, strip_end: bool) {
    let piece = if strip_start { piece.trim_start_matches(is_space) } else { piece };
    let piece = if strip_end { piece.trim_end_matches(is_space) } else { piece };
    if !piece.is_empty() {
        parts.push(Part::Plain(piece));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::testing::special_tokens;

    /// Parts as text: plain ones in quotes.
    fn shown(text: &str) -> String {
        let tokens = special_tokens();
        let parts = split(text, &tokens.split);
        let show = |p: &Part| match p {
            Part::Plain(piece) => format!("{piece:?}"),
            Part::Special(token) => token.text.clone(),
        };
        parts.iter().map(show).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn white_space_next_to_added_tokens_is_dropped() {
        let cases = [
            ("", ""),
            (" ", "\" \""),
            ("a <bbox> b", "\"a\" <bbox> \"b\""),
            ("<bbox>\n### ", "<bbox> \"### \""),
            ("a \u{3000}\u{1f}<bbox>\u{a0}\n", "\"a\" <bbox>"),
            ("a <s> b", "\"a \" <s> \" b\""),
            ("<s> <bbox>", "<s> <bbox>"),
            ("<bbox> <s>", "<bbox> <s>"),
            ("<bbox> <bbox>", "<bbox> <bbox>"),
            ("é<bbox>日", "\"é\" <bbox> \"日\""),
            ("<bbox", "\"<bbox\""),
            ("<<bbox>>", "\"<\" <bbox> \">\""),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text), expected, "{text:?}");
        }
    }

    #[test]
    fn the_longest_string_wins() {
        let token = |text: &str, id| SplitToken { text: text.into(), id, strip: false };
        let table = [token("<a>", 1), token("<a><b>", 2)];
        assert_eq!(
            split("<a><b><a>", &table),
            [Part::Special(&table[1]), Part::Special(&table[0])]
        );
    }

    #[test]
    fn ids_come_in_order_behind_the_first() {
        let tokens = special_tokens();
        let encoder = |piece: &str| -> Result<Vec<i32>, BoxError> { Ok(vec![piece.len() as i32]) };
        let ids = tokenize("The <im_start><im_patch><im_end> abcde", &tokens, &encoder, 9).unwrap();
        assert_eq!(ids, [1, 3, 104, 101, 105, 5]);
        let error = tokenize("a<bbox>b", &tokens, &encoder, 3).unwrap_err();
        assert!(matches!(error, Error::TooLong { tokens: 4, limit: 3 }), "{error}");
    }

    #[test]
    fn a_failing_encoder_is_reported_with_its_text() {
        let encoder = |_: &str| -> Result<Vec<i32>, BoxError> { Err("no such thing".into()) };
        let error = tokenize("abc<bbox>", &special_tokens(), &encoder, 9).unwrap_err().to_string();
        assert!(error.contains("abc") && error.contains("no such thing"), "{error}");
    }
}
