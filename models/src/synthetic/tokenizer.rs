//! A small SentencePiece vocabulary of our own, with byte fallback like LLaMA's.
//!
//! Pieces: the three control pieces, 256 bytes, words and all their prefixes (so that every word
//! can be merged from the left), single characters, and filler up to the wanted size.

use crate::hparams::{SpecialTokens, SplitToken};
use crate::keys;
use crate::value::Value;
use std::collections::HashSet;

/// Strings added after the pieces, in the order in which the training code adds them.
pub const ADDED: [&str; 6] = ["[PAD]", "<im_patch>", "<bbox>", "<point>", "<im_start>", "<im_end>"];

/// SentencePiece's stand-in for a blank.
const BLANK: char = '\u{2581}';

/// Words that get pieces of their own, most frequent first: those of the prompt, then English.
const WORDS: &str = "the a chat between curious human and an artificial intelligence assistant \
    gives helpful detailed polite answers to questions The A Human Assistant provides overview of \
    picture What is region doing in this image on at with it are you can see describe person man \
    woman child dog cat car table chair tree red blue green white black small large left right \
    behind front near holding sitting standing wearing looking there two three people not";

/// The kinds of piece that SentencePiece's `ModelProto` knows, as far as we need them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PieceKind {
    Normal = 1,
    Unknown = 2,
    Control = 3,
    Byte = 6,
}

/// A serialised SentencePiece `ModelProto` with `n_pieces` pieces.
///
/// # Panics
/// If `n_pieces` is too small for bytes, characters and words (about 700).
pub fn model_proto(n_pieces: u32) -> Vec<u8> {
    let mut out = Vec::new();
    for (text, score, kind) in pieces(n_pieces) {
        let mut piece = Vec::new();
        field_bytes(&mut piece, 1, text.as_bytes());
        piece.push(2 << 3 | 5);
        piece.extend(score.to_le_bytes());
        field_varint(&mut piece, 3, kind as u64);
        field_bytes(&mut out, 1, &piece);
    }
    field_bytes(&mut out, 2, &trainer_spec(n_pieces));
    field_bytes(&mut out, 3, &normalizer_spec());
    out
}

/// The same vocabulary as keys of a language model's file, with [`ADDED`] after the pieces.
///
/// # Panics
/// As [`model_proto`].
pub fn gguf_keys(n_pieces: u32) -> Vec<(String, Value)> {
    let added = ADDED.iter().map(|t| ((*t).to_owned(), 0.0, PieceKind::Control));
    let all: Vec<_> = pieces(n_pieces).into_iter().chain(added).collect();
    let ids = special_tokens(n_pieces);
    let types = all.iter().map(|p| p.2 as i32).collect();
    let keys = [
        (keys::TOKENIZER_MODEL, Value::Str(keys::TOKENIZER_LLAMA.into())),
        (keys::TOKENIZER_TOKENS, Value::Strs(all.iter().map(|p| p.0.clone()).collect())),
        (keys::TOKENIZER_SCORES, Value::F32s(all.iter().map(|p| p.1).collect())),
        (keys::TOKENIZER_TOKEN_TYPE, Value::I32s(types)),
        (keys::TOKENIZER_BOS, Value::U32(ids.bos)),
        (keys::TOKENIZER_EOS, Value::U32(ids.eos)),
        (keys::TOKENIZER_UNK, Value::U32(ids.unk)),
    ];
    keys.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
}

/// The ids of a tokenizer with `n_pieces` pieces and [`ADDED`] after them.
pub fn special_tokens(n_pieces: u32) -> SpecialTokens {
    let added = |text: &str| {
        let at = ADDED.iter().position(|t| *t == text);
        n_pieces + at.map_or(0, |i| i as u32)
    };
    let own = ADDED.iter().map(|t| SplitToken { text: (*t).into(), id: added(t), strip: true });
    let core = ["<unk>", "<s>", "</s>"].into_iter().zip(0..);
    let core = core.map(|(t, id)| SplitToken { text: t.into(), id, strip: false });
    let mut split: Vec<_> = own.chain(core).collect();
    split.sort_by(|a, b| b.text.len().cmp(&a.text.len()).then_with(|| a.text.cmp(&b.text)));
    SpecialTokens {
        im_patch: added("<im_patch>"),
        im_start: added("<im_start>"),
        im_end: added("<im_end>"),
        bbox: added("<bbox>"),
        bos: 1,
        eos: 2,
        unk: 0,
        pad: Some(added("[PAD]")),
        add_bos: true,
        max_length: 2048,
        n_vocab: n_pieces + ADDED.len() as u32,
        split,
    }
}

fn pieces(n_pieces: u32) -> Vec<(String, f32, PieceKind)> {
    let mut out = vec![
        ("<unk>".to_owned(), 0.0, PieceKind::Unknown),
        ("<s>".to_owned(), 0.0, PieceKind::Control),
        ("</s>".to_owned(), 0.0, PieceKind::Control),
    ];
    out.extend((0..=255u8).map(|b| (format!("<0x{b:02X}>"), 0.0, PieceKind::Byte)));
    let chars: Vec<String> =
        (' '..='~').map(|c| if c == ' ' { BLANK.into() } else { c.into() }).collect();
    let filler = n_pieces as usize - out.len() - chars.len();
    let merges = merges(filler);
    // Scores fall with rank, as in a trained vocabulary: the best-scored merge is made first.
    let ranked = merges.into_iter().chain(chars).zip(0u32..);
    out.extend(ranked.map(|(t, rank)| (t, -(rank as f32), PieceKind::Normal)));
    out
}

/// `n` distinct pieces of two or more characters, each reachable by merging shorter ones.
fn merges(n: usize) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut out = Vec::with_capacity(n);
    let mut add = |text: String| {
        if seen.insert(text.clone()) {
            out.push(text);
        }
    };
    // Built up so that a blank makes one token of `###`, and a line's beginning two.
    add("##".into());
    add(format!("{BLANK}##"));
    add(format!("{BLANK}###"));
    for word in WORDS.split_whitespace() {
        let marked: Vec<char> = std::iter::once(BLANK).chain(word.chars()).collect();
        (2..=marked.len()).for_each(|k| add(marked[..k].iter().collect()));
    }
    // Digits and letters in mechanical order fill the rest; no text needs them.
    for i in 0..n {
        add(format!("{BLANK}q{i:x}"));
    }
    assert!(out.len() >= n && n > 300, "a vocabulary of this size cannot be built");
    out.truncate(n);
    out
}

/// Model type BPE, byte fallback, ids of the control pieces.
fn trainer_spec(n_pieces: u32) -> Vec<u8> {
    let mut out = Vec::new();
    field_varint(&mut out, 3, 2);
    field_varint(&mut out, 4, n_pieces.into());
    field_varint(&mut out, 35, 1);
    field_varint(&mut out, 40, 0);
    field_varint(&mut out, 41, 1);
    field_varint(&mut out, 42, 2);
    // pad_id is -1: none.
    field_varint(&mut out, 43, u64::MAX);
    out
}

/// Identity, a dummy prefix, blanks kept as they are.
fn normalizer_spec() -> Vec<u8> {
    let mut out = Vec::new();
    field_bytes(&mut out, 1, b"identity");
    field_varint(&mut out, 3, 1);
    field_varint(&mut out, 4, 0);
    field_varint(&mut out, 5, 1);
    out
}

fn varint(out: &mut Vec<u8>, mut v: u64) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

fn field_varint(out: &mut Vec<u8>, number: u64, v: u64) {
    varint(out, number << 3);
    varint(out, v);
}

fn field_bytes(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    varint(out, number << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_distinct_and_of_the_wanted_number() {
        for n in [1024, 32000] {
            let pieces = pieces(n);
            let unique: HashSet<_> = pieces.iter().map(|p| &p.0).collect();
            assert_eq!(pieces.len(), n as usize);
            assert_eq!(unique.len(), pieces.len());
        }
    }

    #[test]
    fn special_ids_follow_the_pieces() {
        let t = special_tokens(32000);
        assert_eq!((t.im_patch, t.bbox, t.im_start, t.im_end), (32001, 32002, 32004, 32005));
        assert_eq!((t.bos, t.eos, t.unk, t.pad), (1, 2, 0, Some(32000)));
        assert!(t.split.windows(2).all(|w| w[0].text.len() >= w[1].text.len()));
    }

    #[test]
    fn varints_are_little_endian_groups_of_seven() {
        let mut out = Vec::new();
        varint(&mut out, 300);
        assert_eq!(out, [0xac, 0x02]);
    }
}
