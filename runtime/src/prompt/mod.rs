//! Stage 4: questions and boxes become what the language model reads, and its tokens become text.
//!
//! [`Dialogue`] holds the conversation, [`plan`] turns it into ids and says where the vectors of
//! the picture and of the regions go, [`AnswerStream`] decodes the answer token by token and says
//! when it is complete. The vocabulary itself is the caller's: see [`TextEncoder`] and
//! [`PieceSource`].

mod candidates;
mod detokenize;
mod dialogue;
mod error;
mod regions;
mod splice;
mod stop;
mod template;
#[cfg(test)]
pub(crate) mod testing;
mod text;
mod tokenize;

pub use candidates::Candidates;
pub use detokenize::{Detokenizer, Piece, PieceSource};
pub use dialogue::Dialogue;
pub use error::{BoxError, Error};
pub use splice::{Slot, splice};
pub use stop::{AnswerStep, AnswerStream, clean_answer};
pub use template::{EMPTY_QUESTION, Role, STOP, SYSTEM, Turn, render};
pub use tokenize::{TextEncoder, tokenize};

use gpt4roi_models::hparams::SpecialTokens;
use std::collections::BTreeSet;

/// How many regions a first question names.
pub(crate) fn n_regions(question: &str) -> usize {
    regions::rewrite(question, &BTreeSet::new()).regions.len()
}

/// A prompt, ready for the language model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// The text.
    pub text: String,
    /// Its token ids, placeholders included.
    pub ids: Vec<i32>,
    /// What each position reads; as long as `ids`.
    pub slots: Vec<Slot>,
}

/// The prompt of a conversation about a picture of `n_patches` vectors, of at most `limit` tokens.
///
/// # Errors
/// [`Error::TooLong`], [`Error::Encode`], or [`Error::ImageRun`] and [`Error::RegionCount`] where
/// the model's table of special tokens does not fit the prompt.
pub fn plan<B>(
    dialogue: &Dialogue<B>,
    tokens: &SpecialTokens,
    n_patches: usize,
    encoder: &(impl TextEncoder + ?Sized),
    limit: usize,
) -> Result<Prompt, Error> {
    let text = dialogue.prompt(n_patches);
    let ids = tokenize(&text, tokens, encoder, limit)?;
    let slots = splice(&ids, tokens, n_patches, dialogue.boxes().len())?;
    Ok(Prompt { text, ids, slots })
}
