//! Which format something is of.

use super::files::{Files, entries};
use gpt4roi::dataset::{Error, Format, detect};

#[test]
fn every_file_is_recognised() {
    let cases = [
        ("a.jsonl", "", Format::Jsonl, "ends in .jsonl"),
        ("a.ndjson", "", Format::Jsonl, "ends in .ndjson"),
        ("a.json", "{\"regions\": [], \"image\": \"a\"}\n{}", Format::Jsonl, "\"image\""),
        ("a.CSV", "", Format::Csv, "ends in .csv"),
        ("a.txt", "id,\"image\",x1,y1, x2,y2\n", Format::Csv, "x1, y1, x2 and y2"),
        ("a.json", " {\"info\": {}, \"images\": [{\"file_name\": \"a\"", Format::Coco, "file_name"),
        ("a.json", "\u{feff}{\"annotations\": [{\"bbox\": []}]}", Format::Coco, "\"bbox\""),
        ("a.json", "[{\"image_id\": 1, \"bbox\": [], \"score\": 1}]", Format::Coco, "a list with"),
        ("a.json", "{\"version\": 1, \"shapes\": []}", Format::Labelme, "\"shapes\""),
        ("a.json", "{\"imageData\": \"aaaa", Format::Labelme, "\"imageData\""),
        ("a.json", "[{\"regions\": []}]", Format::VisualGenome, "\"regions\""),
        ("a.json", "[{\"image_id\": 1, \"objects\": []}]", Format::VisualGenome, "\"objects\""),
        ("a.xml", "<?xml version='1.0'?>\n<annotation>", Format::Voc, "<annotation>"),
        ("a.xml", "<!-- x --><annotations><version>", Format::Cvat, "<annotations>"),
        ("data.yaml", "names: []", Format::Yolo, "ends in .yaml"),
    ];
    for (name, content, format, why) in cases {
        let files = Files::new(&[(name, content)]);
        let (found, reason) = detect(&files.at(name)).unwrap();
        assert_eq!(found, format, "{content}");
        assert!(reason.contains(why), "{content}: {reason}");
    }
}

/// Files of a folder.
type Content<'a> = &'a [(&'a str, &'a str)];

#[test]
fn every_folder_is_recognised() {
    let voc = "<annotation/>";
    let shapes = "{\"shapes\": []}";
    let cases: [(Content, Format, &str); 9] = [
        (&[("boxes.csv", ""), ("a.xml", voc)], Format::Csv, "boxes.csv"),
        (&[("boxes.jsonl", ""), ("a.xml", voc)], Format::Jsonl, "boxes.jsonl"),
        (&[("_annotations.coco.json", "")], Format::Coco, "_annotations.coco.json"),
        (&[("annotations.xml", "")], Format::Cvat, "annotations.xml"),
        (&[("region_descriptions.json", "")], Format::VisualGenome, "region_descriptions.json"),
        (&[("objects.json", "")], Format::VisualGenome, "objects.json"),
        (&[("x/0.xml", "<other/>"), ("x/a.xml", voc)], Format::Voc, "a.xml its root is"),
        (&[("0.json", "{}"), ("a.json", shapes)], Format::Labelme, "a.json has \"shapes\""),
        (&[("0.txt", "hi"), ("labels/a.txt", "0 0.5 0.5 1 1")], Format::Yolo, "labels"),
    ];
    for (content, format, why) in cases {
        let files = Files::new(content);
        let (found, reason) = detect(&files.at("")).unwrap();
        assert_eq!(found, format, "{content:?}");
        assert!(reason.contains(why), "{content:?}: {reason}");
    }
}

#[test]
fn what_is_of_no_format_is_told_what_was_looked_for() {
    let cases = [
        ("a.json", "{\"a\": 1}", "no \"shapes\" (LabelMe)"),
        ("a.json", "not json", "columns image, x1, y1, x2, y2 (CSV)"),
        ("a.xml", "<html>", "neither <annotation> (Pascal VOC) nor <annotations> (CVAT)"),
        ("a.txt", "0 0.5 0.5 1 1", "of YOLO, give the folder"),
        ("a.bin", "", "it is empty"),
        ("a.jpg", "\u{0}\u{1}", "it is an image"),
    ];
    for (name, content, part) in cases {
        let files = Files::new(&[(name, content)]);
        let message = unrecognised(&files, name);
        assert!(message.contains(part), "{content}: {message}");
        let folder = unrecognised_folder(&files);
        assert!(folder.is_none_or(|m| m.contains("the folder has none of boxes.jsonl, boxes.csv")));
    }
}

fn unrecognised(files: &Files, name: &str) -> String {
    let error = detect(&files.at(name)).unwrap_err();
    assert!(matches!(error, Error::Unrecognised { .. }), "{error:?}");
    let message = error.to_string();
    assert!(message.ends_with("jsonl, csv, coco, yolo, voc, vg, labelme, cvat, name it"));
    message
}

/// The folder with the file; it is one of YOLO if the file is.
fn unrecognised_folder(files: &Files) -> Option<String> {
    (!files.at("a.txt").exists()).then(|| unrecognised(files, ""))
}

#[test]
fn what_is_not_there_cannot_be_read() {
    let files = Files::new::<&str>(&[]);
    for name in ["a.jsonl", "a.json", "a"] {
        let error = detect(&files.at(name)).unwrap_err();
        assert!(matches!(error, Error::Read { .. }), "{error:?}");
    }
    for format in Format::ALL {
        let error = files.open_as("nothing", format).unwrap_err();
        let message = error.to_string();
        assert!(matches!(error, Error::Read { .. }), "{error:?}");
        assert!(message.contains("cannot read `") && message.contains("nothing`"), "{message}");
    }
}

#[test]
fn a_folder_stands_for_its_file() {
    let files = Files::new(&[("boxes.csv", "image,x1,y1,x2,y2\na.jpg,1,2,3,4")]);
    for mut dataset in [files.open(""), files.open_as("", Format::Csv).unwrap()] {
        let entries = entries(&mut dataset);
        assert_eq!(files.image(&entries[0]), "a.jpg");
    }
    let message = files.open_as("", Format::Coco).unwrap_err().to_string();
    assert!(message.ends_with("the folder has no _annotations.coco.json; give the file"));
}

#[test]
fn names_of_formats() {
    for format in Format::ALL {
        assert_eq!(format.to_string().parse::<Format>().unwrap(), format);
    }
    let message = "COCO".parse::<Format>().unwrap_err().to_string();
    let expected =
        "format `COCO` is unknown; use one of jsonl, csv, coco, yolo, voc, vg, labelme, cvat";
    assert_eq!(message, expected);
}

#[cfg(unix)]
#[test]
fn links_in_circles_end() {
    let files = Files::new(&[("x/a.jpg", ""), ("x/a.txt", "0 0.5 0.5 1 1")]);
    std::os::unix::fs::symlink(files.at(""), files.at("x/again")).unwrap();
    assert_eq!(entries(&mut files.open("")).len(), 1);
}
