//! Keeps an answer within a constraint.
//!
//! The model writes `Assistant: ` in front of an answer and `\n###` behind it, and the constraint is about what is
//! between. So what may be written is those two around a text that the constraint allows; the first moment at which all of
//! it is there ends the answer, and so does one at which nothing but the mark can follow. Neither mark can be mistaken
//! for a part of the answer, because both are fixed: what is between them is one of the allowed texts, exactly.

use crate::constraint::{Completion, Constraint, Matcher};
use crate::error::{Error, Result};
use crate::prompt::Detokenizer;
use crate::vocabulary::Vocabulary;

/// What the model writes in front of an answer.
pub(super) const ROLE: &str = "Assistant: ";
/// What it writes behind it.
pub(super) const END: &str = "\n###";

/// An answer on its way, with what its constraint allows next.
pub(super) struct Guide {
    matcher: Matcher,
    decoder: Detokenizer,
    /// Bytes of the decoded text that were shown, or belong to the role.
    released: usize,
}

impl Guide {
    pub(super) fn new(constraint: &Constraint, decoder: Detokenizer) -> Guide {
        Guide { matcher: constraint.matcher(ROLE, END), decoder, released: 0 }
    }

    /// Whether the token may come next. Tokens without a text of their own never may.
    pub(super) fn allows(&self, token: i32, vocabulary: &Vocabulary) -> bool {
        vocabulary.bytes(token).is_some_and(|bytes| self.matcher.allows(bytes))
    }

    /// Takes a token that is allowed; gives more text to show, and whether the answer is complete.
    pub(super) fn push(&mut self, token: i32, vocabulary: &Vocabulary) -> Result<(String, bool)> {
        let bytes = vocabulary.bytes(token).unwrap_or_default();
        if !self.matcher.accept(bytes) {
            return Err(Error::internal("a token that the constraint does not allow"));
        }
        self.decoder.push(token, vocabulary)?;
        let is_complete = self.matcher.completion() != Completion::Open;
        // The rest of a complete answer is for `finish`, which knows what of it is the mark.
        let text = if is_complete { String::new() } else { self.release() };
        Ok((text, is_complete))
    }

    /// Ends the answer and returns what was held back.
    pub(super) fn finish(mut self) -> String {
        let text = self.decoder.full_text();
        let end = match self.matcher.completion() {
            Completion::Whole => text.len() - END.len(),
            Completion::Inner => text.len(),
            Completion::Open => text.len() - end_begun(&text),
        };
        self.skip_role(&text);
        match self.released {
            0 => String::new(), // cut off within the role
            begin => text.get(begin..end).unwrap_or_default().to_owned(),
        }
    }

    /// Text that is certain to be shown and was not yet.
    fn release(&mut self) -> String {
        let text = self.decoder.text().to_owned();
        self.skip_role(&text);
        let end = text.len() - end_begun(&text);
        if self.released == 0 || end <= self.released {
            return String::new();
        }
        text[std::mem::replace(&mut self.released, end)..end].to_owned()
    }

    /// Counts the role as shown, as soon as it is there.
    fn skip_role(&mut self, text: &str) {
        if self.released == 0 {
            let role = text.find(ROLE).filter(|at| text[..*at].trim().is_empty());
            self.released = role.map_or(0, |at| at + ROLE.len());
        }
    }
}

/// Length of the text's end that may be the beginning of the mark.
fn end_begun(text: &str) -> usize {
    (1..=END.len()).rev().find(|&n| text.ends_with(&END[..n])).unwrap_or(0)
}
