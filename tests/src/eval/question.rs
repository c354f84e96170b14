//! The questions: what is asked about which image, and what would be right.

use super::error::{Error, Result, read_lines};
use super::score::Check;
use super::task::{Split, Task};
use gpt4roi::prompt::Dialogue;
use gpt4roi_models::synthetic::tokenizer::special_tokens;
use serde::Deserialize;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Name of the file inside a set's folder.
const FILE: &str = "questions.jsonl";
/// Any size that a vocabulary can have: only the spelling of its added tokens matters.
const ANY_VOCABULARY: u32 = 32_000;

/// A dialogue about an image.
#[derive(Clone, Debug, Deserialize)]
pub struct Question {
    /// Identifies it within its set.
    pub id: u64,
    /// Path of the image, relative to the set's folder.
    pub image: PathBuf,
    /// What is asked.
    pub task: Task,
    /// Which kind of picture is asked about.
    pub split: Split,
    /// Geometric mean of the box's sides in pixels, if it is about one box.
    pub size: Option<f64>,
    /// What is said, in order.
    pub turns: Vec<Turn>,
    /// Where the file has it, from 1.
    #[serde(skip)]
    pub line: usize,
}

/// One question of a dialogue.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "RawTurn")]
pub struct Turn {
    /// The question.
    pub question: String,
    /// Its new boxes in pixels: left, top, right, bottom.
    pub boxes: Vec<[f64; 4]>,
    /// What is asked of the answer.
    pub check: Check,
}

/// As files have it. A field of another name would be a check that is never made.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTurn {
    question: String,
    boxes: Vec<[f64; 4]>,
    #[serde(rename = "answer")]
    _answer: String,
    accept: Option<Vec<String>>,
    keys: Option<Vec<String>>,
}

impl TryFrom<RawTurn> for Turn {
    type Error = String;

    fn try_from(raw: RawTurn) -> Result<Turn, String> {
        let check = Check::new(raw.accept.as_deref(), raw.keys.as_deref())?;
        Ok(Turn { question: raw.question, boxes: raw.boxes, check })
    }
}

impl Question {
    /// Whether a dialogue with these answers is right: all its scored turns are. `None` if it has
    /// no scored turn.
    pub fn judge(&self, answers: &[String]) -> Option<bool> {
        let answers = answers.iter().map(String::as_str).chain(std::iter::repeat(""));
        let turns = self.turns.iter().zip(answers);
        turns.filter_map(|(turn, answer)| turn.check.passes(answer)).reduce(|a, b| a && b)
    }

    /// Whether the rules of a conversation allow these turns.
    fn is_well_formed(&self) -> Result<(), String> {
        if self.turns.is_empty() {
            return Err("a question without turns".into());
        }
        let mut dialogue = Dialogue::new(&special_tokens(ANY_VOCABULARY));
        for turn in &self.turns {
            let ask = dialogue.ask(&turn.question, turn.boxes.clone());
            ask.and_then(|()| dialogue.answer("")).map_err(|e| e.to_string())?;
        }
        Ok(())
    }
}

/// A folder of questions and images.
#[derive(Clone, Debug)]
pub struct QuestionSet {
    dir: PathBuf,
    questions: Vec<Question>,
}

impl QuestionSet {
    /// Reads a set, and makes sure that its images are there.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::File`] for a set without questions, [`Error::Line`] for one that
    /// cannot be asked.
    pub fn load(dir: &Path) -> Result<QuestionSet> {
        let path = dir.join(FILE);
        let (mut questions, mut ids) = (Vec::new(), HashSet::new());
        for (line, question) in read_lines::<Question>(&path)? {
            let question = Question { line, ..question };
            let wrong = |reason: String| Error::line(&path, line, reason);
            question.is_well_formed().map_err(wrong)?;
            if !ids.insert(question.id) {
                return Err(wrong(format!("there is a question {} already", question.id)));
            }
            if !dir.join(&question.image).is_file() {
                return Err(wrong(format!("no image {}", dir.join(&question.image).display())));
            }
            questions.push(question);
        }
        if questions.is_empty() {
            return Err(Error::file(&path, "no questions in it"));
        }
        Ok(QuestionSet { dir: dir.to_owned(), questions })
    }

    /// Keeps at most `n` questions, with their images spread evenly over the set.
    #[must_use]
    pub fn limited(mut self, n: usize) -> QuestionSet {
        let total = self.questions.len();
        let (mut seen, mut kept) = (0, Vec::new());
        for group in groups(std::mem::take(&mut self.questions)) {
            seen += group.len();
            if kept.len() * total < n * seen {
                kept.extend(group);
            }
        }
        kept.truncate(n);
        QuestionSet { questions: kept, ..self }
    }

    /// The questions in the order of the file.
    pub fn questions(&self) -> &[Question] {
        &self.questions
    }

    /// The questions by image, in the order in which the images are first named.
    pub fn by_image(&self) -> Vec<Vec<&Question>> {
        groups(&self.questions)
    }

    /// Where an image of the set lies.
    pub fn image(&self, question: &Question) -> PathBuf {
        self.dir.join(&question.image)
    }

    /// An error about one of the set's questions.
    pub(super) fn error(&self, question: &Question, reason: impl ToString) -> Error {
        Error::line(&self.dir.join(FILE), question.line, reason)
    }
}

fn groups<Q: std::borrow::Borrow<Question>>(all: impl IntoIterator<Item = Q>) -> Vec<Vec<Q>> {
    let mut groups: Vec<Vec<Q>> = Vec::new();
    let mut known = std::collections::HashMap::new();
    for question in all {
        let image = question.borrow().image.clone();
        let at = *known.entry(image).or_insert(groups.len());
        if at == groups.len() {
            groups.push(Vec::new());
        }
        groups[at].push(question);
    }
    groups
}

#[cfg(test)]
mod tests;
