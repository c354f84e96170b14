use super::*;
use crate::eval::{Answers, Scores, SizeClass, Tally, agreement};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A question about an image, one turn of which accepts "apple".
fn question(id: u64, image: &str) -> Value {
    json!({"id": id, "image": image, "task": "category", "split": "seen", "size": 40.0,
        "turns": [{"question": "What is <region1>?", "boxes": [[1, 2, 30, 40.5]],
            "answer": "An apple.", "accept": ["apple"]}]})
}

/// A folder with two files in place of images and these lines.
fn folder(lines: &[String]) -> TempDir {
    let dir = TempDir::new().expect("a folder");
    for image in ["a.png", "b.png"] {
        std::fs::write(dir.path().join(image), "").expect("a file");
    }
    std::fs::write(dir.path().join(FILE), lines.join("\n")).expect("a file");
    dir
}

fn set(questions: &[Value]) -> QuestionSet {
    let lines: Vec<_> = questions.iter().map(Value::to_string).collect();
    QuestionSet::load(folder(&lines).path()).unwrap_or_else(|e| panic!("{e}"))
}

fn ids(questions: &[&Question]) -> Vec<u64> {
    questions.iter().map(|q| q.id).collect()
}

#[test]
fn questions_come_grouped_by_image_each_in_its_order() {
    let set = set(&[
        question(4, "b.png"),
        question(1, "a.png"),
        question(3, "b.png"),
        question(2, "a.png"),
    ]);
    let groups: Vec<_> = set.by_image().iter().map(|g| ids(g)).collect();
    assert_eq!(groups, [[4, 3], [1, 2]]);
    let lines: Vec<_> = set.questions().iter().map(|q| q.line).collect();
    assert_eq!(lines, [1, 2, 3, 4]);
}

#[test]
fn a_limit_keeps_whole_images_from_all_over_the_set() {
    // Ten images of two questions each.
    let all: Vec<_> = (0..20).map(|id| question(id, "a.png")).collect();
    let mut set = set(&all);
    for q in &mut set.questions {
        q.image = format!("{}.png", q.id / 2).into();
    }
    let limited = |n| {
        let set = set.clone().limited(n);
        set.questions().iter().map(|q| q.id).collect::<Vec<_>>()
    };
    assert_eq!(limited(4), [0, 1, 10, 11]);
    assert_eq!(limited(3), [0, 1, 12]);
    for n in 0..25 {
        assert_eq!(limited(n).len(), n.min(20), "{n}");
    }
}

#[test]
fn lines_that_cannot_be_used_are_named() {
    let good = question(1, "a.png");
    let with = |field: &str, value: Value| {
        let mut q = question(2, "a.png");
        q[field] = value;
        q.to_string()
    };
    let turn = |field: &str, value: Value| {
        let mut q = question(2, "a.png");
        q["turns"][0][field] = value;
        q.to_string()
    };
    let cases = [
        ("{\"id\": 2,".into(), "column 9: EOF"),
        ("\"text\"".into(), "invalid type"),
        (with("task", json!("categry")), "unknown task `categry`: there are category, colour"),
        (with("split", json!("test")), "unknown split `test`: there are seen, unseen-art, photo"),
        (with("image", json!("images/no.png")), "images/no.png"),
        (with("id", json!(1)), "there is a question 1 already"),
        (with("id", json!(-1)), "invalid value"),
        (with("turns", json!([])), "without turns"),
        (turn("key", json!(["apple"])), "unknown field `key`"),
        (turn("keys", json!(["apple"])), "not both"),
        (turn("accept", json!([])), "`accept` is empty"),
        (turn("boxes", json!([[1, 2, 3]])), "array of length 4"),
        (turn("boxes", json!([])), "1 new region(s)"),
        (turn("question", json!("What is this?")), "no new region"),
        (turn("question", json!("<region1> <im_patch>")), "<im_patch>"),
    ];
    for (line, part) in cases {
        let dir = folder(&[good.to_string(), String::new(), line.clone()]);
        let error = QuestionSet::load(dir.path()).expect_err(&line).to_string();
        assert!(error.contains("questions.jsonl:3: ") && error.contains(part), "{line}: {error}");
    }
}

#[test]
fn a_set_that_is_not_there_or_empty_is_named() {
    let dir = folder(&[]);
    let error = QuestionSet::load(dir.path()).expect_err("an error").to_string();
    assert!(error.contains("questions.jsonl: no questions"), "{error}");
    let error = QuestionSet::load(&dir.path().join("no")).expect_err("an error").to_string();
    assert!(error.contains("questions.jsonl: "), "{error}");
}

/// The answers to questions 1, 2, ...
fn answers(all: &[&[&str]]) -> Answers {
    let mut answers = Answers::default();
    for (id, texts) in (1..).zip(all) {
        answers.insert(id, texts.iter().map(|t| (*t).to_owned()).collect());
    }
    answers
}

#[test]
fn a_dialogue_is_right_when_all_scored_turns_are() {
    let mut q = question(1, "a.png");
    let turns = q["turns"].as_array_mut().expect("turns");
    let turn = |q: &str| json!({"question": q, "boxes": [], "answer": ""});
    turns.push(turn("Thanks."));
    turns.push(turn("And its colour?"));
    turns[2]["keys"] = json!(["red"]);
    let set = set(&[q]);
    let judge =
        |texts: &[&str]| set.questions()[0].judge(answers(&[texts]).of(&set.questions()[0]));
    assert_eq!(judge(&["An apple.", "whatever", "It is red."]), Some(true));
    assert_eq!(judge(&["An apple.", "apple red", "It is green."]), Some(false));
    assert_eq!(judge(&["A pear.", "apple", "red"]), Some(false));
    // An answer that is missing is not a right one.
    assert_eq!(judge(&["An apple."]), Some(false));
}

#[test]
fn questions_without_a_check_count_for_agreement_only() {
    let mut open = question(2, "a.png");
    open["turns"][0].as_object_mut().expect("a turn").remove("accept");
    open["task"] = json!("caption");
    let set = set(&[question(1, "a.png"), open]);
    let ours = answers(&[&["Apple"], &["A fine apple."]]);
    let scores = Scores::of(&set, &ours);
    assert_eq!(scores.tasks.len(), 1);
    assert_eq!(scores.tasks[&(Task::Category, Split::Seen)], Tally { right: 1, n: 1 });
    let others = answers(&[&["Apple"], &["A fine apple"]]);
    assert_eq!(agreement(&set, &ours, &others), Tally { right: 1, n: 2 });
}

#[test]
fn the_category_task_is_scored_by_size() {
    let sized = |id: u64, size: Value, task: &str| {
        let mut q = question(id, "a.png");
        (q["size"], q["task"]) = (size, json!(task));
        q
    };
    let set = set(&[
        sized(1, json!(31.9), "category"),
        sized(2, json!(32), "category"),
        sized(3, json!(96), "category"),
        sized(4, json!(96.1), "category"),
        sized(5, Value::Null, "category"),
        sized(6, json!(50), "control"),
    ]);
    let right: &[&str] = &["apple"];
    let scores = Scores::of(&set, &answers(&[right, right, &["pear"], right, right, right]));
    let by_size = |class| scores.sizes[&(Split::Seen, class)];
    assert_eq!(by_size(SizeClass::Small), Tally { right: 1, n: 1 });
    assert_eq!(by_size(SizeClass::Medium), Tally { right: 1, n: 2 });
    assert_eq!(by_size(SizeClass::Large), Tally { right: 1, n: 1 });
    assert_eq!(scores.tasks[&(Task::Category, Split::Seen)], Tally { right: 4, n: 5 });
    assert_eq!(scores.tasks[&(Task::Control, Split::Seen)], Tally { right: 1, n: 1 });
}

#[test]
fn answers_are_read_as_they_were_written_and_must_be_complete() {
    let set = set(&[question(1, "a.png"), question(2, "b.png")]);
    let dir = TempDir::new().expect("a folder");
    let path = dir.path().join("answers.jsonl");
    let ours = answers(&[&["An \"apple\"\n"], &["ein Käse"]]);
    ours.save(&path).expect("a file");
    let read = Answers::load(&path, &set).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(read, answers(&[&["An \"apple\""], &["ein Käse"]]));
    for (text, part) in [
        (r#"{"id": 1, "answers": ["a"]}"#, "answers.jsonl: no answer to question 2"),
        ("{\"id\": 1, \"answers\": [\"a\"]}\n{\"id\": 2}", "answers.jsonl:2: "),
        (
            "{\"id\": 1, \"answers\": []}\n{\"id\": 1, \"answers\": []}",
            "answers.jsonl:2: question 1",
        ),
        ("{\"id\": 1, \"answers\": []}\n{\"id\": 2, \"answers\": []}", "1 turns and 0 answers"),
    ] {
        std::fs::write(&path, text).expect("a file");
        let error = Answers::load(&path, &set).expect_err(text).to_string();
        assert!(error.contains(part), "{error}");
    }
}
