//! Answers that are only what a grammar or a JSON schema allows.

use crate::desk::{BOX, Desk, QUESTION};
use gpt4roi::{
    Answer, Constraint, Engine, EngineOptions, Event, FinishReason, KvType, PixelBox, Request,
    RgbImage8, Sampling, load_image,
};
use gpt4roi_tests::pictures::picture;
use gpt4roi_tests::small::Small;
use gpt4roi_tests::{Pair, greedy, workspace};
use serde_json::{Value, json};

const YES_OR_NO: &str = r#"root ::= "yes" | "no""#;
const THING: &str = r#"{
    "type": "object",
    "properties": {
        "object": { "type": "string", "minLength": 1, "maxLength": 12 },
        "colour": { "enum": ["red", "green", "blue", "none of \"these\""] },
        "count": { "type": ["integer", "null"] },
        "tags": { "type": "array", "items": { "type": "boolean" }, "maxItems": 3 }
    },
    "required": ["object", "colour"]
}"#;

fn talker() -> Engine {
    let options = EngineOptions { kv_type: KvType::F32, ..Small::talking_pair().options() };
    Engine::open(&options).unwrap_or_else(|e| panic!("{e}"))
}

fn demo() -> Engine {
    let file = |name: &str| workspace().join("models/demo").join(name);
    let pair = Pair {
        model: file("gpt4roi-demo-Q8_0.gguf"),
        mmproj: file("mmproj-gpt4roi-demo-Q8_0.gguf"),
    };
    pair.open()
}

fn scene() -> RgbImage8 {
    load_image(&workspace().join("tests/data/demo/images/000000.png")).expect("a picture")
}

fn some_box(i: usize) -> PixelBox {
    let (x, y) = ((i * 13 % 100) as f64, (i * 29 % 70) as f64);
    PixelBox::new(x, y, x + 20.0 + (i * 7 % 60) as f64, y + 30.0 + (i * 5 % 40) as f64)
}

/// The `i`-th request: some take the likeliest tokens, most draw, each with its own seed.
fn request(i: usize, constraint: &Constraint, max_tokens: usize) -> Request {
    let temperature = if i.is_multiple_of(3) { 1.5 } else { 0.7 };
    let seed = Some(i as u32);
    let sampling = match i % 4 {
        0 => Sampling::Greedy,
        _ => Sampling::Random { temperature, top_k: 50, top_p: 1.0, seed },
    };
    let request = Request { sampling, ..greedy("What is <region1>?", max_tokens) };
    Request { constraint: Some(constraint.clone()), ..request.with_box(some_box(i)) }
}

fn at_once(engine: &mut Engine, image: RgbImage8, requests: &[Request]) -> Vec<Answer> {
    let start = engine.conversation(image);
    let mut conversations: Vec<_> = requests.iter().map(|_| start.fork()).collect();
    let answers = engine.answer_many(&mut conversations, requests, |_, _| ());
    answers.into_iter().map(|a| a.unwrap_or_else(|e| panic!("{e}"))).collect()
}

/// Whether the text is JSON as [`THING`] wants it.
#[track_caller]
fn assert_is_thing(text: &str) {
    let value: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    let object = value.as_object().expect("an object");
    let n_chars = object["object"].as_str().expect("a string").chars().count();
    assert!((1..=12).contains(&n_chars), "{text}");
    let colours = json!(["red", "green", "blue", "none of \"these\""]);
    assert!(colours.as_array().expect("a list").contains(&object["colour"]), "{text}");
    assert!(object.get("count").is_none_or(|n| n.is_null() || n.is_i64()), "{text}");
    let tags = object.get("tags").map(|t| t.as_array().expect("a list"));
    assert!(tags.is_none_or(|t| t.len() <= 3 && t.iter().all(Value::is_boolean)), "{text}");
    let known = ["object", "colour", "count", "tags"];
    assert!(object.keys().all(|k| known.contains(&k.as_str())), "{text}");
}

#[test]
fn two_hundred_answers_are_json_of_the_schema() {
    let thing = Constraint::from_json_schema(THING).expect("a schema");
    for (mut engine, image, n) in [(talker(), picture(200, 150, 1), 120), (demo(), scene(), 80)] {
        let requests: Vec<_> = (0..n).map(|i| request(i, &thing, 400)).collect();
        let answers = at_once(&mut engine, image, &requests);
        for answer in &answers {
            assert_eq!(answer.finish, FinishReason::Stop);
            assert_is_thing(&answer.text);
        }
        let texts: std::collections::BTreeSet<_> = answers.iter().map(|a| &a.text).collect();
        assert!(texts.len() > n / 3, "answers depend on region and seed: {texts:?}");
    }
}

#[test]
fn a_batch_gives_what_each_gives_alone() {
    let thing = Constraint::from_json_schema(THING).expect("a schema");
    let requests: Vec<_> = (0..12).map(|i| request(i, &thing, 60 + i)).collect();
    let mut engine = talker();
    let got = at_once(&mut engine, picture(200, 150, 1), &requests);
    for (got, request) in got.iter().zip(&requests) {
        let mut conversation = engine.conversation(picture(200, 150, 1));
        let mut shown = String::new();
        let want = engine.ask(&mut conversation, request, |event| {
            if let Event::Text(text) = event {
                shown += text;
            }
        });
        let want = want.expect("an answer");
        assert_eq!((&got.text, &got.tokens, got.finish), (&want.text, &want.tokens, want.finish));
        assert_eq!(shown, want.text);
    }
}

#[test]
fn only_yes_or_no() {
    let yes_or_no = Constraint::from_grammar(YES_OR_NO).expect("a grammar");
    for (mut engine, image) in [(talker(), picture(200, 150, 1)), (demo(), scene())] {
        let requests: Vec<_> = (0..24).map(|i| request(i, &yes_or_no, 40)).collect();
        for answer in at_once(&mut engine, image, &requests) {
            assert!(["yes", "no"].contains(&answer.text.as_str()), "{answer:?}");
            assert_eq!(answer.finish, FinishReason::Stop);
        }
    }
}

#[test]
fn the_answer_is_the_grammar_s_text_to_the_letter() {
    let mut engine = talker();
    // Blanks at its ends, marks of turns within, the role's name, and characters of several bytes.
    for text in [" a ", "###", "a ### b\n", "Assistant: x", "\n", "é😀", "<bbox>", "\u{2581}"] {
        let literal: String = text.chars().map(|c| format!("\\U{:08x}", c as u32)).collect();
        let constraint = Constraint::from_grammar(&format!("root ::= \"{literal}\"")).expect(text);
        for i in 0..3 {
            let mut conversation = engine.conversation(picture(200, 150, 1));
            let request = request(i, &constraint, 200);
            let answer = engine.ask(&mut conversation, &request, |_| ()).expect("an answer");
            assert_eq!((answer.text.as_str(), answer.finish), (text, FinishReason::Stop));
            let next = greedy("And now?", 2);
            assert!(
                engine.ask(&mut conversation, &next, |_| ()).is_ok(),
                "a turn follows {text:?}"
            );
        }
    }
}

#[test]
fn what_is_cut_off_says_so() {
    let thing = Constraint::from_json_schema(THING).expect("a schema");
    let mut engine = talker();
    let whole = engine.ask(
        &mut engine.conversation(picture(200, 150, 1)),
        &request(1, &thing, 400),
        |_| (),
    );
    let whole = whole.expect("an answer");
    for n in [1, 5, 14, 25] {
        let mut conversation = engine.conversation(picture(200, 150, 1));
        let cut = engine.ask(&mut conversation, &request(1, &thing, n), |_| ()).expect("an answer");
        assert_eq!((cut.finish, cut.n_generated), (FinishReason::Length, n));
        assert!(whole.text.starts_with(&cut.text) && cut.text.len() < whole.text.len());
        assert!(serde_json::from_str::<Value>(&cut.text).is_err());
    }
}

#[test]
fn greedy_takes_the_likeliest_of_what_is_allowed() {
    let digits = Constraint::from_grammar("root ::= [0-9]{4} | [a-c]{3} \"!\"").expect("a grammar");
    let mut engine = talker();
    let mut request = request(0, &digits, 60);
    let free = Constraint::from_grammar("root ::= .*").expect("a grammar");
    let image = || picture(200, 150, 1);
    let answer =
        engine.ask(&mut engine.conversation(image()), &request, |_| ()).expect("an answer");
    assert!(answer.text.len() == 4, "{answer:?}");
    // A grammar that allows everything allows what the model would have written, special tokens aside.
    request.constraint = Some(free);
    let free = engine.ask(&mut engine.conversation(image()), &request, |_| ()).expect("an answer");
    assert_eq!((free.finish, free.n_generated), (FinishReason::Length, 60));
    for special in ["<bbox>", "<im_patch>", "<s>", "[PAD]"] {
        assert!(!free.text.contains(special), "{free:?}");
    }
}

#[test]
fn the_command_line_names_file_and_reason() {
    let desk = Desk::new();
    let cases: [(&str, &[u8], &str, &str); 9] = [
        ("g.gbnf", b"root ::= (", "--grammar", "line 1, column 11"),
        ("empty.gbnf", b"", "--grammar", "empty"),
        ("left.gbnf", b"root ::= root \"a\" | \"b\"", "--grammar", "begins with itself"),
        ("bytes.gbnf", b"root ::= \"\xff\"", "--grammar", "byte 10 is not UTF-8"),
        ("nul.gbnf", b"root ::= \0", "--grammar", "line 1, column 10"),
        ("s.json", b"{\"type\": \"string\", \"format\": \"date\"}", "--json-schema", "/format"),
        ("empty.json", b"", "--json-schema", "not JSON"),
        ("bytes.json", b"{\"\xc3\": 1}", "--json-schema", "not UTF-8"),
        ("list.json", b"[]", "--json-schema", "at `/`"),
    ];
    for (name, bytes, option, reason) in cases {
        let path = desk.file(name, bytes);
        desk.ask(&[option, &path, BOX, QUESTION]).exits(1).says(&[name, reason]);
    }
    let huge = desk.file("huge.gbnf", "root ::= \"a\"\n".repeat(200_000).as_bytes());
    desk.ask(&["--grammar", &huge, BOX, QUESTION]).exits(1).says(&["huge.gbnf", "too large"]);
    desk.ask(&["--grammar=/no/such", BOX, QUESTION]).exits(1).says(&["cannot read /no/such"]);
    let both = ["--grammar=a", "--json-schema=b", BOX, QUESTION];
    desk.ask(&both).exits(2).says(&["--grammar and --json-schema"]);
}

#[test]
fn the_command_line_keeps_to_it() {
    let desk = Desk::new();
    let grammar = desk.file("yes.gbnf", YES_OR_NO.as_bytes());
    let out = desk.ask(&["--grammar", &grammar, BOX, QUESTION]).exits(0).out;
    assert!(["yes\n", "no\n"].contains(&out.as_str()), "{out:?}");
    let schema = desk.file("thing.json", THING.as_bytes());
    let args = ["--json-schema", &schema, "--max-tokens=400", BOX, QUESTION];
    assert_is_thing(desk.ask(&args).exits(0).out.trim_end());
    let script = b"20,30,120,110 What is <region1>?\nIs region1 red?\n";
    let chat = desk.chat(&["--grammar", &grammar, "--json"], script).exits(0);
    for line in chat.out.lines() {
        let answer: Value = serde_json::from_str(line).expect("an object a line");
        assert!(["yes", "no"].contains(&answer["answer"].as_str().expect("a text")));
    }
}

#[test]
fn tokens_are_listed_with_their_probabilities() {
    let desk = Desk::new();
    desk.ask(&["--logprobs", BOX, QUESTION]).exits(2).says(&["--json"]);
    let out = desk.ask(&["--logprobs", "--json", BOX, QUESTION]).exits(0).out;
    let got: Value = serde_json::from_str(&out).expect("one JSON value");
    let tokens = got["logprobs"].as_array().expect("a list");
    assert_eq!(tokens.len() as u64, got["n_generated"].as_u64().expect("a number"));
    let sum: f64 = tokens.iter().map(|t| t["logprob"].as_f64().expect("a number")).sum();
    let mean = got["logprob"].as_f64().expect("a number");
    assert!((sum / tokens.len() as f64 - mean).abs() < 1e-4);
    assert!(tokens.iter().any(|t| t["token"].as_str().is_some_and(|t| !t.is_empty())));
}
