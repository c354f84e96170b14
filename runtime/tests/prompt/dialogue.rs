//! Rules of a conversation beyond the recorded ones.

use gpt4roi::prompt::{Dialogue, Error, SYSTEM};

use crate::fixture::Fixture;

fn empty() -> Dialogue<u32> {
    Dialogue::new(&Fixture::named("p1-real-vocab").tokens())
}

/// The prompt behind the picture, for short comparisons.
fn tail(dialogue: &Dialogue<u32>) -> String {
    let prompt = dialogue.prompt(1);
    let head = format!(
        "{SYSTEM}\n\n### Human: The <im_start><im_patch><im_end> provides an overview of the \
         picture.\n"
    );
    prompt.strip_prefix(&head).unwrap().to_owned()
}

#[test]
fn a_rejected_question_leaves_no_trace() {
    let mut dialogue = empty();
    assert!(matches!(
        dialogue.ask("<region1> and <region2>", vec![1]),
        Err(Error::BoxCount { .. })
    ));
    assert!(dialogue.turns().is_empty() && dialogue.boxes().is_empty());
    dialogue.ask("<region1> and <region2>", vec![1, 2]).unwrap();
    assert_eq!(tail(&dialogue), "region1 <bbox> and region2 <bbox>\n### ");
}

#[test]
fn a_cleared_conversation_is_as_good_as_a_new_one() {
    let mut dialogue = empty();
    dialogue.ask("<region1>", vec![1]).unwrap();
    dialogue.answer("a").unwrap();
    dialogue.ask("<region2>", vec![2]).unwrap();
    dialogue.clear();
    assert!(dialogue.turns().is_empty() && dialogue.boxes().is_empty());
    assert!(matches!(dialogue.answer("b"), Err(Error::NoQuestion)));
    // Old names are new again, and the first question needs a box.
    assert!(matches!(dialogue.ask("region1?", vec![]), Err(Error::NoBox)));
    dialogue.ask("<region1>", vec![3]).unwrap();
    assert_eq!(tail(&dialogue), "region1 <bbox>\n### ");
    assert_eq!(dialogue.boxes(), [3]);
}

#[test]
fn a_wrong_number_of_boxes_is_explained() {
    let message = |question: &str, boxes| empty().ask(question, boxes).unwrap_err().to_string();
    let text = message("What is <region3>?", vec![1, 2]);
    assert!(text.contains("1 new region(s) (<region3>) but 2 new box(es)"), "{text}");
    let text = message("What is this?", vec![1]);
    assert!(text.contains("no new region but 1 new box(es)"), "{text}");
    let text = message("Hello", vec![]);
    assert!(text.contains("at least one box"), "{text}");
}

#[test]
fn short_forms_name_boxes_too() {
    let mut dialogue = empty();
    dialogue.ask("<1>, <> and <region3>", vec![1, 2, 3]).unwrap();
    assert_eq!(tail(&dialogue), "region1 <bbox>, <bbox> and region3 <bbox>\n### ");
    dialogue.answer("Yes").unwrap();
    dialogue.ask("<region1> or <3> or <>?", vec![4]).unwrap();
    assert!(tail(&dialogue).ends_with("### Human: region1 or region3 or <bbox>?\n### "));
    assert_eq!(dialogue.boxes(), [1, 2, 3, 4]);
}

#[test]
fn a_name_written_twice_wants_two_boxes_in_every_round() {
    let mut dialogue = empty();
    dialogue.ask("<region1>", vec![1]).unwrap();
    dialogue.answer("a").unwrap();
    assert!(dialogue.ask("<region2> <region2>", vec![2]).is_err());
    dialogue.ask("<region2> <region2>", vec![2, 3]).unwrap();
    assert_eq!(dialogue.boxes(), [1, 2, 3]);
}

#[test]
fn history_stays_as_it_was() {
    let mut dialogue = empty();
    let mut before = String::new();
    for round in 0..5 {
        let question = format!("<region{round}>?");
        dialogue.ask(&question, vec![round]).unwrap();
        let now = tail(&dialogue);
        assert!(now.starts_with(&before), "{now}");
        before = now;
        dialogue.answer("Assistant: It is.").unwrap();
        before += &format!("Assistant: It is.\n### Human: region{} ", round + 1);
    }
}

#[test]
fn empty_questions_greet() {
    let mut dialogue = empty();
    dialogue.ask(" <region1>\n", vec![1]).unwrap();
    dialogue.answer("").unwrap();
    dialogue.ask("\u{3000}\n ", vec![]).unwrap();
    assert_eq!(tail(&dialogue), "region1 <bbox>\n### Assistant: \n### Human: hello, world!\n### ");
}

#[test]
fn special_tokens_are_refused_in_questions_and_dropped_from_answers() {
    for text in
        ["<bbox>", "<im_patch>", "<im_start>", "<im_end>", "<s>", "</s>", "<image>", "[PAD]"]
    {
        let error = empty().ask(&format!("<region1> {text}"), vec![1]).unwrap_err();
        assert!(matches!(&error, Error::ReservedText { text: found } if found == text), "{error}");
    }
    let mut dialogue = empty();
    dialogue.ask("<region1>", vec![1]).unwrap();
    dialogue.answer("Assistant: a <bb<bbox>ox> b</s>").unwrap();
    assert_eq!(dialogue.turns()[1].text, "a  b");
}

#[test]
fn questions_and_answers_take_turns() {
    let mut dialogue = empty();
    assert!(matches!(dialogue.answer("a"), Err(Error::NoQuestion)));
    dialogue.ask("<region1>", vec![1]).unwrap();
    assert!(matches!(dialogue.ask("b", vec![]), Err(Error::Unanswered)));
    dialogue.answer("a").unwrap();
    assert!(matches!(dialogue.answer("a"), Err(Error::NoQuestion)));
}

#[test]
fn a_retracted_question_may_be_asked_again() {
    let mut dialogue = empty();
    dialogue.ask("<region1>", vec![1]).unwrap();
    dialogue.answer("a").unwrap();
    let before = tail(&dialogue);
    dialogue.ask("<region1> <region2>", vec![2]).unwrap();
    dialogue.retract();
    dialogue.retract();
    assert_eq!((tail(&dialogue), dialogue.boxes()), (before, &[1][..]));
    dialogue.ask("<region1> <region2>", vec![2]).unwrap();
    assert!(tail(&dialogue).ends_with("region1 region2 <bbox>\n### "));
}
