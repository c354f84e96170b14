//! The stream as a whole, with a model that answers at once, or as slowly as a test wants.

use super::*;
use crate::caption::Ahead;
use crate::decode::FinishReason;
use crate::preprocess::BoxPolicy;
use crate::{Answer, CancelToken, Error, Event, Image, PixelBox, Request, Sampling, StageTimings};
use serde_json::Value;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A picture of eight by eight pixels, as a BMP file in base64.
fn picture() -> String {
    use base64::Engine as _;
    let image = image::RgbImage::from_fn(8, 8, |x, y| image::Rgb([x as u8 * 30, y as u8 * 30, 7]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, image::ImageFormat::Bmp).unwrap();
    base64::prelude::BASE64_STANDARD.encode(bytes.into_inner())
}

/// Answers with the box, after a while that it can be cancelled in.
struct Fake {
    cancel: CancelToken,
    takes: Duration,
    n_looks: usize,
}

impl Fake {
    fn work(&self) -> crate::Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < self.takes {
            if self.cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

impl Describer for Fake {
    fn embed(&mut self, _: &Image, boxes: &[PixelBox]) -> crate::Result<Vec<Vec<f32>>> {
        self.n_looks += 1;
        Ok(boxes.iter().map(|_| vec![1.0, 2.0]).collect())
    }

    fn describe(
        &mut self,
        _: &Image,
        requests: &[Request],
        _: Option<Ahead>,
        on_event: &mut dyn FnMut(usize, Event),
    ) -> Vec<crate::Result<Answer>> {
        let answer = |(i, r): (usize, &Request)| {
            on_event(i, Event::Text("some "));
            self.work()?;
            let answer = Answer {
                text: format!("some {}", r.boxes[0].x1),
                finish: FinishReason::Stop,
                n_prompt: 9,
                n_reused: 0,
                n_generated: 2,
                logprob: -0.5,
                warnings: Vec::new(),
                timings_ms: StageTimings::default(),
                tokens: Vec::new(),
                token_logprobs: Vec::new(),
            };
            on_event(i, Event::Done(&answer));
            Ok(answer)
        };
        requests.iter().enumerate().map(answer).collect()
    }

    fn choose(
        &mut self,
        _: &Image,
        boxes: &[PixelBox],
        labels: &[String],
    ) -> crate::Result<Vec<Vec<(String, f64)>>> {
        let each = || labels.iter().map(|l| (l.clone(), 0.5)).collect();
        Ok(boxes.iter().map(|_| each()).collect())
    }
}

fn manner() -> Manner {
    Manner {
        sampling: Sampling::Greedy,
        max_tokens: 9,
        constraint: None,
        class_hint: false,
        partial: false,
        embed: false,
        labels: Vec::new(),
        compare: true,
        boxes: BoxPolicy::Check,
        overlap: false,
    }
}

/// A hub whose lines come out as JSON.
fn hub(policy: Policy, patient: bool) -> (Hub, Receiver<Value>) {
    let (lines, received) = channel();
    let sink: Sink = Box::new(move |record| {
        let closed = |_| std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        lines.send(serde_json::to_value(record)?).map_err(closed)
    });
    (Hub::new(policy, patient, sink), received)
}

/// Feeds lines to a stream and gives what came out.
fn run(policy: Policy, patient: bool, manner: &Manner, takes: Duration, text: &str) -> Vec<Value> {
    let (hub, received) = hub(policy, patient);
    let cancel = CancelToken::new();
    let mut fake = Fake { cancel: cancel.clone(), takes, n_looks: 0 };
    std::thread::scope(|scope| {
        scope.spawn(|| Feed::new(&hub, Some(Dialect::Own), None).run(text.as_bytes()).unwrap());
        work(&hub, &mut fake, manner, &cancel).unwrap();
    });
    hub.say(&Record::Stats(Box::new(hub.stats())));
    drop(hub);
    let lines: Vec<Value> = received.iter().collect();
    lines.iter().for_each(conforms);
    lines
}

/// Checks a line's keys against the schema that ships with the documentation.
fn conforms(line: &Value) {
    let schema: Value =
        serde_json::from_str(include_str!("../../../docs/stream/output.schema.json")).unwrap();
    let event = &line["event"];
    let is_it = |def: &&Value| {
        let known = &def["properties"]["event"];
        known["const"] == *event || known["enum"].as_array().is_some_and(|e| e.contains(event))
    };
    let def = schema["$defs"].as_object().unwrap().values().find(is_it);
    let def = def.unwrap_or_else(|| panic!("no event {event}"));
    let line = line.as_object().unwrap();
    for required in def["required"].as_array().unwrap() {
        assert!(line.contains_key(required.as_str().unwrap()), "{required}: {line:?}");
    }
    for (key, value) in line {
        match def["properties"].get(key) {
            None => assert!(event == "stats" && value.is_u64(), "{key}: {line:?}"),
            Some(property) => {
                let allowed = property["enum"].as_array();
                assert!(allowed.is_none_or(|a| a.contains(value)), "{key}: {line:?}");
            }
        }
    }
}

fn line(seq: u64, picture: &str, detections: &str) -> String {
    format!(r#"{{"seq":{seq},"jpeg":"{picture}","detections":[{detections}]}}"#) + "\n"
}

fn of<'a>(lines: &'a [Value], event: &str) -> Vec<&'a Value> {
    lines.iter().filter(|l| l["event"] == event).collect()
}

#[test]
fn answers_come_once_and_are_repeated() {
    let picture = picture();
    let a = r#"{"box":[1,1,4,4],"track":"a"}"#;
    let b = r#"{"box":[2,4,7,7],"track":"b","question":"Is <region1> red?"}"#;
    let text = line(0, &picture, a) + &line(1, &picture, &format!("{a},{b}"));
    let lines = run(Policy::default(), true, &manner(), Duration::ZERO, &text);
    let [first, second] = of(&lines, "answer")[..] else {
        panic!("{lines:?}");
    };
    assert_eq!(
        (&first["answer"], &first["seq"], &first["why"]),
        (&"some 1".into(), &0.into(), &"new".into())
    );
    assert_eq!(
        (&second["answer"], &second["question"]),
        (&"some 2".into(), &"Is <region1> red?".into())
    );
    let [again] = of(&lines, "repeat")[..] else {
        panic!("{lines:?}");
    };
    assert_eq!(
        (&again["answer"], &again["seq"], &again["track"]),
        (&"some 1".into(), &1.into(), &"a".into())
    );
    assert!(again["age"].as_f64().is_some_and(|age| age >= 0.0));
    assert_eq!(lines.last().unwrap()["answered"], 2);
}

#[test]
fn what_cannot_be_used_says_why_and_the_rest_goes_on() {
    let picture = picture();
    let good = r#"{"box":[1,1,4,4]}"#;
    let text = "\u{feff}".to_owned()
        + &line(0, "AAAA", good)
        + &line(1, &picture, r#"{"box":[1,1,4,4],"question":"What?"}"#)
        + &line(2, &picture, r#"{"box":[1e9,1,2e9,4]},{"box":[1,1,4,4]}"#)
        + "nonsense\n"
        + &line(3, &picture, r#"{"box":[4,4,1,1]}"#)
        + r#"{"seq":4,"detections":[{"box":[5,5,8,8]}]}"#;
    let lines = run(Policy::default(), true, &manner(), Duration::ZERO, &text);
    let drops: Vec<_> =
        of(&lines, "drop").iter().map(|d| (d["seq"].clone(), d["reason"].clone())).collect();
    assert_eq!(
        drops,
        [
            (0.into(), "no_picture".into()),
            (1.into(), "refused".into()),
            (2.into(), "refused".into()),
            (4.into(), "no_picture".into())
        ]
    );
    assert!(of(&lines, "drop").iter().all(|d| d["error"].is_string()), "{lines:?}");
    let errors: Vec<_> = of(&lines, "error").iter().map(|e| e["line"].clone()).collect();
    assert_eq!(errors, [4, 5]);
    let stats = lines.last().unwrap();
    assert_eq!(
        (&stats["answered"], &stats["bad_lines"], &stats["bad_detections"]),
        (&1.into(), &1.into(), &1.into())
    );
    assert_eq!((&stats["lines"], &stats["waiting"]), (&6.into(), &0.into()));
}

#[test]
fn an_answer_that_takes_too_long_is_cancelled_and_said_so() {
    let picture = picture();
    let policy = Policy { deadline: Some(Duration::from_millis(60)), ..Policy::default() };
    let both = r#"{"box":[1,1,4,4],"track":"a"},{"box":[4,4,7,7],"track":"b"}"#;
    let text = line(0, &picture, both) + &line(1, &picture, "");
    let lines = run(policy, true, &manner(), Duration::from_millis(40), &text);
    assert_eq!(of(&lines, "answer").len(), 1, "{lines:?}");
    let [late] = of(&lines, "drop")[..] else {
        panic!("{lines:?}");
    };
    assert_eq!((&late["reason"], &late["partial"]), (&"deadline".into(), &"some ".into()));
    let latency = late["latency_ms"].as_f64().unwrap();
    assert!((55.0..1000.0).contains(&latency), "{latency}");
}

#[test]
fn embeddings_and_choices_come_first_for_every_frame() {
    let picture = picture();
    let a = r#"{"box":[1,1,4,4],"track":"a"}"#;
    let text = line(0, &picture, a) + &line(1, &picture, a);
    let policy = Policy { every_frame: true, ..Policy::default() };
    let manner = Manner { embed: true, labels: vec!["x".into()], partial: true, ..manner() };
    let lines = run(policy, true, &manner, Duration::ZERO, &text);
    let events: Vec<_> = lines.iter().map(|l| l["event"].as_str().unwrap()).collect();
    let expected =
        ["embedding", "choices", "partial", "answer", "embedding", "choices", "repeat", "stats"];
    assert_eq!(events, expected);
    // 1 and 2 in float16.
    assert_eq!(lines[0]["embedding"], "ADwAQA==");
    assert_eq!(lines[1]["choices"][0][0], "x");
}

#[test]
fn a_reader_that_leaves_ends_the_stream() {
    let (hub, received) = hub(Policy::default(), true);
    drop(received);
    let text = line(0, &picture(), r#"{"box":[1,1,4,4]}"#).repeat(50);
    let cancel = CancelToken::new();
    let mut fake = Fake { cancel: cancel.clone(), takes: Duration::ZERO, n_looks: 0 };
    std::thread::scope(|scope| {
        scope.spawn(|| Feed::new(&hub, None, None).run(text.as_bytes()).unwrap());
        work(&hub, &mut fake, &manner(), &cancel).unwrap();
    });
    assert_eq!(hub.take_error().map(|e| e.kind()), Some(std::io::ErrorKind::BrokenPipe));
    assert!(fake.n_looks <= 1);
}

/// A frame that waits for room when the stream is stopped is settled as those that wait for the model are.
#[test]
fn a_stop_settles_what_readers_hold() {
    let (hub, received) = hub(Policy::default(), true);
    let a = r#"{"box":[1,1,4,4],"track":"a"},{"box":[4,4,7,7],"track":"b"}"#;
    let text = line(0, "", a) + &line(1, "", a) + &line(2, "", a);
    std::thread::scope(|scope| {
        let feed = || Feed::new(&hub, Some(Dialect::Own), None).run(text.as_bytes()).unwrap();
        scope.spawn(feed);
        // The first frame waits for the model, which never comes, and the second for room.
        while hub.stats().lines < 2 {
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_millis(50));
        hub.stop();
        hub.finish();
    });
    // Nobody listens any more.
    hub.stop();
    drop(hub);
    let lines: Vec<_> = received.iter().collect();
    let stats = lines.last().unwrap();
    assert_eq!((&stats["event"], &stats["lines"]), (&"stats".into(), &2.into()));
    assert_eq!((&stats["detections"], &stats["waiting"]), (&4.into(), &0.into()), "{stats}");
    let drops = of(&lines, "drop");
    assert!(drops.len() == 4 && drops.iter().all(|d| d["reason"] == "stopped"), "{lines:?}");
}

/// A line may hold several frames, and the last may wait for another line.
#[test]
fn a_stop_settles_what_lines_hold() {
    let (hub, received) = hub(Policy::default(), false);
    hub.stop();
    let text = r#"[{"image_id":1,"bbox":[1,2,3,4]},{"image_id":2,"bbox":[1,2,3,4]}]"#;
    Feed::new(&hub, None, None).run(text.as_bytes()).unwrap();
    Feed::new(&hub, None, None).run(&b"1,1,1,1,5,5"[..]).unwrap();
    hub.finish();
    drop(hub);
    let lines: Vec<_> = received.iter().collect();
    let stats = lines.last().unwrap();
    assert_eq!((&stats["detections"], &stats["waiting"]), (&3.into(), &0.into()), "{stats}");
    assert_eq!(of(&lines, "drop").len(), 3);
}

/// Frames come ten times as fast as they can be described.
#[test]
fn overload_is_dropped_and_counted() {
    let picture = picture();
    let policy = Policy { deadline: Some(Duration::from_millis(100)), ..Policy::default() };
    let (hub, received) = hub(policy, false);
    let cancel = CancelToken::new();
    let mut fake = Fake { cancel: cancel.clone(), takes: Duration::from_millis(20), n_looks: 0 };
    let most_waiting = Mutex::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for seq in 0..200u64 {
                // Everything is new: nothing can be repeated.
                let text = line(seq, &picture, &format!(r#"{{"box":[1,1,4,4],"track":{seq}}}"#));
                let mut reader = dialect::Reader::new(None);
                for message in reader.push(text.trim().as_bytes()).unwrap().messages {
                    let bytes = Source::Bytes(Arc::from([]));
                    hub.accept(message, |d| match d.frame.picture.take() {
                        Some(Picture::Bytes(b)) => Source::Bytes(b.into()),
                        _ => bytes,
                    });
                }
                let waiting = hub.stats().counters.waiting;
                let mut most = most_waiting.lock().unwrap();
                *most = waiting.max(*most);
                std::thread::sleep(Duration::from_millis(2));
            }
            hub.end();
        });
        work(&hub, &mut fake, &manner(), &cancel).unwrap();
    });
    let counters = hub.stats().counters;
    drop(hub);
    let lines: Vec<_> = received.iter().collect();
    assert_eq!(counters.detections, 200);
    assert_eq!(counters.answered + counters.dropped.total(), 200);
    assert_eq!(lines.len(), 200);
    assert!(counters.dropped.superseded > 100, "{counters:?}");
    assert!(*most_waiting.lock().unwrap() <= 2);
    for answer in of(&lines, "answer") {
        assert!(answer["latency_ms"].as_f64().unwrap() < 200.0, "{answer}");
    }
}
