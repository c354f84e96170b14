//! The model in the tree still knows its regions.
//!
//! A part of the held-out questions lies in `tests/data/demo`, with a floor for each task and
//! split a little below what was measured. `make demo-eval` measures on many more.

use gpt4roi_tests::eval::{Column, Floors, QuestionSet, Report, ask, shipped};
use gpt4roi_tests::workspace;

/// Fewer would leave single tasks to chance.
const MIN_QUESTIONS: usize = 200;

#[test]
fn no_accuracy_of_the_demo_model_is_below_its_floor() {
    let data = workspace().join("tests/data/demo");
    let pair = shipped(&workspace().join("models/demo")).unwrap_or_else(|e| panic!("{e}"));
    let set = QuestionSet::load(&data).unwrap_or_else(|e| panic!("{e}"));
    let floors = Floors::load(&data.join("floors.json")).unwrap_or_else(|e| panic!("{e}"));
    let n = set.questions().len();
    assert!(n >= MIN_QUESTIONS, "{n} questions in {}: too few", data.display());

    let (answers, _) = ask(&mut pair.open(), &set, || ()).unwrap_or_else(|e| panic!("{e}"));
    let column = Column::new("shipped", &set, &answers, None);
    let complaints = floors.complaints(&column.scores);
    let mut report = Report::new(&set);
    report.push(column);
    let table = report.table().text();
    assert!(complaints.is_empty(), "{}\n\n{table}", complaints.join("\n"));
}
