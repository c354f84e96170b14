//! YOLO.

use super::files::{Files, entries, labelled, refusal};
use gpt4roi::PixelBox;
use gpt4roi::dataset::{Format, Options, RegionBox, open};

const LABELS: &str = "0 0.5 0.5 0.25 0.5\r\n\r\n1 0.25 0.75 0.5 0.25 0.9\n\
    2 0.125 0.25 0.5 0.75 0.375 0.875\n";

fn labels_of(files: &Files, name: &str) -> Vec<String> {
    let entries = entries(&mut files.open(name));
    entries.iter().flat_map(|e| &e.regions).map(|r| r.label.clone().unwrap()).collect()
}

#[test]
fn boxes_confidences_and_polygons() {
    let files = Files::new(&[
        ("b.jpg", ""),
        ("a.PNG", ""),
        ("a.txt", LABELS),
        ("classes.txt", "cat\nhot dog\n\n"),
    ]);
    let mut dataset = files.open("");
    assert_eq!((dataset.format(), dataset.n_images()), (Format::Yolo, Some(2)));
    assert!(dataset.why().starts_with("a.txt has lines"), "{}", dataset.why());
    let entries = entries(&mut dataset);
    assert_eq!((&*entries[0].name, files.image(&entries[0])), ("a.PNG", "a.PNG".into()));
    let expected = [
        labelled("1", RegionBox::Fractions([0.375, 0.25, 0.625, 0.75]), "cat"),
        labelled("2", RegionBox::Fractions([0.0, 0.625, 0.5, 0.875]), "hot dog"),
        labelled("3", RegionBox::Fractions([0.125, 0.25, 0.5, 0.875]), "2"),
    ];
    assert_eq!(entries[0].regions, expected);
    let in_pixels = entries[0].regions[0].shape.in_pixels((640, 480));
    assert_eq!(in_pixels, PixelBox::new(240.0, 120.0, 400.0, 360.0));
    assert_eq!((&*entries[1].name, entries[1].regions.len()), ("b.jpg", 0));
}

#[test]
fn names_from_every_file() {
    let lines = "cat\nhot dog\nbird";
    for (name, content) in [
        ("classes.txt", lines),
        ("obj.names", lines),
        ("names.txt", lines),
        ("labels/classes.txt", lines),
        ("data.yaml", "train: images\nnames: [cat, 'hot dog', bird]\n"),
        ("dataset.yaml", "names:\n  - cat\n  - hot dog\n  - bird\n"),
        ("data.yml", "path: .\nnames:\n  0: cat\n  1: hot dog\n  2: bird\nnc: 3\n"),
    ] {
        let files = Files::new(&[("images/a.jpg", ""), ("labels/a.txt", LABELS), (name, content)]);
        assert_eq!(labels_of(&files, ""), ["cat", "hot dog", "bird"], "{name}");
    }
    let files = Files::new(&[("images/a.jpg", ""), ("labels/a.txt", LABELS)]);
    assert_eq!(labels_of(&files, ""), ["0", "1", "2"]);
}

#[test]
fn folders_side_by_side_and_one_in_the_other() {
    let files = Files::new(&[
        ("images/val/a.jpg", ""),
        ("labels/val/a.txt", LABELS),
        ("images/train/b.jpg", ""),
        ("labels/train/b.txt", "1 0.5 0.5 1 1"),
        ("data.yaml", "names: [cat, dog]"),
    ]);
    for name in ["", "images", "labels", "data.yaml"] {
        let mut dataset = files.open_as(name, Format::Yolo).unwrap();
        let entries = entries(&mut dataset);
        let found: Vec<_> = entries.iter().map(|e| (files.image(e), e.regions.len())).collect();
        let expected = [("images/train/b.jpg".into(), 1), ("images/val/a.jpg".to_owned(), 3)];
        assert_eq!(found, expected, "{name}");
        assert_eq!(entries[0].regions[0].label.as_deref(), Some("dog"), "{name}");
        assert!(dataset.warnings().is_empty(), "{name}");
    }
}

#[test]
fn images_may_be_elsewhere() {
    let files = Files::new(&[("x/a.jpg", ""), ("y/a.txt", LABELS), ("y/lost.txt", LABELS)]);
    let options = Options { images: Some(files.at("x")), ..Options::default() };
    let mut dataset = open(&files.at("y"), &options).unwrap();
    assert_eq!(entries(&mut dataset)[0].regions.len(), 3);
    let [warning] = dataset.warnings() else { panic!() };
    assert_eq!((warning.what, warning.count), ("files of labels without an image", 1));
    assert!(warning.first.ends_with("lost.txt"));
}

#[test]
fn wrong_lines_are_refused() {
    for (line, part) in [
        ("0 0.5 0.5 0.5", "has 3 numbers behind the class"),
        ("0 0.1 0.2 0.3 0.4 0.5 0.6 0.7", "has 7 numbers behind the class"),
        ("0", "has 0 numbers"),
        ("cat 0.5 0.5 0.5 0.5", "class `cat` is not a whole number"),
        ("-1 0.5 0.5 0.5 0.5", "class `-1`"),
        ("1.5 0.5 0.5 0.5 0.5", "class `1.5`"),
        ("99999999999999999999 0.5 0.5 0.5 0.5", "class `99999999999999999999`"),
        ("0 0.5 x 0.5 0.5", "field `3`: `x` is not a finite number"),
        ("0 nan 0.5 0.5 0.5", "field `2`: `nan`"),
        ("0 0.5 0.5 -0.5 0.5", "empty or inverted"),
        ("0 0.5 0.5 0.5 0", "empty or inverted"),
    ] {
        let text = format!("0 0.5 0.5 1 1\n{line}\n");
        let files =
            Files::new(&[("b.jpg", ""), ("b.txt", LABELS), ("a.jpg", ""), ("a.txt", &text)]);
        let results: Vec<_> = files.open("").collect();
        let message = results[0].as_ref().unwrap_err().to_string();
        assert!(message.contains(part), "`{message}` lacks `{part}`");
        assert!(message.contains("a.txt, line 2: "), "{message}");
        assert_eq!(results[1].as_ref().unwrap().name, "b.jpg");
    }
}

#[test]
fn wrong_folders_are_refused() {
    let refused = |files: &Files, name: &str| refusal(&files.at(name), Format::Yolo);
    let files = Files::new(&[("labels/a.txt", LABELS)]);
    assert!(refused(&files, "labels").contains("no image (jpg, png, webp, bmp)"));
    assert!(refused(&files, "labels/a.txt").contains("give the folder"));
    let files = Files::new(&[("x/b.jpg", ""), ("x/a.txt", LABELS)]);
    assert!(refused(&files, "x").contains("that of b.jpg would be b.txt"));
    let files = Files::new(&[("a.jpg", ""), ("a.txt", LABELS), ("data.yaml", "nc: 3\nnames: 3")]);
    assert!(refused(&files, "data.yaml").contains(", line 2: field `names`"));
    let files = Files::new(&[("a.jpg", &b""[..]), ("a.txt", b"0 0.5 0.5 1 1\n\xff")]);
    assert_eq!(
        files.open("").next().unwrap().unwrap_err().to_string().rsplit_once(", "),
        Some((
            &*files.at("a.txt").display().to_string(),
            "line 2: not UTF-8; convert the file to UTF-8"
        ))
    );
}
