//! The probability of given answers.

use crate::desk::Desk;
use crate::talking::{open, photo, some_box};
use gpt4roi::{
    Choice, ChooseRequest, Engine, EngineOptions, KvType, Normalise, PixelBox, RgbImage8, Stage,
    load_image,
};
use gpt4roi_tests::programs::run;
use gpt4roi_tests::{Pair, greedy, workspace};
use serde_json::Value;

const QUESTION: &str = "What is <region1>?";
const LABELS: [&str; 6] = ["cat", "cat food", "A door.", "drawer", "x", "é 😀"];
/// Sums of a dozen single-precision logarithms, decoded in batches of different shapes.
const ROUNDING: f64 = 1e-4;

fn request(i: usize, labels: &[&str]) -> ChooseRequest {
    ChooseRequest::new(QUESTION, labels.iter().copied()).with_box(some_box(i))
}

fn choose(engine: &mut Engine, request: &ChooseRequest) -> Choice {
    let conversation = engine.conversation(photo());
    engine.choose(&conversation, request).unwrap_or_else(|e| panic!("{e}"))
}

fn logprobs(choice: &Choice) -> Vec<f64> {
    choice.candidates.iter().map(|c| c.logprob).collect()
}

#[track_caller]
fn assert_close(got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len());
    for (g, w) in got.iter().zip(want) {
        assert!((g - w).abs() < ROUNDING, "{got:?} {want:?}");
    }
}

#[test]
fn likelihoods_equal_those_of_one_label_and_one_token_at_a_time() {
    let got = logprobs(&choose(&mut open(|_| ()), &request(3, &LABELS)));
    // With one prediction a batch every token is decoded by itself.
    let alone =
        |label| logprobs(&choose(&mut open(|o| o.n_parallel = 1), &request(3, &[label])))[0];
    assert_close(&got, &LABELS.map(alone));
}

#[test]
fn probabilities_add_up_and_ranks_follow_them() {
    let mut engine = open(|_| ());
    for normalise in [Normalise::None, Normalise::Length] {
        for prior in [false, true] {
            let request = ChooseRequest { normalise, prior, ..request(2, &LABELS) };
            let choice = choose(&mut engine, &request);
            let sum: f64 = choice.candidates.iter().map(|c| c.probability).sum();
            assert!((sum - 1.0).abs() < 1e-12, "{choice:?}");
            let labels: Vec<_> = choice.candidates.iter().map(|c| c.label.as_str()).collect();
            assert_eq!(labels, LABELS);
            let ranked: Vec<f64> = choice.best_first().map(|c| c.probability).collect();
            assert!(ranked.is_sorted_by(|a, b| a >= b) && ranked.len() == LABELS.len());
            let again = choose(&mut engine, &request);
            assert_eq!(again.candidates, choice.candidates, "it is deterministic");
        }
    }
}

#[test]
fn order_number_and_batches_change_no_ratio() {
    let want = logprobs(&choose(&mut open(|_| ()), &request(4, &LABELS)));
    let mut turned = LABELS;
    turned.reverse();
    let mut got = logprobs(&choose(&mut open(|_| ()), &request(4, &turned)));
    got.reverse();
    assert_close(&got, &want);
    assert_close(&logprobs(&choose(&mut open(|_| ()), &request(4, &LABELS[..2]))), &want[..2]);
    for n_parallel in [1, 2, 3] {
        let mut engine = open(|o| o.n_parallel = n_parallel);
        assert_close(&logprobs(&choose(&mut engine, &request(4, &LABELS))), &want);
    }
    // A context that is too small for all of them at once.
    let long = LABELS.map(|label| label.repeat(12));
    let long = long.each_ref().map(String::as_str);
    let want = logprobs(&choose(&mut open(|_| ()), &request(4, &long)));
    assert_close(&logprobs(&choose(&mut open(|o| o.n_ctx = 512), &request(4, &long))), &want);
}

#[test]
fn length_and_prior_change_what_they_should() {
    let mut engine = open(|_| ());
    let plain = choose(&mut engine, &request(2, &LABELS));
    let by_length = ChooseRequest { normalise: Normalise::Length, ..request(2, &LABELS) };
    let by_length = choose(&mut engine, &by_length);
    assert_eq!(logprobs(&plain), logprobs(&by_length));
    for (p, l) in plain.candidates.iter().zip(&by_length.candidates) {
        assert_eq!((p.score, p.prior), (p.logprob, None));
        assert!((l.score * l.n_tokens as f64 - l.logprob).abs() < 1e-9);
    }
    let prior = choose(&mut engine, &ChooseRequest { prior: true, ..request(2, &LABELS) });
    let whole =
        ChooseRequest::new(QUESTION, LABELS).with_box(PixelBox::new(0.0, 0.0, 200.0, 150.0));
    let whole_plain = logprobs(&choose(&mut engine, &whole));
    let priors: Vec<f64> = prior.candidates.iter().filter_map(|c| c.prior).collect();
    assert_close(&priors, &whole_plain);
    for c in &prior.candidates {
        assert!((c.score - (c.logprob - c.prior.expect("a prior"))).abs() < 1e-9);
    }
    let none = choose(&mut engine, &ChooseRequest { prior: true, ..whole });
    let even = 1.0 / LABELS.len() as f64;
    assert!(none.candidates.iter().all(|c| (c.probability - even).abs() < ROUNDING), "{none:?}");
}

#[test]
fn many_regions_are_as_each_alone_and_the_image_is_encoded_once() {
    let mut engine = open(|_| ());
    let requests: Vec<_> =
        (0..30).map(|i| ChooseRequest { prior: i % 2 == 0, ..request(i, &LABELS) }).collect();
    let conversation = engine.conversation(photo());
    let together = engine.choose_many(&conversation, &requests);
    let encoded = |c: &Choice| !c.timings_ms.get(Stage::Vision).is_zero();
    let together: Vec<Choice> = together.into_iter().map(|c| c.expect("a choice")).collect();
    assert_eq!(together.iter().filter(|c| encoded(c)).count(), 1);
    let mut alone = open(|_| ());
    for (got, request) in together.iter().zip(&requests) {
        let want = choose(&mut alone, request);
        assert_close(&logprobs(got), &logprobs(&want));
        assert_eq!(got.ranked, want.ranked);
    }
}

#[test]
fn a_conversation_stays_as_it_is() {
    let mut engine = open(|_| ());
    let mut conversation = engine.conversation(photo());
    let first = greedy(QUESTION, 5).with_box(some_box(0));
    engine.ask(&mut conversation, &first, |_| ()).expect("an answer");
    let request = ChooseRequest::new("Is region1 a cat?", ["yes", "no"]);
    let choice = engine.choose(&conversation, &request).expect("a choice about an old region");
    assert_eq!(choice.candidates.len(), 2);
    let after = engine.ask(&mut conversation, &greedy("Is region1 a cat?", 5), |_| ());
    let mut other = open(|_| ());
    let mut untouched = other.conversation(photo());
    other.ask(&mut untouched, &first, |_| ()).expect("an answer");
    let want =
        other.ask(&mut untouched, &greedy("Is region1 a cat?", 5), |_| ()).expect("an answer");
    assert_eq!(after.expect("an answer").tokens, want.tokens);
}

#[test]
fn requests_that_make_no_sense() {
    let mut engine = open(|_| ());
    let conversation = engine.conversation(photo());
    for (labels, says) in [
        (&["cat", " cat "][..], "twice"),
        (&["cat", " "], "is empty"),
        (&["a <bbox>"], "special token"),
        (&["<im_patch>"], "special token"),
        (&["<image>"], "special token"),
        (&["a ### b"], "ends an answer"),
        (&[], "labels"),
    ] {
        let error = engine.choose(&conversation, &request(0, labels)).expect_err(says);
        assert_eq!(error.kind(), gpt4roi::ErrorKind::Input);
        assert!(error.to_string().contains(says), "{error}");
    }
    let long = "long ".repeat(3000);
    let error = engine.choose(&conversation, &request(0, &[&long])).expect_err("an error");
    assert!(matches!(error, gpt4roi::Error::ContextFull { .. }), "{error}");
    // One that cannot be answered keeps no other from its answer.
    let bad = request(0, &["a", "a"]);
    let results = engine.choose_many(&conversation, &[bad, request(1, &LABELS)]);
    assert!(results[0].is_err() && results[1].is_ok());
    assert!(engine.choose_many(&conversation, &[]).is_empty());
    engine.cancel_token().cancel();
    let stopped = engine.choose(&conversation, &request(2, &LABELS));
    assert!(matches!(stopped, Err(gpt4roi::Error::Cancelled)));
    engine.cancel_token().reset();
    assert!(engine.choose(&conversation, &request(2, &LABELS)).is_ok());
}

#[test]
fn the_command_line_ranks_labels_for_every_box() {
    let desk = Desk::new();
    let choose = |more: &[&str]| run("gpt4roi", &desk.args("choose", more));
    let boxes = ["--box=20,30,120,110", "--box=100,5,190,140"];
    let out = choose(&[&boxes[..], &["--label=door", "--label", "drawer"]].concat()).exits(0).out;
    assert_eq!(out.lines().count(), 6, "{out}");
    assert!(out.starts_with("box 1: 20,30,120,110\n") && out.contains("\nbox 2: "), "{out}");
    let file = desk.file("labels.txt", "door\n\n drawer \nhinge\n".as_bytes());
    let labels = format!("--labels={file}");
    let more = [labels.as_str(), "--json", "--prior", "--normalise=length", "--top=2"];
    let out = choose(&[&boxes[..], &more].concat()).exits(0).out;
    let lines: Vec<Value> = out.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    assert_eq!(lines.len(), 2);
    for line in &lines {
        let choices = line["choices"].as_array().expect("a list");
        assert_eq!(choices.len(), 2);
        assert!(choices[0]["probability"].as_f64() >= choices[1]["probability"].as_f64());
        assert!(choices[0]["prior"].is_f64() && choices[0]["label"].is_string(), "{line}");
        assert_eq!(line["question"], QUESTION);
    }
    choose(&["--label=a"]).exits(2).says(&["--box"]);
    choose(&[boxes[0]]).exits(2).says(&["--label"]);
    choose(&[boxes[0], "--label=a", "--answer=x"]).exits(2).says(&["--answer"]);
    choose(&[boxes[0], "--label=a", "--normalise=odd"]).exits(2).says(&["none or length"]);
    choose(&[boxes[0], "--label=a", "--label=a"]).exits(1).says(&["twice"]);
    choose(&[boxes[0], "--labels=/no/such"]).exits(1).says(&["/no/such"]);
}

/// What the demo model knows and how often it takes the right name for an object of its held-out scenes, out of all 178.
mod demo {
    use super::*;

    struct Scene {
        image: RgbImage8,
        objects: Vec<(PixelBox, usize)>,
    }

    fn annotations() -> Value {
        let path = workspace().join("tests/data/demo/annotations.json");
        serde_json::from_slice(&std::fs::read(path).expect("a file")).expect("JSON")
    }

    /// Names of the categories as the model words its answers.
    fn labels(all: &Value) -> Vec<String> {
        let name = |c: &Value| c["name"].as_str().expect("a name").to_owned();
        let list = all["categories"].as_array().expect("a list");
        let article = |n: &str| if n.starts_with(['a', 'e', 'i', 'o', 'u']) { "An" } else { "A" };
        list.iter().map(name).map(|n| format!("{} {n}.", article(&n))).collect()
    }

    fn scenes(all: &Value, n: usize) -> Vec<Scene> {
        let list = |key: &str| all[key].as_array().expect("a list");
        let id_of =
            |i: &Value| list("categories").iter().position(|c| c["id"] == *i).expect("an id");
        let scene = |image: &Value| {
            let dir = workspace().join("tests/data/demo");
            let file = dir.join(image["file_name"].as_str().expect("a name"));
            let own = list("annotations").iter().filter(|a| a["image_id"] == image["id"]);
            let object = |a: &Value| {
                let side = |i: usize| a["bbox"][i].as_f64().expect("a number");
                let b = PixelBox::new(side(0), side(1), side(0) + side(2), side(1) + side(3));
                (b, id_of(&a["category_id"]))
            };
            Scene {
                image: load_image(&file).expect("a picture"),
                objects: own.map(object).collect(),
            }
        };
        list("images").iter().take(n).map(scene).collect()
    }

    /// Objects, how many have the right name first, and how many have it first if boxes change places.
    fn count(engine: &mut Engine, scenes: &[Scene], labels: &[String]) -> [usize; 3] {
        let mut counts = [0; 3];
        for scene in scenes {
            let conversation = engine.conversation(scene.image.clone());
            let ask =
                |(b, _): &(PixelBox, usize)| ChooseRequest::new(QUESTION, labels).with_box(*b);
            let requests: Vec<_> = scene.objects.iter().map(ask).collect();
            let choices = engine.choose_many(&conversation, &requests);
            let first: Vec<usize> =
                choices.into_iter().map(|c| c.expect("a choice").ranked[0]).collect();
            for (i, (_, name)) in scene.objects.iter().enumerate() {
                let shuffled = first[(i + 1) % first.len()];
                counts[0] += 1;
                counts[1] += usize::from(first[i] == *name);
                counts[2] += usize::from(shuffled == *name);
            }
        }
        counts
    }

    fn model() -> Pair {
        let file = |name: &str| workspace().join("models/demo").join(name);
        Pair {
            model: file("gpt4roi-demo-Q8_0.gguf"),
            mmproj: file("mmproj-gpt4roi-demo-Q8_0.gguf"),
        }
    }

    /// How far the log-probability of each answer is from what it was when the model wrote it.
    fn apart(options: &EngineOptions, n_scenes: usize) -> Vec<f64> {
        let mut engine = Engine::open(options).unwrap_or_else(|e| panic!("{e}"));
        let scenes = scenes(&annotations(), n_scenes);
        let mut apart = Vec::new();
        for (scene, (b, _)) in scenes.iter().flat_map(|s| s.objects.iter().map(move |o| (s, o))) {
            let mut conversation = engine.conversation(scene.image.clone());
            let request = greedy(QUESTION, 40).with_box(*b);
            let written = engine.ask(&mut conversation, &request, |_| ()).expect("an answer");
            let colon = written.tokens.iter().position(|&t| engine.token_text(t) == ":");
            let own = &written.token_logprobs[colon.expect("the role") + 1..];
            let want: f64 = own.iter().map(|&l| f64::from(l)).sum();
            let asked = ChooseRequest::new(QUESTION, [written.text.as_str(), "A dog"]).with_box(*b);
            let conversation = engine.conversation(scene.image.clone());
            let got = engine.choose(&conversation, &asked).expect("a choice");
            assert_eq!(got.candidates[0].n_tokens, own.len(), "the end is spelled as written");
            apart.push((got.candidates[0].logprob - want).abs());
        }
        apart
    }

    #[test]
    fn an_answer_is_as_likely_as_when_the_model_wrote_it() {
        let options = EngineOptions { kv_type: KvType::F32, ..model().options() };
        // With llama.cpp's own products of weights.
        let read = EngineOptions { mmap: false, ..options.clone() };
        let all = apart(&read, 6);
        assert!(all.iter().all(|&d| d < ROUNDING), "{all:?}");
        // With ours what is multiplied is rounded to the same 8 bits, from floats that were summed in another order: attention,
        // in the order of another batch, may turn one of these around. That moves an answer by thousandths, and happens to few.
        let all = apart(&options, 6);
        let turned = all.iter().filter(|&&d| d >= ROUNDING).count();
        assert!(all.len() >= 20 && turned * 10 <= all.len(), "{all:?}");
        assert!(all.iter().all(|&d| d < 0.01), "{all:?}");
    }

    /// Attention over a cache in half precision is ours, too, and the same in every batch.
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    #[test]
    fn an_answer_is_exactly_as_likely_where_all_is_ours() {
        let vnni = is_x86_feature_detected!("avx512vnni") && is_x86_feature_detected!("avx512bw");
        if vnni && !crate::memory::gpu() {
            let all = apart(&model().options(), 6);
            assert!(all.len() >= 20 && all.iter().all(|&d| d < ROUNDING), "{all:?}");
        }
    }

    #[test]
    fn the_right_name_is_first_for_most_objects() {
        let all = annotations();
        let started = std::time::Instant::now();
        let [n, right, shuffled] = count(&mut model().open(), &scenes(&all, 5), &labels(&all));
        println!("{right} of {n} right, {shuffled} with boxes shuffled, {:?}", started.elapsed());
        assert!(n >= 15, "{n} objects");
        // 24 of 27, and 1 with boxes shuffled.
        assert!(right * 10 >= n * 8, "{right} of {n}");
        assert!(shuffled * 10 <= n * 2, "{shuffled} of {n} with boxes shuffled");
    }
}
