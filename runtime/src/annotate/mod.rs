//! Pictures to show to people: an image with numbered boxes, and what was said about them.
//!
//! ```no_run
//! use gpt4roi::annotate::{Note, Region, Sheet, Style, draw, write_png};
//! use gpt4roi::{PixelBox, load_image};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let image = load_image("photo.jpg".as_ref())?;
//! let regions = [Region { number: 1, pixels: PixelBox::new(120.0, 40.0, 380.0, 510.0) }];
//! let notes = [Note::new("What is <region1>?", "A lighthouse.")];
//! let sheet = Sheet { image: &image, regions: &regions, notes: &notes, footer: "gpt4roi-7b" };
//! write_png("annotated.png".as_ref(), &draw(&sheet, &Style::default())?)?;
//! # Ok(())
//! # }
//! ```
//!
//! Notes stand at the right of the image, or below it if it is wide. Text is wrapped, never cut:
//! where it needs more room than the image has, it first becomes smaller and then the picture
//! taller. `layout` decides where everything is and draws nothing; `canvas` draws and decides
//! nothing.

mod canvas;
mod error;
mod geometry;
mod layout;
mod marks;
mod palette;
mod png;
mod text;

pub use error::Error;
pub use png::{check_writable, encode_png, write_png};

use crate::preprocess::{PixelBox, RgbImage8};
use layout::Layout;
use text::Fonts;

/// A box of the image and its number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Region {
    /// Number on its badge; texts call it `regionN`, `RegionN` or `<regionN>`.
    pub number: u32,
    /// The box in pixels of the image.
    pub pixels: PixelBox,
}

/// A question and its answer. Where they name a region of the sheet, its badge is drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// The question; may be empty.
    pub question: String,
    /// The answer; may be empty.
    pub answer: String,
}

impl Note {
    /// A question with its answer.
    pub fn new(question: impl Into<String>, answer: impl Into<String>) -> Note {
        Note { question: question.into(), answer: answer.into() }
    }
}

/// What is to be drawn.
#[derive(Clone, Copy, Debug)]
pub struct Sheet<'a> {
    /// The image.
    pub image: &'a RgbImage8,
    /// Its boxes.
    pub regions: &'a [Region],
    /// What was said about it.
    pub notes: &'a [Note],
    /// A line at the bottom; may be empty.
    pub footer: &'a str,
}

/// How it is drawn. All sizes follow from the two here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Style {
    /// Longest side of the image in the picture, in pixels; it is scaled to that, up or down.
    pub image_side: u32,
    /// Height of the notes' letters in pixels; they become up to a third smaller where that lets
    /// them fit beside the image.
    pub text_px: f32,
}

impl Default for Style {
    fn default() -> Style {
        Style { image_side: 896, text_px: 25.0 }
    }
}

impl Style {
    /// Smallest and largest [`Style::image_side`].
    pub const IMAGE_SIDES: (u32, u32) = (64, 8192);
    /// Smallest and largest [`Style::text_px`].
    pub const TEXT_SIZES: (f32, f32) = (6.0, 200.0);

    fn check(&self) -> Result<(), Error> {
        let (sides, sizes) = (Style::IMAGE_SIDES, Style::TEXT_SIZES);
        if !(sides.0..=sides.1).contains(&self.image_side) {
            let (least, most) = (f64::from(sides.0), f64::from(sides.1));
            let value = f64::from(self.image_side);
            return Err(Error::Style { field: "image_side", value, least, most });
        }
        if !(sizes.0..=sizes.1).contains(&self.text_px) {
            let (least, most) = (f64::from(sizes.0), f64::from(sizes.1));
            let value = f64::from(self.text_px);
            return Err(Error::Style { field: "text_px", value, least, most });
        }
        Ok(())
    }
}

/// Draws a sheet.
///
/// # Errors
/// [`Error::Style`] for sizes out of range, [`Error::TooLarge`] if the notes would make the
/// picture unreasonably tall.
pub fn draw(sheet: &Sheet, style: &Style) -> Result<RgbImage8, Error> {
    style.check()?;
    let fonts = Fonts::bundled();
    let layout = Layout::new(sheet, style, &fonts)?;
    canvas::paint(sheet.image, &layout, &fonts)
}

#[cfg(test)]
mod tests;
