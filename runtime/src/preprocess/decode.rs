//! From the bytes of a file to 8-bit RGB, as Pillow's `convert("RGB")` sees the picture.
//!
//! Alpha is dropped without blending, grey is replicated, palettes are expanded. 16-bit samples
//! keep their high byte: that is what Pillow does for 16-bit RGB; its 16-bit *grey* pictures it
//! clips at 255, which turns nearly every such picture white, so here they keep the high byte too.
//!
//! Every file is taken for hostile: the size that a header claims is checked before anything is
//! allocated, and a decoder that panics is reported as a file that cannot be decoded.

use std::fs::File;
use std::io::{Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use ggml_ext::pages::zeroed;
use image::metadata::Orientation;
use image::{
    ColorType, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage,
};

use super::Error;

/// Most bytes that a decoded picture may take: 1 GiB, or about 357 million RGB pixels.
pub const MAX_DECODED_BYTES: u64 = 1 << 30;

/// Most bytes of an encoded picture that are read: 1 GiB.
pub const MAX_FILE_BYTES: u64 = 1 << 30;

/// Name under which messages speak of a picture that came from standard input.
pub const STDIN_NAME: &str = "standard input";

/// An 8-bit RGB picture; upright, that is with its EXIF orientation already applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RgbImage8 {
    width: u32,
    height: u32,
    data: Vec<u8>,
}

impl RgbImage8 {
    /// A picture from interleaved RGB bytes, row by row; ggml order [3, W, H] (PyTorch [H, W, 3]).
    ///
    /// # Errors
    /// [`Error::PixelCount`] if a side is 0 or `data` is not width * height * 3 bytes long.
    pub fn new(width: u32, height: u32, data: Vec<u8>) -> Result<Self, Error> {
        let expected = u64::from(width).saturating_mul(u64::from(height)).saturating_mul(3);
        let actual = data.len() as u64;
        if expected == 0 || expected != actual {
            return Err(Error::PixelCount { width, height, expected, actual });
        }
        Ok(Self { width, height, data })
    }

    /// Width in pixels, at least 1.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels, at least 1.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// (width, height) in pixels.
    pub fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// Interleaved RGB, row by row; ggml order [3, W, H] (PyTorch [H, W, 3]).
    pub fn data(&self) -> &[u8] {
        &self.data
    }
}

/// Reads and decodes the picture at `path`.
///
/// # Errors
/// See [`decode`]; [`Error::Read`] if the file cannot be opened or read.
pub fn load(path: &Path) -> Result<RgbImage8, Error> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|source| Error::Read { name: name.clone(), source })?;
    load_from(&name, file)
}

/// Reads a picture to its end from `reader`, for example from standard input, and decodes it.
///
/// # Errors
/// See [`decode`]; [`Error::Read`] if reading fails.
pub fn load_from(name: &str, reader: impl Read) -> Result<RgbImage8, Error> {
    let mut bytes = Vec::new();
    let read = reader.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|source| Error::Read { name: name.into(), source })?;
    decode(name, &bytes)
}

/// Decodes a JPEG, PNG, WebP or BMP file; of an animation, the first frame.
///
/// `name` is what messages call the picture. The format is found by content, never by name.
/// The EXIF orientation is applied; an unreadable one counts as upright.
///
/// # Errors
/// One for each of: no bytes, too many bytes, unknown format, a size above
/// [`MAX_DECODED_BYTES`], a truncated file, a file that is not what it says.
pub fn decode(name: &str, bytes: &[u8]) -> Result<RgbImage8, Error> {
    if bytes.is_empty() {
        return Err(Error::Empty { name: name.into() });
    }
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(Error::FileTooLarge { name: name.into(), limit: MAX_FILE_BYTES });
    }
    let format = guess_format(bytes).ok_or_else(|| Error::UnknownFormat { name: name.into() })?;
    let label = format_label(format);
    // JPEG decoders fill in grey for what is missing; the person should hear of it instead.
    if format == ImageFormat::Jpeg && !jpeg_is_complete(bytes) {
        return Err(Error::Truncated { name: name.into(), format: label });
    }
    // The decoders are other people's code fed with other people's files.
    catch_unwind(AssertUnwindSafe(|| decode_as(name, bytes, format))).unwrap_or_else(|_| {
        Err(Error::Decode {
            name: name.into(),
            format: label,
            message: "the decoder failed on malformed data".into(),
        })
    })
}

fn guess_format(bytes: &[u8]) -> Option<ImageFormat> {
    let format = image::guess_format(bytes).ok()?;
    format_is_read(format).then_some(format)
}

fn format_is_read(format: ImageFormat) -> bool {
    use ImageFormat::{Bmp, Jpeg, Png, WebP};
    matches!(format, Jpeg | Png | WebP | Bmp)
}

fn format_label(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Png => "PNG",
        ImageFormat::WebP => "WebP",
        _ => "BMP",
    }
}

fn decode_as(name: &str, bytes: &[u8], format: ImageFormat) -> Result<RgbImage8, Error> {
    let fail = |e: ImageError| decode_error(name, format_label(format), e);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_DECODED_BYTES);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder().map_err(fail)?;
    check_size(name, &decoder)?;
    limits.reserve(decoder.total_bytes()).map_err(fail)?;
    decoder.set_limits(limits).map_err(fail)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut upright = DynamicImage::ImageRgb8(read_rgb8(decoder).map_err(fail)?);
    upright.apply_orientation(orientation);
    let (width, height) = (upright.width(), upright.height());
    RgbImage8::new(width, height, upright.into_rgb8().into_raw())
}

/// Refuses by the header alone what would take too much memory, as decoded and as RGB.
fn check_size(name: &str, decoder: &impl ImageDecoder) -> Result<(), Error> {
    let (width, height) = decoder.dimensions();
    let rgb = u64::from(width).saturating_mul(u64::from(height)).saturating_mul(3);
    let bytes = decoder.total_bytes().max(rgb);
    if bytes > MAX_DECODED_BYTES {
        let limit = MAX_DECODED_BYTES;
        return Err(Error::TooLarge { name: name.into(), width, height, bytes, limit });
    }
    Ok(())
}

fn decode_error(name: &str, format: &'static str, error: ImageError) -> Error {
    if let ImageError::IoError(io) = &error
        && io.kind() == std::io::ErrorKind::UnexpectedEof
    {
        return Error::Truncated { name: name.into(), format };
    }
    Error::Decode { name: name.into(), format, message: error.to_string() }
}

fn read_rgb8(decoder: impl ImageDecoder) -> Result<RgbImage, ImageError> {
    if decoder.color_type() != ColorType::Rgb8 {
        return DynamicImage::from_decoder(decoder).map(to_rgb8);
    }
    let (width, height) = decoder.dimensions();
    // `check_size` has seen that it is not too much.
    let mut data = zeroed(decoder.total_bytes() as usize);
    decoder.read_image(&mut data)?;
    Ok(RgbImage::from_raw(width, height, data).unwrap_or_default())
}

/// Keeps the first three samples (or the one grey sample three times), and of 16 bits the high 8.
///
/// `DynamicImage::to_rgb8` is not used for other layouts because it rounds 16-bit samples.
fn to_rgb8(image: DynamicImage) -> RgbImage {
    let (width, height) = (image.width(), image.height());
    let data = match image {
        DynamicImage::ImageRgb8(rgb) => return rgb,
        DynamicImage::ImageLuma8(i) => grey_to_rgb(&i, 1, |s| s),
        DynamicImage::ImageLumaA8(i) => grey_to_rgb(&i, 2, |s| s),
        DynamicImage::ImageRgba8(i) => take_rgb(&i, 4, |s| s),
        DynamicImage::ImageLuma16(i) => grey_to_rgb(&i, 1, high_byte),
        DynamicImage::ImageLumaA16(i) => grey_to_rgb(&i, 2, high_byte),
        DynamicImage::ImageRgb16(i) => take_rgb(&i, 3, high_byte),
        DynamicImage::ImageRgba16(i) => take_rgb(&i, 4, high_byte),
        other => return other.into_rgb8(),
    };
    RgbImage::from_raw(width, height, data).unwrap_or_default()
}

fn high_byte(sample: u16) -> u8 {
    (sample >> 8) as u8
}

fn grey_to_rgb<T: Copy>(samples: &[T], channels: usize, to_u8: impl Fn(T) -> u8) -> Vec<u8> {
    samples.chunks_exact(channels).flat_map(|p| [to_u8(p[0]); 3]).collect()
}

fn take_rgb<T: Copy>(samples: &[T], channels: usize, to_u8: impl Fn(T) -> u8) -> Vec<u8> {
    samples.chunks_exact(channels).flat_map(|p| [to_u8(p[0]), to_u8(p[1]), to_u8(p[2])]).collect()
}

/// Walks the segments of a JPEG file to its end mark (EOI).
///
/// A search for the mark's two bytes would find the one of an embedded thumbnail.
fn jpeg_is_complete(bytes: &[u8]) -> bool {
    let mut at = 2; // behind SOI
    while let Some(marker) = next_marker(bytes, &mut at) {
        match marker {
            0xD9 => return true,
            0x01 | 0xD0..=0xD8 => {} // no length follows
            _ => {
                let Some(&[hi, lo]) = bytes.get(at..at + 2) else {
                    return false;
                };
                at += usize::from(u16::from_be_bytes([hi, lo])).max(2);
            }
        }
    }
    false
}

/// Bytes that are searched at once, which is several times faster than one by one.
const PIECE: usize = 64;

/// Skips to the next marker, over entropy-coded data too, and returns its second byte.
fn next_marker(bytes: &[u8], at: &mut usize) -> Option<u8> {
    loop {
        let data = bytes.get(*at..)?;
        let without = data.chunks(PIECE).take_while(|piece| !piece.contains(&0xFF));
        *at += without.map(<[u8]>::len).sum::<usize>();
        *at += bytes[*at..].iter().position(|&b| b == 0xFF)?;
        let &second = bytes.get(*at + 1)?;
        *at += 1;
        // 00 is a stuffed byte of data, FF a fill byte before the marker.
        if second != 0x00 && second != 0xFF {
            *at += 1;
            return Some(second);
        }
    }
}
