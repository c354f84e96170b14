//! The state of a conversation about one picture: turns, region names, boxes.
//!
//! Where this departs from the original's demo, it does so only in what the demo refuses or
//! corrupts; prompts that the demo gets right are the same here:
//!
//! * a rejected question leaves no trace (the demo remembers its region names and then rejects the
//!   corrected question too);
//! * history is never edited in place (the demo repeats role marks from the third round on);
//! * a new name written twice in one question wants two boxes in every round, not the first only;
//! * `<K>` is short for `<regionK>` and `<>` is a nameless region; both count as naming a box (the
//!   demo rewrites but does not count them, so that they never fit);
//! * text that spells out a special token is refused, since it would shift the boxes;
//! * special tokens in an answer of the model are left out of the history for the same reason.
//!
//! `###` in a question looks like a new turn to the model, here as in the original.

use std::collections::BTreeSet;

use gpt4roi_models::hparams::SpecialTokens;

use super::error::Error;
use super::regions::{Rewritten, rewrite};
use super::stop::remove_role;
use super::template::{EMPTY_QUESTION, IMAGE, Role, Turn, render};
use super::text::strip;
use crate::preprocess::PixelBox;

/// A conversation; `B` is whatever stands for a box.
#[derive(Clone, Debug)]
pub struct Dialogue<B = PixelBox> {
    turns: Vec<Turn>,
    /// Region names that answered or pending questions introduced.
    seen: BTreeSet<String>,
    boxes: Vec<B>,
    /// Strings that may not occur in what people or the model say.
    reserved: Vec<String>,
    /// What the pending question added, so that it can be taken back.
    pending: Option<Pending>,
}

#[derive(Clone, Debug)]
struct Pending {
    names: BTreeSet<String>,
    n_boxes: usize,
}

impl<B> Dialogue<B> {
    /// An empty conversation with a model of the given special tokens.
    pub fn new(tokens: &SpecialTokens) -> Self {
        let mut reserved: Vec<String> = tokens.split.iter().map(|t| t.text.clone()).collect();
        reserved.push(IMAGE.into());
        reserved.retain(|text| !text.is_empty());
        Self {
            turns: Vec::new(),
            seen: BTreeSet::new(),
            boxes: Vec::new(),
            reserved,
            pending: None,
        }
    }

    /// Adds a question and its new boxes, in the order in which the text names them.
    ///
    /// # Errors
    /// [`Error::ReservedText`], [`Error::BoxCount`], [`Error::NoBox`] or [`Error::Unanswered`];
    /// the conversation is then unchanged.
    pub fn ask(&mut self, question: &str, new_boxes: Vec<B>) -> Result<(), Error> {
        if self.pending.is_some() {
            return Err(Error::Unanswered);
        }
        if let Some(text) = self.reserved.iter().find(|r| question.contains(r.as_str())) {
            return Err(Error::ReservedText { text: text.clone() });
        }
        let Rewritten { text, regions, names } = rewrite(strip(question), &self.seen);
        if regions.len() != new_boxes.len() {
            return Err(Error::BoxCount { regions, boxes: new_boxes.len() });
        }
        if self.turns.is_empty() && new_boxes.is_empty() {
            return Err(Error::NoBox);
        }
        let text = if text.is_empty() { EMPTY_QUESTION.into() } else { text };
        self.turns.push(Turn { role: Role::Human, text });
        self.pending = Some(Pending { names: names.clone(), n_boxes: new_boxes.len() });
        self.seen.extend(names);
        self.boxes.extend(new_boxes);
        Ok(())
    }

    /// Adds the model's answer to the last question, without role marks and special tokens.
    ///
    /// # Errors
    /// [`Error::NoQuestion`] if the last turn is not a question.
    pub fn answer(&mut self, text: &str) -> Result<(), Error> {
        self.pending.take().ok_or(Error::NoQuestion)?;
        let text = remove_all(remove_role(text), &self.reserved);
        self.turns.push(Turn { role: Role::Assistant, text });
        Ok(())
    }

    /// Takes the unanswered question back, if there is one, as if it had never been asked.
    pub fn retract(&mut self) {
        if let Some(pending) = self.pending.take() {
            self.turns.pop();
            self.boxes.truncate(self.boxes.len() - pending.n_boxes);
            self.seen.retain(|name| !pending.names.contains(name));
        }
    }

    /// Forgets turns, names and boxes, as if nothing had been said.
    pub fn clear(&mut self) {
        self.turns.clear();
        self.seen.clear();
        self.boxes.clear();
        self.pending = None;
    }

    /// The prompt so far, for a picture of `n_patches` vectors.
    pub fn prompt(&self, n_patches: usize) -> String {
        render(&self.turns, n_patches)
    }

    /// Boxes of all questions in the order in which they were given.
    pub fn boxes(&self) -> &[B] {
        &self.boxes
    }

    /// What was said so far, regions rewritten.
    pub fn turns(&self) -> &[Turn] {
        &self.turns
    }
}

/// Removes strings until none is left: removing one may put another together.
fn remove_all(mut text: String, reserved: &[String]) -> String {
    while let Some(found) = reserved.iter().find(|r| text.contains(r.as_str())) {
        text = text.replace(found.as_str(), "");
    }
    text
}
