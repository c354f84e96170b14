//! CVAT for images.

use super::files::{Files, assert_refused, entries, labelled, pixels};
use gpt4roi::dataset::{Format, RegionBox};

const FILE: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><task><size>2</size></task></meta>
  <image id="0" name="sub/a.jpg" width="100" height="80">
    <box label="car" source="manual" occluded="0" xtl="10.5" ytl="20" xbr="30" ybr="40" z_order="0">
      <attribute name="model">a</attribute>
    </box>
    <polygon label="roof" points="5.00,9.00;1.00,4.00;7.50,2.00"/>
    <polyline label="lane" points="5.00,9.00;1.00,4.00"/>
    <ellipse label="eye" cx="10" cy="20" rx="3" ry="4"/>
    <mask label="fog" rle="0, 4" left="4" top="5" width="6" height="7"/>
    <points label="dot" points="5.00,9.00"/>
    <tag label="outdoors"/>
  </image>
  <image id="1" name="b.jpg" width="100" height="80"/>
</annotations>"#;

#[test]
fn shapes_become_the_boxes_around_them() {
    let files = Files::new(&[("annotations.xml", FILE), ("images/sub/a.jpg", "")]);
    let mut dataset = files.open("");
    assert_eq!((dataset.format(), dataset.n_images()), (Format::Cvat, Some(2)));
    let entries = entries(&mut dataset);
    assert_eq!(
        (&*entries[0].name, files.image(&entries[0])),
        ("sub/a.jpg", "images/sub/a.jpg".into())
    );
    let expected = [
        labelled("1", pixels(10.5, 20.0, 30.0, 40.0), "car"),
        labelled("2", pixels(1.0, 2.0, 7.5, 9.0), "roof"),
        labelled("3", pixels(7.0, 16.0, 13.0, 24.0), "eye"),
        labelled("4", pixels(4.0, 5.0, 10.0, 12.0), "fog"),
    ];
    assert_eq!(entries[0].regions, expected);
    assert_eq!((&*entries[1].name, entries[1].regions.len()), ("b.jpg", 0));
    let warnings: Vec<_> = dataset.warnings().iter().map(|w| w.to_string()).collect();
    let expected = [
        "polylines, which have no box: 1 (the first in image `sub/a.jpg`)",
        "points and skeletons, which have no box: 1 (the first in image `sub/a.jpg`)",
        "tags, which are of the whole image: 1 (the first in image `sub/a.jpg`)",
    ];
    assert_eq!(warnings, expected);
}

#[test]
fn turned_shapes_become_the_boxes_around_them() {
    let turned = FILE.replace("xtl=\"10.5\"", "rotation=\"90.0\" xtl=\"10\"");
    let turned = turned.replace("rx=\"3\"", "rotation=\"90.0\" rx=\"3\"");
    let turned = turned.replace("ytl=\"20\"", "ytl=\"30\"");
    let files = Files::new(&[("annotations.xml", turned)]);
    let regions = &entries(&mut files.open("annotations.xml"))[0].regions;
    // A box of 20 x 10 around (20, 35) stands upright now, the ellipse of 6 x 8 lies.
    assert_close(regions[0].shape, [15.0, 25.0, 25.0, 45.0]);
    assert_close(regions[2].shape, [6.0, 17.0, 14.0, 23.0]);
    let files = Files::new(&[("a.xml", FILE.replace("rx=\"3\"", "rotation=\"45\" rx=\"3\""))]);
    let half = 12.5f64.sqrt();
    let regions = &entries(&mut files.open("a.xml"))[0].regions;
    assert_close(regions[2].shape, [10.0 - half, 20.0 - half, 10.0 + half, 20.0 + half]);
}

fn assert_close(shape: RegionBox, expected: [f64; 4]) {
    /// The sine of 180 degrees as computed, times coordinates of some 100.
    const ROUNDING: f64 = 1e-12;
    let found = shape.in_pixels((1, 1));
    let found = [found.x1, found.y1, found.x2, found.y2];
    let near = found.iter().zip(expected).all(|(a, b)| (a - b).abs() < ROUNDING);
    assert!(near, "{found:?} instead of {expected:?}");
}

#[test]
fn one_bad_box_costs_one_image() {
    let files = Files::new(&[("a.xml", FILE.replace("xbr=\"30\"", "xbr=\"3\""))]);
    let results: Vec<_> = files.open("a.xml").collect();
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn wrong_files_are_refused() {
    let edited = |from: &str, to: &str| {
        assert!(FILE.contains(from), "{from}");
        FILE.replace(from, to)
    };
    let cases: [(String, &[&str]); 10] = [
        (edited("xbr=\"30\" ", ""), &["line 6: <box> lacks the attribute `xbr`"]),
        (edited("xbr=\"30\"", "xbr=\"inf\""), &["line 6: field `xbr`: `inf` is not a finite"]),
        (edited("xbr=\"30\"", "xbr=\"3\""), &["line 6: box 10.5,20,3,40", "empty or inverted"]),
        (edited("7.50,2.00", "7.50"), &["line 9: field `points`: `7.50` is not a pair x,y"]),
        (edited("7.50,2.00", ""), &["line 9: field `points`: `` is not a pair x,y"]),
        (edited("<polygon label=\"roof\"", "<polygon"), &["line 9: <polygon> lacks", "`label`"]),
        (edited(" name=\"b.jpg\"", ""), &["line 16: <image> lacks the attribute `name`"]),
        (edited("<meta>", "<track id=\"0\"/><meta>"), &["line 4: <track> is of a video"]),
        (edited("</image>", ""), &["not usable XML"]),
        ("<annotation/>".into(), &["line 1: the root is <annotation>, not <annotations>"]),
    ];
    for (text, parts) in &cases {
        assert_refused("a.xml", Format::Cvat, &[(text, parts)]);
    }
}
