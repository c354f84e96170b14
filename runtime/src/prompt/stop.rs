//! When an answer ends, and what of it is shown.
//!
//! The text decoded so far is searched for `###` after every token but the first; a search among
//! ids would miss it, because it is spelled by different tokens after a blank and after a newline.

use super::detokenize::{Detokenizer, PieceSource};
use super::error::Error;
use super::template::STOP;
use super::text::{is_space, strip};

/// What the model writes in front of its answer, in the order in which it is removed.
const ROLES: [&str; 2] = ["Assistant: ", "Assistant:"];

/// The answer in a generated text: trimmed, one trailing `###` dropped, trimmed, without role
/// marks.
pub fn clean_answer(text: &str) -> String {
    remove_role(trim_answer(text))
}

fn trim_answer(text: &str) -> &str {
    let text = strip(text);
    strip(text.strip_suffix(STOP).unwrap_or(text))
}

/// The text without any `Assistant:` and the blank behind it.
pub(super) fn remove_role(text: &str) -> String {
    ROLES.iter().fold(text.to_owned(), |text, role| text.replace(role, ""))
}

/// What one more token adds to an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerStep {
    /// Text to show now; often empty, because text that may yet be removed is held back.
    pub text: String,
    /// Whether the answer is complete: generate no more.
    pub stop: bool,
}

/// Turns generated tokens into shown text.
///
/// The texts of all steps and of [`finish`](Self::finish), put together, are exactly
/// [`clean_answer`] of the whole decoded text.
#[derive(Clone, Debug)]
pub struct AnswerStream {
    decoder: Detokenizer,
    n_tokens: usize,
    /// Bytes of the decoded text that hold no stop string's beginning.
    searched: usize,
    /// Bytes of the decoded text that were handed to the filters.
    released: usize,
    filters: [Remover; 2],
}

impl AnswerStream {
    /// A stream that decodes with `decoder`, which must be fresh.
    pub fn new(decoder: Detokenizer) -> Self {
        let filters = ROLES.map(Remover::new);
        Self { decoder, n_tokens: 0, searched: 0, released: 0, filters }
    }

    /// Takes the next generated token.
    ///
    /// # Errors
    /// [`Error::Decode`] if the vocabulary has no such token.
    pub fn push(
        &mut self,
        id: i32,
        vocabulary: &(impl PieceSource + ?Sized),
    ) -> Result<AnswerStep, Error> {
        self.decoder.push(id, vocabulary)?;
        self.n_tokens += 1;
        if self.n_tokens > 1 && self.find_stop() {
            return Ok(AnswerStep { text: String::new(), stop: true });
        }
        let text = self.decoder.text();
        let end = certain_len(text);
        Ok(AnswerStep { text: self.release(end), stop: false })
    }

    /// Ends the answer and returns what was held back.
    pub fn finish(mut self) -> String {
        let text = self.decoder.full_text();
        let answer = trim_answer(&text);
        // Nothing of the leading white space is ever released, so the answer begins behind it.
        let begin = text.len() - text.trim_start_matches(is_space).len();
        let from = self.released.max(begin);
        let rest = text.get(from..begin + answer.len()).unwrap_or_default();
        let [first, second] = &mut self.filters;
        let shown = second.push(&first.push(rest));
        shown + &second.push(&first.flush()) + &second.flush()
    }

    /// Everything decoded so far, role marks and stop string included.
    pub fn decoded(&self) -> String {
        self.decoder.full_text()
    }

    /// Number of tokens taken.
    pub fn n_tokens(&self) -> usize {
        self.n_tokens
    }

    fn find_stop(&mut self) -> bool {
        let text = self.decoder.text().as_bytes();
        let found = text[self.searched..].windows(STOP.len()).any(|w| w == STOP.as_bytes());
        self.searched = text.len().saturating_sub(STOP.len() - 1);
        found
    }

    /// Passes the decoded text up to `end` through the filters.
    fn release(&mut self, end: usize) -> String {
        let text = self.decoder.text();
        let begin = text.len() - text.trim_start_matches(is_space).len();
        let from = self.released.max(begin);
        if from >= end {
            return String::new();
        }
        self.released = end;
        let [first, second] = &mut self.filters;
        second.push(&first.push(&text[from..end]))
    }
}

/// Length of the text in front of whatever the end of the answer may yet cut off: white space, a
/// stop string or its beginning, and white space before that.
fn certain_len(text: &str) -> usize {
    text.trim_end_matches(is_space).trim_end_matches('#').trim_end_matches(is_space).len()
}

/// Removes a string from a text that comes in parts.
#[derive(Clone, Debug)]
struct Remover {
    pattern: &'static str,
    /// The end of the text so far, if it may be the beginning of the string.
    held: String,
}

impl Remover {
    fn new(pattern: &'static str) -> Self {
        Self { pattern, held: String::new() }
    }

    fn push(&mut self, text: &str) -> String {
        self.held += text;
        let mut out = String::new();
        while let Some(at) = self.held.find(self.pattern) {
            out += &self.held[..at];
            self.held.drain(..at + self.pattern.len());
        }
        let mut lengths = (1..self.pattern.len()).rev();
        let kept = lengths.find(|&n| self.held.ends_with(&self.pattern[..n])).unwrap_or(0);
        out.extend(self.held.drain(..self.held.len() - kept));
        out
    }

    fn flush(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_trimmed_and_lose_their_role() {
        let cases = [
            ("Assistant: It is a dog.\n###", "It is a dog."),
            ("###", ""),
            ("x ###", "x"),
            ("a####", "a#"),
            ("  ### x ", "### x"),
            ("Assistant:### ", ""),
            ("Assistant: a Assistant:b", "a b"),
            ("AssiAssistant: stant:x", "x"),
            ("\u{3000}Assistant:\nx\n", "\nx"),
        ];
        for (text, expected) in cases {
            assert_eq!(clean_answer(text), expected, "{text:?}");
        }
    }

    #[test]
    fn uncertain_ends_are_held_back() {
        let cases = [("a b ", "a b"), ("a #", "a"), ("a# ", "a"), ("a#b", "a#b"), ("\n##", "")];
        for (text, certain) in cases {
            assert_eq!(&text[..certain_len(text)], certain, "{text:?}");
        }
    }

    #[test]
    fn a_remover_equals_replace_however_the_text_is_cut() {
        let text = "abAssistant: Assistant:x AssiAssistant: Assistant";
        for at in 0..=text.len() {
            let mut remover = Remover::new("Assistant: ");
            let shown = remover.push(&text[..at]) + &remover.push(&text[at..]) + &remover.flush();
            assert_eq!(shown, text.replace("Assistant: ", ""));
        }
    }
}
