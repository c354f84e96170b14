//! Pascal VOC.

use super::files::{Files, assert_refused, entries, labelled, pixels};
use gpt4roi::dataset::{Format, Options, open};

const FILE: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<annotation>
  <folder>VOC2012</folder>
  <filename>000001.jpg</filename>
  <size><width>353</width><height>500</height><depth>3</depth></size>
  <object>
    <name>dog</name>
    <pose>Left</pose>
    <bndbox><xmin>48</xmin><ymin>240</ymin><xmax>195</xmax><ymax>371</ymax></bndbox>
  </object>
  <object>
    <name>person &amp; bag</name>
    <part><name>head</name>
      <bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox></part>
    <bndbox><ymin>1</ymin><xmin> 1 </xmin><ymax>500</ymax><xmax>353.5</xmax></bndbox>
  </object>
</annotation>"#;

#[test]
fn pixels_counted_from_1_become_edges_counted_from_0() {
    let files = Files::new(&[("000001.xml", FILE)]);
    let mut dataset = files.open("000001.xml");
    assert_eq!((dataset.format(), dataset.n_images()), (Format::Voc, Some(1)));
    let entries = entries(&mut dataset);
    assert_eq!((&*entries[0].name, files.image(&entries[0])), ("000001.jpg", "000001.jpg".into()));
    let expected = [
        labelled("1", pixels(47.0, 239.0, 195.0, 371.0), "dog"),
        labelled("2", pixels(0.0, 0.0, 353.5, 500.0), "person & bag"),
    ];
    assert_eq!(entries[0].regions, expected);
    assert!(dataset.warnings().is_empty());
}

#[test]
fn a_folder_is_read_in_the_order_of_its_names() {
    let second = FILE.replace("000001", "000002");
    let files = Files::new(&[
        ("VOC/Annotations/b.xml", FILE),
        ("VOC/Annotations/a.xml", &second),
        ("VOC/JPEGImages/000001.jpg", ""),
        ("VOC/readme.txt", "0 0 0 0 0"),
        ("VOC/Annotations/._a.xml", "left by a file manager"),
    ]);
    let mut dataset = files.open("VOC");
    assert_eq!(dataset.n_images(), Some(2));
    let entries = entries(&mut dataset);
    assert_eq!(files.image(&entries[1]), "VOC/JPEGImages/000001.jpg");
    assert_eq!(entries[0].name, "000002.jpg");
    let options = Options { images: Some("/photos".into()), ..Options::default() };
    let first = open(&files.at("VOC"), &options).unwrap().next().unwrap().unwrap();
    assert_eq!(first.image.to_str(), Some("/photos/000002.jpg"));
}

#[test]
fn edges_at_0_are_kept_and_counted() {
    let files = Files::new(&[("a.xml", FILE.replace("<xmin>48<", "<xmin>0<"))]);
    let mut dataset = files.open("a.xml");
    assert_eq!(entries(&mut dataset)[0].regions[0].shape, pixels(0.0, 239.0, 195.0, 371.0));
    assert_eq!(dataset.warnings()[0].count, 1);
}

#[test]
fn one_bad_file_costs_one_image() {
    let files = Files::new(&[("a.xml", FILE), ("b.xml", "<annotation>"), ("c.xml", FILE)]);
    let results: Vec<_> = files.open("").collect();
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
}

#[test]
fn wrong_files_are_refused() {
    let edited = |from: &str, to: &str| {
        assert!(FILE.contains(from), "{from}");
        FILE.replace(from, to)
    };
    let bomb = "<!DOCTYPE a [<!ENTITY b \"b\"><!ENTITY c \"&b;&b;\">]><annotation>&c;</annotation>";
    let cases: [(String, &[&str]); 9] = [
        (
            edited("<xmin>48<", "<xmin>4x8<"),
            &["line 9: field `xmin`: `4x8` is not a finite number"],
        ),
        (edited("<xmin>48<", "<xmin>nan<"), &["line 9: field `xmin`: `nan`"]),
        (edited("<xmin>48<", "<xmin>196<"), &["line 9: box 195,239,195,371", "empty or inverted"]),
        (edited("<name>dog</name>", ""), &["line 6: <object> lacks <name>"]),
        (edited("<filename>000001.jpg</filename>", ""), &["line 2: <annotation> lacks <filename>"]),
        (edited("000001.jpg", " "), &["line 4: <filename> is empty"]),
        (edited("</annotation>", ""), &["not usable XML"]),
        (bomb.into(), &["not usable XML"]),
        ("<annotations/>".into(), &["line 1: the root is <annotations>, not <annotation>"]),
    ];
    for (text, parts) in &cases {
        assert_refused("a.xml", Format::Voc, &[(text, parts)]);
    }
}
