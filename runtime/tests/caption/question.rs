//! What is asked.

use super::fake::region;
use gpt4roi::caption::{Questions, Task};

fn texts(questions: &Questions, label: &str, own: &[&str]) -> Vec<(String, usize)> {
    let mut region = region(1, label);
    region.questions = own.iter().map(|q| (*q).to_owned()).collect();
    let asked = questions.about(&region).into_iter();
    asked.map(|(_, a)| a.map(|a| (a.text, a.n_boxes)).unwrap()).collect()
}

fn owned(list: &[&str]) -> Vec<String> {
    list.iter().map(|q| (*q).to_owned()).collect()
}

#[test]
fn a_class_hint_is_worded_as_in_training() {
    let questions = Questions::new(&owned(&["What is <region1> doing?"]), true).unwrap();
    let expected = "Here is also some regional information about the image, such as <> may feature \
                    a traffic light,.\nWhat is <region1> doing?";
    assert_eq!(texts(&questions, "traffic light", &[]), [(expected.to_owned(), 2)]);
    assert_eq!(texts(&questions, " traffic\n light ", &[]), [(expected.to_owned(), 2)]);
    // The line of the output has the question as the user words it.
    assert_eq!(questions.about(&region(1, "dog"))[0].0, "What is <region1> doing?");
    let mut unlabelled = region(1, "dog");
    unlabelled.label = None;
    let asked = questions.about(&unlabelled).remove(0).1.unwrap();
    assert_eq!((&*asked.text, asked.n_boxes), ("What is <region1> doing?", 1));
}

#[test]
fn a_question_must_name_its_region_once() {
    for (bad, says) in [("What is this?", "no region"), ("<region1> or <region2>?", "2 regions")] {
        let message = Questions::new(&owned(&[bad]), false).expect_err(bad).to_string();
        assert!(message.contains(says) && message.contains("`<region1>` stands for"), "{message}");
        let mut region = region(1, "dog");
        region.questions = owned(&[bad, "What is <region1>?"]);
        let asked = Questions::default().about(&region);
        assert!(asked[0].1.is_err() && asked[1].1.is_ok());
    }
}

#[test]
fn questions_of_the_data_set_win_and_nothing_is_asked_twice() {
    let questions =
        Questions::new(&owned(&["a <region1>", "b <1>", "a <region1>"]), false).unwrap();
    let of = |own: &[&str]| -> Vec<String> {
        texts(&questions, "dog", own).into_iter().map(|(text, _)| text).collect()
    };
    assert_eq!(of(&[]), ["a <region1>", "b <1>"]);
    assert_eq!(of(&["c <region1>", "c <region1>"]), ["c <region1>"]);
}

#[test]
fn every_task_has_a_question() {
    for task in Task::ALL {
        assert_eq!(task.name().parse::<Task>().unwrap(), task);
        assert!(Questions::new(&[task.question()], false).is_ok(), "{task}");
    }
    assert!("frobnicate".parse::<Task>().expect_err("an error").to_string().contains("category"));
    assert_eq!(Task::Category.question().matches(", ").count(), 80);
}
