//! LabelMe.

use super::files::{Files, assert_refused, entries, labelled, pixels};
use gpt4roi::dataset::{Format, Options, open};

const FILE: &str = r#"{
  "version": "5.4.1", "flags": {}, "imagePath": "..\\images\\a.jpg",
  "shapes": [
    {"label": "cat", "points": [[30, 40], [10.5, 20]], "shape_type": "rectangle", "flags": {}},
    {"label": "roof", "points": [[5, 9], [1, 4], [7, 2]], "group_id": null,
     "shape_type": "polygon"},
    {"label": "edge", "points": [[0, 0], [5, 5]], "shape_type": "line"},
    {"label": "wheel", "points": [[10, 10], [13, 14]], "shape_type": "circle"},
    {"label": "old", "points": [[0, 0], [5, 5], [0, 5]]},
    {"label": "dot", "points": [[0, 0]], "shape_type": "point"}
  ],
  "imageData": "aGVsbG8=", "imageHeight": 50, "imageWidth": 60
}"#;

#[test]
fn shapes_become_the_boxes_around_them() {
    let files = Files::new(&[("json/a.json", FILE), ("images/a.jpg", "")]);
    let mut dataset = files.open("json/a.json");
    assert_eq!((dataset.format(), dataset.n_images()), (Format::Labelme, Some(1)));
    let entries = entries(&mut dataset);
    assert_eq!(
        (&*entries[0].name, files.image(&entries[0])),
        ("..\\images\\a.jpg", "images/a.jpg".into())
    );
    let expected = [
        labelled("1", pixels(10.5, 20.0, 30.0, 40.0), "cat"),
        labelled("2", pixels(1.0, 2.0, 7.0, 9.0), "roof"),
        labelled("3", pixels(5.0, 5.0, 15.0, 15.0), "wheel"),
        labelled("4", pixels(0.0, 0.0, 5.0, 5.0), "old"),
    ];
    assert_eq!(entries[0].regions, expected);
    let warnings: Vec<_> = dataset.warnings().iter().map(|w| (w.what, w.count)).collect();
    assert_eq!(warnings, [("lines, which have no box", 1), ("points, which have no box", 1)]);
    assert!(dataset.warnings()[0].first.ends_with("a.json, shapes[2]"));
}

#[test]
fn a_folder_is_read_in_the_order_of_its_names() {
    let other = FILE.replace("a.jpg", "b.jpg");
    let files = Files::new(&[("x/2.json", FILE), ("x/1.json", &other), ("p/b.jpg", "")]);
    let options = Options { images: Some(files.at("p")), ..Options::default() };
    let mut dataset = open(&files.at("x"), &options).unwrap();
    assert_eq!(dataset.format(), Format::Labelme);
    let entries = entries(&mut dataset);
    assert_eq!(files.image(&entries[0]), "p/b.jpg");
    assert!(entries[1].name.ends_with("a.jpg"));
}

#[test]
fn wrong_files_are_refused() {
    let edited = |from: &str, to: &str| {
        assert!(FILE.contains(from), "{from}");
        FILE.replace(from, to)
    };
    let cases: [(String, &[&str]); 7] = [
        (edited("[10.5, 20]", "[10.5]"), &["line 4: field `shapes[0].points[1]`", "length 1"]),
        (edited("[10.5, 20]", "[30, 20]"), &[", shapes[0]: box 30,20,30,40", "empty or inverted"]),
        (edited("[[10, 10], [13, 14]]", "[[1, 2]]"), &[", shapes[3]: a circle is its centre"]),
        (edited("[[5, 9], [1, 4], [7, 2]]", "[]"), &[", shapes[1]: a shape without points"]),
        (edited("\"imagePath\"", "\"path\""), &["missing field `imagePath`"]),
        (FILE[..150].to_owned(), &["line 4: field `shapes[0]", "EOF"]),
        (edited("[10.5, 20]", "[10.5, Infinity]"), &["line 4: field `shapes[0].points[1][1]`"]),
    ];
    for (text, parts) in &cases {
        assert_refused("a.json", Format::Labelme, &[(text, parts)]);
    }
}
