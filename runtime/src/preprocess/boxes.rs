//! Boxes that a person draws, in pixels of the upright original picture.
//!
//! The region extractor takes them as fractions of the picture: divided by its width and height
//! in double precision, stored in single precision. The original neither clips nor orders them;
//! boxes that reach over the border are therefore legal and only reported.

use std::fmt;
use std::str::FromStr;

use super::Error;

/// Furthest that a box may reach, in image sizes: beyond it single precision loses the pixels.
pub const MAX_FRACTION: f64 = 1000.0;

/// What the four numbers of a box mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BoxFormat {
    /// Left, top, right, bottom.
    #[default]
    Xyxy,
    /// Left, top, width, height.
    Xywh,
    /// Centre x, centre y, width, height.
    Cxcywh,
}

impl BoxFormat {
    /// Brings four numbers of this format into the order left, top, right, bottom.
    pub fn to_xyxy(self, [a, b, c, d]: [f64; 4]) -> [f64; 4] {
        match self {
            Self::Xyxy => [a, b, c, d],
            Self::Xywh => [a, b, a + c, b + d],
            Self::Cxcywh => [a - c / 2.0, b - d / 2.0, a + c / 2.0, b + d / 2.0],
        }
    }
}

impl FromStr for BoxFormat {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "xyxy" => Ok(Self::Xyxy),
            "xywh" => Ok(Self::Xywh),
            "cxcywh" => Ok(Self::Cxcywh),
            _ => Err(Error::BoxFormat { text: text.into() }),
        }
    }
}

/// A box in pixels of the upright original picture; (0, 0) is the outer corner of the first pixel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PixelBox {
    /// Left edge.
    pub x1: f64,
    /// Top edge.
    pub y1: f64,
    /// Right edge.
    pub x2: f64,
    /// Bottom edge.
    pub y2: f64,
}

impl PixelBox {
    /// A box from its left, top, right and bottom edge in pixels.
    pub fn new(x1: f64, y1: f64, x2: f64, y2: f64) -> Self {
        Self { x1, y1, x2, y2 }
    }

    /// A box from four numbers in pixels, in the given format.
    pub fn from_format(values: [f64; 4], format: BoxFormat) -> Self {
        let [x1, y1, x2, y2] = format.to_xyxy(values);
        Self { x1, y1, x2, y2 }
    }

    /// A box from four fractions of a picture of `image` = (width, height) pixels.
    pub fn from_normalized(values: [f64; 4], format: BoxFormat, image: (u32, u32)) -> Self {
        let [x1, y1, x2, y2] = format.to_xyxy(values);
        let (w, h) = (f64::from(image.0), f64::from(image.1));
        Self { x1: x1 * w, y1: y1 * h, x2: x2 * w, y2: y2 * h }
    }

    /// Edges as fractions of a picture of `image` = (width, height) pixels.
    pub fn fractions(&self, image: (u32, u32)) -> [f32; 4] {
        self.fractions_f64(image).map(|v| v as f32)
    }

    fn fractions_f64(&self, image: (u32, u32)) -> [f64; 4] {
        let (w, h) = (f64::from(image.0), f64::from(image.1));
        [self.x1 / w, self.y1 / h, self.x2 / w, self.y2 / h]
    }

    /// The part of the box that lies in the picture; empty if there is none.
    pub fn clipped(&self, image: (u32, u32)) -> Self {
        let (w, h) = (f64::from(image.0), f64::from(image.1));
        Self {
            x1: self.x1.clamp(0.0, w),
            y1: self.y1.clamp(0.0, h),
            x2: self.x2.clamp(0.0, w),
            y2: self.y2.clamp(0.0, h),
        }
    }

    fn is_finite(&self) -> bool {
        [self.x1, self.y1, self.x2, self.y2].iter().all(|v| v.is_finite())
    }
}

impl fmt::Display for PixelBox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{},{},{}", self.x1, self.y1, self.x2, self.y2)
    }
}

impl FromStr for PixelBox {
    type Err = Error;

    /// Reads `x1,y1,x2,y2`.
    fn from_str(text: &str) -> Result<Self, Error> {
        Ok(Self::from_format(parse_values(text)?, BoxFormat::Xyxy))
    }
}

/// Reads four numbers separated by commas, of whatever [`BoxFormat`].
///
/// # Errors
/// [`Error::BoxSyntax`] if they are not four, not numbers, or not finite.
pub fn parse_values(text: &str) -> Result<[f64; 4], Error> {
    let fail = |reason: String| Error::BoxSyntax { text: text.into(), reason };
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let parts: [&str; 4] =
        parts.try_into().map_err(|p: Vec<&str>| fail(format!("has {} value(s)", p.len())))?;
    let mut values = [0.0f64; 4];
    for (value, part) in values.iter_mut().zip(parts) {
        *value = part.parse().map_err(|_| fail(format!("`{part}` is not a number")))?;
        if !value.is_finite() {
            return Err(fail(format!("`{part}` is not a finite number")));
        }
    }
    Ok(values)
}

/// How strictly boxes are looked at before they are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BoxPolicy {
    /// Empty, inverted and wholly outside boxes are errors; what reaches over the border is kept
    /// as it is, as the original does, and reported.
    #[default]
    Check,
    /// As `Check`, but what reaches over the border is cut off, and that is reported.
    Clip,
    /// Only what cannot be computed is an error: values that are not finite, or inverted boxes.
    AsIs,
}

/// A box that may be used although the person should hear something about it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoxWarning {
    /// Number of the box, counted from 1.
    pub index: usize,
    /// The box as it was given.
    pub given: PixelBox,
    /// (width, height) of the picture in pixels.
    pub image: (u32, u32),
    /// Whether it was cut off at the border.
    pub clipped: bool,
}

impl fmt::Display for BoxWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (w, h) = self.image;
        write!(f, "box {} ({}) reaches outside the {w}x{h} image; ", self.index, self.given)?;
        f.write_str(if self.clipped { "it was clipped" } else { "taken as it is" })
    }
}

/// A box that passed its checks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CheckedBox {
    /// The box in pixels, clipped if that was asked for.
    pub pixels: PixelBox,
    /// Left, top, right, bottom as fractions of the picture.
    pub fractions: [f32; 4],
    /// Set if the box reaches over the border.
    pub warning: Option<BoxWarning>,
}

/// Checks boxes against a picture of `image` = (width, height) pixels; keeps their order.
///
/// # Errors
/// For the first box that `policy` does not let through, naming it by its number from 1.
pub fn check_boxes(
    boxes: &[PixelBox],
    image: (u32, u32),
    policy: BoxPolicy,
) -> Result<Vec<CheckedBox>, Error> {
    boxes.iter().enumerate().map(|(i, b)| check_box(*b, i + 1, image, policy)).collect()
}

/// Checks one box; `index` is its number from 1, for messages.
///
/// # Errors
/// If `policy` does not let the box through.
pub fn check_box(
    given: PixelBox,
    index: usize,
    image: (u32, u32),
    policy: BoxPolicy,
) -> Result<CheckedBox, Error> {
    check_computable(&given, index, image)?;
    if policy == BoxPolicy::AsIs {
        return Ok(CheckedBox { pixels: given, fractions: given.fractions(image), warning: None });
    }
    let inside = given.clipped(image);
    check_area(&given, &inside, index, image)?;
    let clipped = policy == BoxPolicy::Clip;
    let pixels = if clipped { inside } else { given };
    let warning = (inside != given).then_some(BoxWarning { index, given, image, clipped });
    Ok(CheckedBox { pixels, fractions: pixels.fractions(image), warning })
}

fn check_computable(b: &PixelBox, index: usize, image: (u32, u32)) -> Result<(), Error> {
    let text = b.to_string();
    let fractions = b.fractions_f64(image);
    if !b.is_finite() || fractions.iter().any(|v| v.is_nan()) {
        return Err(Error::BoxNotFinite { index, text });
    }
    if b.x2 < b.x1 || b.y2 < b.y1 {
        return Err(Error::BoxEmpty { index, text });
    }
    if fractions.iter().any(|v| v.abs() > MAX_FRACTION) {
        let ((width, height), limit) = (image, MAX_FRACTION);
        return Err(Error::BoxTooFar { index, text, width, height, limit });
    }
    Ok(())
}

fn check_area(
    b: &PixelBox,
    inside: &PixelBox,
    index: usize,
    (width, height): (u32, u32),
) -> Result<(), Error> {
    let text = b.to_string();
    if b.x2 <= b.x1 || b.y2 <= b.y1 {
        return Err(Error::BoxEmpty { index, text });
    }
    if inside.x2 <= inside.x1 || inside.y2 <= inside.y1 {
        return Err(Error::BoxOutside { index, text, width, height });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: (u32, u32) = (320, 240);

    fn check(text: &str, policy: BoxPolicy) -> Result<CheckedBox, Error> {
        check_box(text.parse()?, 1, IMAGE, policy)
    }

    #[test]
    fn fractions_are_those_of_the_reference() {
        let b: PixelBox = "30, 40,180.5 ,200.25".parse().unwrap();
        let expected: [f32; 4] = [0.093_75, 0.166_666_67, 0.564_062_5, 0.834_375];
        assert_eq!(b.fractions(IMAGE), expected);
    }

    #[test]
    fn formats_agree() {
        let xyxy = PixelBox::new(10.0, 20.0, 110.0, 60.0);
        assert_eq!(PixelBox::from_format([10.0, 20.0, 100.0, 40.0], BoxFormat::Xywh), xyxy);
        assert_eq!(PixelBox::from_format([60.0, 40.0, 100.0, 40.0], BoxFormat::Cxcywh), xyxy);
        let quarter = [0.0, 0.0, 0.5, 0.5];
        let b = PixelBox::from_normalized(quarter, BoxFormat::Xyxy, IMAGE);
        assert_eq!(b, PixelBox::new(0.0, 0.0, 160.0, 120.0));
        assert_eq!(b.fractions(IMAGE), [0.0, 0.0, 0.5, 0.5]);
        assert_eq!("cxcywh".parse::<BoxFormat>().unwrap(), BoxFormat::Cxcywh);
        assert!("yolo".parse::<BoxFormat>().unwrap_err().to_string().contains("xyxy, xywh"));
    }

    #[test]
    fn bad_syntax_says_what_is_wrong() {
        let cases = [
            ("1,2,3", "has 3 value(s)"),
            ("1,2,3,4,5", "has 5 value(s)"),
            ("", "has 1 value(s)"),
            ("1,2,x,4", "`x` is not a number"),
            ("1,,3,4", "`` is not a number"),
            ("1,2,nan,4", "`nan` is not a finite number"),
            ("1,2,3,1e999", "`1e999` is not a finite number"),
        ];
        for (text, expected) in cases {
            let message = text.parse::<PixelBox>().unwrap_err().to_string();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }

    #[test]
    fn empty_inverted_and_outside_boxes_are_errors() {
        use Error::{BoxEmpty, BoxOutside, BoxTooFar};
        for policy in [BoxPolicy::Check, BoxPolicy::Clip] {
            assert!(matches!(check("5,5,5,9", policy), Err(BoxEmpty { index: 1, .. })));
            assert!(matches!(check("9,5,5,9", policy), Err(BoxEmpty { .. })));
            assert!(matches!(check("5,9,9,5", policy), Err(BoxEmpty { .. })));
            assert!(matches!(check("-9,-9,0,0", policy), Err(BoxOutside { .. })));
            assert!(matches!(check("320,0,330,9", policy), Err(BoxOutside { .. })));
            assert!(matches!(check("0,0,1e9,9", policy), Err(BoxTooFar { .. })));
        }
    }

    #[test]
    fn boxes_over_the_border_are_reported() {
        let kept = check("-10,5,100,300", BoxPolicy::Check).unwrap();
        assert_eq!(kept.pixels, PixelBox::new(-10.0, 5.0, 100.0, 300.0));
        let text = kept.warning.unwrap().to_string();
        assert_eq!(text, "box 1 (-10,5,100,300) reaches outside the 320x240 image; taken as it is");
        let clipped = check("-10,5,100,300", BoxPolicy::Clip).unwrap();
        assert_eq!(clipped.pixels, PixelBox::new(0.0, 5.0, 100.0, 240.0));
        assert!(clipped.warning.unwrap().to_string().ends_with("it was clipped"));
        assert_eq!(check("0,0,320,240", BoxPolicy::Check).unwrap().warning, None);
    }

    #[test]
    fn as_is_lets_through_what_can_be_computed() {
        for text in ["5,5,5,5", "-9,-9,-5,-5", "400,400,500,500"] {
            assert_eq!(check(text, BoxPolicy::AsIs).unwrap().warning, None);
        }
        assert!(matches!(check("9,5,5,9", BoxPolicy::AsIs), Err(Error::BoxEmpty { .. })));
        let bad = PixelBox::new(f64::NAN, 0.0, 1.0, 1.0);
        let result = check_boxes(&[bad], IMAGE, BoxPolicy::AsIs);
        assert!(matches!(result, Err(Error::BoxNotFinite { index: 1, .. })));
    }

    #[test]
    fn the_failing_box_is_numbered() {
        let boxes = [PixelBox::new(0.0, 0.0, 9.0, 9.0), PixelBox::new(4.0, 4.0, 4.0, 4.0)];
        let message = check_boxes(&boxes, IMAGE, BoxPolicy::Check).unwrap_err().to_string();
        assert!(message.starts_with("box 2 (4,4,4,4) is empty"), "{message}");
    }
}
