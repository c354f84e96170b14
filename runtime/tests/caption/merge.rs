//! Shards become one output.

use super::fake::{Desk, Fake, Run, meta, read};
use gpt4roi::caption::{Error, Target, merge, sidecar_path};
use std::fs;
use std::path::PathBuf;

const N: usize = 8;
const NAMES: [&str; 3] = ["1.jsonl", "2.jsonl", "3.jsonl"];

/// Three shards of eight images, and what the whole is in one run.
fn shards() -> (Desk, Vec<PathBuf>, String) {
    let desk = Desk::new();
    desk.run(&mut Fake::default(), &Run::new("whole.jsonl", desk.entries(N))).unwrap();
    for (i, name) in NAMES.iter().enumerate() {
        let run = Run::new("", desk.entries(N)).shard(name, &format!("{}/3", i + 1));
        desk.run(&mut Fake::default(), &run).unwrap();
    }
    let whole = read(&desk.at("whole.jsonl"));
    let parts = NAMES.iter().map(|name| desk.at(name)).collect();
    (desk, parts, whole)
}

fn refused(desk: &Desk, parts: &[PathBuf]) -> String {
    let error = merge(parts, &desk.at("out.jsonl"), Target::Jsonl, false).expect_err("an error");
    assert!(!desk.at("out.jsonl").exists());
    error.to_string()
}

#[test]
fn merged_shards_are_what_one_run_gives() {
    let (desk, mut parts, whole) = shards();
    let out = desk.at("out.jsonl");
    let merged = merge(&parts, &out, Target::Jsonl, false).unwrap();
    assert_eq!((merged.images, merged.lines), (N, whole.lines().count()));
    assert_eq!(read(&out), whole);
    assert_eq!(read(&sidecar_path(&out)), read(&sidecar_path(&desk.at("whole.jsonl"))));
    parts.reverse();
    let again = merge(&parts, &out, Target::Jsonl, false);
    assert!(matches!(again, Err(Error::Exists { .. })));
    merge(&parts, &out, Target::Coco, true).unwrap();
    let list: Vec<serde_json::Value> = serde_json::from_str(&read(&out)).unwrap();
    assert_eq!(list.len(), whole.lines().count());
    assert_eq!(list[0]["image_id"], 101);
}

#[test]
fn missing_and_repeated_shards_are_refused() {
    let (desk, parts, _) = shards();
    assert!(refused(&desk, &[]).contains("none given"));
    for i in 0..3 {
        let mut some = parts.clone();
        some.remove(i);
        let message = refused(&desk, &some);
        assert!(message.contains(&format!("shard {}/3 is not given", i + 1)), "{message}");
        let mut more = parts.clone();
        more.push(parts[i].clone());
        assert!(refused(&desk, &more).contains(&format!("shard {}/3 is given twice", i + 1)));
    }
    fs::remove_file(sidecar_path(&parts[1])).unwrap();
    assert!(refused(&desk, &parts).contains("no .meta.json"));
}

#[test]
fn parts_of_other_runs_are_refused() {
    let (desk, parts, _) = shards();
    let rerun = |n, prompt: &str| {
        fs::remove_file(&parts[1]).unwrap();
        let run = Run { meta: meta(prompt), ..Run::new("", desk.entries(n)) };
        desk.run(&mut Fake::default(), &run.shard("2.jsonl", "2/3")).unwrap();
    };
    rerun(N, "two");
    assert!(refused(&desk, &parts).contains("`prompt`"));
    rerun(N + 1, "one");
    assert!(refused(&desk, &parts).contains("of 9 images"));
    fs::remove_file(&parts[1]).unwrap();
    let run = Run::new("", desk.entries(N)).shard("2.jsonl", "2/4");
    desk.run(&mut Fake::default(), &run).unwrap();
    assert!(refused(&desk, &parts).contains("a shard of 4"));
}

#[test]
fn parts_that_lost_or_doubled_lines_are_refused() {
    let (desk, parts, _) = shards();
    let text = read(&parts[1]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.len() >= 3);
    let with = |lines: &[&str]| {
        fs::write(&parts[1], lines.join("\n") + "\n").unwrap();
        refused(&desk, &parts)
    };
    let last = lines.len() - 1;
    let without = with(&lines[..last]);
    assert!(without.contains("missing"), "{without}");
    let longer = with(&[&lines[..], &lines[last..]].concat());
    assert!(longer.contains("more lines"), "{longer}");
    let garbage = with(&[&["no record"], &lines[1..]].concat());
    assert!(garbage.contains("not a record"), "{garbage}");
}

#[test]
fn the_same_question_twice_is_refused() {
    let (desk, parts, _) = shards();
    // Image 2 has two lines, in the third shard.
    let text = read(&parts[2]);
    let first = text.lines().next().unwrap();
    let doubled: String = text
        .lines()
        .enumerate()
        .map(|(i, l)| if i < 2 { first } else { l }.to_owned() + "\n")
        .collect();
    fs::write(&parts[2], doubled).unwrap();
    let message = refused(&desk, &parts);
    assert!(message.contains("`2.png`, region `1`: the same question twice"), "{message}");
}
