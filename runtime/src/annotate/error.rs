//! Errors of drawing and of writing what was drawn.

use std::io;
use std::path::PathBuf;

/// Why an annotated picture cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A size is out of range.
    #[error("style: {field} is {value}; it must be between {least} and {most}")]
    Style {
        /// The field of [`super::Style`].
        field: &'static str,
        /// Its value.
        value: f64,
        /// Smallest value.
        least: f64,
        /// Largest value.
        most: f64,
    },
    /// The texts are too long for a picture.
    #[error(
        "the picture would be {width}x{height} pixels, more than {limit} a side; draw fewer or \
         shorter notes"
    )]
    TooLarge {
        /// Width in pixels.
        width: u64,
        /// Height in pixels.
        height: u64,
        /// Largest side.
        limit: u32,
    },
    /// The PNG file cannot be written.
    #[error("cannot write `{}`: {reason}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        reason: io::Error,
    },
    /// The encoder gave up.
    #[error("cannot encode the picture as PNG: {0}")]
    Encode(String),
}
