//! Runs that are stopped, torn and resumed.

use super::fake::{Desk, Fake, Run, meta, read, records};
use gpt4roi::caption::{Error, Journal, Meta, Opened, Shard, Target, partial_path, sidecar_path};
use std::fs;

fn refused(desk: &Desk, run: &Run) -> String {
    desk.run(&mut Fake::default(), run).expect_err("an error").to_string()
}

#[test]
fn a_run_leaves_uniform_lines_and_nothing_half_done() {
    let desk = Desk::new();
    let run = Run::new("out.jsonl", desk.entries(5));
    let summary = desk.run(&mut Fake::default(), &run).unwrap();
    assert_eq!((summary.images, summary.regions, summary.answers), (5, 4, 4));
    let records = records(&desk.at("out.jsonl"));
    let names: Vec<_> = records.iter().filter_map(|r| r.image.as_deref()).collect();
    assert_eq!(names, ["1.png", "2.png", "2.png", "4.png"]);
    assert_eq!(records[2].id.as_deref(), Some("2"));
    assert_eq!(records[2].edges, Some([2.0, 2.0, 12.0, 20.0]));
    let line = read(&desk.at("out.jsonl")).lines().next().unwrap().to_owned();
    let keys: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&line).unwrap();
    let expected = "image id label box question answer logprob finish n_generated timings_ms";
    assert_eq!(keys.keys().map(String::as_str).collect::<Vec<_>>().join(" "), expected);
    let mut left: Vec<_> =
        fs::read_dir(desk.at("")).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.retain(|name| !name.to_string_lossy().ends_with(".png"));
    left.sort();
    assert_eq!(left, ["out.jsonl", "out.jsonl.meta.json"]);
}

#[test]
fn a_journal_cut_anywhere_is_resumed_to_the_same_output() {
    let desk = Desk::new();
    let whole = Run::new("whole.jsonl", desk.entries(7));
    desk.run(&mut Fake::default(), &whole).unwrap();
    let expected = read(&desk.at("whole.jsonl"));
    // A journal that has everything but its end.
    let torn = Run::new("torn.jsonl", desk.entries(7));
    let partial = partial_path(&desk.at("torn.jsonl"));
    let mut fake = Fake { stop_after: Some(6), ..Fake::default() };
    desk.run(&mut fake, &torn).expect_err("stopped");
    let full = fs::read(&partial).unwrap();
    assert!(full.len() > 500);
    // Within lines every few bytes will do, at their ends each counts.
    let is_near_end =
        |cut: usize| full[cut.saturating_sub(2)..full.len().min(cut + 2)].contains(&b'\n');
    for cut in (0..=full.len()).filter(|cut| cut % 13 == 0 || is_near_end(*cut)) {
        fs::write(&partial, &full[..cut]).unwrap();
        let mut fake = Fake::default();
        let summary = desk.run(&mut fake, &torn).unwrap();
        assert_eq!(read(&desk.at("torn.jsonl")), expected, "cut at {cut}");
        assert_eq!(summary.images + summary.skipped, 7);
        assert!(!partial.exists());
        fs::remove_file(desk.at("torn.jsonl")).unwrap();
    }
}

#[test]
fn what_is_done_is_not_asked_again() {
    let desk = Desk::new();
    let run = Run::new("out.jsonl", desk.entries(12));
    let mut fake = Fake { stop_after: Some(4), ..Fake::default() };
    let stopped = desk.run(&mut fake, &run).expect_err("stopped");
    assert!(matches!(stopped, gpt4roi::Error::Cancelled));
    let mut fake = Fake::default();
    let summary = desk.run(&mut fake, &run).unwrap();
    // 12 regions; the fourth question is the first one of an image that was not done.
    assert_eq!(fake.n_asked, 12 - 4);
    assert_eq!(summary.skipped, 5);
    // Once more: there is nothing to do.
    let mut fake = Fake::default();
    desk.run(&mut fake, &run).unwrap();
    assert_eq!(fake.n_asked, 0);
}

#[test]
fn other_options_are_refused_by_name() {
    let desk = Desk::new();
    let run = |meta: Meta| Run { meta, ..Run::new("out.jsonl", desk.entries(6)) };
    let mut fake = Fake { stop_after: Some(2), ..Fake::default() };
    desk.run(&mut fake, &run(meta("one"))).expect_err("stopped");
    let other = refused(&desk, &run(meta("two")));
    for part in ["`prompt`", "\"one\"", "\"two\"", "--restart", "--output", "out.jsonl.partial"] {
        assert!(other.contains(part), "{other}");
    }
    let shard = Meta::new(meta("one").options, "1/2".parse::<Shard>().unwrap());
    assert!(refused(&desk, &run(shard)).contains("`shard`"));
    let mut more = meta("one");
    more.options.insert("seed".into(), 3.into());
    assert!(refused(&desk, &run(more)).contains("`seed`: none then, 3 now"));
    // A finished output is no other matter.
    desk.run(&mut Fake::default(), &run(meta("one"))).unwrap();
    assert!(refused(&desk, &run(meta("two"))).contains("`prompt`"));
    assert!(!partial_path(&desk.at("out.jsonl")).exists());
}

#[test]
fn a_file_of_somebody_else_is_not_touched() {
    let desk = Desk::new();
    let run = Run::new("out.jsonl", desk.entries(3));
    fs::write(desk.at("out.jsonl"), "mine").unwrap();
    assert!(refused(&desk, &run).contains("exists already"));
    assert_eq!(read(&desk.at("out.jsonl")), "mine");
    fs::remove_file(desk.at("out.jsonl")).unwrap();
    fs::write(partial_path(&desk.at("out.jsonl")), "mine\n").unwrap();
    assert!(refused(&desk, &run).contains("line 1: not a journal"));
    assert_eq!(read(&partial_path(&desk.at("out.jsonl"))), "mine\n");
}

#[test]
fn restart_gives_everything_up() {
    let desk = Desk::new();
    let run = Run::new("out.jsonl", desk.entries(3));
    desk.run(&mut Fake::default(), &run).unwrap();
    let opened = Journal::open(&desk.at("out.jsonl"), &meta("two"), true).unwrap();
    assert!(matches!(opened, Opened::Journal(_)));
    assert!(!desk.at("out.jsonl").exists() && !sidecar_path(&desk.at("out.jsonl")).exists());
}

#[test]
fn one_process_at_a_time() {
    let desk = Desk::new();
    let open = || Journal::open(&desk.at("out.jsonl"), &meta("one"), false);
    let first = open().unwrap();
    assert!(matches!(open(), Err(Error::Locked { .. })));
    drop(first);
    assert!(open().is_ok());
}

#[test]
fn a_damaged_journal_is_not_taken_for_a_torn_one() {
    let desk = Desk::new();
    let run = Run::new("out.jsonl", desk.entries(9));
    let mut fake = Fake { stop_after: Some(8), ..Fake::default() };
    desk.run(&mut fake, &run).expect_err("stopped");
    let partial = partial_path(&desk.at("out.jsonl"));
    let text = read(&partial);
    let lines: Vec<&str> = text.lines().collect();
    let without = |i: usize| [&lines[..i], &lines[i + 1..]].concat().join("\n") + "\n";
    // The second image has a line and a mark.
    fs::write(&partial, without(2)).unwrap();
    let message = refused(&desk, &run);
    assert!(message.contains("0 lines of an image that has 1"), "{message}");
    assert!(message.contains("line 3") && message.contains("--restart"), "{message}");
}

#[test]
fn a_data_set_that_changed_is_noticed() {
    let desk = Desk::new();
    let run = |entries| Run::new("out.jsonl", entries);
    let mut fake = Fake { stop_after: Some(5), ..Fake::default() };
    desk.run(&mut fake, &run(desk.entries(9))).expect_err("stopped");
    let mut entries = desk.entries(9);
    entries[1].name = "other.png".into();
    let message = refused(&desk, &run(entries));
    assert!(message.contains("image 2 was `1.png` and is `other.png`"), "{message}");
    let message = refused(&desk, &run(desk.entries(2)));
    assert!(message.contains("image 3 was `2.png` and is gone"), "{message}");
    desk.run(&mut Fake::default(), &run(desk.entries(9))).unwrap();
}

#[test]
fn results_for_the_tools_of_coco() {
    let desk = Desk::new();
    let mut entries = desk.entries(3);
    entries[1].image_id = Some("a7".into());
    entries.push(gpt4roi::dataset::Entry { image_id: None, ..desk.entry("4.png", 1) });
    entries[2].regions[1].id = "x".into();
    let run = Run { target: Target::Coco, ..Run::new("out.json", entries) };
    desk.run(&mut Fake::default(), &run).unwrap();
    let list: serde_json::Value = serde_json::from_str(&read(&desk.at("out.json"))).unwrap();
    let ids = |k| list.as_array().unwrap().iter().map(|c| c[k].clone()).collect::<Vec<_>>();
    assert_eq!(serde_json::json!(ids("image_id")), serde_json::json!(["a7", 102, 102, "4.png"]));
    assert_eq!(serde_json::json!(ids("id")), serde_json::json!([1, 1, "x", 1]));
    assert!(list[0]["caption"].as_str().unwrap().starts_with("Describe <region1>."));
    let none = Run { target: Target::Coco, ..Run::new("none.json", desk.entries(1)) };
    desk.run(&mut Fake::default(), &none).unwrap();
    assert_eq!(read(&desk.at("none.json")), "[]\n");
}
