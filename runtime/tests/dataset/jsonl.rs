//! JSON Lines.

use super::files::{Files, assert_refused, entries, labelled, pixels};
use gpt4roi::PixelBox;
use gpt4roi::dataset::{Format, MAX_RECORD_BYTES, Options, Region, RegionBox, open};

#[test]
fn every_field_is_read() {
    let text = r#"{"image": "a.jpg", "regions": [
        {"id": 7, "box": [1, 2, 3.5, 4], "label": "dog", "question": "What is it?"},
        {"id": "seven", "box": [0, 0, 9, 9], "questions": ["a", "b"]},
        {"box": [-5, 0, 1e3, 1]}]}"#;
    let text = text.replace('\n', "") + "\n\n{\"image\": \"sub/b.jpg\"}";
    let files = Files::new(&[("set.jsonl", text)]);
    let mut dataset = files.open("set.jsonl");
    assert_eq!((dataset.format(), dataset.n_images()), (Format::Jsonl, None));
    let entries = entries(&mut dataset);
    assert_eq!(entries.len(), 2);
    assert_eq!((&*entries[0].name, files.image(&entries[0])), ("a.jpg", "a.jpg".into()));
    let none = |id: &str, shape| Region { label: None, ..labelled(id, shape, "") };
    let questions = |list: &[&str]| list.iter().map(|q| (*q).to_owned()).collect();
    let first = labelled("7", pixels(1.0, 2.0, 3.5, 4.0), "dog");
    let expected = [
        Region { questions: questions(&["What is it?"]), ..first },
        Region { questions: questions(&["a", "b"]), ..none("seven", pixels(0.0, 0.0, 9.0, 9.0)) },
        none("3", pixels(-5.0, 0.0, 1000.0, 1.0)),
    ];
    assert_eq!(entries[0].regions, expected);
    assert_eq!((files.image(&entries[1]), entries[1].regions.len()), ("sub/b.jpg".into(), 0));
}

#[test]
fn every_box_format() {
    let line = |extra: &str| {
        format!("{{\"image\": \"a\", \"regions\": [{{\"box\": [0.25, 0.5, 0.5, 0.75]}}]{extra}}}\n")
    };
    let text = [
        line(", \"box_format\": \"xyxy\""),
        line(", \"box_format\": \"xywh\""),
        line(", \"box_format\": \"cxcywh\", \"normalized\": true"),
    ];
    let files = Files::new(&[("set.jsonl", text.concat())]);
    let entries = entries(&mut files.open("set.jsonl"));
    let shape = |i: usize| entries[i].regions[0].shape;
    assert_eq!(shape(0), pixels(0.25, 0.5, 0.5, 0.75));
    assert_eq!(shape(1), pixels(0.25, 0.5, 0.75, 1.25));
    assert_eq!(shape(2), RegionBox::Fractions([0.0, 0.125, 0.5, 0.875]));
    assert_eq!(shape(0).in_pixels((640, 480)), PixelBox::new(0.25, 0.5, 0.5, 0.75));
    assert_eq!(shape(2).in_pixels((640, 480)), PixelBox::new(0.0, 60.0, 320.0, 420.0));
}

#[test]
fn marks_of_byte_order_and_windows_line_ends_are_accepted() {
    let text = "\u{feff}{\"image\": \"a\"}\r\n\r\n{\"image\": \"b\"}\r\n";
    let files = Files::new(&[("set.jsonl", text)]);
    let names: Vec<_> = entries(&mut files.open("set.jsonl")).into_iter().map(|e| e.name).collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn images_may_be_elsewhere_and_absolute() {
    let files = Files::new(&[("set.jsonl", "{\"image\": \"a\"}\n{\"image\": \"/b\"}")]);
    let options = Options { images: Some("/photos".into()), ..Options::default() };
    let entries = entries(&mut open(&files.at("set.jsonl"), &options).unwrap());
    assert_eq!(entries[0].image.to_str(), Some("/photos/a"));
    assert_eq!(entries[1].image.to_str(), Some("/b"));
}

#[test]
fn the_lines_behind_a_damaged_one_are_read() {
    let text =
        b"{\"image\": \"a\"}\n{\"image\": \n\xff\xfe\n{\"image\": \"b\xff\"}\n{\"image\": \"c\"}";
    let files = Files::new(&[("set.jsonl", text)]);
    let results: Vec<_> = files.open("set.jsonl").collect();
    let shown: Vec<String> = results
        .into_iter()
        .map(|r| {
            r.map_or_else(
                |e| e.to_string().rsplit_once(", line ").unwrap().1[..1].into(),
                |e| e.name,
            )
        })
        .collect();
    assert_eq!(shown, ["a", "2", "3", "4", "c"]);
}

#[test]
fn a_huge_line_is_skipped() {
    let mut text = b"{\"image\": \"".to_vec();
    text.resize(MAX_RECORD_BYTES as usize + 1, b'x');
    text.extend(b"\"}\n{\"image\": \"b\"}");
    let files = Files::new(&[("set.jsonl", text)]);
    let mut dataset = files.open("set.jsonl");
    let message = dataset.next().unwrap().unwrap_err().to_string();
    assert!(message.contains(", line 1: longer than 67108864 bytes"), "{message}");
    assert_eq!(dataset.next().unwrap().unwrap().name, "b");
    assert!(dataset.next().is_none());
}

#[test]
fn wrong_files_are_refused() {
    let region = |fields: &str| format!(r#"{{"image": "a", "regions": [{{{fields}}}]}}"#);
    let cases = [
        (r#"{"regions": []}"#.into(), "missing field `image`"),
        (r#"{"image": "a", "lable": 1}"#.into(), "unknown field `lable`"),
        (r#"{"image": ""}"#.into(), "field `image`: empty"),
        (r#"{"image": 5}"#.into(), "field `image`: invalid type"),
        (r#"{"image": "a"} {}"#.into(), "trailing characters"),
        (r#"{"image": "a", "box_format": "yxyx"}"#.into(), "field `box_format`: box format `yxyx`"),
        (region(r#""box": [1, 2, 3]"#), "field `regions[0].box`: invalid length 3"),
        (region(r#""box": [1, 2, 3, "4"]"#), "field `regions[0].box[3]`: invalid type"),
        (region(r#""box": [1, 2, 3, null]"#), "field `regions[0].box[3]`"),
        (region(r#""box": [1, 2, 3, NaN]"#), "field `regions[0].box[3]`"),
        (region(r#""box": [1, 2, 3, 1e999]"#), "number out of range"),
        (region(r#""box": [5, 2, 5, 9]"#), "field `regions[0]`: box 5,2,5,9 (left"),
        (region(r#""id": 1.5, "box": [1, 2, 3, 4]"#), "an integer or a string"),
        (region(r#""box": [1,2,3,4], "question": "a", "questions": []"#), "write one"),
        (region(r#""id": 2, "box": [1,2,3,4]}, {"box": [1,2,3,4]"#), "field `regions[1]`: id `2`"),
        ("[".repeat(100_000), "invalid type"),
    ];
    for (line, part) in &cases {
        assert_refused(
            "set.jsonl",
            Format::Jsonl,
            &[(&format!("\n{line}\n"), &[", line 2: ", part])],
        );
    }
}
