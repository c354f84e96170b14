//! Where a frame's picture comes from.

use std::path::PathBuf;
use std::sync::Arc;

use crate::dataset::RegionBox;
use crate::preprocess::load_from;
use crate::{Image, PixelBox, RgbImage8, load_image};

/// A picture that nobody has decoded yet: of most frames nobody will.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// The bytes of a file.
    Bytes(Arc<[u8]>),
    /// There is none; why.
    Missing(String),
}

impl Source {
    /// Decodes it.
    ///
    /// # Errors
    /// Why it cannot be had, in words.
    pub(super) fn decode(&self) -> Result<Image, String> {
        let decoded: Result<RgbImage8, _> = match self {
            Source::File(path) => load_image(path),
            Source::Bytes(bytes) => load_from("the frame's picture", &bytes[..]),
            Source::Missing(why) => return Err(why.clone()),
        };
        decoded.map(Image::from).map_err(|e| e.to_string())
    }
}

/// A box in pixels of a picture of `size`, where the detector worked on one of size `detected`.
pub(super) fn in_pixels(
    shape: &RegionBox,
    detected: Option<(u32, u32)>,
    size: (u32, u32),
) -> PixelBox {
    let (RegionBox::Pixels(b), Some((w, h))) = (shape, detected) else {
        return shape.in_pixels(size);
    };
    let (x, y) = (f64::from(size.0) / f64::from(w), f64::from(size.1) / f64::from(h));
    PixelBox::new(b.x1 * x, b.y1 * y, b.x2 * x, b.y2 * y)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_of_a_scaled_picture_are_scaled_back() {
        let b = RegionBox::Pixels(PixelBox::new(10.0, 20.0, 30.0, 40.0));
        let whole = in_pixels(&b, Some((100, 50)), (200, 200));
        assert_eq!(whole, PixelBox::new(20.0, 80.0, 60.0, 160.0));
        assert_eq!(in_pixels(&b, None, (200, 200)), PixelBox::new(10.0, 20.0, 30.0, 40.0));
        let fractions = RegionBox::Fractions([0.0, 0.5, 0.25, 1.0]);
        let b = in_pixels(&fractions, Some((7, 7)), (200, 100));
        assert_eq!(b, PixelBox::new(0.0, 50.0, 50.0, 100.0));
    }
}
