//! What the demo asks: wordings that the demo model was taught, one for each thing it can do.
//!
//! A question calls its boxes `<region1>`, `<region2>`, ... whichever boxes of the picture they
//! are, because that is how a conversation begins in training. What people read is renumbered.

/// Boxes of a question.
#[derive(Clone, Copy)]
enum Boxes {
    /// One question for each box, at most so many.
    Each(usize),
    /// This box; the picture has that many or it is counted round.
    One(usize),
    /// These boxes, if the picture has them.
    These(&'static [usize]),
    /// All boxes, at most so many, if there are two.
    All(usize),
}

/// A question, and others that follow it in the same conversation.
struct Template {
    boxes: Boxes,
    /// `{list}` becomes all boxes, `{label}` what one of them is known to show.
    question: &'static str,
    then: &'static [&'static str],
}

const TABLE: &[Template] = &[
    Template { boxes: Boxes::Each(4), question: "What is <region1>?", then: &[] },
    Template {
        boxes: Boxes::One(0),
        question: "Can you provide me with a detailed description of the region in the picture \
                   marked by <region1>?",
        then: &["Where is region1?"],
    },
    Template { boxes: Boxes::One(1), question: "What colour is <region1>?", then: &[] },
    Template {
        boxes: Boxes::These(&[0, 1]),
        question: "Is <region1> to the left or to the right of <region2>?",
        then: &[],
    },
    Template {
        boxes: Boxes::These(&[1, 2]),
        question: "Which is larger, <region1> or <region2>?",
        then: &[],
    },
    Template {
        boxes: Boxes::These(&[0, 1, 2, 3]),
        question: "Which region is the {label}: <region1>, <region2>, <region3> or <region4>?",
        then: &[],
    },
    Template {
        boxes: Boxes::All(4),
        question: "Could you please give me a detailed description of these areas {list}?",
        then: &[],
    },
];

/// A conversation to be had.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Its questions; the first one names all boxes.
    pub(crate) questions: Vec<String>,
    /// Places of its boxes in the picture's list, in the order of the first question.
    pub(crate) boxes: Vec<usize>,
}

/// All conversations about a picture with `n` boxes, whose objects may be known by `labels`.
pub(crate) fn questions(n: usize, labels: &[String]) -> Vec<Asked> {
    TABLE.iter().flat_map(|t| t.fill(n, labels)).collect()
}

impl Template {
    fn fill(&self, n: usize, labels: &[String]) -> Vec<Asked> {
        let sets: Vec<Vec<usize>> = match self.boxes {
            Boxes::Each(most) => (0..n.min(most)).map(|i| vec![i]).collect(),
            Boxes::One(i) => (n > 0).then(|| vec![i % n]).into_iter().collect(),
            Boxes::These(all) => {
                all.iter().all(|i| *i < n).then(|| all.into()).into_iter().collect()
            }
            Boxes::All(most) => (n > 1).then(|| (0..n.min(most)).collect()).into_iter().collect(),
        };
        sets.into_iter().filter_map(|boxes| self.about(boxes, labels)).collect()
    }

    fn about(&self, boxes: Vec<usize>, labels: &[String]) -> Option<Asked> {
        // Every region is listed with a comma, as in the published questions about many.
        let list: String = (1..=boxes.len()).map(|k| format!("<region{k}>,")).collect();
        let mut question = self.question.replace("{list}", &list);
        if question.contains("{label}") {
            question = question.replace("{label}", unmistakable(&boxes, labels)?);
        }
        let then = self.then.iter().map(|q| (*q).to_owned());
        Some(Asked { questions: [question].into_iter().chain(then).collect(), boxes })
    }
}

/// The label of one of the boxes that no other of them has; not of the first if that can be helped.
fn unmistakable<'a>(boxes: &[usize], labels: &'a [String]) -> Option<&'a str> {
    let shown: Vec<&String> = boxes.iter().filter_map(|i| labels.get(*i)).collect();
    let only = |l: &&&String| shown.iter().filter(|s| s == l).count() == 1;
    shown.iter().rev().find(only).map(|l| l.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(all: &[&str]) -> Vec<String> {
        all.iter().map(|l| (*l).into()).collect()
    }

    #[test]
    fn every_box_that_is_asked_about_is_there_and_named() {
        for n in 0..12 {
            let all = questions(n, &labels(&["a", "b", "c", "a"]));
            assert_eq!(all.is_empty(), n == 0);
            for asked in all {
                assert!(asked.boxes.iter().all(|i| *i < n), "{asked:?}");
                let [first, later @ ..] = asked.questions.as_slice() else { panic!("{asked:?}") };
                let named: Vec<_> = first.match_indices("<region").collect();
                assert_eq!(named.len(), asked.boxes.len(), "{asked:?}");
                assert!(later.iter().all(|q| !q.contains('<')), "{asked:?}");
                assert!(asked.questions.iter().all(|q| !q.contains('{')), "{asked:?}");
            }
        }
    }

    #[test]
    fn lists_and_labels_are_filled_in() {
        let texts = |n, l: &[&str]| -> Vec<String> {
            questions(n, &labels(l)).into_iter().flat_map(|a| a.questions).collect()
        };
        let has = |all: &[String], part: &str| all.iter().any(|q| q.contains(part));
        assert!(has(&texts(2, &[]), "these areas <region1>,<region2>,?"));
        assert!(has(&texts(4, &["cup", "key", "hat", "cup"]), "Which region is the hat: "));
        assert!(!has(&texts(4, &["cup", "cup", "cup", "cup"]), "Which region"));
        assert!(!has(&texts(4, &[]), "Which region"));
    }
}
