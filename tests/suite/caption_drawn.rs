//! `gpt4roi caption` draws: on the way, from a journal, and from what is finished.

use crate::caption_desk::Desk;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// Every file of a folder and what is in it.
fn contents(folder: PathBuf) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let entries = entries.map(|entry| entry.expect("an entry").path());
    let name =
        |path: &PathBuf| path.file_name().and_then(|n| n.to_str()).expect("UTF-8").to_owned();
    entries.map(|path| (name(&path), fs::read(path).expect("a file"))).collect()
}

/// Options for the page and the pictures of this name.
fn both(desk: &Desk, name: &str) -> [String; 2] {
    [
        format!("--html={}", desk.path(&format!("{name}.html"))),
        format!("--annotate={}", desk.path(name)),
    ]
}

/// Draws a finished output.
fn draw_finished(desk: &Desk, output: &str, name: &str, more: &[&str]) {
    let [html, annotate] = both(desk, name);
    let args = [&[html.as_str(), annotate.as_str()][..], more].concat();
    let run = desk.fill(output, &args).exits(0);
    let run = run.says(&[output, "is complete: drawing what is in it"]);
    assert!(!run.err.contains("answers/s"), "{run:?}");
    assert_eq!(run.out, "");
}

#[test]
fn pictures_and_a_page() {
    let desk = Desk::new(4);
    let folder = format!("--annotate={}", desk.path("drawn/here"));
    let html = |name: &str| format!("--html={}", desk.path(name));
    desk.fill("out.jsonl", &[&folder, &html("a.html")]).exits(0);
    let mut drawn: Vec<_> = fs::read_dir(desk.at("drawn/here"))
        .expect("a folder")
        .map(|e| e.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    drawn.sort();
    assert_eq!(drawn, ["000001-000.png.png", "000002-001.png.png", "000003-002.png.png"]);
    let page = desk.read("a.html");
    assert_eq!(page.matches("<section>").count(), 3);
    assert_eq!(page.matches("<li>").count(), 6);
    assert!(page.trim_end().ends_with("</html>"));
    let set = format!("--input={}", desk.path("set.json"));
    desk.caption(&[&set, &html("b.html")]).exits(0);
    assert_eq!(desk.read("b.html"), page, "a page made on the way is the same");
}

#[test]
fn a_finished_output_is_drawn_without_asking_again() {
    let desk = Desk::new(4);
    let [html, annotate] = both(&desk, "first");
    desk.fill("out.jsonl", &[&html, &annotate]).exits(0);
    let before = desk.read("out.jsonl");
    draw_finished(&desk, "out.jsonl", "again", &[]);
    assert_eq!(desk.read("again.html"), desk.read("first.html"));
    let drawn = contents(desk.at("again"));
    assert_eq!(drawn.len(), 3);
    assert_eq!(drawn, contents(desk.at("first")));
    // One of both is enough, and what is said is that of the file: here another answer.
    let answer: serde_json::Value =
        serde_json::from_str(before.lines().next().expect("a line")).expect("a record");
    let answer = answer["answer"].to_string();
    fs::write(desk.at("out.jsonl"), before.replacen(&answer, "\"written by hand\"", 1))
        .expect("a file");
    let run = desk.fill("out.jsonl", &[&format!("--html={}", desk.path("hand.html"))]).exits(0);
    assert!(desk.read("hand.html").contains("written by hand"), "{run:?}");
    desk.fill("out.jsonl", &[&annotate, "--max-tokens=3"]).exits(1).says(&["`max-tokens`"]);
}

#[test]
fn shards_errors_and_results_for_coco_are_drawn() {
    let desk = Desk::new(7);
    desk.file("001.png", b"this is no picture");
    for (output, options) in [("part.jsonl", ["--shard=2/3"]), ("whole.json", ["--to=coco"])] {
        let [html, annotate] = both(&desk, "first");
        desk.fill(output, &[&options[..], &[&html, &annotate]].concat()).exits(0);
        draw_finished(&desk, output, "again", &options);
        let names = |name: &str| contents(desk.at(name)).into_keys().collect::<Vec<_>>();
        assert_eq!(names("again"), names("first"), "{output}");
        let (first, again) = (desk.read("first.html"), desk.read("again.html"));
        assert!(again.contains("<rect x="), "{output}");
        if output == "part.jsonl" {
            assert_eq!(again, first);
            assert!(again.contains("class=\"e\""), "the error is on the page");
        } else {
            // Results have neither questions nor errors: all answers and boxes are there.
            assert_eq!(again.matches("<rect").count(), first.matches("<rect").count());
            assert_eq!(again.matches("<li>").count() + 1, first.matches("<li>").count());
        }
        for name in ["first", "again"] {
            fs::remove_dir_all(desk.at(name)).expect("pictures");
        }
    }
}

#[test]
fn pictures_asked_for_late_are_drawn_too() {
    let desk = Desk::new(6);
    desk.fill("whole.jsonl", &[]).exits(0);
    draw_finished(&desk, "whole.jsonl", "want", &[]);
    // A journal of which the first four images are done, without pictures.
    desk.file("004.png", b"this is no picture");
    desk.fill("out.jsonl", &["--strict"]).exits(1);
    assert!(desk.at("out.jsonl.partial").exists());
    fs::copy(desk.at("003.png"), desk.at("004.png")).expect("a picture");
    let [html, annotate] = both(&desk, "got");
    desk.fill("out.jsonl", &[&html, &annotate]).exits(0).says(&["4 images skipped"]);
    let (want, got) = (contents(desk.at("want")), contents(desk.at("got")));
    assert_eq!(got.keys().collect::<Vec<_>>(), want.keys().collect::<Vec<_>>());
    assert_eq!(desk.read("got.html").matches("<section>").count(), 5);
}

#[test]
fn drawing_refuses_another_data_set_and_damaged_outputs() {
    let desk = Desk::new(4);
    desk.fill("out.jsonl", &[]).exits(0);
    let html = format!("--html={}", desk.path("a.html"));
    let (set, lines) = (desk.read("set.json"), desk.read("out.jsonl"));
    let refused = |says: &[&str]| {
        desk.fill("out.jsonl", &[&html]).exits(1).says(says);
        assert!(!desk.at("a.html").exists());
    };
    desk.file("set.json", set.replace("002.png", "other.png").as_bytes());
    refused(&["the data set changed: its image 3 was `002.png` and is `other.png`"]);
    desk.file(
        "set.json",
        br#"{"images": [{"id": 1000, "file_name": "000.png"}], "annotations": []}"#,
    );
    refused(&["the data set changed"]);
    desk.file("set.json", set.as_bytes());
    desk.file("out.jsonl", lines.lines().next().expect("a line").as_bytes());
    refused(&["out.jsonl", "lines are missing"]);
    desk.file("out.jsonl", b"no record\n");
    refused(&["out.jsonl", "a line is not a record"]);
    let sidecar = desk.read("out.jsonl.meta.json");
    desk.file("out.jsonl", lines.as_bytes());
    desk.file(
        "out.jsonl.meta.json",
        sidecar.replacen("\"lines\":1", "\"lines\":18446744073709551615", 1).as_bytes(),
    );
    refused(&["out.jsonl", "lines are missing"]);
}
