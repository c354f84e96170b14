//! The loop: what fails and what is asked.

use super::fake::{Desk, Fake, Run, records, region};
use gpt4roi::caption::{
    Captioned, Captioner, Error, Lines, Observer, Plan, Problem, Questions, answer_seed,
};
use gpt4roi::dataset::{self, RegionBox};
use gpt4roi::{PixelBox, Sampling};
use std::fs;

#[derive(Default)]
struct Heard {
    problems: Vec<String>,
    captioned: Vec<String>,
    n_answers: usize,
}

impl Observer for Heard {
    fn answered(&mut self, _: &str, _: &gpt4roi::Answer) {
        self.n_answers += 1;
    }

    fn problem(&mut self, problem: &Problem) {
        self.problems.push(problem.to_string());
    }

    fn captioned(&mut self, image: &Captioned) -> Result<(), Error> {
        self.captioned.push(image.name.into());
        Ok(())
    }
}

#[test]
fn what_is_broken_is_recorded_and_left_out() {
    let desk = Desk::new();
    let mut entries = desk.entries(3);
    fs::write(desk.at("bad.png"), "no picture").unwrap();
    entries.push(desk.entry("bad.png", 2));
    let mut outside = desk.entry("4.png", 2);
    outside.regions[0].shape = RegionBox::Pixels(PixelBox::new(900.0, 0.0, 950.0, 9.0));
    outside.regions[1].questions = vec!["What is this?".into(), "And <region1>?".into()];
    entries.push(outside);
    let unreadable = dataset::Error::Format { text: "odd".into() };
    let all = entries.into_iter().map(Ok).chain([Err(unreadable)]);
    let (mut fake, mut heard, mut out) = (Fake::default(), Heard::default(), Vec::new());
    let plan = Plan { sampling: Sampling::Greedy, ..Plan::default() };
    let mut lines = Lines::new(&mut out, "memory");
    let mut captioner = Captioner::new(&mut fake, &plan, &mut lines, &mut heard);
    captioner.run(all).unwrap();
    let summary = *captioner.summary();
    assert_eq!((summary.images, summary.answers, summary.errors), (6, 4, 4));
    assert_eq!(heard.n_answers, 4);
    assert_eq!(heard.captioned, ["1.png", "2.png", "bad.png", "4.png"]);
    let expected = [
        ("bad.png: ", "not an image"),
        ("4.png, region 1: ", "wholly outside"),
        ("4.png, region 2: ", "names no region"),
        ("format `odd`", ""),
    ];
    assert_eq!(heard.problems.len(), expected.len(), "{:?}", heard.problems);
    for (problem, (begins, has)) in heard.problems.iter().zip(expected) {
        assert!(problem.starts_with(begins) && problem.contains(has), "{problem}");
    }
    fs::write(desk.at("lines.jsonl"), &out).unwrap();
    let records = records(&desk.at("lines.jsonl"));
    assert_eq!(records.len(), 8);
    assert!(records[3].error.is_some() && records[3].id.is_none());
    assert!(records[4].error.is_some() && records[4].edges == Some([900.0, 0.0, 950.0, 9.0]));
    assert_eq!(records[5].question.as_deref(), Some("What is this?"));
    assert_eq!(records[6].answer.as_deref(), Some("And <region1>? None"));
    assert_eq!((&records[7].image, records[7].error.is_some()), (&None, true));
}

#[test]
fn strict_runs_stop_and_can_be_resumed() {
    let desk = Desk::new();
    let mut entries = desk.entries(3);
    fs::write(desk.at("bad.png"), "no picture").unwrap();
    entries.push(desk.entry("bad.png", 1));
    let mut run = Run::new("out.jsonl", entries);
    run.plan.strict = true;
    let error = desk.run(&mut Fake::default(), &run).expect_err("an error");
    let message = error.to_string();
    assert!(message.contains("bad.png") && message.contains("--strict"), "{message}");
    run.plan.strict = false;
    let mut fake = Fake::default();
    let summary = desk.run(&mut fake, &run).unwrap();
    assert_eq!((summary.skipped, summary.errors, fake.n_asked), (3, 1, 0));
}

#[test]
fn the_next_picture_is_loaded_while_one_is_asked_about() {
    let desk = Desk::new();
    let mut entries = desk.entries(3);
    fs::write(desk.at("bad.png"), "no picture").unwrap();
    entries.push(desk.entry("bad.png", 1));
    let mut outputs = Vec::new();
    for overlap in [false, true] {
        let (mut fake, mut heard, mut out) = (Fake::default(), Heard::default(), Vec::new());
        let plan = Plan { sampling: Sampling::Greedy, overlap, ..Plan::default() };
        let mut lines = Lines::new(&mut out, "memory");
        let mut captioner = Captioner::new(&mut fake, &plan, &mut lines, &mut heard);
        captioner.run(entries.clone().into_iter().map(Ok)).unwrap();
        assert_eq!(heard.problems.len(), 1, "{:?}", heard.problems);
        // Of three that have boxes the first is nobody's next, and the broken one cannot be loaded.
        assert_eq!(fake.n_ahead, if overlap { 1 } else { 0 });
        outputs.push(String::from_utf8(out).unwrap());
    }
    assert_eq!(outputs[0], outputs[1]);
}

#[test]
fn senseless_options_end_the_run() {
    struct Refuses;
    impl gpt4roi::caption::Answerer for Refuses {
        fn answer_all(
            &mut self,
            _: &gpt4roi::Image,
            requests: &[gpt4roi::Request],
            _: Option<gpt4roi::caption::Ahead>,
            _: &mut dyn FnMut(&gpt4roi::Answer),
        ) -> Vec<gpt4roi::Result<gpt4roi::Answer>> {
            let error =
                || gpt4roi::Error::Option { option: "top-p", value: "7".into(), allowed: "less" };
            requests.iter().map(|_| Err(error())).collect()
        }
    }
    let (desk, plan, mut refuses) = (Desk::new(), Plan::default(), Refuses);
    let mut lines = Lines::new(Vec::new(), "memory");
    let mut heard = Heard::default();
    let mut captioner = Captioner::new(&mut refuses, &plan, &mut lines, &mut heard);
    let error = captioner.run(desk.entries(3).into_iter().map(Ok)).expect_err("an error");
    assert!(error.to_string().contains("top-p"));
}

#[test]
fn every_answer_has_a_seed_of_its_own() {
    let desk = Desk::new();
    let mut run = Run::new("out.jsonl", vec![desk.entry("a.png", 3), desk.entry("b.png", 3)]);
    let texts = ["What is <region1>?".to_owned(), "Why <region1>?".to_owned()];
    run.plan.questions = Questions::new(&texts, false).unwrap();
    desk.run(&mut Fake::default(), &run).unwrap();
    let records = records(&desk.at("out.jsonl"));
    let mut answers: Vec<String> = records.iter().filter_map(|r| r.answer.clone()).collect();
    for (record, answer) in records.iter().zip(&answers) {
        let (id, question) = (record.id.as_deref().unwrap(), record.question.as_deref().unwrap());
        let seed = answer_seed(7, record.image.as_deref().unwrap(), id, question);
        assert_eq!(*answer, format!("{question} {:?}", Some(seed)));
    }
    answers.sort();
    answers.dedup();
    assert_eq!(answers.len(), 12);
}

#[test]
fn boxes_in_fractions_come_out_in_pixels() {
    let desk = Desk::new();
    let mut entry = desk.entry("a.png", 0);
    let mut one = region(1, "dog");
    one.shape = RegionBox::Fractions([0.25, 0.5, 0.75, 1.0]);
    entry.regions.push(one);
    desk.run(&mut Fake::default(), &Run::new("out.jsonl", vec![entry])).unwrap();
    assert_eq!(records(&desk.at("out.jsonl"))[0].edges, Some([10.0, 15.0, 30.0, 30.0]));
}
