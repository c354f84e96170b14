//! Pages.

use gpt4roi::RgbImage8;
use gpt4roi::caption::{PICTURE_SIDE, Page, Record, escaped};

fn record(id: &str, question: &str, answer: &str) -> Record {
    Record {
        image: Some("a".into()),
        id: Some(id.into()),
        edges: Some([10.0, 20.0, 500.0, 400.0]),
        question: Some(question.into()),
        answer: Some(answer.into()),
        ..Record::default()
    }
}

#[test]
fn nothing_of_a_text_is_markup() {
    assert_eq!(escaped("a <b> & \"c\" 'd'"), "a &lt;b&gt; &amp; &quot;c&quot; &#39;d&#39;");
    assert_eq!(escaped("plain \u{e9}"), "plain \u{e9}");
    let evil = "<script>alert(1)</script>";
    let mut page = Page::begin(Vec::new(), evil).unwrap();
    let mut one = record("1", evil, evil);
    one.label = Some(evil.into());
    let failed = Record { error: Some(evil.into()), ..Record::default() };
    page.image(evil, None, &[one, failed]).unwrap();
    let text = String::from_utf8(page.finish().unwrap()).unwrap();
    assert!(!text.contains("<script"), "{text}");
    assert_eq!(text.matches("&lt;script&gt;").count(), 7);
}

#[test]
fn images_are_small_and_inside() {
    let (w, h) = (2000, 1000);
    let image = RgbImage8::new(w, h, vec![90; (w * h * 3) as usize]).unwrap();
    let mut page = Page::begin(Vec::new(), "t").unwrap();
    let records = [record("1", "q", "a"), record("1", "r", "b"), record("2", "q", "c")];
    page.image("a", Some(&image), &records).unwrap();
    let text = String::from_utf8(page.finish().unwrap()).unwrap();
    assert!(text.contains("data:image/jpeg;base64,"));
    assert!(!text.contains("src=") && !text.contains("http"), "something is not in the page");
    assert!(text.contains(&format!("viewBox=\"0 0 {PICTURE_SIDE} {}\"", PICTURE_SIDE / 2)));
    // Two regions, a box and a badge each, in the picture's scale.
    assert_eq!(text.matches("<rect ").count(), 4);
    assert!(text.contains("x=\"3.2\" y=\"6.4\" width=\"156.8\" height=\"121.6\""));
    assert_eq!(text.matches("<li>").count(), 3);
    assert!(text.len() < 20_000);
}

#[test]
fn the_thinnest_images_are_drawn() {
    for (w, h) in [(1, 5000), (5000, 1), (1, 1)] {
        let image = RgbImage8::new(w, h, vec![9; (w * h * 3) as usize]).unwrap();
        let mut page = Page::begin(Vec::new(), "t").unwrap();
        page.image("a", Some(&image), &[]).unwrap();
    }
}
