//! Boxes on the image, and where their badges go: beside the box where there is room, over as
//! little of any box as possible, and never over another badge if that can be helped.

use super::geometry::Rect;
use super::palette::{self, Rgb};
use super::text::{Fonts, badge_height, badge_width};
use super::{Region, Sheet};

/// Width of a box's line, of text sizes.
const LINE: f32 = 0.2;

/// A numbered box.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    /// Middle of its line.
    pub(super) frame: Rect,
    /// Width of the line.
    pub(super) line: f32,
    pub(super) badge: Badge,
}

/// A number on its colour.
#[derive(Clone, Copy, Debug)]
pub(super) struct Badge {
    pub(super) rect: Rect,
    pub(super) number: u32,
    pub(super) colour: Rgb,
    /// Size of the text around it.
    pub(super) px: f32,
}

/// Boxes and badges of a sheet whose image stands at `image`; all lie within it.
pub(super) fn marks(sheet: &Sheet, image: &Rect, px: f32, fonts: &Fonts) -> Vec<Mark> {
    let line = px * LINE;
    let frame = |r: &Region| frame(r, sheet.image.size(), image, line);
    let frames: Vec<Rect> = sheet.regions.iter().map(frame).collect();
    let mut marks: Vec<Mark> = Vec::new();
    for (i, region) in sheet.regions.iter().enumerate() {
        let taken: Vec<Rect> = marks.iter().map(|m| m.badge.rect).collect();
        let size = (badge_width(fonts, px, region.number), badge_height(px));
        let rect = place(i, &frames, &taken, image, size, line);
        let badge = Badge { rect, number: region.number, colour: palette::region(i), px };
        marks.push(Mark { frame: frames[i], line, badge });
    }
    marks
}

/// The part of a box that lies in the image, in the picture's pixels, its line inside the image.
fn frame(region: &Region, size: (u32, u32), image: &Rect, line: f32) -> Rect {
    let b = region.pixels.clipped(size);
    let (sx, sy) = (f64::from(image.w) / f64::from(size.0), f64::from(image.h) / f64::from(size.1));
    let (x, y) = (image.x + (b.x1 * sx) as f32, image.y + (b.y1 * sy) as f32);
    let (w, h) = (((b.x2 - b.x1) * sx) as f32, ((b.y2 - b.y1) * sy) as f32);
    // A box of no size, which a policy may let through, is still shown as a dot.
    let dot = Rect::new(x, y, w.max(1.0), h.max(1.0)).moved_into(image);
    let room = image.inset(line / 2.0);
    let (right, bottom) = (dot.right().min(room.right()), dot.bottom().min(room.bottom()));
    let (x, y) = (dot.x.max(room.x).min(right), dot.y.max(room.y).min(bottom));
    Rect::new(x, y, right - x, bottom - y)
}

/// The best place for the badge of box `i`.
fn place(
    i: usize,
    frames: &[Rect],
    taken: &[Rect],
    image: &Rect,
    (w, h): (f32, f32),
    line: f32,
) -> Rect {
    let f = &frames[i];
    let (left, right) = (f.x - line / 2.0, f.right() + line / 2.0 - w);
    let (above, below) = (f.y - h - line / 2.0, f.bottom() + line / 2.0);
    let (before, after) = (f.x - w - line / 2.0, f.right() + line / 2.0);
    let (top, bottom) = (f.y - line / 2.0, f.bottom() + line / 2.0 - h);
    let candidates = [
        (left, above),
        (right, above),
        (left, below),
        (right, below),
        (before, top),
        (after, top),
        (before, bottom),
        (after, bottom),
        (left, top),
        (right, top),
        (left, bottom),
        (right, bottom),
    ];
    let candidates = candidates.map(|(x, y)| Rect::new(x, y, w, h).moved_into(image));
    let cost = |c: &Rect| {
        let sum = |others: &[Rect]| others.iter().map(|o| o.overlap(c)).sum::<f32>();
        // Hiding the object itself is worse than hiding part of another; hiding a number is worst.
        f.overlap(c) + sum(frames) + 100.0 * sum(taken)
    };
    let best = candidates.into_iter().min_by(|a, b| cost(a).total_cmp(&cost(b)));
    best.unwrap_or_default()
}
