//! PNG files.

use super::Error;
use crate::preprocess::RgbImage8;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The bytes of a PNG file.
///
/// # Errors
/// [`Error::Encode`] if the encoder cannot.
pub fn encode_png(picture: &RgbImage8) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    let encoder =
        PngEncoder::new_with_quality(&mut out, CompressionType::Fast, FilterType::Adaptive);
    let (width, height) = picture.size();
    let written = encoder.write_image(picture.data(), width, height, ExtendedColorType::Rgb8);
    written.map_err(|e| Error::Encode(e.to_string()))?;
    Ok(out)
}

/// Writes a PNG file: beside `path` first, then renamed, so that nobody ever sees half of it.
/// A file of that name is replaced.
///
/// # Errors
/// [`Error::Encode`], or [`Error::Write`] if the folder is missing or not writable or `path` is a
/// folder; nothing is left behind.
pub fn write_png(path: &Path, picture: &RgbImage8) -> Result<(), Error> {
    let bytes = encode_png(picture)?;
    let failed = |reason| Error::Write { path: path.into(), reason };
    let (beside, mut file) = create_beside(path).map_err(failed)?;
    let written = file.write_all(&bytes);
    drop(file);
    let written = written.and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // The error that counts is the first one.
        let _ = fs::remove_file(&beside);
    }
    written.map_err(failed)
}

/// Fails as [`write_png`] would, before there is a picture: for those who compute long for it.
///
/// # Errors
/// [`Error::Write`].
pub fn check_writable(path: &Path) -> Result<(), Error> {
    let tried = create_beside(path).and_then(|(beside, _)| fs::remove_file(beside));
    tried.map_err(|reason| Error::Write { path: path.into(), reason })
}

/// A new file in the same folder.
fn create_beside(path: &Path) -> io::Result<(PathBuf, File)> {
    if path.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    }
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?.to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let file = OpenOptions::new().write(true).create_new(true).open(&beside)?;
    Ok((beside, file))
}
