//! Answers, ours or another program's.

use super::error::{Error, Result, read_lines};
use super::question::{Question, QuestionSet};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// A line of a file of answers.
#[derive(Deserialize, Serialize)]
struct Line {
    id: u64,
    answers: Vec<String>,
}

/// The answers to a question set: one text a turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers(BTreeMap<u64, Vec<String>>);

impl Answers {
    /// Adds the answers to a question.
    pub fn insert(&mut self, id: u64, answers: Vec<String>) {
        self.0.insert(id, answers);
    }

    /// The answers to a question; empty if there are none.
    pub fn of(&self, question: &Question) -> &[String] {
        self.0.get(&question.id).map_or(&[], Vec::as_slice)
    }

    /// Reads `{"id": 17, "answers": ["an apple"]}` line by line, and makes sure that every
    /// question of the set is answered. Answers to other questions are left out.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Line`], and [`Error::File`] for a missing answer.
    pub fn load(path: &Path, set: &QuestionSet) -> Result<Answers> {
        let mut all = BTreeMap::new();
        for (number, Line { id, answers }) in read_lines(path)? {
            let texts = answers.iter().map(|a| a.trim().to_owned()).collect::<Vec<_>>();
            if all.insert(id, texts).is_some() {
                return Err(Error::line(path, number, format!("question {id} a second time")));
            }
        }
        let mut found = Answers::default();
        for question in set.questions() {
            let (id, n) = (question.id, question.turns.len());
            let answers = all.remove(&id);
            let answers = answers.ok_or_else(|| {
                Error::file(path, format!("no answer to question {id}: is it of another set?"))
            })?;
            if answers.len() != n {
                let reason = format!("question {id} has {n} turns and {} answers", answers.len());
                return Err(Error::file(path, reason));
            }
            found.insert(id, answers);
        }
        Ok(found)
    }

    /// Writes the answers in the form that [`Answers::load`] reads.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut text = String::new();
        for (id, answers) in &self.0 {
            let line = Line { id: *id, answers: answers.clone() };
            let line =
                serde_json::to_string(&line).map_err(|e| Error::file(path, e.to_string()))?;
            text += &line;
            text.push('\n');
        }
        std::fs::write(path, text).map_err(Error::io(path))
    }
}
