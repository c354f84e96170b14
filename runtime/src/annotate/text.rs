//! Fonts, and text broken into lines.

use std::ops::Range;
use ttf_parser::{Face, GlyphId};

static REGULAR: &[u8] = include_bytes!("fonts/Inter-Regular.ttf");
static SEMI_BOLD: &[u8] = include_bytes!("fonts/Inter-SemiBold.ttf");

/// Which of the two fonts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// For what is read.
    Regular,
    /// For what is to be found.
    SemiBold,
}

/// The fonts that come with the crate.
pub(super) struct Fonts {
    regular: Face<'static>,
    semi_bold: Face<'static>,
}

impl Fonts {
    pub(super) fn bundled() -> Fonts {
        let parse = |bytes| Face::parse(bytes, 0).expect("a font that comes with the crate");
        Fonts { regular: parse(REGULAR), semi_bold: parse(SEMI_BOLD) }
    }

    pub(super) fn face(&self, weight: Weight) -> &Face<'static> {
        match weight {
            Weight::Regular => &self.regular,
            Weight::SemiBold => &self.semi_bold,
        }
    }

    /// The glyph of a character; that for missing ones where the font has none.
    pub(super) fn glyph(&self, weight: Weight, c: char) -> GlyphId {
        self.face(weight).glyph_index(c).unwrap_or_default()
    }

    /// Distance to the next character.
    pub(super) fn advance(&self, font: Font, c: char) -> f32 {
        let face = self.face(font.weight);
        let advance = face.glyph_hor_advance(self.glyph(font.weight, c)).unwrap_or(0);
        f32::from(advance) * font.px / f32::from(face.units_per_em())
    }

    /// Width of a text in one line.
    pub(super) fn width(&self, font: Font, text: &str) -> f32 {
        text.chars().map(|c| self.advance(font, c)).sum()
    }

    /// Height of a capital letter.
    pub(super) fn cap_height(&self, font: Font) -> f32 {
        let face = self.face(font.weight);
        let height = face.capital_height().unwrap_or_else(|| face.ascender());
        f32::from(height) * font.px / f32::from(face.units_per_em())
    }
}

/// A font at a size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Font {
    pub(super) weight: Weight,
    /// Pixels of an em.
    pub(super) px: f32,
}

impl Font {
    pub(super) fn new(weight: Weight, px: f32) -> Font {
        Font { weight, px }
    }
}

/// Room at both sides of a badge in a text, of the text's size.
pub(super) const BADGE_ROOM: f32 = 0.08;

/// What a line consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Atom {
    /// Characters.
    Text(String),
    /// The badge of the region at this place of the sheet's list.
    Badge(usize),
}

/// Sizes that decide where lines break.
#[derive(Clone, Copy)]
pub(super) struct Measure<'a> {
    pub(super) fonts: &'a Fonts,
    pub(super) font: Font,
    /// Numbers of the sheet's regions.
    pub(super) numbers: &'a [u32],
}

impl Measure<'_> {
    /// Width of a badge in the text, without the room around it.
    pub(super) fn badge_width(&self, index: usize) -> f32 {
        badge_width(self.fonts, self.font.px, self.numbers[index])
    }

    fn atom(&self, atom: &Atom) -> f32 {
        match atom {
            Atom::Text(text) => self.fonts.width(self.font, text),
            Atom::Badge(index) => self.badge_width(*index) + 2.0 * self.font.px * BADGE_ROOM,
        }
    }
}

/// Height of a badge whose surroundings have this text size.
pub(super) fn badge_height(px: f32) -> f32 {
    px * 1.12
}

/// The font of a badge's number.
pub(super) fn badge_font(px: f32) -> Font {
    Font::new(Weight::SemiBold, px * 0.82)
}

/// Width of a badge: square for one digit, longer for more.
pub(super) fn badge_width(fonts: &Fonts, px: f32, number: u32) -> f32 {
    let width = fonts.width(badge_font(px), &number.to_string());
    (width + px * 0.56).max(badge_height(px))
}

/// An atom at its place in a line.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Placed {
    pub(super) x: f32,
    pub(super) w: f32,
    pub(super) atom: Atom,
}

/// A line of text.
pub(super) type Line = Vec<Placed>;

/// Breaks a text into lines of at most `width`: between words where it can, within words that are
/// longer than a line. A line holds at least one character or badge, however narrow it is.
pub(super) fn wrap(text: &str, width: f32, measure: &Measure) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut line = Line::new();
    let space = measure.fonts.advance(measure.font, ' ');
    for word in text.split_whitespace() {
        let atoms = atoms(word, measure.numbers);
        let total: f32 = atoms.iter().map(|a| measure.atom(a)).sum();
        let mut x = line.last().map_or(0.0, |last| last.x + last.w + space);
        if !line.is_empty() && x + total > width {
            lines.push(std::mem::take(&mut line));
            x = 0.0;
        }
        for atom in pieces(atoms, total > width) {
            let w = measure.atom(&atom);
            if !line.is_empty() && x + w > width {
                lines.push(std::mem::take(&mut line));
                x = 0.0;
            }
            line.push(Placed { x, w, atom });
            x += w;
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// The atoms of a word; single characters if it has to be broken.
fn pieces(atoms: Vec<Atom>, broken: bool) -> Vec<Atom> {
    if !broken {
        return atoms;
    }
    let split = |atom| match atom {
        Atom::Text(text) => text.chars().map(|c| Atom::Text(c.into())).collect(),
        badge => vec![badge],
    };
    atoms.into_iter().flat_map(split).collect()
}

/// A word as characters and badges.
fn atoms(word: &str, numbers: &[u32]) -> Vec<Atom> {
    let (mut atoms, mut from) = (Vec::new(), 0);
    for (range, number) in names(word) {
        if let Some(index) = numbers.iter().position(|n| *n == number) {
            atoms.extend(text_atom(&word[from..range.start]));
            atoms.push(Atom::Badge(index));
            from = range.end;
        }
    }
    atoms.extend(text_atom(&word[from..]));
    atoms
}

/// Characters without those that nothing can be drawn for.
fn text_atom(text: &str) -> Option<Atom> {
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    (!text.is_empty()).then_some(Atom::Text(text))
}

/// Names of regions in a text, `regionN`, `RegionN` and `<regionN>`: where they are, and N.
pub(super) fn names(text: &str) -> Vec<(Range<usize>, u32)> {
    const NAME: &str = "region";
    let mut found = Vec::new();
    let begins = |at: usize| text[at + 1..].starts_with(&NAME[1..]);
    for (at, _) in text.match_indices(['r', 'R']).filter(|(at, _)| begins(*at)) {
        let digits = text[at + NAME.len()..].bytes().take_while(u8::is_ascii_digit).count();
        let end = at + NAME.len() + digits;
        let Ok(number) = text[at + NAME.len()..end].parse() else {
            continue;
        };
        let (before, after) = (&text[..at], &text[end..]);
        if before.ends_with('<') && after.starts_with('>') {
            found.push((at - 1..end + 1, number));
        } else if !before.ends_with(char::is_alphanumeric)
            && !after.starts_with(char::is_alphanumeric)
        {
            found.push((at..end, number));
        }
    }
    found
}
