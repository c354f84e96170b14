//! Accuracy of a model on held-out questions.
//!
//! A question set is a folder with `questions.jsonl`, one dialogue a line, and the images that it
//! names:
//!
//! ```json
//! {"id": 17, "image": "images/000003.png", "task": "category", "split": "seen", "size": 71.3,
//!  "turns": [{"question": "What is <region1>?", "boxes": [[20, 30, 90, 101]],
//!             "answer": "A red apple.", "accept": ["apple", "red apple"]}]}
//! ```
//!
//! `boxes` are the new boxes of a turn, `size` is the side in pixels of the one box that is asked
//! about. A turn is checked by `accept` (the answer is one of these) or by `keys` (the answer has
//! all of these), or not at all. [`QuestionSet`] reads it, [`ask`] runs it through an engine,
//! [`Scores`] judges the answers, whoever gave them, and [`Report`] prints.

mod answers;
mod error;
mod floors;
mod question;
mod report;
mod run;
mod score;
mod scores;
mod shipped;
mod table;
mod tally;
mod task;

pub use answers::Answers;
pub use error::{Error, Result};
pub use floors::Floors;
pub use question::{Question, QuestionSet, Turn};
pub use report::{Column, Report};
pub use run::{Speed, ask};
pub use score::{Check, normalise};
pub use scores::{Scores, SizeClass, agreement};
pub use shipped::shipped;
pub use table::Table;
pub use tally::Tally;
pub use task::{Split, Task};
