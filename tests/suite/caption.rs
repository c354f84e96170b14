//! `gpt4roi caption` and `merge` as a person meets them: formats, resumed runs, signals, shards.

use crate::caption_desk::{Desk, lines};
use gpt4roi_tests::pictures::png;
use gpt4roi_tests::programs::{Run, run, start};
use gpt4roi_tests::workspace;
use serde_json::{Value, json};
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

#[test]
fn a_line_for_every_box_and_a_summary() {
    let desk = Desk::new(5);
    let plain = desk.caption(&["--input", &desk.path("set.json")]).exits(0);
    let printed = lines(&plain.out);
    let keys: Vec<&String> = printed[0].as_object().expect("an object").keys().collect();
    assert_eq!(
        keys,
        ["image", "id", "label", "box", "question", "answer", "logprob", "finish", "n_generated"]
    );
    assert_eq!(printed.len(), 1 + 2 + 3 + 1);
    assert_eq!(printed[0]["label"], "cup");
    assert_eq!(printed[0]["box"], json!([0.0, 0.0, 20.0, 25.0]));
    assert_eq!(printed[6]["image"], "004.png");
    plain.says(&["5 images", "7 regions", "7 answers", "0 errors", "answers/s", "tokens/s"]);
    let filed = desk.fill("out.jsonl", &[]).exits(0);
    assert_eq!(filed.out, "");
    assert_eq!(lines(&desk.read("out.jsonl")), printed);
    let again = desk.fill("out.jsonl", &[]).exits(0).says(&["complete: nothing to do"]);
    assert_eq!(again.out, "");
    desk.fill("out.jsonl", &["--max-tokens=3"]).exits(1).says(&["`max-tokens`", "--restart"]);
    desk.fill("out.jsonl", &["--max-tokens=3", "--restart"]).exits(0);
    assert_eq!(lines(&desk.read("out.jsonl"))[0]["n_generated"], 3);
}

#[test]
fn yolo_folders_and_single_images() {
    let desk = Desk::new(0);
    for i in 0..2 {
        desk.file(&format!("yolo/images/{i}.png"), &png(80, 40, i));
        desk.file(&format!("yolo/labels/{i}.txt"), b"0 0.5 0.5 0.25 0.5\n1 0.25 0.5 0.5 0.5\n");
    }
    desk.file("yolo/classes.txt", b"cup\nkey\n");
    let input = format!("--input={}", desk.path("yolo"));
    let yolo = desk.caption(&[&input, "--format=yolo", "--class-hint"]).exits(0);
    let yolo = lines(&yolo.out);
    assert_eq!(yolo.len(), 4);
    assert_eq!((&yolo[0]["label"], &yolo[1]["label"]), (&json!("cup"), &json!("key")));
    assert_eq!(yolo[0]["box"], json!([30.0, 10.0, 50.0, 30.0]));
    let image = format!("--input={}", desk.path("yolo/images/0.png"));
    let two = ["--prompt=What is <region1>?", "--prompt=Where is <region1>?"];
    let boxes = ["--box=30,10,50,30", "--box=0,0,9,9"];
    let one = desk.caption(&[&[image.as_str()][..], &two, &boxes].concat()).exits(0);
    let one = lines(&one.out);
    let asked: Vec<_> = one.iter().map(|l| (l["id"].as_str(), l["question"].as_str())).collect();
    let questions = [Some("What is <region1>?"), Some("Where is <region1>?")];
    assert_eq!(
        asked,
        [
            (Some("1"), questions[0]),
            (Some("1"), questions[1]),
            (Some("2"), questions[0]),
            (Some("2"), questions[1]),
        ]
    );
    let fractions = ["--normalized", "--box-format=xywh", "--box=0.375,0.25,0.25,0.5", two[0]];
    let again = desk.caption(&[&[image.as_str()][..], &fractions].concat()).exits(0);
    let again = lines(&again.out);
    // One question alone and four together differ in the last bits of the log-probability.
    for field in ["image", "id", "box", "question", "answer"] {
        assert_eq!(again[0][field], one[0][field], "{field}");
    }
}

#[test]
fn usage_mistakes() {
    let desk = Desk::new(1);
    let set = format!("--input={}", desk.path("set.json"));
    let image = format!("--input={}", desk.path("000.png"));
    for (args, says) in [
        (&[set.as_str(), "--restart"][..], "--output"),
        (&[&set, "--to=coco"], "--output"),
        (&[&set, "--box=1,2,3,4"], "--box"),
        (&[&image], "--box"),
        (&[&set, "--prompt=<region1>", "--task=detail"], "exclude"),
        (&[&set, "--output=x.json", "--to=coco", "--shard=1/2"], "merge"),
        (&[&set, "--shard=3/2"], "I/N"),
        (&[&set, "--task=frobnicate"], "category"),
        (&[&set, "--format=frobnicate"], "labelme"),
        (&[], "--input"),
    ] {
        let run = desk.caption(args).exits(2).says(&[says, "--help"]);
        assert_eq!(run.out, "", "{args:?}");
    }
    desk.caption(&[&set, "--prompt=What is this?"]).exits(1).says(&["`<region1>` stands for"]);
    desk.caption(&["--input=/no/such/set.json"]).exits(1).says(&["/no/such/set.json"]);
    desk.caption(&[&set, "--output=/no/such/dir/o.jsonl"]).exits(1).says(&["/no/such/dir"]);
    for command in ["caption", "merge"] {
        let help = run("gpt4roi", &[command, "--help"]).exits(0);
        assert!(help.out.contains("Examples"), "{help:?}");
    }
}

#[test]
fn a_broken_picture_is_skipped_and_counted() {
    let desk = Desk::new(5);
    desk.file("001.png", b"this is no picture");
    fs::remove_file(desk.at("002.png")).expect("a picture");
    let strict = desk.fill("out.jsonl", &["--strict"]).exits(1);
    strict.says(&["001.png", "--strict", "1 images"]);
    assert!(!desk.at("out.jsonl").exists());
    let run = desk.fill("out.jsonl", &[]).exits(0);
    let run = run.says(&["001.png", "not an image", "002.png", "2 errors", "1 images skipped"]);
    assert!(run.err.contains("4 images"), "{run:?}");
    let lines = lines(&desk.read("out.jsonl"));
    let failed: Vec<_> = lines.iter().filter(|l| l.get("error").is_some()).collect();
    assert_eq!(failed.len(), 2);
    assert_eq!(failed[0].as_object().expect("an object").len(), 2);
    assert_eq!((&failed[0]["image"], &failed[1]["image"]), (&json!("001.png"), &json!("002.png")));
    assert_eq!(lines.len(), 1 + 2 + 1);
}

#[test]
fn shards_and_batches_change_nothing() {
    let desk = Desk::new(9);
    desk.fill("whole.jsonl", &[]).exits(0);
    let whole = lines(&desk.read("whole.jsonl"));
    let part = |i: usize| format!("part-{i}.jsonl");
    for i in 1..=3 {
        desk.fill(&part(i), &[&format!("--shard={i}/3")]).exits(0);
    }
    let merge = |parts: &[usize], more: &[&str]| {
        let mut args = vec!["merge".to_owned(), desk.output("merged")];
        args.extend(more.iter().map(|m| (*m).to_owned()));
        args.extend(parts.iter().map(|i| desk.path(&part(*i))));
        run("gpt4roi", &args)
    };
    merge(&[1, 3], &[]).exits(1).says(&["shard 2/3 is not given"]);
    merge(&[3, 1, 2], &[]).exits(0).says(&["9 images"]);
    assert_eq!(lines(&desk.read("merged")), whole);
    merge(&[3, 1, 2], &[]).exits(1).says(&["exists already"]);
    merge(&[3, 1, 2], &["--to=coco", "--restart"]).exits(0);
    desk.fill("whole.json", &["--to=coco"]).exits(0);
    assert_eq!(desk.read("merged"), desk.read("whole.json"));
    let coco: Value = serde_json::from_str(&desk.read("merged")).expect("a list");
    let first = json!({ "image_id": 1000, "id": 1, "caption": whole[0]["answer"] });
    assert_eq!(coco[0], first);
}

#[test]
fn the_tools_of_coco_load_the_results() {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let has_tools = Command::new(&python).args(["-c", "import pycocotools"]).output();
    if !has_tools.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: {python} has no pycocotools (name another interpreter with PYTHON)");
        return;
    }
    let desk = Desk::new(7);
    desk.file("001.png", b"this is no picture");
    let prompts = ["--prompt=What is <region1>?", "--prompt=Where is <region1>?"];
    desk.fill("out.json", &[&["--to=coco"][..], &prompts].concat()).exits(0);
    let script = workspace().join("scripts/check_coco.py");
    let files = ["set.json", "out.json"].map(|name| desk.at(name));
    let checked = Command::new(python).arg(script).args(files).output();
    let run: Run = checked.expect("an interpreter").into();
    let run = run.exits(0);
    // Two of the twelve boxes are in the picture that cannot be read.
    assert!(run.out.contains("20 results of 5 images are in order, 10 of 12"), "{run:?}");
}

#[cfg(unix)]
#[test]
fn a_reader_that_leaves_ends_the_run_quietly() {
    let desk = Desk::new(9);
    let mut child = start("gpt4roi", &desk.args(&["--input", &desk.path("set.json")]));
    drop(child.stdout.take());
    let run: Run = child.wait_with_output().expect("an end").into();
    let run = run.exits(0);
    assert!(!run.err.contains("cannot write"), "{run:?}");
}

/// A stream of numbers for delays.
struct Delays(u64);

impl Delays {
    /// Between 5 and 200 ms, short ones more often.
    fn next(&mut self) -> Duration {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let x = (self.0 >> 33) as f64 / (1_u64 << 31) as f64;
        Duration::from_millis(5 + (195.0 * x * x) as u64)
    }
}

/// Images that a journal has.
fn n_done(desk: &Desk, name: &str) -> usize {
    let text = fs::read_to_string(desk.at(&format!("{name}.partial"))).unwrap_or_default();
    text.lines().filter(|l| l.starts_with("{\"end\":") && l.ends_with("}}")).count()
}

#[cfg(unix)]
#[test]
fn killed_at_any_moment_nothing_is_lost_and_nothing_comes_twice() {
    const KILLS: usize = 60;
    let desk = Desk::new(40);
    desk.fill("whole.jsonl", &[]).exits(0);
    let whole = lines(&desk.read("whole.jsonl"));
    let set = format!("--input={}", desk.path("set.json"));
    let args = desk.args(&[&set, &desk.output("out.jsonl")]);
    let (mut kills, mut resumed, mut finished, mut done) = (0, 0, 0, 0);
    let mut delays = Delays(1);
    // Beyond the kills to the end of the run at hand.
    while kills < KILLS || finished == 0 || done > 0 {
        let mut child = start("gpt4roi", &args);
        if kills < KILLS {
            std::thread::sleep(delays.next());
        } else {
            child.wait().expect("an end");
        }
        let was_running = child.try_wait().expect("a state").is_none();
        if was_running {
            child.kill().expect("a signal");
        }
        let run: Run = child.wait_with_output().expect("an end").into();
        if was_running && run.code.is_none() {
            kills += 1;
            let now = n_done(&desk, "out.jsonl");
            let is_complete = desk.at("out.jsonl").exists();
            assert!(now >= done || is_complete, "{done} images were done, {now} are left");
            resumed += usize::from(done > 0);
            done = now;
            continue;
        }
        run.exits(0);
        assert_eq!(lines(&desk.read("out.jsonl")), whole, "after {kills} kills");
        for name in ["out.jsonl", "out.jsonl.meta.json"] {
            fs::remove_file(desk.at(name)).expect("an output");
        }
        assert!(!desk.at("out.jsonl.partial").exists());
        (finished, done) = (finished + 1, 0);
    }
    println!("{kills} kills, {resumed} of resumed runs, {finished} outputs");
    assert!(resumed >= KILLS / 4, "only {resumed} of {KILLS} kills hit a run with something done");
}

#[cfg(unix)]
#[test]
fn signals_leave_what_can_be_resumed() {
    let desk = Desk::new(60);
    desk.fill("whole.jsonl", &["--max-tokens=40"]).exits(0);
    let set = format!("--input={}", desk.path("set.json"));
    let args = desk.args(&[&set, &desk.output("out.jsonl"), "--max-tokens=40"]);
    let mut before = 0;
    for signal in ["-INT", "-TERM"] {
        let child = start("gpt4roi", &args);
        let begun = Instant::now();
        while n_done(&desk, "out.jsonl") <= before && begun.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(2));
        }
        let id = child.id().to_string();
        let kill = Command::new("kill").args([signal, &id]).status();
        assert!(kill.is_ok_and(|s| s.success()));
        let run: Run = child.wait_with_output().expect("an end").into();
        run.exits(130).says(&["interrupted", "out.jsonl.partial", "same command", "images"]);
        let now = n_done(&desk, "out.jsonl");
        assert!(now > before && now < 60, "{now} images");
        before = now;
    }
    let last = desk.fill("out.jsonl", &["--max-tokens=40"]).exits(0);
    last.says(&[&format!("{before} images skipped")]);
    assert_eq!(lines(&desk.read("out.jsonl")), lines(&desk.read("whole.jsonl")));
}
