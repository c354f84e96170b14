//! Conversations through the library: caches, seeds, streams, and what errors leave behind.

use gpt4roi::prompt::Error as PromptError;
use gpt4roi::{
    Answer, Conversation, Engine, EngineOptions, Error, Event, FinishReason, KvType, PixelBox,
    Request, RgbImage8, Sampling, Stage,
};
use gpt4roi_tests::pictures::picture;
use gpt4roi_tests::small::Small;
use gpt4roi_tests::{drawn, greedy};
use std::time::{Duration, Instant};

/// An engine whose cache is exact: a prompt that is decoded in other pieces gives the same tokens.
fn open() -> Engine {
    Engine::open(&options()).unwrap_or_else(|e| panic!("{e}"))
}

fn options() -> EngineOptions {
    EngineOptions { kv_type: KvType::F32, ..Small::talking_pair().options() }
}

fn photo() -> RgbImage8 {
    picture(200, 150, 1)
}

fn left() -> PixelBox {
    PixelBox::new(10.0, 20.0, 90.0, 120.0)
}

fn right() -> PixelBox {
    PixelBox::new(110.5, 5.0, 190.0, 149.0)
}

fn ask(engine: &mut Engine, conversation: &mut Conversation, request: &Request) -> Answer {
    let answer = engine.ask(conversation, request, |_| ());
    answer.unwrap_or_else(|e| panic!("{e}"))
}

fn first_question() -> Request {
    drawn("What is <region1> doing?", 24).with_box(left())
}

fn second_question() -> Request {
    drawn("Is region1 left of <region2>?", 24).with_box(right())
}

#[test]
fn the_cache_of_a_conversation_changes_no_token() {
    let mut engine = open();
    let mut warm = engine.conversation(photo());
    let first = ask(&mut engine, &mut warm, &first_question());
    assert_eq!(first.n_reused, 0);
    let second = ask(&mut engine, &mut warm, &second_question());
    assert!(second.n_reused > first.n_prompt - 2, "{second:?}");
    assert!(second.n_prompt > first.n_prompt);

    let mut fresh = open();
    let mut cold = fresh.conversation(photo());
    assert_eq!(ask(&mut fresh, &mut cold, &first_question()).tokens, first.tokens);
    // Something else in between empties the cache.
    let mut other = fresh.conversation(picture(64, 64, 9));
    ask(
        &mut fresh,
        &mut other,
        &greedy("<region1>", 2).with_box(PixelBox::new(0.0, 0.0, 9.0, 9.0)),
    );
    let again = ask(&mut fresh, &mut cold, &second_question());
    assert!(again.n_reused < second.n_reused, "{again:?}");
    assert_eq!((again.tokens, again.text), (second.tokens, second.text));
}

#[test]
fn a_second_conversation_about_an_image_finds_it_encoded() {
    let other_question = || drawn("Name <region1> and <region2>.", 24).with_box(right());
    let other_question = || other_question().with_box(left());
    let mut engine = open();
    let mut conversation = engine.conversation(photo());
    let first = ask(&mut engine, &mut conversation, &first_question());
    assert!(!first.timings_ms.get(Stage::Vision).is_zero(), "{first:?}");
    ask(&mut engine, &mut conversation, &second_question());
    conversation.restart();
    let second = ask(&mut engine, &mut conversation, &other_question());
    for stage in [Stage::Preprocess, Stage::Vision, Stage::Pyramid] {
        assert!(second.timings_ms.get(stage).is_zero(), "{stage:?} ran again: {second:?}");
    }
    // The vocabulary spells character by character: nothing in front of the question, the image
    // included, is decoded again.
    let question = "Name region1 <bbox> and region2 <bbox>.\n### ".len();
    assert!(second.n_reused + question >= second.n_prompt, "{second:?}");

    let mut fresh = open();
    let mut alone = fresh.conversation(photo());
    let expected = ask(&mut fresh, &mut alone, &other_question());
    assert_eq!(expected.n_reused, 0);
    assert_eq!((second.tokens, second.text), (expected.tokens, expected.text));
    // And once more what was asked first, with the names that were used already.
    conversation.restart();
    let again = ask(&mut engine, &mut conversation, &first_question());
    assert_eq!((again.tokens, again.text), (first.tokens, first.text));
}

#[test]
fn interleaved_conversations_do_not_mix() {
    let pictures = [photo(), picture(120, 160, 7)];
    let apart = pictures.clone().map(|image| {
        let mut engine = open();
        let mut conversation = engine.conversation(image);
        [first_question(), second_question()]
            .map(|q| ask(&mut engine, &mut conversation, &q).tokens)
    });
    assert_ne!(apart[0], apart[1], "the picture makes no difference");
    let mut engine = open();
    let mut conversations = pictures.map(|image| engine.conversation(image));
    for (round, question) in [first_question(), second_question()].iter().enumerate() {
        for (conversation, expected) in conversations.iter_mut().zip(&apart) {
            assert_eq!(ask(&mut engine, conversation, question).tokens, expected[round]);
        }
    }
}

#[test]
fn an_image_that_was_seen_before_is_known_again() {
    let pictures = [photo(), picture(120, 160, 7)];
    let mut engine = open();
    let mut one = |image: &RgbImage8, question: &Request| {
        let mut conversation = engine.conversation(image.clone());
        ask(&mut engine, &mut conversation, question)
    };
    let first = one(&pictures[0], &first_question());
    one(&pictures[1], &first_question());
    let again = one(&pictures[0], &first_question());
    for stage in [Stage::Preprocess, Stage::Vision, Stage::Pyramid] {
        assert!(again.timings_ms.get(stage).is_zero(), "{stage:?} ran again: {again:?}");
    }
    assert_eq!(again.tokens, first.tokens);
    // A new box needs the maps again, which are another picture's by now.
    let elsewhere = || drawn("Name <region1>.", 24).with_box(right());
    let new = one(&pictures[0], &elsewhere());
    assert!(!new.timings_ms.get(Stage::Pyramid).is_zero(), "{new:?}");
    let mut fresh = open();
    let mut conversation = fresh.conversation(photo());
    assert_eq!(ask(&mut fresh, &mut conversation, &elsewhere()).tokens, new.tokens);
}

#[test]
fn seeds_decide() {
    let mut engine = open();
    let mut draw = |seed| {
        let sampling =
            Sampling::Random { temperature: 1.0, top_k: 50, top_p: 0.95, seed: Some(seed) };
        let mut conversation = engine.conversation(photo());
        let request = Request { sampling, ..first_question() };
        let answer = ask(&mut engine, &mut conversation, &request);
        (answer.tokens, answer.text)
    };
    let one = draw(1);
    assert_eq!(draw(1), one);
    assert!((2..6).any(|seed| draw(seed) != one), "the seed makes no difference");
}

#[test]
fn threads_change_nothing() {
    let [one, two] = [1, 2].map(|n_threads| {
        let options = EngineOptions { n_threads, ..options() };
        let mut engine = Engine::open(&options).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(engine.info().n_threads, n_threads);
        let mut conversation = engine.conversation(photo());
        ask(&mut engine, &mut conversation, &first_question()).tokens
    });
    assert_eq!(two, one);
}

#[test]
fn the_stream_is_the_answer() {
    let mut engine = open();
    let mut conversation = engine.conversation(photo());
    for request in [first_question(), second_question(), greedy("", 40)] {
        let (mut streamed, mut pieces) = (String::new(), 0);
        let answer = engine.ask(&mut conversation, &request, |event| {
            if let Event::Text(text) = event {
                streamed += text;
                pieces += 1;
            }
        });
        let answer = answer.unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(streamed, answer.text);
        assert!(pieces > 1, "nothing streams");
        assert_eq!(answer.n_generated, answer.tokens.len());
        assert_ne!(answer.finish, FinishReason::ContextFull);
    }
}

#[test]
fn boxes_go_to_regions_in_their_order() {
    let mut engine = open();
    let mut answer = |question: &str, boxes: [PixelBox; 2]| {
        let mut conversation = engine.conversation(photo());
        let request = Request { boxes: boxes.to_vec(), ..drawn(question, 64) };
        ask(&mut engine, &mut conversation, &request).tokens
    };
    let question = "<region1> or <region2>?";
    let straight = answer(question, [left(), right()]);
    assert_ne!(straight, answer(question, [right(), left()]), "boxes make no difference");
    // The first box goes to the first name, whatever its number: only the text differs.
    assert_ne!(straight, answer("<region2> or <region1>?", [right(), left()]));
}

#[test]
fn errors_leave_the_conversation_as_it_was() {
    let mut engine = open();
    let mut untouched = engine.conversation(photo());
    ask(&mut engine, &mut untouched, &first_question());
    let expected = ask(&mut engine, &mut untouched, &second_question());

    let mut conversation = engine.conversation(photo());
    ask(&mut engine, &mut conversation, &first_question());
    let outside = PixelBox::new(500.0, 500.0, 600.0, 600.0);
    let upside_down = PixelBox::new(90.0, 20.0, 10.0, 120.0);
    for bad in [
        greedy("Is region1 left of <region2>?", 8),
        greedy("Is region1 left of it?", 8).with_box(right()),
        greedy("<region2>", 8).with_box(outside),
        greedy("<region2>", 8).with_box(upside_down),
        greedy("<bbox> <region2>", 8).with_box(right()),
        greedy("<region2>", 0).with_box(right()),
        greedy(&"word ".repeat(3000), 8),
    ] {
        let error = engine.ask(&mut conversation, &bad, |_| ());
        assert!(error.is_err(), "{bad:?}");
    }
    let answer = ask(&mut engine, &mut conversation, &second_question());
    assert_eq!((answer.tokens, answer.text), (expected.tokens, expected.text));
}

#[test]
fn cancelling_stops_soon_and_the_engine_goes_on() {
    let mut engine = open();
    let mut conversation = engine.conversation(photo());
    let token = engine.cancel_token();
    let mut stopped_at = None;
    let request = Request { max_tokens: 1500, ..first_question() };
    let stopper = token.clone();
    let result = engine.ask(&mut conversation, &request, |_| {
        if stopped_at.is_none() {
            stopped_at = Some(Instant::now());
            let stopper = stopper.clone();
            // From another thread, as a person's Ctrl-C comes.
            let stop = std::thread::spawn(move || stopper.cancel());
            stop.join().expect("a thread");
        }
    });
    assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
    let took = stopped_at.expect("some text").elapsed();
    assert!(took < Duration::from_secs(3), "stopped after {took:?}");
    token.reset();
    let again = ask(&mut engine, &mut conversation, &first_question());
    let mut fresh = open();
    let mut other = fresh.conversation(photo());
    assert_eq!(again.tokens, ask(&mut fresh, &mut other, &first_question()).tokens);
}

#[test]
fn a_cancelled_token_stops_before_the_image_is_encoded() {
    let mut engine = open();
    let mut conversation = engine.conversation(photo());
    engine.cancel_token().cancel();
    let result = engine.ask(&mut conversation, &first_question(), |_| ());
    assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
    engine.cancel_token().reset();
    ask(&mut engine, &mut conversation, &first_question());
}

/// `n` boxes, all different.
fn many(n: usize) -> Vec<PixelBox> {
    let at = |i: usize| ((i * 7 % 100) as f64, (i * 13 % 80) as f64);
    let size = |i: usize| 20.0 + (i % 11) as f64 * 7.0;
    (0..n).map(|i| (at(i), size(i))).map(|((x, y), s)| PixelBox::new(x, y, x + s, y + s)).collect()
}

fn naming(boxes: &[PixelBox], n_tokens: usize) -> Request {
    let names: Vec<String> = (1..=boxes.len()).map(|i| format!("<region{i}>")).collect();
    Request { boxes: boxes.to_vec(), ..greedy(&names.join(" "), n_tokens) }
}

#[test]
fn seventy_boxes_are_as_good_as_two_times_thirty_five() {
    let boxes = many(70);
    let mut engine = open();
    let mut conversation = engine.conversation(photo());
    let at_once = ask(&mut engine, &mut conversation, &naming(&boxes, 16));

    let mut engine = open();
    // Vectors stay with the picture: the last question finds all of them.
    for half in boxes.chunks(35) {
        let mut conversation = engine.conversation(photo());
        ask(&mut engine, &mut conversation, &naming(half, 1));
    }
    let mut conversation = engine.conversation(photo());
    let in_halves = ask(&mut engine, &mut conversation, &naming(&boxes, 16));
    assert_eq!(at_once.tokens, in_halves.tokens);
    assert_eq!(at_once.n_prompt, in_halves.n_prompt);
}

#[test]
fn more_boxes_than_the_context_holds_are_an_error_that_says_so() {
    let mut engine = open();
    let mut conversation = engine.conversation(photo());
    let result = engine.ask(&mut conversation, &naming(&many(1000), 4), |_| ());
    let Err(Error::Prompt(PromptError::TooLong { tokens, limit })) = result else {
        panic!("{result:?}")
    };
    assert!(tokens > limit);
    ask(&mut engine, &mut conversation, &first_question());
}

#[test]
fn an_answer_ends_when_the_context_is_full() {
    let options = EngineOptions { n_ctx: 512, ..options() };
    let mut engine = Engine::open(&options).unwrap_or_else(|e| panic!("{e}"));
    let mut conversation = engine.conversation(photo());
    let answer = ask(
        &mut engine,
        &mut conversation,
        &greedy("What is <region1> doing?", 4000).with_box(left()),
    );
    assert_eq!(answer.finish, FinishReason::ContextFull, "{answer:?}");
    assert_eq!(answer.n_prompt + answer.n_generated, 512 + 1);
    let error = engine.ask(&mut conversation, &second_question(), |_| ());
    assert!(matches!(error, Err(Error::Prompt(PromptError::TooLong { .. }))), "{error:?}");
}

#[test]
fn a_first_question_without_a_box_is_refused() {
    let mut engine = open();
    let mut conversation = engine.conversation(photo());
    let error = engine.ask(&mut conversation, &greedy("What is this?", 4), |_| ());
    assert!(matches!(error, Err(Error::Prompt(PromptError::NoBox))), "{error:?}");
}
