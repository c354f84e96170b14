use super::*;
use crate::dataset::RegionBox;
use crate::decode::FinishReason;
use crate::{PixelBox, StageTimings};
use proptest::prelude::*;

fn seconds(s: f64) -> Duration {
    Duration::from_secs_f64(s)
}

/// A detection of a track at `x`.
fn seen(track: &str, x: f64) -> Detection {
    let shape = RegionBox::Pixels(PixelBox::new(x, 0.0, x + 10.0, 10.0));
    Detection { track: Some(track.into()), ..Detection::new(shape) }
}

fn frame(camera: &str, items: Vec<Detection>) -> Detections {
    let frame = FrameRef { camera: camera.into(), ..FrameRef::default() };
    Detections { frame, items }
}

fn answer(text: &str, n_generated: usize) -> Answer {
    Answer {
        text: text.into(),
        finish: FinishReason::Stop,
        n_prompt: 0,
        n_reused: 0,
        n_generated,
        logprob: -0.5,
        warnings: Vec::new(),
        timings_ms: StageTimings::default(),
        tokens: Vec::new(),
        token_logprobs: Vec::new(),
    }
}

/// What became of detections, in words.
fn words(settled: &[Settled]) -> Vec<String> {
    let word = |s: &Settled| {
        let who = s.detection.track.clone().unwrap_or_default();
        match &s.fate {
            Fate::Answered { why, answer, .. } => format!("{who} {why:?} {}", answer.text),
            Fate::Repeated(said) => format!("{who} again {}", said.answer),
            Fate::Dropped { reason, .. } => format!("{who} {reason:?}"),
        }
    };
    settled.iter().map(word).collect()
}

/// Answers the next frame, with the time as the text; gives what is settled.
fn answer_next(s: &mut Scheduler<()>, now: f64) -> Vec<String> {
    let (mut settled, job) = s.next(seconds(now));
    if let Some(mut job) = job {
        settled.extend(s.repeat_known(&mut job, seconds(now)));
        for asked in job.asked {
            let answer = answer(&now.to_string(), 8);
            settled.push(s.answered(&job.frame, asked, answer, seconds(now)));
        }
    }
    words(&settled)
}

fn arrive(s: &mut Scheduler<()>, now: f64, items: Vec<Detection>) -> Vec<String> {
    words(&s.arrive(frame("", items), (), seconds(now)))
}

#[test]
fn a_track_is_described_once_until_it_moves_or_its_answer_is_old() {
    let refresh = Some(Duration::from_secs(60));
    let mut s = Scheduler::new(Policy { refresh, ..Policy::default() });
    assert_eq!(arrive(&mut s, 0.0, vec![seen("a", 0.0)]), [""; 0]);
    assert_eq!(answer_next(&mut s, 1.0), ["a New 1"]);
    // It moves a little, at once from memory.
    assert_eq!(arrive(&mut s, 2.0, vec![seen("a", 2.0)]), ["a again 1"]);
    assert_eq!(answer_next(&mut s, 2.5), [""; 0]);
    // It moves on; the other one is new.
    assert_eq!(arrive(&mut s, 3.0, vec![seen("a", 6.0), seen("b", 90.0)]), [""; 0]);
    assert_eq!(answer_next(&mut s, 4.0), ["b New 4", "a Changed 4"]);
    assert_eq!(arrive(&mut s, 50.0, vec![seen("a", 6.0)]), ["a again 4"]);
    // The age is that of the frame, not of the answer.
    assert_eq!(arrive(&mut s, 63.0, vec![seen("a", 6.0)]), [""; 0]);
    assert_eq!(answer_next(&mut s, 64.0), ["a Refresh 64"]);
    let c = s.counters();
    assert_eq!((c.detections, c.answered, c.repeated, c.waiting), (6, 4, 2, 0));
}

#[test]
fn the_newest_frame_wins_and_what_is_known_of_older_ones_is_repeated() {
    let mut s = Scheduler::new(Policy::default());
    arrive(&mut s, 0.0, vec![seen("a", 0.0)]);
    answer_next(&mut s, 0.0);
    assert_eq!(arrive(&mut s, 1.0, vec![seen("a", 0.0), seen("b", 50.0)]), [""; 0]);
    assert_eq!(arrive(&mut s, 2.0, vec![seen("c", 90.0)]), ["a again 0", "b Superseded"]);
    // Another camera has a queue of its own.
    assert!(s.arrive(frame("yard", vec![seen("d", 0.0)]), (), seconds(2.0)).is_empty());
    assert_eq!(answer_next(&mut s, 3.0), ["c New 3"]);
    assert_eq!(answer_next(&mut s, 4.0), ["d New 4"]);
    assert_eq!(s.counters().frames_dropped, 1);
}

#[test]
fn detections_that_come_one_by_one_are_a_frame_together() {
    let mut s = Scheduler::new(Policy::default());
    let mut event = |time: f64, track: &str, x: f64| {
        let frame = FrameRef { time: Some(time), ..FrameRef::default() };
        let detections = Detections { frame, items: vec![seen(track, x)] };
        words(&s.arrive(detections, (), seconds(time)))
    };
    assert_eq!(event(1.0, "a", 0.0), [""; 0]);
    assert_eq!(event(1.0, "b", 50.0), [""; 0]);
    assert_eq!(event(1.0, "a", 1.0), ["a Duplicate"]);
    assert_eq!(answer_next(&mut s, 1.5), ["a New 1.5", "b New 1.5"]);
    let mut nameless = |track: &str| {
        let detections = Detections { frame: FrameRef::default(), items: vec![seen(track, 90.0)] };
        words(&s.arrive(detections, (), seconds(2.0)))
    };
    assert_eq!(nameless("c"), [""; 0]);
    assert_eq!(nameless("d"), ["c Superseded"]);
}

#[test]
fn what_waited_too_long_is_dropped() {
    let deadline = Some(Duration::from_secs(2));
    let mut s = Scheduler::new(Policy { deadline, ..Policy::default() });
    arrive(&mut s, 0.0, vec![seen("a", 0.0)]);
    assert_eq!(answer_next(&mut s, 2.5), ["a Deadline"]);
    arrive(&mut s, 3.0, vec![seen("a", 0.0)]);
    assert_eq!(answer_next(&mut s, 4.0), ["a New 4"]);
}

#[test]
fn filters_caps_and_budgets_say_so() {
    let mut s = Scheduler::new(Policy {
        min_score: 0.5,
        labels: vec!["dog".into()],
        max_regions: 1,
        tokens_per_second: Some(1.0),
        ..Policy::default()
    });
    let of = |track: &str, label: &str, score| Detection {
        label: Some(label.into()),
        score: Some(score),
        ..seen(track, 0.0)
    };
    let items =
        vec![of("a", "dog", 0.1), of("b", "cat", 0.9), of("c", "dog", 0.8), of("d", "dog", 0.9)];
    assert_eq!(arrive(&mut s, 0.0, items), ["a LowScore", "b Label"]);
    // Sixteen tokens are expected, five can be saved in five seconds.
    assert_eq!(answer_next(&mut s, 0.0), ["d OverBudget", "c OverBudget"]);
    s.apply(Settings { tokens_per_second: Some(0.0), ..Settings::default() });
    arrive(&mut s, 1.0, vec![of("c", "dog", 0.8), of("d", "dog", 0.9), of("d", "dog", 0.9)]);
    assert_eq!(answer_next(&mut s, 1.0), ["c OverCap", "d New 1"]);
    assert_eq!(s.counters().dropped.duplicate, 1);
}

#[test]
fn another_question_makes_everybody_new() {
    let mut s = Scheduler::new(Policy::default());
    arrive(&mut s, 0.0, vec![seen("a", 0.0)]);
    answer_next(&mut s, 0.0);
    let question = Some("What colour is <region1>?".to_owned());
    s.apply(Settings { question, ..Settings::default() });
    assert_eq!(arrive(&mut s, 1.0, vec![seen("a", 0.0)]), [""; 0]);
    assert_eq!(answer_next(&mut s, 1.0), ["a New 1"]);
    assert_eq!(arrive(&mut s, 2.0, vec![seen("a", 0.0)]), ["a again 1"]);
    s.forget();
    arrive(&mut s, 3.0, vec![seen("a", 0.0)]);
    assert_eq!(answer_next(&mut s, 3.0), ["a New 3"]);
}

#[test]
fn what_looks_different_is_described_again() {
    let mut s = Scheduler::new(Policy::default());
    let look = |s: &mut Scheduler<()>, now: f64, embeddings: &[[f32; 2]]| {
        let others = embeddings.len() - 1;
        let mut items = vec![seen("a", 0.0)];
        items.extend((0..others).map(|i| seen(&format!("{now}{i}"), 50.0)));
        s.arrive(frame("", items), (), seconds(now));
        let (_, job) = s.next(seconds(now));
        let mut job = job.expect("something to look at");
        // Those asked about come first.
        let all: Vec<_> = embeddings.iter().rev().map(|e| e.to_vec()).collect();
        let mut settled = s.compare(&mut job, &all, seconds(now));
        settled.extend(s.repeat_known(&mut job, seconds(now)));
        for asked in job.asked {
            let answer = answer(&now.to_string(), 1);
            settled.push(s.answered(&job.frame, asked, answer, seconds(now)));
        }
        words(&settled)
    };
    assert_eq!(look(&mut s, 1.0, &[[1.0, 0.0]]), ["a New 1"]);
    assert_eq!(look(&mut s, 2.0, &[[1.0, 0.1], [0.0, 1.0]]), ["a again 1", "20 New 2"]);
    assert_eq!(look(&mut s, 3.0, &[[0.5, 0.9], [0.0, 1.0]]), ["30 New 3", "a Changed 3"]);
}

/// Something that happens to a scheduler.
#[derive(Clone, Debug)]
enum Act {
    Frame { camera: u8, tracks: Vec<(u8, u8)> },
    Look { fail: u8 },
    Pass(u16),
    Forget,
}

fn act() -> impl Strategy<Value = Act> {
    let tracks = prop::collection::vec((0..12u8, 0..40u8), 0..6);
    prop_oneof![
        4 => (0..3u8, tracks).prop_map(|(camera, tracks)| Act::Frame { camera, tracks }),
        3 => any::<u8>().prop_map(|fail| Act::Look { fail }),
        2 => (0..2000u16).prop_map(Act::Pass),
        1 => Just(Act::Forget),
    ]
}

proptest! {
    #[test]
    fn every_detection_is_settled_once(
        acts in prop::collection::vec(act(), 0..60),
        queue in 0..3usize,
        every_frame: bool,
        rate in prop::option::of(1.0..50.0f64),
    ) {
        let mut s = Scheduler::new(Policy {
            queue,
            every_frame,
            tokens_per_second: rate,
            max_regions: 3,
            deadline: Some(Duration::from_secs(2)),
            refresh: Some(Duration::from_secs(5)),
            ..Policy::default()
        });
        let (mut now, mut n, mut settled) = (Duration::ZERO, 0u64, Vec::new());
        for act in acts {
            match act {
                Act::Frame { camera, tracks } => {
                    let items = tracks.iter().map(|&(track, x)| {
                        n += 1;
                        // Its number in a field that changes nothing here.
                        let score = Some(n as f64);
                        let track = (track > 2).then(|| track.to_string());
                        Detection { track, score, ..seen("", f64::from(x)) }
                    });
                    let items = items.collect();
                    settled.extend(s.arrive(frame(&camera.to_string(), items), (), now));
                }
                Act::Look { fail } => {
                    let (gone, job) = s.next(now);
                    settled.extend(gone);
                    let Some(mut job) = job else { continue };
                    let vectors: Vec<_> =
                        job.detections().map(|d| vec![d.score.unwrap() as f32, 3.0]).collect();
                    settled.extend(s.compare(&mut job, &vectors, now));
                    settled.extend(s.repeat_known(&mut job, now));
                    for (i, asked) in job.asked.into_iter().enumerate() {
                        settled.push(if fail & (1 << i) != 0 {
                            s.failed(&job.frame, asked.detection, Failure::default(), now)
                        } else {
                            s.answered(&job.frame, asked, answer("", 5), now)
                        });
                    }
                }
                Act::Pass(ms) => now += Duration::from_millis(ms.into()),
                Act::Forget => s.forget(),
            }
            let c = s.counters();
            prop_assert_eq!(c.detections, n);
            prop_assert_eq!(c.answered + c.repeated + c.dropped.total() + c.waiting, n);
            prop_assert_eq!(settled.len() as u64, n - c.waiting);
            prop_assert!(s.waiting.len() <= 3 * queue.max(1));
        }
        settled.extend(s.stop(now));
        let mut numbers: Vec<u64> =
            settled.iter().map(|s| s.detection.score.unwrap() as u64).collect();
        numbers.sort_unstable();
        prop_assert_eq!(numbers, (1..=n).collect::<Vec<_>>());
    }
}
