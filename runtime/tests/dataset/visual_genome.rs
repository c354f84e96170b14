//! Visual Genome.

use super::files::{Files, assert_refused, entries, labelled, pixels};
use gpt4roi::dataset::{Format, Region};

const REGIONS: &str = r#"[
 {"regions": [
   {"region_id": 1382, "width": 82, "height": 139, "image_id": 1, "phrase": "the clock is green",
    "y": 57, "x": 421},
   {"region_id": 1383, "width": 182.5, "height": 213, "image_id": 1, "phrase": "shade",
    "y": 372, "x": 194}], "id": 1},
 {"regions": [], "id": 2}
]"#;

const OBJECTS: &str = r#"[{"image_id": 3, "image_url": "https://example.org/3.jpg", "objects": [
  {"synsets": ["tree.n.01"], "h": 557, "object_id": 1058549, "merged_object_ids": [],
   "names": ["trees", "plants"], "w": 799, "y": 0, "x": 0},
  {"h": 1, "object_id": 5, "names": [], "w": 2, "y": 3, "x": 4}]}]"#;

#[test]
fn phrases_are_references() {
    let files = Files::new(&[("r.json", REGIONS), ("VG_100K_2/1.jpg", "")]);
    let mut dataset = files.open("r.json");
    assert_eq!(dataset.format(), Format::VisualGenome);
    let entries = entries(&mut dataset);
    let images: Vec<_> = entries.iter().map(|e| (&*e.name, files.image(e))).collect();
    assert_eq!(images, [("1.jpg", "VG_100K_2/1.jpg".into()), ("2.jpg", "2.jpg".to_owned())]);
    let said = |id, shape, phrase: &str| {
        let reference = Some(phrase.to_owned());
        Region { label: None, reference, ..labelled(id, shape, "") }
    };
    let expected = [
        said("1382", pixels(421.0, 57.0, 503.0, 196.0), "the clock is green"),
        said("1383", pixels(194.0, 372.0, 376.5, 585.0), "shade"),
    ];
    assert_eq!(entries[0].regions, expected);
    assert_eq!(entries[1].regions, []);
}

#[test]
fn the_first_name_of_an_object_is_its_label() {
    let files = Files::new(&[("o.json", OBJECTS), ("VG_100K/3.jpg", "")]);
    let entries = entries(&mut files.open("o.json"));
    assert_eq!(files.image(&entries[0]), "VG_100K/3.jpg");
    let unnamed = labelled("5", pixels(4.0, 3.0, 6.0, 4.0), "");
    let expected = [
        labelled("1058549", pixels(0.0, 0.0, 799.0, 557.0), "trees"),
        Region { label: None, ..unnamed },
    ];
    assert_eq!(entries[0].regions, expected);
    assert_eq!(entries.len(), 1);
}

#[test]
fn an_empty_list_has_no_images() {
    let files = Files::new(&[("r.json", " [ ] ")]);
    assert_eq!(files.open_as("r.json", Format::VisualGenome).unwrap().count(), 0);
}

#[test]
fn one_bad_box_costs_one_image() {
    let files = Files::new(&[("r.json", REGIONS.replace("182.5", "0"))]);
    let results: Vec<_> = files.open("r.json").collect();
    let message = results[0].as_ref().unwrap_err().to_string();
    assert!(message.contains("r.json, [0].regions[1]: box 194,372,194,585"), "{message}");
    assert_eq!(results[1].as_ref().unwrap().name, "2.jpg");
    assert_eq!(results.len(), 2);
}

#[test]
fn wrong_files_are_refused() {
    let edited = |from: &str, to: &str| {
        assert!(REGIONS.contains(from), "{from}");
        REGIONS.replace(from, to)
    };
    let cases: [(String, &[&str]); 9] = [
        (edited("\"x\": 194", "\"z\": 194"), &[", [0]: field `regions[1]`: missing field `x`"]),
        (edited("\"x\": 194", "\"x\": \"194\""), &[", [0]: field `regions[1].x`: invalid type"]),
        (edited("1383", "1382"), &[", [0].regions[1]: id `1382` is taken"]),
        (edited("\"regions\": [], \"id\": 2", "\"regions\": []"), &[", [1]: has neither `id`"]),
        (edited("\n]", ""), &[", [2]: the file ends before its list does"]),
        (edited("\n]", "\n7]"), &[", [2]: expected `,` or `]`"]),
        (edited("\n]", ",\n7]"), &[", [2]: expected an object"]),
        (REGIONS[..100].to_owned(), &[", [0]: field `regions[0]", "EOF"]),
        ("{\"a\": 1}".into(), &["not a JSON list"]),
    ];
    for (text, parts) in &cases {
        assert_refused("r.json", Format::VisualGenome, &[(text, parts)]);
    }
}
