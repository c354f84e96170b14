//! The picture that the demo leaves behind.

use super::Shown;
use crate::setup::Usage;
use gpt4roi::{PixelBox, RgbImage8};
use std::path::{Path, PathBuf};

/// Name of the picture unless another is given.
const DEFAULT: &str = "gpt4roi-demo.png";

/// Where to write the picture, after a look at whether that is possible; `None` if this program
/// was built without drawing.
pub(crate) fn destination(
    out: Option<&Path>,
    image: Option<&str>,
) -> anyhow::Result<Option<PathBuf>> {
    if !cfg!(feature = "annotate") {
        return match out {
            Some(_) => Err(Usage("--out: this program was built without drawing".into()).into()),
            None => Ok(None),
        };
    }
    let path = out.unwrap_or(DEFAULT.as_ref());
    if !path.extension().is_some_and(|e| e.eq_ignore_ascii_case("png")) {
        let message =
            format!("--out {}: the picture is a PNG file; end its name in .png", path.display());
        return Err(Usage(message).into());
    }
    if let (Some(image), Ok(old)) = (image, path.canonicalize())
        && Path::new(image).canonicalize().is_ok_and(|i| i == old)
    {
        return Err(Usage(format!("--out {}: that is the image itself", path.display())).into());
    }
    check_writable(path)?;
    Ok(Some(path.into()))
}

#[cfg(feature = "annotate")]
fn check_writable(path: &Path) -> anyhow::Result<()> {
    Ok(gpt4roi::annotate::check_writable(path)?)
}

/// Draws and writes the picture.
#[cfg(feature = "annotate")]
pub(crate) fn write(
    path: &Path,
    image: &RgbImage8,
    boxes: &[PixelBox],
    shown: &[Shown],
    footer: &str,
) -> anyhow::Result<()> {
    use gpt4roi::annotate::{Note, Region, Sheet, Style, draw, write_png};
    let regions: Vec<Region> =
        (1..).zip(boxes).map(|(number, b)| Region { number, pixels: *b }).collect();
    let note = |s: &Shown| Note::new(&s.question, s.answer.text.trim());
    let notes: Vec<Note> = shown.iter().map(note).collect();
    let sheet = Sheet { image, regions: &regions, notes: &notes, footer };
    Ok(write_png(path, &draw(&sheet, &Style::default())?)?)
}

#[cfg(not(feature = "annotate"))]
fn check_writable(_: &Path) -> anyhow::Result<()> {
    Ok(())
}

/// Nothing to draw with; [`destination`] has given no path.
#[cfg(not(feature = "annotate"))]
pub(crate) fn write(
    _: &Path,
    _: &RgbImage8,
    _: &[PixelBox],
    _: &[Shown],
    _: &str,
) -> anyhow::Result<()> {
    Ok(())
}
