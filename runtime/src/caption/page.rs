//! One HTML page with images, boxes and answers, complete in itself.

use std::borrow::Cow;
use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::codecs::jpeg::JpegEncoder;
use image::{RgbImage, imageops};

use super::Record;
use crate::RgbImage8;

/// Longest side of an image on the page, in pixels.
pub const PICTURE_SIDE: u32 = 640;
const JPEG_QUALITY: u8 = 80;

const STYLE: &str = "\
body{font:16px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:80rem;padding:0 1rem;\
color:#1c1e21;background:#fff}\
h1{font-size:1.4rem}h2{font-size:1rem;margin:0 0 .5rem;overflow-wrap:anywhere}\
section{border-top:1px solid #d5d8dc;padding:1.25rem 0;display:flex;flex-wrap:wrap;gap:1.25rem}\
section>svg{flex:0 1 auto;max-width:100%;height:auto}section>div{flex:1 1 20rem}\
ol{list-style:none;margin:0;padding:0}li{margin:0 0 .6rem;overflow-wrap:anywhere}\
b{display:inline-block;min-width:1.4em;text-align:center;border-radius:.3em;color:#fff;\
padding:0 .25em;margin-right:.4em}\
i{color:#5c636b;font-style:normal;display:block;font-size:.85rem}\
.e{color:#b3261e}rect{fill:none;stroke-width:3}text{font:bold 15px sans-serif;fill:#fff}\
@media(prefers-color-scheme:dark){body{color:#e6e8ea;background:#16181b}\
section{border-color:#3a3f45}i{color:#a3abb3}.e{color:#ff8a80}}";

/// Colours of boxes, in turn; white letters are readable on all of them.
const COLOURS: [&str; 8] =
    ["#c62828", "#1565c0", "#2e7d32", "#8e24aa", "#b8500c", "#00707f", "#ad1457", "#4e5d2f"];

/// A page that is written image by image.
pub struct Page<W> {
    out: W,
}

impl<W: Write> Page<W> {
    /// Begins the page.
    ///
    /// # Errors
    /// What writing gives.
    pub fn begin(mut out: W, title: &str) -> io::Result<Page<W>> {
        let title = escaped(title);
        write!(
            out,
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\">\
             <title>{title}</title><style>{STYLE}</style></head>\n<body><h1>{title}</h1>\n"
        )?;
        Ok(Page { out })
    }

    /// Adds an image and what was said about it; without pixels only that.
    ///
    /// # Errors
    /// What writing gives.
    pub fn image(
        &mut self,
        name: &str,
        pixels: Option<&RgbImage8>,
        records: &[Record],
    ) -> io::Result<()> {
        writeln!(self.out, "<section>")?;
        let regions = Regions::of(records);
        if let Some(pixels) = pixels {
            self.picture(pixels, &regions)?;
        }
        writeln!(self.out, "<div><h2>{}</h2><ol>", escaped(name))?;
        for record in records {
            self.line(record, regions.number(record))?;
        }
        writeln!(self.out, "</ol></div></section>")
    }

    /// Ends the page.
    ///
    /// # Errors
    /// What writing gives.
    pub fn finish(mut self) -> io::Result<W> {
        writeln!(self.out, "</body></html>")?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn picture(&mut self, pixels: &RgbImage8, regions: &Regions) -> io::Result<()> {
        let small = shrunk(pixels).ok_or(io::ErrorKind::InvalidData)?;
        let (w, h) = small.dimensions();
        let data = STANDARD.encode(jpeg(&small)?);
        write!(
            self.out,
            "<svg width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\">\
             <image width=\"{w}\" height=\"{h}\" href=\"data:image/jpeg;base64,{data}\"/>"
        )?;
        let scale =
            (f64::from(w) / f64::from(pixels.width()), f64::from(h) / f64::from(pixels.height()));
        for (i, (_, edges)) in regions.0.iter().enumerate() {
            self.region(i, *edges, scale, w)?;
        }
        writeln!(self.out, "</svg>")
    }

    /// A box and its badge, which stays within the picture.
    fn region(
        &mut self,
        i: usize,
        [x1, y1, x2, y2]: [f64; 4],
        (sx, sy): (f64, f64),
        width: u32,
    ) -> io::Result<()> {
        let (x, y, w, h) = (x1 * sx, y1 * sy, (x2 - x1) * sx, (y2 - y1) * sy);
        let (number, colour) = (i + 1, colour(i));
        let badge = 10.0 * number.to_string().len() as f64 + 8.0;
        let (left, top) = (x.min(f64::from(width) - badge).max(0.0), y.max(0.0));
        let (text_x, text_y) = (left + 4.0, top + 15.0);
        write!(
            self.out,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w:.1}\" height=\"{h:.1}\" stroke=\"{colour}\"/>\
             <rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{badge:.1}\" height=\"19\" \
             style=\"fill:{colour}\"/><text x=\"{text_x:.1}\" y=\"{text_y:.1}\">{number}</text>"
        )
    }

    fn line(&mut self, record: &Record, number: Option<usize>) -> io::Result<()> {
        write!(self.out, "<li>")?;
        if let Some(i) = number {
            write!(self.out, "<b style=\"background:{}\">{}</b>", colour(i), i + 1)?;
        }
        let text = |field: &Option<String>| escaped(field.as_deref().unwrap_or("")).into_owned();
        match &record.error {
            Some(error) => write!(self.out, "<span class=\"e\">{}</span>", escaped(error))?,
            None => write!(self.out, "{}", text(&record.answer))?,
        }
        let label = record.label.as_ref().map(|l| format!(" &middot; {}", escaped(l)));
        if record.question.is_some() {
            write!(self.out, "<i>{}{}</i>", text(&record.question), label.unwrap_or_default())?;
        }
        writeln!(self.out, "</li>")
    }
}

/// The regions of records, each once, in order.
struct Regions(Vec<(String, [f64; 4])>);

impl Regions {
    fn of(records: &[Record]) -> Regions {
        let mut regions: Vec<(String, [f64; 4])> = Vec::new();
        for record in records {
            // The questions of a region follow each other.
            if let (Some(id), Some(edges)) = (&record.id, record.edges)
                && regions.last().is_none_or(|(last, _)| last != id)
            {
                regions.push((id.clone(), edges));
            }
        }
        Regions(regions)
    }

    fn number(&self, record: &Record) -> Option<usize> {
        let id = record.id.as_ref()?;
        self.0.iter().position(|(known, _)| known == id)
    }
}

fn colour(i: usize) -> &'static str {
    COLOURS[i % COLOURS.len()]
}

/// The image, no side longer than [`PICTURE_SIDE`].
fn shrunk(pixels: &RgbImage8) -> Option<RgbImage> {
    let (w, h) = pixels.size();
    let image = RgbImage::from_raw(w, h, pixels.data().to_vec())?;
    let longest = w.max(h);
    if longest <= PICTURE_SIDE {
        return Some(image);
    }
    let side = |n: u32| (u64::from(n) * u64::from(PICTURE_SIDE) / u64::from(longest)).max(1) as u32;
    Some(imageops::thumbnail(&image, side(w), side(h)))
}

fn jpeg(image: &RgbImage) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY);
    image.write_with_encoder(encoder).map_err(io::Error::other)?;
    Ok(bytes)
}

/// A text as HTML, in elements and in quoted attributes.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            _ => out.push(c),
        }
    }
    out.into()
}
