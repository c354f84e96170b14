//! The figures of one or several models beside each other.

use super::answers::Answers;
use super::question::QuestionSet;
use super::run::Speed;
use super::scores::{Scores, SizeClass, agreement, chance};
use super::table::Table;
use super::tally::Tally;
use super::task::{Split, Task};
use serde_json::{Value, json};

/// What was measured of one model, or of other programs' answers.
#[derive(Clone, Debug, Default)]
pub struct Column {
    /// What stands above the column.
    pub name: String,
    /// Accuracy.
    pub scores: Scores,
    /// Bytes of both files; `None` where no files were run.
    pub bytes: Option<u64>,
    /// Time that it took; `None` where nothing was run.
    pub speed: Option<Speed>,
    /// Questions whose answers are those of the reference, if there is one.
    pub same: Option<Tally>,
}

impl Column {
    /// The figures of answers to a set; `reference` are other answers to the same.
    pub fn new(
        name: &str,
        set: &QuestionSet,
        answers: &Answers,
        reference: Option<&Answers>,
    ) -> Column {
        Column {
            name: name.into(),
            scores: Scores::of(set, answers),
            same: reference.map(|r| agreement(set, answers, r)),
            ..Column::default()
        }
    }
}

/// Columns about the same questions.
#[derive(Clone, Debug, Default)]
pub struct Report {
    columns: Vec<Column>,
    chance: Option<f64>,
}

impl Report {
    /// An empty report about the questions of `set`.
    pub fn new(set: &QuestionSet) -> Report {
        Report { columns: Vec::new(), chance: chance(set) }
    }

    /// Adds a column.
    pub fn push(&mut self, column: Column) {
        self.columns.push(column);
    }

    /// Shares in percent with 95% confidence intervals, a row for each task and split; below them
    /// sizes and times.
    pub fn table(&self) -> Table {
        let names = self.columns.iter().map(|c| c.name.clone());
        let mut header = vec!["accuracy in %, with 95% interval".to_owned(), "n".into()];
        header.extend(names);
        let mut rows = Vec::new();
        for (task, split) in self.tasks() {
            let tallies = self.columns.iter().map(|c| c.scores.tasks.get(&(task, split)).copied());
            rows.push(share_row(self.label(task, split), tallies));
            if task == Task::Category {
                rows.extend(self.size_rows(split));
            }
        }
        let same = self.columns.iter().map(|c| c.same);
        rows.push(share_row("same answers as the reference".into(), same));
        rows.extend(self.cost_rows());
        rows.retain(|row| row[1..].iter().any(|cell| !cell.is_empty()));
        Table { header, rows }
    }

    fn tasks(&self) -> impl Iterator<Item = (Task, Split)> {
        let all = Task::ALL.iter().flat_map(|&task| Split::ALL.iter().map(move |&s| (task, s)));
        all.filter(|key| self.columns.iter().any(|c| c.scores.tasks.contains_key(key)))
    }

    fn label(&self, task: Task, split: Split) -> String {
        match self.chance {
            Some(chance) if task == Task::Control => {
                format!("{task}, {split} (chance: {:.1})", 100.0 * chance)
            }
            _ => format!("{task}, {split}"),
        }
    }

    fn size_rows(&self, split: Split) -> impl Iterator<Item = Vec<String>> {
        let classes = [SizeClass::Small, SizeClass::Medium, SizeClass::Large];
        classes.into_iter().map(move |class| {
            let key = (split, class);
            let tallies = self.columns.iter().map(|c| c.scores.sizes.get(&key).copied());
            share_row(format!("{}, {split}, {}", Task::Category, class.name()), tallies)
        })
    }

    fn cost_rows(&self) -> [Vec<String>; 3] {
        let row = |label: &str, cell: fn(&Column) -> Option<String>| {
            let cells = self.columns.iter().map(|c| cell(c).unwrap_or_default());
            [label.to_owned(), String::new()].into_iter().chain(cells).collect()
        };
        [
            row("both files, MB (10^6 bytes)", |c| Some(format!("{:.1}", c.bytes? as f64 / 1e6))),
            row("seconds an image", |c| Some(format!("{:.3}", c.speed?.an_image()))),
            row("seconds a turn, image aside", |c| Some(format!("{:.3}", c.speed?.a_turn()))),
        ]
    }

    /// All figures for programs; shares from 0 to 1.
    pub fn json(&self) -> Value {
        let columns: Vec<Value> = self.columns.iter().map(column_json).collect();
        json!({"chance": self.chance, "columns": columns})
    }
}

/// A row of shares; `n` is the same in all columns, which are about the same questions.
fn share_row(label: String, tallies: impl Iterator<Item = Option<Tally>> + Clone) -> Vec<String> {
    let n = tallies.clone().flatten().next().map_or(String::new(), |t| t.n.to_string());
    let cells = tallies.map(|tally| tally.map_or(String::new(), percent));
    [label, n].into_iter().chain(cells).collect()
}

fn percent(tally: Tally) -> String {
    let (low, high) = tally.interval();
    format!("{:.1} [{:.1}, {:.1}]", 100.0 * tally.share(), 100.0 * low, 100.0 * high)
}

fn column_json(c: &Column) -> Value {
    let tasks = c.scores.tasks.iter().map(|((task, split), tally)| {
        with_tally(json!({"task": task.name(), "split": split.name()}), *tally)
    });
    let sizes = c.scores.sizes.iter().map(|((split, class), tally)| {
        with_tally(json!({"split": split.name(), "size": class.name()}), *tally)
    });
    json!({
        "name": c.name,
        "bytes": c.bytes,
        "tasks": tasks.collect::<Vec<_>>(),
        "category_by_size": sizes.collect::<Vec<_>>(),
        "same_as_reference": c.same.map(|tally| with_tally(json!({}), tally)),
        "images": c.speed.map(|s| s.n_images),
        "turns": c.speed.map(|s| s.n_turns),
        "seconds_an_image": c.speed.map(|s| s.an_image()),
        "seconds_a_turn": c.speed.map(|s| s.a_turn()),
    })
}

fn with_tally(mut object: Value, tally: Tally) -> Value {
    let (low, high) = tally.interval();
    object["n"] = tally.n.into();
    object["right"] = tally.right.into();
    object["share"] = tally.share().into();
    object["interval"] = json!([low, high]);
    object
}

#[cfg(test)]
mod tests;
