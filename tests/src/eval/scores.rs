//! Accuracy by task, kind of picture and size.

use super::answers::Answers;
use super::question::{Question, QuestionSet};
use super::tally::Tally;
use super::task::{Split, Task};
use std::collections::{BTreeMap, HashSet};

/// How large the object asked about is, by the side of its box in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SizeClass {
    /// Less than 32.
    Small,
    /// 32 to 96.
    Medium,
    /// More than 96.
    Large,
}

impl SizeClass {
    fn of(side: f64) -> SizeClass {
        match side {
            s if s < 32.0 => SizeClass::Small,
            s if s <= 96.0 => SizeClass::Medium,
            _ => SizeClass::Large,
        }
    }

    /// The sides in words.
    pub fn name(self) -> &'static str {
        match self {
            SizeClass::Small => "< 32 px",
            SizeClass::Medium => "32-96 px",
            SizeClass::Large => "> 96 px",
        }
    }
}

/// How many questions of each kind were answered right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scores {
    /// Of each task and split; questions that nothing scores are not counted.
    pub tasks: BTreeMap<(Task, Split), Tally>,
    /// Of the category task by size, where the size is known.
    pub sizes: BTreeMap<(Split, SizeClass), Tally>,
}

impl Scores {
    /// Judges the answers to a question set.
    pub fn of(set: &QuestionSet, answers: &Answers) -> Scores {
        let mut scores = Scores::default();
        for question in set.questions() {
            if let Some(right) = question.judge(answers.of(question)) {
                scores.add(question, right);
            }
        }
        scores
    }

    fn add(&mut self, question: &Question, right: bool) {
        let Question { task, split, .. } = *question;
        self.tasks.entry((task, split)).or_default().add(right);
        if let (Task::Category, Some(size)) = (task, question.size) {
            self.sizes.entry((split, SizeClass::of(size))).or_default().add(right);
        }
    }
}

/// How many questions have the same answers, letter for letter and in all turns.
pub fn agreement(set: &QuestionSet, a: &Answers, b: &Answers) -> Tally {
    set.questions().iter().map(|q| a.of(q) == b.of(q)).collect()
}

/// The chance to name a category right without looking: one among all that the set asks for.
pub(super) fn chance(set: &QuestionSet) -> Option<f64> {
    let asked = |q: &&Question| matches!(q.task, Task::Category | Task::Control);
    let checks = set.questions().iter().filter(asked).flat_map(|q| &q.turns).map(|t| &t.check);
    let names: HashSet<&str> = checks.filter_map(|check| check.name()).collect();
    (!names.is_empty()).then(|| 1.0 / names.len() as f64)
}
