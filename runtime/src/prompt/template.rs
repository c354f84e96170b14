//! The text around questions and answers, character for character that of the training data.
//!
//! ```text
//! {SYSTEM}\n\n### Human: {turn 1}\n### Assistant: {answer 1}\n### Human: {turn 2}\n###
//! ```
//!
//! It ends with `### ` and one blank: the model itself writes `Assistant: ...` and `###`.

/// What stands in front of every conversation.
pub const SYSTEM: &str = "A chat between a curious human and an artificial intelligence \
    assistant. The assistant gives helpful, detailed, and polite answers to the human's questions.";

/// Marks the end of a turn; in generated text, the end of the answer.
pub const STOP: &str = "###";

/// Stands in the text for one region.
pub const BBOX: &str = "<bbox>";

/// Stands for the picture in texts written by people; users may not write it.
pub const IMAGE: &str = "<image>";

/// What is asked when a question is empty.
pub const EMPTY_QUESTION: &str = "hello, world!";

const IM_START: &str = "<im_start>";
const IM_PATCH: &str = "<im_patch>";
const IM_END: &str = "<im_end>";

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The person who asks.
    Human,
    /// The model.
    Assistant,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Human => "Human",
            Self::Assistant => "Assistant",
        }
    }
}

/// One contribution to a conversation, its regions already rewritten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub text: String,
}

/// The whole prompt; the picture, of `n_patches` vectors, opens the first turn.
pub fn render(turns: &[Turn], n_patches: usize) -> String {
    let mut prompt = format!("{SYSTEM}\n\n");
    for (i, turn) in turns.iter().enumerate() {
        prompt += &format!("{STOP} {}: ", turn.role.name());
        if i == 0 {
            let patches = IM_PATCH.repeat(n_patches);
            prompt +=
                &format!("The {IM_START}{patches}{IM_END} provides an overview of the picture.\n");
        }
        prompt += &turn.text;
        prompt.push('\n');
    }
    prompt + STOP + " "
}
