//! Answers that are given, as the model would write them.

use super::error::Error;
use super::template::{IMAGE, STOP};
use super::text::strip;
use super::tokenize::TextEncoder;
use gpt4roi_models::hparams::SpecialTokens;
use std::collections::HashSet;

/// What the model writes in front of an answer. The blank behind it belongs to the answer's first token.
const ROLE: &str = "Assistant:";

/// Token ids of answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidates {
    /// What stands in front of each.
    pub role: Vec<i32>,
    /// The rest of each, the mark behind the answer included; none is empty.
    pub answers: Vec<Vec<i32>>,
}

impl Candidates {
    /// Ids of `Assistant: {label}` and the end that the model writes behind an answer, for each label.
    ///
    /// They are those that the model itself generates. Its prompt ends in a blank, so the role is spelled without one in front,
    /// as it is behind a newline.
    ///
    /// # Errors
    /// [`Error::Label`] for a label that is empty, is there twice, or holds text that cannot be part of an answer.
    pub fn new(
        labels: &[String],
        tokens: &SpecialTokens,
        encoder: &(impl TextEncoder + ?Sized),
    ) -> Result<Candidates, Error> {
        let mut seen = HashSet::new();
        let role = encode(ROLE, encoder).map_err(|reason| fail(0, ROLE, reason))?;
        let answer = |(i, label): (usize, &String)| {
            let label = strip(label);
            let is_new = seen.insert(label.to_owned());
            let checked = check(label, tokens).and(is_new.then_some(()).ok_or("is there twice"));
            let ids = checked.and_then(|()| encode(&format!("{ROLE} {label}\n{STOP}"), encoder));
            let rest = ids.and_then(|ids| {
                let rest = ids.strip_prefix(role.as_slice()).map(<[i32]>::to_vec);
                rest.ok_or("changes the spelling of the role in front of it")
            });
            rest.map_err(|reason| fail(i, label, reason))
        };
        let answers = labels.iter().enumerate().map(answer).collect::<Result<_, _>>()?;
        Ok(Candidates { role, answers })
    }
}

fn fail(index: usize, label: &str, reason: &'static str) -> Error {
    Error::Label { index, label: label.to_owned(), reason }
}

fn check(label: &str, tokens: &SpecialTokens) -> Result<(), &'static str> {
    let mut special = tokens.split.iter().map(|t| t.text.as_str()).filter(|t| !t.is_empty());
    if label.is_empty() {
        Err("is empty")
    } else if label.contains(STOP) {
        Err("holds `###`, which ends an answer")
    } else if label.contains(IMAGE) || special.any(|text| label.contains(text)) {
        Err("spells a special token")
    } else {
        Ok(())
    }
}

/// Ids of a text without the blank that encoding puts in front. Nothing merges with a newline.
fn encode(text: &str, encoder: &(impl TextEncoder + ?Sized)) -> Result<Vec<i32>, &'static str> {
    let failed = |_| "cannot be encoded";
    let newline = encoder.encode("\n").map_err(failed)?;
    let ids = encoder.encode(&format!("\n{text}")).map_err(failed)?;
    let rest = ids.strip_prefix(newline.as_slice());
    rest.map(<[i32]>::to_vec).ok_or("merges with the newline in front of it")
}
