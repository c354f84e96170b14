//! Stage 1: the bytes of a picture become the float tensor of the vision tower.
//!
//! [`load`] (or [`load_from`], [`decode`]) gives an upright 8-bit RGB picture, [`run`] resizes and
//! normalises it. The arithmetic follows the original bit for bit up to the last float operation:
//! Pillow's 8-bit bicubic filter for inference, OpenCV's linear one for the training profile.
//! [`check_boxes`] turns boxes in pixels into the fractions that the region extractor reads.

mod boxes;
mod decode;
mod error;
mod linear;
mod normalize;
mod resample;
#[cfg(test)]
pub(crate) mod testing;

pub use boxes::{
    BoxFormat, BoxPolicy, BoxWarning, CheckedBox, MAX_FRACTION, PixelBox, check_box, check_boxes,
    parse_values,
};
pub use decode::{
    MAX_DECODED_BYTES, MAX_FILE_BYTES, RgbImage8, STDIN_NAME, decode, load, load_from,
};
pub use error::Error;
pub use resample::{PassOrder, resize_bicubic, shortest_edge_size};

/// Largest side of the model's square input that is accepted from a model file.
pub const MAX_SIZE: u32 = 4096;

/// Which of the original's two image pipelines to follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PreprocessMode {
    /// The demo's: Pillow bicubic to the short side, normalise, bilinear squash to a square.
    #[default]
    Inference,
    /// As `Inference`, with the passes of the bicubic filter in the order of Pillow 13.
    InferencePillow13,
    /// That of the detection data sets: OpenCV linear straight to a square, then normalise.
    Training,
}

/// Constants of the model's image preprocessing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PreprocessOptions {
    /// Side of the square input in pixels.
    pub size: u32,
    /// Mean of each channel, on the scale 0..1.
    pub mean: [f32; 3],
    /// Standard deviation of each channel, on the scale 0..1.
    pub std: [f32; 3],
    /// Pipeline to follow.
    pub mode: PreprocessMode,
}

impl PreprocessOptions {
    fn check(&self) -> Result<(), Error> {
        let fail = |option, value, expected| Err(Error::Option { option, value, expected });
        if !(1..=MAX_SIZE).contains(&self.size) {
            return fail("size", self.size.to_string(), "between 1 and 4096");
        }
        if !self.mean.iter().all(|m| m.is_finite()) {
            return fail("mean", format!("{:?}", self.mean), "three finite numbers");
        }
        if !self.std.iter().all(|s| s.is_normal() && *s > 0.0) {
            return fail("std", format!("{:?}", self.std), "three numbers above 0");
        }
        Ok(())
    }
}

/// What the vision tower reads, and what boxes are relative to.
#[derive(Clone, Debug, PartialEq)]
pub struct Pixels {
    /// Normalised samples, ggml order [size, size, 3] (PyTorch [3, size, size]).
    pub data: Vec<f32>,
    /// Side of the square in pixels.
    pub size: u32,
    /// (width, height) of the upright original in pixels.
    pub original: (u32, u32),
}

/// Resizes and normalises a picture.
///
/// Cost and memory are bounded by the picture's own size, however elongated it is.
///
/// # Errors
/// [`Error::Option`] if the options make no sense, as those of a damaged model file may.
pub fn run(image: &RgbImage8, options: &PreprocessOptions) -> Result<Pixels, Error> {
    options.check()?;
    let data = match options.mode {
        PreprocessMode::Inference => {
            normalize::inference(image, options, PassOrder::HorizontalFirst)
        }
        PreprocessMode::InferencePillow13 => {
            normalize::inference(image, options, PassOrder::Pillow13)
        }
        PreprocessMode::Training => normalize::training(image, options),
    };
    Ok(Pixels { data, size: options.size, original: image.size() })
}

/// The 8-bit picture after the bicubic step of the inference pipeline, for comparison with
/// reference data.
///
/// # Errors
/// [`Error::ResizeTooLarge`] if the picture is so elongated that the whole of it does not fit
/// [`MAX_DECODED_BYTES`]; [`run`] has no such limit because it computes only what it looks at.
pub fn bicubic_step(image: &RgbImage8, size: u32, order: PassOrder) -> Result<RgbImage8, Error> {
    let (width, height) = shortest_edge_size(image.width(), image.height(), size);
    resize_bicubic(image, width, height, order)
}
