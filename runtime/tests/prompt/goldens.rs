//! Prompts, ids and answers of the reference data.

use std::path::Path;

use gpt4roi::prompt::{AnswerStream, Dialogue, Slot, clean_answer, plan, tokenize};
use serde::Deserialize;

use crate::fixture::Fixture;
use crate::golden_files::goldens;

#[derive(Deserialize)]
struct TextCases {
    tokenise: Vec<Tokenise>,
    dialogues: Vec<Vec<Round>>,
    stop: Vec<Stop>,
}

#[derive(Deserialize)]
struct Tokenise {
    text: String,
    ids: Vec<i32>,
}

#[derive(Deserialize)]
struct Round {
    question: String,
    new_boxes_px: Vec<[f64; 4]>,
    #[serde(alias = "assistant_reply_fed_back")]
    reply_fed_back: Option<String>,
    prompt: Option<String>,
    input_ids: Option<Vec<i32>>,
    #[serde(alias = "boxes_px_all")]
    boxes_in_order: Option<Vec<[f64; 4]>>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Stop {
    generated_ids: Vec<i32>,
    stop_after_tokens: Option<usize>,
    decoded: String,
    answer: String,
}

#[derive(Deserialize)]
struct Golden {
    rounds: Vec<Round>,
}

fn read<T: for<'a> Deserialize<'a>>(path: &Path) -> T {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn text_cases() -> Option<TextCases> {
    goldens().map(|root| read(&root.join("text_cases.json")))
}

fn check_dialogue(rounds: &[Round], fixture: &Fixture) {
    let tokens = fixture.tokens();
    let mut dialogue = Dialogue::new(&tokens);
    for round in rounds {
        let before = (dialogue.prompt(4), dialogue.boxes().to_vec());
        let asked = dialogue.ask(&round.question, round.new_boxes_px.clone());
        if round.error.is_some() {
            assert!(asked.is_err(), "{}", round.question);
            assert_eq!((dialogue.prompt(4), dialogue.boxes().to_vec()), before);
            continue;
        }
        asked.unwrap();
        assert_eq!(dialogue.prompt(256), *round.prompt.as_ref().unwrap());
        assert_eq!(dialogue.boxes(), *round.boxes_in_order.as_ref().unwrap());
        let ids = round.input_ids.as_ref().unwrap();
        let prompt = plan(&dialogue, &tokens, 256, fixture, 2048).unwrap();
        assert_eq!(prompt.ids, *ids, "{}", round.question);
        assert_eq!(prompt.slots.len(), ids.len());
        let images = prompt.slots.iter().filter(|s| matches!(s, Slot::Image(_))).count();
        assert_eq!(images, 256);
        if let Some(reply) = &round.reply_fed_back {
            dialogue.answer(reply).unwrap();
        }
    }
}

#[test]
fn dialogues_are_met() {
    let Some(cases) = text_cases() else { return };
    let fixture = Fixture::named("p1-real-vocab");
    assert!(!cases.dialogues.is_empty());
    cases.dialogues.iter().for_each(|rounds| check_dialogue(rounds, &fixture));
}

#[test]
fn prompts_of_the_model_goldens_are_met() {
    let Some(root) = goldens() else { return };
    for name in ["p1-real-vocab", "p2-delta-multiround"] {
        let golden: Golden = read(&root.join(name).join("golden.json"));
        check_dialogue(&golden.rounds, &Fixture::named(name));
    }
}

#[test]
fn texts_are_cut_and_encoded_as_recorded() {
    let Some(cases) = text_cases() else { return };
    let fixture = Fixture::named("p1-real-vocab");
    let tokens = fixture.tokens();
    for case in cases.tokenise {
        let ids = tokenize(&case.text, &tokens, &fixture, 2048).unwrap();
        assert_eq!(ids, case.ids, "{:?}", case.text);
    }
}

#[test]
fn answers_stop_where_recorded() {
    let Some(cases) = text_cases() else { return };
    let fixture = Fixture::named("p1-real-vocab");
    for case in cases.stop {
        let mut stream = AnswerStream::new(fixture.decoder());
        let (mut shown, mut stopped) = (String::new(), None);
        for &id in &case.generated_ids {
            let step = stream.push(id, &fixture).unwrap();
            shown += &step.text;
            if step.stop {
                stopped = Some(stream.n_tokens());
                break;
            }
        }
        assert_eq!(stopped, case.stop_after_tokens, "{:?}", case.decoded);
        assert_eq!(stream.decoded(), case.decoded);
        assert_eq!(clean_answer(&case.decoded), case.answer);
        assert_eq!(shown + &stream.finish(), case.answer);
    }
}
