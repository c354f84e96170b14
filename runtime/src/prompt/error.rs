//! Errors of turning questions into token ids and ids back into text.

use std::error::Error as StdError;

/// What a tokenizer given by the caller reports.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Why a question cannot be asked or an answer cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The first question comes without a box.
    #[error(
        "the first question needs at least one box, named in its text as in `What is <region1>?`"
    )]
    NoBox,
    /// Text and boxes do not fit each other.
    #[error(
        "the question names {} but {boxes} new box(es) were given; write one `<regionK>` for \
         each new box, in the order of the boxes",
        list_regions(regions)
    )]
    BoxCount {
        /// New regions as the text names them, in order.
        regions: Vec<String>,
        /// New boxes that came with the question.
        boxes: usize,
    },
    /// The question spells out a token that steers the model.
    #[error(
        "the question contains `{text}`, which has a special meaning to the model; refer to \
         boxes as `<region1>` and leave other special tokens out"
    )]
    ReservedText {
        /// The special string.
        text: String,
    },
    /// An answer to choose from cannot be one.
    #[error("answer {} to choose from, `{label}`, {reason}", index + 1)]
    Label {
        /// Its place among the answers, from 0.
        index: usize,
        /// Its text.
        label: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A question was asked before the last one was answered or retracted.
    #[error("the last question has no answer yet; answer or retract it before asking again")]
    Unanswered,
    /// An answer was given where none is due.
    #[error("there is no question to answer")]
    NoQuestion,
    /// The tokenizer failed.
    #[error("cannot tokenize {piece:?}: {source}")]
    Encode {
        /// The text, shortened.
        piece: String,
        /// What the tokenizer said.
        source: BoxError,
    },
    /// The prompt does not fit.
    #[error(
        "the prompt has {tokens} tokens but only {limit} fit; ask shorter questions or start a \
         new conversation"
    )]
    TooLong {
        /// Tokens of the prompt.
        tokens: usize,
        /// Most that fit.
        limit: usize,
    },
    /// The prompt's image placeholders are not one whole run.
    #[error(
        "the prompt must hold one run of image start, {expected} image patches and image end, \
         but holds {starts} start(s), {patches} patch(es) and {ends} end(s); are the special \
         tokens of the model file right?"
    )]
    ImageRun {
        /// Patches that the image has.
        expected: usize,
        /// Image start tokens found.
        starts: usize,
        /// Image patch tokens found.
        patches: usize,
        /// Image end tokens found.
        ends: usize,
    },
    /// The prompt's region placeholders are not as many as the boxes.
    #[error("the prompt has {tokens} region token(s) for {boxes} box(es)")]
    RegionCount {
        /// Region tokens found.
        tokens: usize,
        /// Boxes of the conversation.
        boxes: usize,
    },
    /// The vocabulary has no text for a token.
    #[error("cannot decode token {id}: {source}")]
    Decode {
        /// The token.
        id: i32,
        /// What the vocabulary said.
        source: BoxError,
    },
}

fn list_regions(regions: &[String]) -> String {
    match regions {
        [] => "no new region".into(),
        _ => format!("{} new region(s) ({})", regions.len(), regions.join(", ")),
    }
}
