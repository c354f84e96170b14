//! COCO.

use super::files::{Files, assert_refused, entries, labelled, pixels};
use gpt4roi::dataset::{Format, Options, Region, open};

const FILE: &str = r#"{
    "info": {"year": 2017}, "licenses": [],
    "images": [
        {"id": 9, "file_name": "b.jpg", "height": 480, "width": 640, "coco_url": null},
        {"id": 4, "file_name": "a.jpg", "height": 480, "width": 640},
        {"id": 5, "file_name": "empty.jpg", "height": 480, "width": 640}
    ],
    "annotations": [
        {"id": 1768, "image_id": 4, "category_id": 18, "bbox": [473.5, 395.25, 38.5, 28.5],
         "segmentation": [[1, 2, 3, 4, 5, 6]], "area": 702.1, "iscrowd": 0},
        {"id": 12, "image_id": 9, "category_id": 1, "bbox": [0, 0, 10, 20],
         "segmentation": {"counts": [1, 2], "size": [3, 4]}},
        {"id": 3, "image_id": 4, "category_id": 1, "bbox": [1, 2, 3, 4]}
    ],
    "categories": [{"id": 1, "name": "person", "supercategory": "person"}, {"id": 18, "name": "dog"}]
}"#;

#[test]
fn boxes_labels_and_order() {
    let files = Files::new(&[("instances.json", FILE)]);
    let mut dataset = files.open("instances.json");
    assert_eq!((dataset.format(), dataset.n_images()), (Format::Coco, Some(3)));
    let entries = entries(&mut dataset);
    let names: Vec<_> = entries.iter().map(|e| &*e.name).collect();
    assert_eq!(names, ["b.jpg", "a.jpg", "empty.jpg"]);
    assert_eq!(entries[0].regions, [labelled("12", pixels(0.0, 0.0, 10.0, 20.0), "person")]);
    let expected = [
        labelled("1768", pixels(473.5, 395.25, 512.0, 423.75), "dog"),
        labelled("3", pixels(1.0, 2.0, 4.0, 6.0), "person"),
    ];
    assert_eq!(entries[1].regions, expected);
    assert_eq!(entries[2].regions, []);
    assert!(dataset.warnings().is_empty());
}

#[test]
fn captions_are_references_and_ids_may_be_text() {
    let file = r#"{"annotations": [{"image_id": "x", "bbox": [1, 2, 3, 4], "category_id": 1,
        "caption": "a dog"}], "images": [{"id": "x", "file_name": "a.jpg"}]}"#;
    let files = Files::new(&[("captions.json", file)]);
    let entries = entries(&mut files.open("captions.json"));
    let [region] = &entries[0].regions[..] else { panic!() };
    assert_eq!(region.reference.as_deref(), Some("a dog"));
    let none = Region { label: None, reference: None, ..region.clone() };
    assert_eq!(none, Region { label: None, ..labelled("1", pixels(1.0, 2.0, 4.0, 6.0), "") });
}

#[test]
fn images_are_looked_for() {
    let picks = |files: &Files, images: Option<&str>| -> Vec<String> {
        let images = images.map(|name| files.at(name));
        let mut dataset =
            open(&files.at("x/instances.json"), &Options { images, ..Options::default() }).unwrap();
        entries(&mut dataset).iter().map(|entry| files.image(entry)).collect()
    };
    let files = Files::new(&[("x/instances.json", FILE), ("x/images/a.jpg", ""), ("v/b.jpg", "")]);
    assert_eq!(picks(&files, None), ["x/b.jpg", "x/images/a.jpg", "x/empty.jpg"]);
    assert_eq!(picks(&files, Some("v")), ["v/b.jpg", "v/a.jpg", "v/empty.jpg"]);
}

#[test]
fn what_has_no_place_is_counted() {
    let file = r#"{"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [
        {"id": 1, "image_id": 2, "bbox": [1, 2, 3, 4]}, {"id": 2, "image_id": 1, "caption": "c"},
        {"id": 3, "image_id": 1, "bbox": null}, {"id": 4, "image_id": 1, "bbox": [1, 2, 3, 4]}]}"#;
    let files = Files::new(&[("c.json", file)]);
    let mut dataset = files.open("c.json");
    assert_eq!(entries(&mut dataset)[0].regions.len(), 1);
    let counts: Vec<_> = dataset.warnings().iter().map(|w| (w.what, w.count)).collect();
    let expected = [
        ("annotations of images that the file does not list", 1),
        ("annotations without `bbox`", 2),
    ];
    assert_eq!(counts, expected);
    let shown = dataset.warnings()[1].to_string();
    assert!(shown.ends_with("c.json, annotations[1])"), "{shown}");
}

#[test]
fn one_bad_box_costs_one_image() {
    for bad in ["[0, 0, -10, 20]", "[0, 0, 10, 0]", "[1e308, 0, 1e308, 20]"] {
        let files = Files::new(&[("i.json", FILE.replace("[473.5, 395.25, 38.5, 28.5]", bad))]);
        let results: Vec<_> = files.open("i.json").collect();
        assert_eq!(results.len(), 3);
        let message = results[1].as_ref().unwrap_err().to_string();
        assert!(message.contains("i.json, annotations[0]: field `bbox`: box "), "{message}");
        assert_eq!(results[0].as_ref().unwrap().regions.len(), 1);
        assert_eq!(results[2].as_ref().unwrap().name, "empty.jpg");
    }
}

#[test]
fn wrong_files_are_refused() {
    let edited = |from: &str, to: &str| {
        assert!(FILE.contains(from), "{from}");
        FILE.replace(from, to)
    };
    let cases: [(String, &[&str]); 10] = [
        (edited("[1, 2, 3, 4]}", "[1, 2, 3]}"), &["line 13", "`annotations[2].bbox`", "length 3"]),
        (edited("[1, 2, 3, 4]}", "[1, 2, 3, NaN]}"), &["line 13", "annotations[2].bbox"]),
        (edited("\"image_id\": 9, ", ""), &["annotations[1]", "missing field `image_id`"]),
        (edited("\"file_name\": \"a.jpg\", ", ""), &["line 5", "images[1]", "`file_name`"]),
        (edited("\"id\": 4,", "\"id\": 9,"), &["images[1]: field `id`: 9 is taken"]),
        (edited("\"id\": 3, \"im", "\"id\": 1768, \"im"), &["annotations[2]: id `1768` is taken"]),
        (edited("{\"id\": 1, ", "{\"id\": 2, "), &["annotations", "1 is not the id of a category"]),
        (FILE[..400].to_owned(), &["line ", "EOF"]),
        ("{\"annotations\": []}".into(), &["line 1", "missing field `images`"]),
        (
            r#"[{"image_id": 4, "category_id": 18, "bbox": [2, 4, 3, 2], "score": 0.2}]"#.into(),
            &["results of COCO do not name the image files", "instances"],
        ),
    ];
    for (text, parts) in &cases {
        if text.contains("{\"id\": 2, ") {
            // Two images have a person: both are refused.
            let files = Files::new(&[("i.json", text)]);
            let errors: Vec<_> = files.open("i.json").filter_map(Result::err).collect();
            assert_eq!(errors.len(), 2);
            assert!(parts.iter().all(|part| errors[0].to_string().contains(part)));
            continue;
        }
        assert_refused("i.json", Format::Coco, &[(text, parts)]);
    }
}
