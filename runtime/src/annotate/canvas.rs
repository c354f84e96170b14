//! Drawing, with tiny-skia.

use super::Error;
use super::geometry::Rect;
use super::layout::{Layout, Run};
use super::marks::{Badge, Mark};
use super::palette::{self, Rgb};
use super::text::{Font, Fonts, badge_font};
use crate::preprocess::RgbImage8;
use image::imageops::{self, FilterType};
use image::{ImageBuffer, Rgb as RgbPixel, RgbImage};
use tiny_skia::{Color, FillRule, LineJoin, Paint, Path, PathBuilder, Pixmap, Stroke, Transform};
use ttf_parser::OutlineBuilder;

/// Corners of badges, of their height.
const ROUNDNESS: f32 = 0.24;

/// Draws everything.
pub(super) fn paint(image: &RgbImage8, layout: &Layout, fonts: &Fonts) -> Result<RgbImage8, Error> {
    let (width, height) = layout.size;
    let too_large =
        || Error::TooLarge { width: width.into(), height: height.into(), limit: u32::MAX };
    let pixmap = Pixmap::new(width, height).ok_or_else(too_large)?;
    let mut canvas = Canvas { pixmap, fonts };
    canvas.pixmap.fill(color(palette::PAPER));
    canvas.image(image, &layout.image);
    for mark in &layout.marks {
        canvas.frame(mark);
    }
    for mark in &layout.marks {
        canvas.badge(&mark.badge, true);
    }
    for (rect, colour) in &layout.bars {
        canvas.fill(rectangle(rect), *colour);
    }
    for badge in &layout.badges {
        canvas.badge(badge, false);
    }
    for run in &layout.runs {
        canvas.run(run);
    }
    let rgb = canvas.pixmap.data().chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect();
    RgbImage8::new(width, height, rgb).map_err(|e| Error::Encode(e.to_string()))
}

struct Canvas<'a> {
    pixmap: Pixmap,
    fonts: &'a Fonts,
}

impl Canvas<'_> {
    fn image(&mut self, image: &RgbImage8, at: &Rect) {
        let scaled = scale(image, at.w as u32, at.h as u32);
        let (left, top) = (at.x as usize, at.y as usize);
        let stride = self.pixmap.width() as usize * 4;
        let rows = self.pixmap.data_mut().chunks_exact_mut(stride).skip(top);
        for (row, line) in rows.zip(scaled.rows()) {
            for (to, from) in row.chunks_exact_mut(4).skip(left).zip(line) {
                to[..3].copy_from_slice(&from.0);
            }
        }
    }

    /// A box: its colour on a halo, so that it stands out from any image.
    fn frame(&mut self, mark: &Mark) {
        let path = rectangle(&mark.frame);
        self.stroke(path.as_ref(), palette::HALO, mark.line);
        self.stroke(path.as_ref(), mark.badge.colour, mark.line * 0.62);
    }

    fn badge(&mut self, badge: &Badge, halo: bool) {
        let rect = match halo {
            true => {
                self.fill(rounded(&badge.rect), palette::HALO);
                badge.rect.inset(badge.px * 0.05)
            }
            false => badge.rect,
        };
        self.fill(rounded(&rect), badge.colour);
        let font = badge_font(badge.px);
        let text = badge.number.to_string();
        let x = rect.x + (rect.w - self.fonts.width(font, &text)) / 2.0;
        let baseline = rect.y + (rect.h + self.fonts.cap_height(font)) / 2.0;
        self.run(&Run { x, baseline, font, colour: palette::on(badge.colour), text });
    }

    fn run(&mut self, run: &Run) {
        let mut x = run.x;
        for c in run.text.chars() {
            let path = glyph(self.fonts, run.font, c, x, run.baseline);
            self.fill(path, run.colour);
            x += self.fonts.advance(run.font, c);
        }
    }

    fn fill(&mut self, path: Option<Path>, colour: Rgb) {
        if let Some(path) = path {
            let (paint, still) = (paint_of(colour), Transform::identity());
            self.pixmap.fill_path(&path, &paint, FillRule::Winding, still, None);
        }
    }

    fn stroke(&mut self, path: Option<&Path>, colour: Rgb, width: f32) {
        if let Some(path) = path {
            let stroke = Stroke { width, line_join: LineJoin::Round, ..Stroke::default() };
            let still = Transform::identity();
            self.pixmap.stroke_path(path, &paint_of(colour), &stroke, still, None);
        }
    }
}

fn color([r, g, b]: Rgb) -> Color {
    Color::from_rgba8(r, g, b, 255)
}

fn paint_of(colour: Rgb) -> Paint<'static> {
    let mut paint = Paint::default();
    paint.set_color(color(colour));
    paint
}

/// The image at another size, smoothly.
fn scale(image: &RgbImage8, width: u32, height: u32) -> RgbImage {
    let (w, h) = image.size();
    let view: ImageBuffer<RgbPixel<u8>, &[u8]> =
        ImageBuffer::from_raw(w, h, image.data()).expect("an image has as many bytes as it says");
    imageops::resize(&view, width, height, FilterType::CatmullRom)
}

/// A rectangle; `None` for what nobody could see.
fn rectangle(r: &Rect) -> Option<Path> {
    tiny_skia::Rect::from_xywh(r.x, r.y, r.w, r.h).map(PathBuilder::from_rect)
}

fn rounded(r: &Rect) -> Option<Path> {
    let radius = (r.h * ROUNDNESS).min(r.w / 2.0);
    // Control points of a Bézier curve that is nearly a quarter of a circle.
    let handle = radius * 0.447_715;
    let (x1, y1, x2, y2) = (r.x, r.y, r.right(), r.bottom());
    let mut path = PathBuilder::new();
    path.move_to(x1 + radius, y1);
    path.line_to(x2 - radius, y1);
    path.cubic_to(x2 - handle, y1, x2, y1 + handle, x2, y1 + radius);
    path.line_to(x2, y2 - radius);
    path.cubic_to(x2, y2 - handle, x2 - handle, y2, x2 - radius, y2);
    path.line_to(x1 + radius, y2);
    path.cubic_to(x1 + handle, y2, x1, y2 - handle, x1, y2 - radius);
    path.line_to(x1, y1 + radius);
    path.cubic_to(x1, y1 + handle, x1 + handle, y1, x1 + radius, y1);
    path.close();
    path.finish()
}

/// The outline of a character whose origin is at `x` on the baseline.
fn glyph(fonts: &Fonts, font: Font, c: char, x: f32, baseline: f32) -> Option<Path> {
    let face = fonts.face(font.weight);
    let scale = font.px / f32::from(face.units_per_em());
    let mut outline = Outline { path: PathBuilder::new(), scale, x, baseline };
    face.outline_glyph(fonts.glyph(font.weight, c), &mut outline)?;
    outline.path.finish()
}

/// Brings a font's units, whose y grows upwards, to pixels.
struct Outline {
    path: PathBuilder,
    scale: f32,
    x: f32,
    baseline: f32,
}

impl Outline {
    fn at(&self, x: f32, y: f32) -> (f32, f32) {
        (self.x + x * self.scale, self.baseline - y * self.scale)
    }
}

impl OutlineBuilder for Outline {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let ((x1, y1), (x, y)) = (self.at(x1, y1), self.at(x, y));
        self.path.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let ((x1, y1), (x2, y2), (x, y)) = (self.at(x1, y1), self.at(x2, y2), self.at(x, y));
        self.path.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}
