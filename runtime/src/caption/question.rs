//! Which questions a region is asked, and how a class that is known already gets into them.

use super::{Error, Task};
use crate::dataset::Region;
use crate::prompt;

/// The questions for regions that bring none of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Questions {
    texts: Vec<String>,
    class_hint: bool,
}

/// A question about one region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The question, as the user or the data set words it.
    pub question: String,
    /// What is said to the model: the question, with the hint if there is one.
    pub text: String,
    /// How often `text` names the region, each time with its box.
    pub n_boxes: usize,
}

impl Questions {
    /// These questions, without repetition. With `class_hint` each is preceded by the label of the
    /// region, if it has one, worded as in training on LLaVA-150K with boxes of a detector.
    ///
    /// # Errors
    /// [`Error::Question`] for one that does not name one region.
    pub fn new(texts: &[String], class_hint: bool) -> Result<Questions, Error> {
        texts.iter().try_for_each(|text| check(text))?;
        Ok(Questions { texts: unique(texts), class_hint })
    }

    /// The question of a task.
    pub fn of_task(task: Task, class_hint: bool) -> Questions {
        Questions { texts: vec![task.question()], class_hint }
    }

    /// What to ask about a region: its own questions, or else these.
    ///
    /// # Errors
    /// [`Error::Question`] in the place of one of the region's own that does not name it.
    pub fn about(&self, region: &Region) -> Vec<(String, Result<Asked, Error>)> {
        let texts = match region.questions.as_slice() {
            [] => self.texts.clone(),
            own => unique(own),
        };
        let label = region.label.as_deref();
        let asked = |text: String| (text.clone(), Self::worded(&text, label, self.class_hint));
        texts.into_iter().map(asked).collect()
    }

    /// What is said to the model about a region with that label.
    pub(crate) fn worded(
        question: &str,
        label: Option<&str>,
        class_hint: bool,
    ) -> Result<Asked, Error> {
        check(question)?;
        let (text, n_boxes) = match label.filter(|_| class_hint) {
            Some(label) => (hinted(label, question), 2),
            None => (question.into(), 1),
        };
        Ok(Asked { question: question.into(), text, n_boxes })
    }
}

impl Default for Questions {
    fn default() -> Questions {
        Questions::of_task(Task::default(), false)
    }
}

/// The hint names its box without a number, as in training; the question then does so again, as it
/// would without a hint. Both boxes are the region's.
fn hinted(label: &str, question: &str) -> String {
    let label = label.split_whitespace().collect::<Vec<_>>().join(" ");
    format!(
        "Here is also some regional information about the image, such as <> may feature a \
         {label},.\n{question}"
    )
}

fn check(question: &str) -> Result<(), Error> {
    let reason = match prompt::n_regions(question) {
        1 => return Ok(()),
        0 => "names no region".into(),
        n => format!("names {n} regions"),
    };
    Err(Error::Question { question: question.into(), reason })
}

fn unique(texts: &[String]) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for text in texts {
        if !kept.contains(text) {
            kept.push(text.clone());
        }
    }
    kept
}
