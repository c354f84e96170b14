//! Nothing that a file says makes the reader panic, hang or give a box that is none.

use std::fs;

use super::files::Files;
use gpt4roi::dataset::{Format, MAX_REGIONS, Options, RegionBox, detect, open};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// A small good file of each format, and its name in a folder.
const SEEDS: [(Format, &str, &str); 10] = [
    (
        Format::Jsonl,
        "boxes.jsonl",
        "{\"image\": \"a\", \"regions\": [{\"id\": 1, \"box\": [1, 2, 3, 4], \"label\": \"b\"}]}\n\
         {\"image\": \"b\", \"box_format\": \"xywh\", \"normalized\": true, \"regions\": []}\n",
    ),
    (Format::Csv, "boxes.csv", "image,x1,y1,x2,y2,id\na,1,2,3,4,\n\"b\",1,2,3,4,5\n"),
    (
        Format::Coco,
        "a.json",
        r#"{"images": [{"id": 1, "file_name": "a"}], "categories": [{"id": 1, "name": "b"}],
           "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}]}"#,
    ),
    (Format::Yolo, "a.txt", "0 0.5 0.5 0.25 0.25\n1 0.1 0.1 0.2 0.2 0.1 0.3\n"),
    (Format::Yolo, "data.yaml", "nc: 2\nnames: {0: 'a, b', 1: \"c\"} # d\n"),
    (
        Format::Yolo,
        "data.yaml",
        "path: .\ntrain: [., 'list.txt']\nval:\n  - ./. # b\n  - .\nnames:\n  - \"c\\x41\"\n",
    ),
    (
        Format::Voc,
        "a.xml",
        "<annotation><filename>a</filename><object><name>b</name><bndbox><xmin>1</xmin>\
         <ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox></object></annotation>",
    ),
    (
        Format::VisualGenome,
        "a.json",
        r#"[{"id": 1, "regions": [{"region_id": 1, "x": 1, "y": 2, "width": 3, "height": 4,
           "phrase": "b"}]}, {"image_id": 2, "objects": []}]"#,
    ),
    (
        Format::Labelme,
        "a.json",
        r#"{"imagePath": "a", "shapes": [{"label": "b", "points": [[1, 2], [3, 4]],
           "shape_type": "circle"}, {"points": [[1, 2]], "shape_type": "point"}]}"#,
    ),
    (
        Format::Cvat,
        "a.xml",
        "<annotations><image name='a'><box label='b' xtl='1' ytl='2' xbr='3' ybr='4' \
         rotation='5'/><polygon label='c' points='1,2;3,4;5,6'/></image></annotations>",
    ),
];

/// Reads everything; boxes that come out are boxes.
fn read(folder: &Files, name: &str, format: Format) -> usize {
    let path = folder.at(if format == Format::Yolo && name == "a.txt" { "" } else { name });
    let _ = detect(&path).map_err(|e| e.to_string());
    if let Ok(dataset) = open(&path, &Options { split: Some("train".into()), ..Options::default() })
    {
        dataset.for_each(drop);
    }
    let Ok(dataset) = open(&path, &Options { format: Some(format), ..Options::default() }) else {
        return 0;
    };
    let mut n_entries = 0;
    for entry in dataset {
        let Ok(entry) = entry.map_err(|e| e.to_string()) else { continue };
        n_entries += 1;
        for region in entry.regions {
            let [x1, y1, x2, y2] = match region.shape {
                RegionBox::Pixels(b) => [b.x1, b.y1, b.x2, b.y2],
                RegionBox::Fractions(edges) => edges,
            };
            assert!(x1 < x2 && y1 < y2, "{x1},{y1},{x2},{y2}");
            assert!([x1, y1, x2, y2].iter().all(|v| v.is_finite()), "{x1},{y1},{x2},{y2}");
        }
    }
    n_entries
}

fn folder_with(format: Format, name: &str, content: &[u8]) -> Files {
    let folder = Files::new(&[(name, content)]);
    if format == Format::Yolo {
        folder.write("a.jpg", "");
    }
    if name == "data.yaml" {
        folder.write("a.txt", "0 0.5 0.5 0.25 0.25");
        folder.write("list.txt", "a.jpg\n./b.jpg\n");
    }
    folder
}

/// A new file in place of the old one: some file systems wait for the disk if one is overwritten.
fn rewrite(folder: &Files, name: &str, content: &[u8]) {
    fs::remove_file(folder.at(name)).unwrap();
    folder.write(name, content);
}

#[test]
fn the_seeds_are_good() {
    for (format, name, content) in SEEDS {
        let folder = folder_with(format, name, content.as_bytes());
        assert!(read(&folder, name, format) > 0, "{format}");
    }
}

#[test]
fn files_cut_anywhere() {
    for (format, name, content) in SEEDS {
        let folder = folder_with(format, name, content.as_bytes());
        for end in 0..content.len() {
            rewrite(&folder, name, &content.as_bytes()[..end]);
            read(&folder, name, format);
        }
    }
}

/// Pieces of the formats, and what numbers, texts and lists can be at worst.
const PIECES: [&str; 33] = [
    "NaN",
    "inf",
    "-1",
    "1e999",
    "1e308",
    "-1e308",
    "0",
    "99999999999999999999",
    "null",
    "\"\"",
    "[]",
    "{}",
    "[[",
    "{\"",
    "<",
    "</",
    "&#0;",
    "&lt;",
    "\u{0}",
    "\u{feff}",
    "\r\n",
    "\n",
    ",",
    ";",
    ":",
    "\"",
    "'",
    "]",
    "names:",
    "train:",
    "../",
    "- ",
    "\u{1f415}",
];

/// A place, how much goes, and what comes instead.
fn edits() -> impl Strategy<Value = Vec<(prop::sample::Index, usize, Vec<u8>)>> {
    let piece = prop_oneof![
        3 => prop::sample::select(&PIECES[..]).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec((any::<prop::sample::Index>(), 0usize..6, piece), 1..6)
}

/// Runs `damage` on the good files of every format and reads what comes out, many times.
fn read_many<S: Strategy>(strategy: S, damage: impl Fn(&[u8], &S::Value) -> Vec<u8>) {
    let folders = SEEDS.map(|(format, name, seed)| folder_with(format, name, seed.as_bytes()));
    // More if the environment says so (PROPTEST_CASES).
    let default = ProptestConfig::default();
    let cases = default.cases.max(500);
    let config = ProptestConfig { failure_persistence: None, cases, ..default };
    let every_format = |value: S::Value| {
        for ((format, name, seed), folder) in SEEDS.iter().zip(&folders) {
            rewrite(folder, name, &damage(seed.as_bytes(), &value));
            read(folder, name, *format);
        }
        Ok(())
    };
    TestRunner::new(config).run(&strategy, every_format).unwrap();
}

#[test]
fn damaged_files() {
    read_many(edits(), |seed, edits| {
        let mut bytes = seed.to_vec();
        for (place, n_gone, piece) in edits {
            let at = place.index(bytes.len() + 1);
            let end = (at + n_gone).min(bytes.len());
            bytes.splice(at..end, piece.iter().copied());
        }
        bytes
    });
}

#[test]
fn any_bytes() {
    read_many(prop::collection::vec(any::<u8>(), 0..400), |_, bytes| bytes.clone());
}

#[test]
fn any_pieces() {
    let pieces = prop::collection::vec(prop::sample::select(&PIECES[..]), 0..60);
    read_many(pieces, |_, pieces| pieces.concat().into_bytes());
}

#[test]
fn deep_nesting_is_an_error() {
    const DEPTH: usize = 1_000_000;
    for (format, name, _) in SEEDS {
        for text in ["[", "{\"a\":", "[{\"regions\":", "{\"image\":[", "<a>", "<annotation>", "'"] {
            let folder = folder_with(format, name, text.repeat(DEPTH).as_bytes());
            assert_eq!(read(&folder, name, format), 0, "{format}: {}", &text[..1]);
        }
    }
}

#[test]
fn too_many_regions_are_an_error() {
    let row = "a,1,2,3,4\n";
    let text = "image,x1,y1,x2,y2\n".to_owned() + &row.repeat(MAX_REGIONS + 1);
    let files = Files::new(&[("boxes.csv", text)]);
    let results: Vec<_> = files.open("boxes.csv").collect();
    let message = results[0].as_ref().unwrap_err().to_string();
    assert!(message.contains("line 100002: an image may have at most 100000 regions"), "{message}");
    assert_eq!(results[1].as_ref().unwrap().regions.len(), MAX_REGIONS);
    assert_eq!(results.len(), 2);
}
