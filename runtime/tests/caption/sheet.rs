//! Pictures of captions.

use super::fake::{Desk, records};
use super::fake::{Fake, Run};
use gpt4roi::caption::{Captioned, sheet_name, write_sheet};
use gpt4roi::load_image;
use std::collections::HashSet;
use std::path::Path;

#[test]
fn no_name_leads_out_of_the_folder_or_to_another_picture() {
    let long = "x/".repeat(300);
    let names =
        ["../../etc/passwd", "a/b.jpg", "a_b.jpg", "/a", "", "..", "C:\\a.png", "\0", &long];
    let files: HashSet<String> =
        names.iter().enumerate().map(|(i, name)| sheet_name(i, name)).collect();
    assert_eq!(files.len(), names.len());
    for file in files {
        assert_eq!(Path::new(&file).components().count(), 1, "{file}");
        assert!(file.ends_with(".png") && file.len() < 250 && !file.contains(['/', '\\', '\0']));
    }
    assert_eq!(sheet_name(16, "val/a b.jpg"), "000017-val_a_b.jpg.png");
}

#[test]
fn a_picture_has_boxes_and_captions() {
    let desk = Desk::new();
    desk.run(&mut Fake::default(), &Run::new("out.jsonl", desk.entries(3))).unwrap();
    let records = records(&desk.at("out.jsonl"));
    let image = load_image(&desk.at("2.png")).unwrap();
    let captioned =
        Captioned { index: 2, name: "2.png", pixels: Some(&image), records: &records[1..] };
    let path = write_sheet(&desk.at(""), &captioned).unwrap().unwrap();
    let picture = load_image(&path).unwrap();
    let unread = Captioned { pixels: None, ..captioned };
    assert_eq!(write_sheet(&desk.at(""), &unread).unwrap(), None);
    assert!(picture.width() > image.width() && picture.data().iter().any(|v| *v > 200));
}
