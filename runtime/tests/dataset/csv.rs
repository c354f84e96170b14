//! CSV.

use super::files::{Files, assert_refused, entries, labelled, pixels};
use gpt4roi::dataset::{Format, MAX_RECORD_BYTES};

#[test]
fn columns_in_any_order_and_quoted() {
    let text = "label,y2,x2,y1,x1,image,id,question\r\n\
        \"dog, \"\"big\"\"\",4,3,2,1,\"a,1.jpg\",7,What?\r\n\
        ,40,30.5,20,10,\"a,1.jpg\",,\"two\nlines\"\r\n\
        cat,4,3,2,1,b.jpg,,\r\n\
        cat,4,3,2,1,\"a,1.jpg\",,\r\n";
    let files = Files::new(&[("set.csv", text)]);
    let entries = entries(&mut files.open("set.csv"));
    let names: Vec<_> = entries.iter().map(|e| (&*e.name, e.regions.len())).collect();
    assert_eq!(names, [("a,1.jpg", 2), ("b.jpg", 1), ("a,1.jpg", 1)]);
    let regions = &entries[0].regions;
    assert_eq!(regions[0].label.as_deref(), Some("dog, \"big\""));
    assert_eq!((&*regions[0].id, regions[0].shape), ("7", pixels(1.0, 2.0, 3.0, 4.0)));
    assert_eq!((&*regions[1].id, regions[1].shape), ("2", pixels(10.0, 20.0, 30.5, 40.0)));
    assert_eq!((&regions[1].label, &*regions[1].questions[0]), (&None, "two\nlines"));
    assert_eq!(entries[1].regions, [labelled("1", pixels(1.0, 2.0, 3.0, 4.0), "cat")]);
}

#[test]
fn a_byte_order_mark_and_blanks_in_the_header_are_accepted() {
    let files = Files::new(&[("set.csv", "\u{feff}image, x1, y1, x2, y2\na,1,2,3,4")]);
    let entries = entries(&mut files.open("set.csv"));
    assert_eq!(entries[0].regions[0].shape, pixels(1.0, 2.0, 3.0, 4.0));
}

#[test]
fn the_rows_around_a_damaged_one_are_read() {
    let rows = "image,x1,y1,x2,y2\na,1,2,3,4\na,1,2,3,oops\na,1,2\na,1,2,3,5\nb,1,2,3,6\n";
    let files = Files::new(&[("set.csv", rows)]);
    let results: Vec<_> = files.open("set.csv").collect();
    let shown: Vec<String> = results
        .into_iter()
        .map(|r| match r {
            Ok(entry) => format!("{} {}", entry.name, entry.regions.len()),
            Err(error) => error.to_string().rsplit_once(", ").unwrap().1.into(),
        })
        .collect();
    let expected =
        ["line 3: field `y2`: `oops` is not a finite number", "the header has 5", "a 2", "b 1"];
    assert_eq!(shown, expected);
}

#[test]
fn an_open_quote_does_not_fill_the_memory() {
    let mut text = b"image,x1,y1,x2,y2\n\"a".to_vec();
    text.resize(MAX_RECORD_BYTES as usize + (1 << 20), b'x');
    let files = Files::new(&[("set.csv", text)]);
    let mut dataset = files.open("set.csv");
    let message = dataset.next().unwrap().unwrap_err().to_string();
    assert!(message.contains("is a quote not closed?"), "{message}");
    assert!(dataset.next().is_none());
}

#[test]
fn wrong_headers_are_refused() {
    let cases: [(&str, &[&str]); 4] = [
        ("", &["line 1", "lacks column `image`"]),
        ("image,x1,y1,x2\n", &["line 1", "lacks column `y2`"]),
        ("image,x1,y1,x2,y2,lable\n", &["line 1", "column `lable` is unknown", "question"]),
        ("image,x1,y1,x2,y2,x1\n", &["line 1", "column `x1` is there twice"]),
    ];
    assert_refused("set.csv", Format::Csv, &cases);
}

#[test]
fn wrong_rows_are_refused() {
    for (row, part) in [
        ("a,1,2,3,nan,", "field `y2`: `nan` is not a finite number"),
        ("a,1,2,inf,4,", "field `x2`: `inf`"),
        ("a,,2,3,4,", "field `x1`: ``"),
        ("a,3,2,1,4,", "empty or inverted"),
        (",1,2,3,4,", "field `image`: empty"),
        ("a,1,2,3,4", "has 5 field(s), the header has 6"),
        ("a,1,2,3,4,1", "id `1` is taken"),
    ] {
        let text = format!("image,x1,y1,x2,y2,id\na,1,2,3,4,1\n{row}\n");
        assert_refused("set.csv", Format::Csv, &[(&text, &[", line 3: ", part])]);
    }
}
