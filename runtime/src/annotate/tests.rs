//! Layouts in which nothing is lost, and the pictures made of them.

use super::geometry::Rect;
use super::layout::Layout;
use super::text::{Atom, Font, Fonts, Measure, Weight, names, wrap};
use super::*;
use proptest::prelude::*;

fn image(width: u32, height: u32) -> RgbImage8 {
    let data = (0..width * height * 3).map(|i| (i * 37 % 251) as u8).collect();
    RgbImage8::new(width, height, data).expect("an image")
}

fn region(number: u32, [x1, y1, x2, y2]: [f64; 4]) -> Region {
    Region { number, pixels: PixelBox::new(x1, y1, x2, y2) }
}

/// Notes of all lengths, with words that no line holds, badges, and what no font has.
fn notes() -> Vec<Note> {
    vec![
        Note::new("What is <region1>?", "A cup."),
        Note::new("<region1>", ""),
        Note::new("", "region2 lies beside region1, region9 and xregion1"),
        Note::new("Describe <region1>, <region2>.", "It is a spoon on a saucer. ".repeat(12)),
        Note::new("\u{4e00}\u{1f600}".repeat(40), "Pneumono".repeat(30)),
        Note::new(" \n\t ", "\u{7}\u{200b}"),
    ]
}

/// All parts of a layout that must lie within the picture.
fn parts(layout: &Layout, fonts: &Fonts) -> Vec<Rect> {
    let runs = layout.runs.iter().map(|r| {
        let px = r.font.px;
        Rect::new(r.x, r.baseline - px, fonts.width(r.font, &r.text), px * 1.25)
    });
    let mut all: Vec<Rect> = runs.collect();
    all.extend(layout.bars.iter().map(|b| b.0));
    all.extend(layout.badges.iter().map(|b| b.rect));
    all.push(layout.image);
    all
}

#[track_caller]
fn nothing_is_cut_off(sheet: &Sheet, style: &Style) -> (u32, u32) {
    let fonts = Fonts::bundled();
    let layout = Layout::new(sheet, style, &fonts).unwrap_or_else(|e| panic!("{e}"));
    let (w, h) = layout.size;
    let page = Rect::new(0.0, 0.0, w as f32, h as f32);
    for part in parts(&layout, &fonts) {
        assert!(page.contains(&part), "{part:?} in {page:?}");
    }
    for run in &layout.runs {
        let text = Rect::new(run.x, run.baseline - 1.0, 1.0, 1.0);
        assert!(layout.image.overlap(&text) == 0.0, "{run:?} on {:?}", layout.image);
    }
    for mark in &layout.marks {
        for rect in [mark.badge.rect, mark.frame] {
            let fits = rect.w <= layout.image.w && rect.h <= layout.image.h;
            assert!(!fits || layout.image.contains(&rect), "{rect:?} in {:?}", layout.image);
        }
    }
    layout.size
}

#[test]
fn nothing_is_cut_off_at_any_shape() {
    let (notes, style) = (notes(), Style::default());
    for (w, h) in [(224, 224), (600, 400), (400, 600), (1920, 300), (3, 900), (900, 3), (1, 1)] {
        let image = image(w, h);
        let (x, y) = (f64::from(w), f64::from(h));
        let regions = [
            region(1, [0.0, 0.0, x, y]),
            region(2, [x * 0.9, y * 0.9, x * 1.5, y * 1.5]),
            region(123_456, [-x, -y, -0.5 * x, -0.5 * y]),
        ];
        let footer =
            "a model with a long name in a footer that needs more than one line ".repeat(4);
        for n in [0, 1, notes.len()] {
            let sheet =
                Sheet { image: &image, regions: &regions, notes: &notes[..n], footer: &footer };
            nothing_is_cut_off(&sheet, &style);
        }
    }
}

#[test]
fn notes_stand_beside_or_below_and_the_picture_grows_with_them() {
    let square = image(224, 224);
    let short = [Note::new("What is <region1>?", "A cup.")];
    let long = [Note::new("What is <region1>?", "A cup of coffee. ".repeat(400))];
    let regions = [region(1, [20.0, 20.0, 120.0, 120.0])];
    let size = |image: &RgbImage8, notes: &[Note]| {
        let sheet = Sheet { image, regions: &regions, notes, footer: "" };
        nothing_is_cut_off(&sheet, &Style::default())
    };
    let (w, h) = size(&square, &short);
    assert!(w > 896 + 400 && (896..1000).contains(&h), "{w}x{h}");
    let (same, taller) = size(&square, &long);
    assert!(same == w && taller > h, "{same}x{taller}");
    let (w, h) = size(&image(400, 100), &short);
    assert!((896..1000).contains(&w) && h > 224, "{w}x{h}");
}

#[test]
fn badges_neither_meet_nor_hide_small_boxes() {
    let image = image(224, 224);
    let at = |x: f64, y: f64| [x, y, x + 40.0, y + 40.0];
    let places =
        [(0.0, 0.0), (184.0, 0.0), (0.0, 184.0), (184.0, 184.0), (90.0, 90.0), (92.0, 94.0)];
    let regions: Vec<Region> = (1..).zip(places).map(|(n, (x, y))| region(n, at(x, y))).collect();
    let sheet = Sheet { image: &image, regions: &regions, notes: &[], footer: "" };
    let layout = Layout::new(&sheet, &Style::default(), &Fonts::bundled()).expect("a layout");
    for (i, mark) in layout.marks.iter().enumerate() {
        assert_eq!(mark.frame.inset(2.0).overlap(&mark.badge.rect), 0.0, "badge {}", i + 1);
        for other in &layout.marks[..i] {
            assert_eq!(other.badge.rect.overlap(&mark.badge.rect), 0.0, "badge {}", i + 1);
        }
    }
}

#[test]
fn regions_are_found_by_their_names() {
    fn found(text: &str) -> Vec<(&str, u32)> {
        names(text).into_iter().map(|(range, number)| (&text[range], number)).collect()
    }
    assert_eq!(found("<region1>, region2's"), [("<region1>", 1), ("region2", 2)]);
    assert_eq!(found("Region12."), [("Region12", 12)]);
    assert_eq!(found("<region3"), [("region3", 3)]);
    for none in
        ["region", "region 1", "subregion1", "region1st", "region99999999999", "REGION1", "r", "R1"]
    {
        assert!(found(none).is_empty(), "{none}");
    }
}

fn measure(fonts: &Fonts) -> Measure<'_> {
    Measure { fonts, font: Font::new(Weight::Regular, 20.0), numbers: &[1, 2] }
}

/// Text of wrapped lines, badges as `[index]`.
fn unwrapped(lines: &[Vec<super::text::Placed>]) -> String {
    let text = |p: &super::text::Placed| match &p.atom {
        Atom::Text(text) => text.clone(),
        Atom::Badge(index) => format!("[{index}]"),
    };
    lines.iter().flatten().map(text).collect()
}

proptest! {
    #[test]
    fn wrapping_keeps_every_character_and_fits(
        words in prop::collection::vec("(<region1>|Region2|[a-zA-Z,.é漢]{0,30})[?,]?", 0..30),
        width in 30.0f32..600.0,
    ) {
        let fonts = Fonts::bundled();
        let lines = wrap(&words.join(" "), width, &measure(&fonts));
        for line in &lines {
            let end = line.last().map_or(0.0, |p| p.x + p.w);
            prop_assert!(line.len() == 1 || end <= width + 0.01, "{end} > {width}: {line:?}");
            for pair in line.windows(2) {
                prop_assert!(pair[0].x + pair[0].w <= pair[1].x + 0.01);
            }
        }
        let expected: String = words.concat();
        let expected = expected.replace("<region1>", "[0]");
        // A name glued to letters is none.
        let got = unwrapped(&lines).replace("[1]", "Region2");
        prop_assert_eq!(got, expected);
    }
}

#[test]
fn a_picture_shows_image_boxes_and_text() {
    let blank = RgbImage8::new(40, 40, vec![255; 4800]).expect("an image");
    let regions = [region(1, [10.0, 10.0, 30.0, 30.0])];
    let pixels = |regions: &[Region], notes: &[Note]| {
        let sheet = Sheet { image: &blank, regions, notes, footer: "" };
        draw(&sheet, &Style::default()).expect("a picture")
    };
    let inked = |p: &RgbImage8| p.data().chunks(3).filter(|c| c.iter().any(|v| *v < 250)).count();
    let (plain, boxed) = (pixels(&[], &[]), pixels(&regions, &[]));
    assert_eq!((inked(&plain), plain.size()), (0, boxed.size()));
    // A frame of 448 pixels a side and about 3 wide, and a badge.
    assert!((4000..12_000).contains(&inked(&boxed)), "{}", inked(&boxed));
    let noted = pixels(&regions, &[Note::new("What is <region1>?", "A cup.")]);
    assert!(noted.width() > boxed.width() && inked(&noted) > inked(&boxed) + 1000);
}

#[test]
fn senseless_sizes_are_errors() {
    let image = image(8, 8);
    let sheet = Sheet { image: &image, regions: &[], notes: &[], footer: "" };
    for (image_side, text_px, field) in
        [(0, 25.0, "image_side"), (896, 0.0, "text_px"), (896, f32::NAN, "text_px")]
    {
        let error = draw(&sheet, &Style { image_side, text_px }).expect_err(field);
        assert!(error.to_string().contains(field), "{error}");
    }
    let endless = [Note::new("", "word ".repeat(40_000))];
    let error = draw(&Sheet { notes: &endless, ..sheet }, &Style::default()).expect_err("a limit");
    assert!(matches!(error, Error::TooLarge { height: 16_385.., .. }), "{error}");
}

#[test]
fn files_are_written_whole_or_not_at_all() {
    let dir = std::env::temp_dir().join(format!("gpt4roi-annotate-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a folder");
    let (picture, path) = (image(30, 20), dir.join("out.png"));
    for _ in 0..2 {
        check_writable(&path).expect("a writable folder");
        write_png(&path, &picture).expect("a file");
        let read = crate::load_image(&path).expect("a picture");
        assert_eq!(read, picture);
    }
    for bad in [dir.clone(), dir.join("missing/out.png"), path.join("out.png")] {
        for result in [check_writable(&bad), write_png(&bad, &picture)] {
            let message = result.expect_err("no file").to_string();
            assert!(message.contains(&*bad.to_string_lossy()), "{message}");
        }
    }
    assert_eq!(std::fs::read_dir(&dir).expect("a folder").count(), 1);
    std::fs::remove_dir_all(&dir).expect("a folder");
}
