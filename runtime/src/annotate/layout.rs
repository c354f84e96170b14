//! Where everything is.

use super::geometry::Rect;
use super::marks::{Badge, Mark, marks};
use super::palette::{self, Rgb};
use super::text::{
    Atom, BADGE_ROOM, Font, Fonts, Line, Measure, Weight, badge_height, names, wrap,
};
use super::{Error, Note, Sheet, Style};

/// Largest side of a picture.
const MAX_SIDE: u32 = 16_384;
/// Room around everything and between image and notes, of the image's side.
const MARGIN: f32 = 0.04;
/// Width to height from which notes stand below an image.
const WIDE: f32 = 1.5;
/// Sizes of the notes' text that are tried, of the style's, until they fit.
const SHRINK: [f32; 6] = [1.0, 0.93, 0.86, 0.8, 0.73, 0.67];

// In text sizes.
const COLUMN: f32 = 24.0;
const NARROWEST_COLUMN: f32 = 17.0;
const LINE_HEIGHT: f32 = 1.36;
const BAR: f32 = 0.2;
const INDENT: f32 = 0.8;
/// Between notes.
const GAP: f32 = 0.75;
/// Between notes where there is room to spare.
const WIDEST_GAP: f32 = 1.4;
const FOOTER: f32 = 0.72;

/// A text of one line.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) x: f32,
    pub(super) baseline: f32,
    pub(super) font: Font,
    pub(super) colour: Rgb,
    pub(super) text: String,
}

/// Everything that is drawn, in pixels of the picture.
pub(super) struct Layout {
    /// Width and height.
    pub(super) size: (u32, u32),
    /// Where the image is; whole pixels.
    pub(super) image: Rect,
    /// Boxes on it.
    pub(super) marks: Vec<Mark>,
    /// Filled rectangles.
    pub(super) bars: Vec<(Rect, Rgb)>,
    /// Badges within texts.
    pub(super) badges: Vec<Badge>,
    /// Texts.
    pub(super) runs: Vec<Run>,
}

impl Layout {
    pub(super) fn new(sheet: &Sheet, style: &Style, fonts: &Fonts) -> Result<Layout, Error> {
        let side = style.image_side as f32;
        let margin = (side * MARGIN).round();
        let (w, h) = scaled(sheet.image.size(), style.image_side);
        let image = Rect::new(margin, margin, w, h);
        let marks = marks(sheet, &image, style.text_px * 1.15, fonts);
        let (bars, badges, runs) = (Vec::new(), Vec::new(), Vec::new());
        let mut layout = Layout { size: (0, 0), image, marks, bars, badges, runs };
        let numbers: Vec<u32> = sheet.regions.iter().map(|r| r.number).collect();
        let writer = Writer { sheet, fonts, numbers: &numbers };
        let notes = writer.notes(style, &image, margin, &mut layout);
        let content = Rect {
            w: (notes.right().max(image.right()) - margin).max(style.text_px * NARROWEST_COLUMN),
            h: notes.bottom().max(image.bottom()) - margin,
            ..image
        };
        let bottom = writer.footer(style, &content, margin, &mut layout);
        layout.size = size(content.right() + margin, bottom + margin)?;
        Ok(layout)
    }
}

/// Sides of the image in the picture.
fn scaled((w, h): (u32, u32), side: u32) -> (f32, f32) {
    let scale = f64::from(side) / f64::from(w.max(h));
    let scaled = |v: u32| (f64::from(v) * scale).round().max(1.0) as f32;
    (scaled(w), scaled(h))
}

fn size(width: f32, height: f32) -> Result<(u32, u32), Error> {
    let (w, h) = (width.ceil(), height.ceil());
    if w.max(h) > MAX_SIDE as f32 {
        return Err(Error::TooLarge { width: w as u64, height: h as u64, limit: MAX_SIDE });
    }
    Ok((w as u32, h as u32))
}

/// A note broken into lines.
struct Block {
    question: Vec<Line>,
    answer: Vec<Line>,
    colours: Vec<Rgb>,
}

impl Block {
    fn height(&self, px: f32) -> f32 {
        (self.question.len() + self.answer.len()) as f32 * px * LINE_HEIGHT
    }
}

/// Writes the texts of a sheet into a layout.
struct Writer<'a> {
    sheet: &'a Sheet<'a>,
    fonts: &'a Fonts,
    numbers: &'a [u32],
}

impl Writer<'_> {
    /// Writes the notes; returns where they are.
    fn notes(&self, style: &Style, image: &Rect, margin: f32, out: &mut Layout) -> Rect {
        if self.sheet.notes.is_empty() {
            return *image;
        }
        if image.w > WIDE * image.h {
            return self.notes_below(style, image, margin, out);
        }
        let width = (style.text_px * COLUMN).round();
        let (x, y) = (image.right() + margin, image.y);
        let sizes = SHRINK.map(|s| s * style.text_px);
        let mut fit = (sizes[0], Vec::new());
        for px in sizes {
            fit = (px, self.blocks(px, width));
            if column_height(&fit.1, px, GAP) <= image.h {
                break;
            }
        }
        let (px, blocks) = fit;
        let gap = gap_that_fills(&blocks, px, image.h);
        let bottom = self.column(&blocks, px, (x, y), gap, out);
        Rect::new(x, y, width, bottom - y)
    }

    fn notes_below(&self, style: &Style, image: &Rect, margin: f32, out: &mut Layout) -> Rect {
        let px = style.text_px;
        let n = ((image.w + margin) / (px * NARROWEST_COLUMN + margin)).floor().clamp(1.0, 3.0);
        let width = ((image.w + margin) / n - margin).max(px * NARROWEST_COLUMN);
        let blocks = self.blocks(px, width);
        let top = image.bottom() + margin;
        let (mut x, mut bottom) = (image.x, top);
        for column in balanced(&blocks, n as usize, px) {
            bottom = self.column(column, px, (x, top), GAP, out).max(bottom);
            x += width + margin;
        }
        Rect::new(image.x, top, x - margin - image.x, bottom - top)
    }

    fn blocks(&self, px: f32, width: f32) -> Vec<Block> {
        let width = width - px * INDENT;
        let lines = |weight, text: &str| wrap(text, width, &self.measure(Font::new(weight, px)));
        let block = |note: &Note| Block {
            question: lines(Weight::SemiBold, &note.question),
            answer: lines(Weight::Regular, &note.answer),
            colours: self.colours(note),
        };
        self.sheet.notes.iter().map(block).collect()
    }

    fn measure(&self, font: Font) -> Measure<'_> {
        Measure { fonts: self.fonts, font, numbers: self.numbers }
    }

    /// Colours of the regions that a note is about: those that the question names, or else those
    /// that the answer names.
    fn colours(&self, note: &Note) -> Vec<Rgb> {
        let named = |text: &str| {
            let mut colours = Vec::new();
            for (_, number) in names(text) {
                let index = self.numbers.iter().position(|n| *n == number);
                let colour = index.map(palette::region);
                colours.extend(colour.filter(|c| !colours.contains(c)));
            }
            colours
        };
        match named(&note.question) {
            none if none.is_empty() => named(&note.answer),
            some => some,
        }
    }

    /// Writes blocks below each other; returns their lower end.
    fn column(
        &self,
        blocks: &[Block],
        px: f32,
        (x, top): (f32, f32),
        gap: f32,
        out: &mut Layout,
    ) -> f32 {
        let (mut y, mut bottom) = (top, top);
        for block in blocks {
            bottom = y + block.height(px);
            bar(&block.colours, Rect::new(x, y, px * BAR, bottom - y), out);
            let text = x + px * INDENT;
            let question = (Font::new(Weight::SemiBold, px), palette::SOFT_INK);
            y = self.lines(&block.question, question, (text, y), out);
            let answer = (Font::new(Weight::Regular, px), palette::INK);
            y = self.lines(&block.answer, answer, (text, y), out) + px * gap;
        }
        bottom
    }

    /// Writes lines; returns their lower end.
    fn lines(
        &self,
        lines: &[Line],
        (font, colour): (Font, Rgb),
        (x, mut y): (f32, f32),
        out: &mut Layout,
    ) -> f32 {
        for line in lines {
            let middle = y + font.px * LINE_HEIGHT / 2.0;
            let baseline = middle + self.fonts.cap_height(font) / 2.0;
            for placed in line {
                let x = x + placed.x;
                match &placed.atom {
                    Atom::Text(text) => {
                        out.runs.push(Run { x, baseline, font, colour, text: text.clone() });
                    }
                    Atom::Badge(index) => {
                        let h = badge_height(font.px);
                        let room = font.px * BADGE_ROOM;
                        let w = placed.w - 2.0 * room;
                        let rect = Rect::new(x + room, middle - h / 2.0, w, h);
                        let (number, colour) = (self.numbers[*index], palette::region(*index));
                        out.badges.push(Badge { rect, number, colour, px: font.px });
                    }
                }
            }
            y += font.px * LINE_HEIGHT;
        }
        y
    }

    /// Writes the footer under everything; returns its lower end.
    fn footer(&self, style: &Style, content: &Rect, margin: f32, out: &mut Layout) -> f32 {
        let font = Font::new(Weight::Regular, style.text_px * FOOTER);
        let lines = wrap(self.sheet.footer, content.w, &self.measure(font));
        if lines.is_empty() {
            return content.bottom();
        }
        let rule = content.bottom() + (margin * 0.7).round();
        out.bars.push((Rect::new(content.x, rule, content.w, 1.0), palette::RULE));
        let top = rule + (margin * 0.4).round();
        // The last line's lower half is empty: less margin below it looks like as much.
        let bottom = self.lines(&lines, (font, palette::SOFT_INK), (content.x, top), out);
        bottom - (margin * 0.4).round()
    }
}

/// A bar of one or more colours beside a note.
fn bar(colours: &[Rgb], rect: Rect, out: &mut Layout) {
    let colours = if colours.is_empty() { &[palette::RULE] } else { colours };
    let h = rect.h / colours.len() as f32;
    let part = |(i, colour): (usize, &Rgb)| (Rect { y: rect.y + i as f32 * h, h, ..rect }, *colour);
    out.bars.extend(colours.iter().enumerate().map(part));
}

fn column_height(blocks: &[Block], px: f32, gap: f32) -> f32 {
    let gaps = blocks.len().saturating_sub(1) as f32 * gap;
    blocks.iter().map(|b| b.height(px)).sum::<f32>() + gaps * px
}

/// The gap with which blocks reach down to `height`, within reason.
fn gap_that_fills(blocks: &[Block], px: f32, height: f32) -> f32 {
    let gaps = blocks.len().saturating_sub(1).max(1) as f32;
    ((height - column_height(blocks, px, 0.0)) / (px * gaps)).clamp(GAP, WIDEST_GAP)
}

/// Cuts blocks into at most `n` columns, in order, the tallest as short as possible.
fn balanced(blocks: &[Block], n: usize, px: f32) -> Vec<&[Block]> {
    // A column of a tried height takes blocks as long as they fit; the heights that can matter
    // are those of runs of blocks.
    let cut = |limit: f32| {
        let (mut columns, mut from) = (Vec::new(), 0);
        for i in 0..blocks.len() {
            if i > from && column_height(&blocks[from..=i], px, GAP) > limit {
                columns.push(&blocks[from..i]);
                from = i;
            }
        }
        columns.push(&blocks[from..]);
        columns
    };
    let total = column_height(blocks, px, GAP);
    let (mut low, mut high) = (total / n as f32 / 2.0, total);
    // Down to a pixel.
    while high - low > 1.0 {
        let middle = (low + high) / 2.0;
        match cut(middle).len() <= n {
            true => high = middle,
            false => low = middle,
        }
    }
    cut(high)
}
