//! Many questions at once give what they give one at a time.

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
use crate::memory::gpu;
use crate::talking::{open, options, photo, some_box};
use gpt4roi::{
    Answer, Conversation, Engine, EngineOptions, Error, Event, FinishReason, Image, PixelBox,
    Request, Stage,
};
use gpt4roi_tests::pictures::picture;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
use gpt4roi_tests::{Pair, workspace};
use gpt4roi_tests::{drawn, greedy};

/// Questions of several kinds and lengths, one or two boxes each.
fn requests(n: usize) -> Vec<Request> {
    let request = |i: usize| match i % 4 {
        0 | 1 => greedy("What is <region1>?", 12 + i % 5).with_box(some_box(i)),
        2 => drawn("Describe <region1> in a few words.", 20).with_box(some_box(i)),
        _ => drawn("Is <region1> left of <region2>?", 5 + i % 9)
            .with_box(some_box(i))
            .with_box(some_box(i + 1)),
    };
    (0..n).map(request).collect()
}

fn forks(conversation: &Conversation, n: usize) -> Vec<Conversation> {
    (0..n).map(|_| conversation.fork()).collect()
}

fn one_by_one(requests: &[Request]) -> Vec<Answer> {
    let mut engine = open(|o| o.n_parallel = 1);
    let start = engine.conversation(photo());
    let ask = |r| engine.ask(&mut start.fork(), r, |_| ()).unwrap_or_else(|e| panic!("{e}"));
    requests.iter().map(ask).collect()
}

fn at_once(engine: &mut Engine, requests: &[Request]) -> Vec<Answer> {
    let start = engine.conversation(photo());
    let mut conversations = forks(&start, requests.len());
    let answers = engine.answer_many(&mut conversations, requests, |_, _| ());
    answers.into_iter().map(|a| a.unwrap_or_else(|e| panic!("{e}"))).collect()
}

#[track_caller]
fn assert_same(got: &[Answer], want: &[Answer]) {
    assert_eq!(got.len(), want.len());
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert_eq!((&g.tokens, &g.text, g.finish), (&w.tokens, &w.text, w.finish), "question {i}");
        assert!((g.logprob - w.logprob).abs() < 1e-4, "question {i}: {} {}", g.logprob, w.logprob);
        assert_eq!(g.tokens.len(), g.token_logprobs.len());
        assert_eq!(g.n_prompt, w.n_prompt);
    }
}

#[test]
fn answers_do_not_depend_on_the_batch() {
    let requests = requests(24);
    let want = one_by_one(&requests);
    let texts: std::collections::BTreeSet<_> = want.iter().map(|a| &a.tokens).collect();
    assert!(texts.len() > 12, "the questions tell the regions apart");
    for n_parallel in [2, 5, 32] {
        assert_same(&at_once(&mut open(|o| o.n_parallel = n_parallel), &requests), &want);
    }
}

/// Where products of 8-bit weights are ours, nothing of a column depends on the others, nor does attention. (Vectors of regions may, in
/// their last digits: how they are computed depends on how many there are. Here they are the same.)
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[test]
fn answers_as_shipped_do_not_depend_on_the_batch_to_the_bit() {
    if gpu() || !is_x86_feature_detected!("avx512vnni") || !is_x86_feature_detected!("avx512bw") {
        return;
    }
    let file = |name: &str| workspace().join("models/demo").join(name);
    let pair = Pair {
        model: file("gpt4roi-demo-Q8_0.gguf"),
        mmproj: file("mmproj-gpt4roi-demo-Q8_0.gguf"),
    };
    let open = |n_parallel| {
        let options = EngineOptions { n_parallel, ..pair.options() };
        Engine::open(&options).unwrap_or_else(|e| panic!("{e}"))
    };
    let requests = requests(17);
    let two = at_once(&mut open(2), &requests);
    for n_parallel in [3, 17] {
        let more = at_once(&mut open(n_parallel), &requests);
        for (i, (got, want)) in more.iter().zip(&two).enumerate() {
            assert_eq!((&got.tokens, &got.text), (&want.tokens, &want.text), "question {i}");
            assert_eq!(got.token_logprobs, want.token_logprobs, "question {i}");
        }
    }
}

#[test]
fn answers_do_not_depend_on_the_order() {
    let requests = requests(12);
    let mut engine = open(|_| ());
    let want = at_once(&mut engine, &requests);
    let turned: Vec<_> = requests.iter().rev().cloned().collect();
    let mut got = at_once(&mut engine, &turned);
    got.reverse();
    assert_same(&got, &want);
}

#[test]
fn a_context_without_room_for_all_makes_some_wait() {
    let requests: Vec<_> =
        (0..12).map(|i| drawn("What is <region1>?", 60).with_box(some_box(i))).collect();
    let want = one_by_one(&requests);
    let longest = want.iter().map(|a| a.n_prompt + a.n_generated).max().expect("answers");
    // Room for one and a part of another: those that joined last have to leave in mid-answer.
    for n_ctx in [longest, longest + 40, longest + 130] {
        let n_ctx = n_ctx.next_multiple_of(256);
        let got = at_once(&mut open(|o| o.n_ctx = n_ctx), &requests);
        assert_same(&got, &want);
    }
}

#[test]
fn a_full_context_ends_an_answer_as_it_does_alone() {
    let endless = |i| greedy("What is <region1>?", 5000).with_box(some_box(i));
    let requests: Vec<_> = (0..3).map(endless).collect();
    let mut alone = open(|o| o.n_ctx = 512);
    let start = alone.conversation(photo());
    let ask = |r| alone.ask(&mut start.fork(), r, |_| ()).unwrap_or_else(|e| panic!("{e}"));
    let want: Vec<_> = requests.iter().map(ask).collect();
    assert!(want.iter().any(|a| a.finish == FinishReason::ContextFull), "{want:?}");
    assert_same(&at_once(&mut open(|o| o.n_ctx = 512), &requests), &want);
}

#[test]
fn what_is_common_is_computed_once() {
    let requests: Vec<_> =
        (0..8).map(|i| greedy("What is <region1>?", 4).with_box(some_box(i))).collect();
    let mut engine = open(|_| ());
    let answers = at_once(&mut engine, &requests);
    // The image, and the text up to the region.
    let own = "<bbox>?\n### ".len();
    for a in &answers {
        assert!(a.n_reused + own >= a.n_prompt && a.n_reused < a.n_prompt, "{a:?}");
        assert!(!a.timings_ms.get(Stage::Vision).is_zero());
    }
    let again = at_once(&mut engine, &requests);
    assert!(again.iter().all(|a| a.timings_ms.get(Stage::Vision).is_zero()));
    assert_same(&again, &answers);
}

#[test]
fn the_text_in_front_of_the_picture_stays_in_the_cache_from_frame_to_frame() {
    let of_other = || greedy("What is <region1>?", 4).with_box(PixelBox::new(1.0, 2.0, 40.0, 50.0));
    let next_frame = |engine: &mut Engine| {
        let mut other = engine.conversation(picture(64, 64, 9));
        engine.ask(&mut other, &of_other(), |_| ()).unwrap_or_else(|e| panic!("{e}"))
    };
    let expected = next_frame(&mut open(|_| ()));
    assert_eq!(expected.n_reused, 0);
    let mut engine = open(|_| ());
    at_once(&mut engine, &requests(3));
    let answer = next_frame(&mut engine);
    // The vocabulary spells character by character; the picture follows.
    let system = "A chat between a curious human and an artificial intelligence assistant.".len();
    assert!(answer.n_reused > system, "{answer:?}");
    assert_eq!((answer.tokens, answer.text), (expected.tokens, expected.text));
    // And all of it, for many questions behind one.
    let first = at_once(&mut open(|_| ()), &requests(3));
    assert_same(&at_once(&mut engine, &requests(3)), &first);
}

#[test]
fn one_bad_question_keeps_no_other_from_its_answer() {
    let mut requests = requests(6);
    requests[1] = greedy("What is <region1>?", 4); // no box
    requests[3] = greedy("What is <region1>?", 4).with_box(PixelBox::new(9.0, 9.0, 2.0, 2.0));
    requests[4].max_tokens = 0;
    let mut engine = open(|_| ());
    let start = engine.conversation(photo());
    let mut conversations = forks(&start, 6);
    let results = engine.answer_many(&mut conversations, &requests, |_, _| ());
    let failed: Vec<_> = results.iter().map(|r| r.is_err()).collect();
    assert_eq!(failed, [false, true, false, true, true, false]);
    let fine = [0, 2, 5].map(|i| requests[i].clone());
    let want = one_by_one(&fine);
    let got: Vec<_> = results.into_iter().flatten().collect();
    assert_same(&got, &want);
    // What failed left no trace: the conversation takes a better question.
    let better = greedy("What is <region1>?", 4).with_box(some_box(0));
    assert!(engine.ask(&mut conversations[1], &better, |_| ()).is_ok());
}

#[test]
fn conversations_go_on_together() {
    let first: Vec<_> = (0..4).map(|i| drawn("Name <region1>.", 9).with_box(some_box(i))).collect();
    let second: Vec<_> = (0..4)
        .map(|i| drawn("Is region1 left of <region2>?", 9).with_box(some_box(i + 4)))
        .collect();
    let mut engine = open(|_| ());
    let start = engine.conversation(photo());
    let mut together = forks(&start, 4);
    let mut apart = forks(&start, 4);
    for round in [&first, &second] {
        let results = engine.answer_many(&mut together, round, |_, _| ());
        let got: Vec<_> = results.into_iter().map(|r| r.expect("an answer")).collect();
        let ask =
            |(c, r): (&mut Conversation, &Request)| engine.ask(c, r, |_| ()).expect("an answer");
        let want: Vec<_> = apart.iter_mut().zip(round.iter()).map(ask).collect();
        assert_same(&got, &want);
    }
}

#[test]
fn several_images_in_one_call() {
    let requests = requests(4);
    let mut engine = open(|_| ());
    let [a, b] = [photo(), picture(120, 160, 7)].map(|image| engine.conversation(image));
    let mut mixed = [a.fork(), b.fork(), a.fork(), b.fork()];
    let got = engine.answer_many(&mut mixed, &requests, |_, _| ());
    let mut alone = [a.fork(), b.fork(), a.fork(), b.fork()];
    for (i, got) in got.into_iter().enumerate() {
        let want = engine.ask(&mut alone[i], &requests[i], |_| ()).expect("an answer");
        assert_same(&[got.expect("an answer")], &[want]);
    }
}

#[test]
fn answers_are_heard_as_they_grow() {
    let requests = requests(7);
    let mut engine = open(|_| ());
    let start = engine.conversation(photo());
    let mut conversations = forks(&start, 7);
    let (mut texts, mut done) = (vec![String::new(); 7], Vec::new());
    let results = engine.answer_many(&mut conversations, &requests, |i, event| match event {
        Event::Text(text) => texts[i].push_str(text),
        Event::Done(answer) => done.push((i, answer.text.clone())),
        _ => {}
    });
    assert_eq!(done.len(), 7);
    for (i, text) in done {
        assert_eq!((&texts[i], &text), (&text, &results[i].as_ref().expect("an answer").text));
    }
}

#[test]
fn a_stop_keeps_what_is_done() {
    let mut requests: Vec<_> =
        (0..6).map(|i| greedy("Name <region1>.", 200).with_box(some_box(i))).collect();
    requests[2].max_tokens = 3;
    let mut engine = open(|_| ());
    let (start, cancel) = (engine.conversation(photo()), engine.cancel_token());
    let mut conversations = forks(&start, 6);
    let results = engine.answer_many(&mut conversations, &requests, |i, event| {
        if matches!(event, Event::Done(_)) && i == 2 {
            cancel.cancel();
        }
    });
    for (i, result) in results.iter().enumerate() {
        match i {
            2 => assert!(result.is_ok()),
            _ => assert!(matches!(result, Err(Error::Cancelled)), "{i}"),
        }
    }
    engine.cancel_token().reset();
    requests.iter_mut().for_each(|r| r.max_tokens = 3);
    assert_same(&at_once(&mut engine, &requests), &one_by_one(&requests));
}

#[test]
fn little_memory_changes_no_answer() {
    let requests = requests(9);
    assert_same(&at_once(&mut open(|o| o.low_memory = true), &requests), &one_by_one(&requests));
}

#[test]
fn senseless_numbers_of_questions_are_refused() {
    for n in [0, 256] {
        let options = EngineOptions { n_parallel: n, ..options() };
        let error = Engine::open(&options).err().expect("an error").to_string();
        assert!(error.contains("parallel"), "{error}");
    }
}

#[test]
fn nothing_to_ask_is_nothing_to_answer() {
    assert!(open(|_| ()).answer_many(&mut [], &[], |_, _| ()).is_empty());
}

#[test]
fn the_next_image_is_looked_at_while_answers_are_written() {
    let (here, there) = (requests(6), requests(4));
    let want: Vec<Answer> = {
        let mut engine = open(|_| ());
        let start = engine.conversation(picture(90, 70, 3));
        let answers = engine.answer_many(&mut forks(&start, 4), &there, |_, _| ());
        answers.into_iter().map(|a| a.expect("an answer")).collect()
    };
    let mut engine = open(|o| o.vision_threads = 1);
    let next = Image::from(picture(90, 70, 3));
    let boxes: Vec<PixelBox> = there.iter().flat_map(|r| r.boxes.clone()).collect();
    let start = engine.conversation(photo());
    let mut n_asked = 0;
    let ahead = || {
        n_asked += 1;
        (n_asked == 1).then(|| (next.clone(), boxes.clone()))
    };
    let answers = engine.answer_many_ahead(&mut forks(&start, 6), &here, ahead, |_, _| ());
    let got: Vec<Answer> = answers.into_iter().map(|a| a.expect("an answer")).collect();
    assert_same(&got, &one_by_one(&here));
    assert!(n_asked > 0);
    let start = engine.conversation(next);
    let answers = engine.answer_many(&mut forks(&start, 4), &there, |_, _| ());
    let got: Vec<Answer> = answers.into_iter().map(|a| a.expect("an answer")).collect();
    assert_same(&got, &want);
    for stage in [Stage::Vision, Stage::Pyramid, Stage::Region] {
        assert!(got[0].timings_ms.get(stage).is_zero(), "{stage:?} ran again");
    }
}

#[test]
fn embeddings_are_those_that_answers_are_made_from() {
    let mut engine = open(|_| ());
    let image = Image::from(photo());
    let boxes = [some_box(0), some_box(1)];
    let both = engine.embed(&image, &boxes).expect("embeddings");
    assert_eq!(both.len(), 2);
    assert_ne!(both[0], both[1]);
    assert_eq!(engine.embed(&image, &boxes[1..]).expect("an embedding"), both[1..]);
    assert!(engine.embed(&image, &[]).expect("none").is_empty());
    let mut conversation = engine.conversation(image);
    let request = greedy("What is <region1>?", 3).with_box(some_box(1));
    let answer = engine.ask(&mut conversation, &request, |_| ()).expect("an answer");
    assert!(answer.timings_ms.get(Stage::Region).is_zero());
}
