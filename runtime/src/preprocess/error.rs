//! Errors of reading, resizing and addressing a picture.

use std::io;

/// Why a picture or a box cannot be used.
///
/// Messages name the picture (its path, or "standard input") or the box, and say what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes of the picture could not be read.
    #[error("cannot read image `{name}`: {source}")]
    Read {
        /// Path of the picture.
        name: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file holds no bytes.
    #[error("image `{name}` is empty (0 bytes)")]
    Empty {
        /// Path of the picture.
        name: String,
    },
    /// The encoded file is larger than any picture of a permitted size needs to be.
    #[error("image `{name}` is larger than {limit} bytes; make it smaller first")]
    FileTooLarge {
        /// Path of the picture.
        name: String,
        /// Largest permitted size in bytes.
        limit: u64,
    },
    /// The first bytes are those of no supported format.
    #[error("`{name}` is not an image this program reads; give it JPEG, PNG, WebP or BMP")]
    UnknownFormat {
        /// Path of the picture.
        name: String,
    },
    /// The decoder gave up.
    #[error("cannot decode `{name}` as {format}: {message}")]
    Decode {
        /// Path of the picture.
        name: String,
        /// Format that the first bytes announce.
        format: &'static str,
        /// The decoder's own words.
        message: String,
    },
    /// The file ends before the picture does.
    #[error("image `{name}` is cut short ({format} ends before its end mark); fetch it again")]
    Truncated {
        /// Path of the picture.
        name: String,
        /// Format that the first bytes announce.
        format: &'static str,
    },
    /// The decoded picture would not fit the memory allowance.
    #[error(
        "image `{name}` is {width}x{height} pixels, {bytes} bytes decoded, above the limit of \
         {limit} bytes; shrink it first"
    )]
    TooLarge {
        /// Path of the picture.
        name: String,
        /// Width in pixels as the header states it.
        width: u32,
        /// Height in pixels as the header states it.
        height: u32,
        /// Bytes the decoded picture would take.
        bytes: u64,
        /// Largest permitted number of decoded bytes.
        limit: u64,
    },
    /// A picture without pixels, or pixel data of another length than the size asks for.
    #[error("an RGB image of {width}x{height} needs {expected} bytes (at least 3), got {actual}")]
    PixelCount {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// width * height * 3.
        expected: u64,
        /// Bytes given.
        actual: u64,
    },
    /// A whole resized picture was asked for that would be too large to hold.
    #[error(
        "resizing to {width}x{height} would take {bytes} bytes, above the limit of {limit}; the \
         picture is too elongated to be held at that size"
    )]
    ResizeTooLarge {
        /// Target width in pixels.
        width: u64,
        /// Target height in pixels.
        height: u64,
        /// Bytes of the target.
        bytes: u64,
        /// Largest permitted number of bytes.
        limit: u64,
    },
    /// The model's preprocessing constants make no sense.
    #[error("image preprocessing option `{option}` is {value}: {expected}")]
    Option {
        /// Name of the option.
        option: &'static str,
        /// Its value.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// A box that is not four numbers.
    #[error("box `{text}`: {reason}; write four numbers as in 10,20,110,220")]
    BoxSyntax {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A box format that does not exist.
    #[error("box format `{text}` is unknown; use xyxy, xywh or cxcywh")]
    BoxFormat {
        /// What was given.
        text: String,
    },
    /// A box with a NaN or an infinity in it.
    #[error("box {index} ({text}) holds a value that is not a finite number")]
    BoxNotFinite {
        /// Number of the box, counted from 1.
        index: usize,
        /// The box.
        text: String,
    },
    /// A box whose right edge is not right of its left edge, or whose lower edge is not below.
    #[error(
        "box {index} ({text}) is empty or inverted; x2 must be greater than x1 and y2 greater \
         than y1"
    )]
    BoxEmpty {
        /// Number of the box, counted from 1.
        index: usize,
        /// The box.
        text: String,
    },
    /// A box that shares no area with the picture.
    #[error(
        "box {index} ({text}) lies wholly outside the {width}x{height} image; are its \
         coordinates pixels of this image?"
    )]
    BoxOutside {
        /// Number of the box, counted from 1.
        index: usize,
        /// The box.
        text: String,
        /// Width of the picture in pixels.
        width: u32,
        /// Height of the picture in pixels.
        height: u32,
    },
    /// A box that reaches further than [`MAX_FRACTION`](super::MAX_FRACTION) image sizes.
    #[error(
        "box {index} ({text}) reaches more than {limit} image sizes away from the {width}x{height} \
         image"
    )]
    BoxTooFar {
        /// Number of the box, counted from 1.
        index: usize,
        /// The box.
        text: String,
        /// Width of the picture in pixels.
        width: u32,
        /// Height of the picture in pixels.
        height: u32,
        /// Largest permitted distance in image sizes.
        limit: f64,
    },
}
