//! The page that `--html` asks for, and the pictures of `--annotate`.

use super::Caption;
use super::input::Input;
use super::progress::Progress;
use gpt4roi::caption::{Captioned, Error, Page, Record, Written};
use gpt4roi::dataset::Entry;
use gpt4roi::{RgbImage8, load_image};
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

/// A page on its way; it gets its name when it is complete.
pub(crate) struct PageFile {
    path: PathBuf,
    beside: PathBuf,
    page: Page<BufWriter<File>>,
}

impl PageFile {
    pub(crate) fn create(path: &Path, input: &Path) -> Result<PageFile, Error> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".writing");
        let beside = PathBuf::from(beside);
        let title = format!("Captions of {}", input.display());
        let page = File::create(&beside).and_then(|f| Page::begin(BufWriter::new(f), &title));
        let page = page.map_err(failed(path))?;
        Ok(PageFile { path: path.into(), beside, page })
    }

    pub(crate) fn image(
        &mut self,
        name: &str,
        pixels: Option<&RgbImage8>,
        records: &[Record],
    ) -> Result<(), Error> {
        self.page.image(name, pixels, records).map_err(failed(&self.path))
    }

    pub(crate) fn finish(self) -> Result<(), Error> {
        let PageFile { path, beside, page } = self;
        let written = page.finish().and_then(|_| std::fs::rename(&beside, &path));
        written.map_err(failed(&path))
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_path_buf();
    |reason| Error::Write { path, reason }
}

/// Draws what was written about the images of a run: the page with all of them, and the pictures of the
/// first `n_pictures`, each if it was asked for. Nothing is asked again.
pub(crate) fn draw(
    args: &Caption,
    mut written: Written,
    n_pictures: usize,
    progress: &Progress,
) -> anyhow::Result<()> {
    let page = args.html.as_ref().map(|path| PageFile::create(path, &args.input));
    let mut page = page.transpose().map_err(gpt4roi::Error::from)?;
    let folder = args.annotate.as_deref();
    let (mut n_images, mut n_drawn) = (0, 0);
    for (index, entry) in Input::open(args)?.enumerate() {
        n_images += 1;
        if !args.shard.holds(index) {
            continue;
        }
        let entry = entry.ok();
        let pixels = entry.as_ref().filter(|e| !e.regions.is_empty());
        let pixels = pixels.and_then(|entry| load_image(&entry.image).ok());
        let size = pixels.as_ref().map(RgbImage8::size);
        let records = written.records(index, entry.as_ref(), size).map_err(gpt4roi::Error::from)?;
        if let Some(Entry { name, .. }) = entry.as_ref().filter(|_| !records.is_empty()) {
            let image = Captioned { index, name, pixels: pixels.as_ref(), records: &records };
            if let Some(folder) = folder.filter(|_| n_drawn < n_pictures) {
                picture(folder, &image, progress);
            }
            if let Some(page) = &mut page {
                page.image(name, image.pixels, &records).map_err(gpt4roi::Error::from)?;
            }
        }
        n_drawn += 1;
        progress.image();
    }
    written.end(n_images).map_err(gpt4roi::Error::from)?;
    Ok(page.map_or(Ok(()), PageFile::finish).map_err(gpt4roi::Error::from)?)
}

/// Makes the folder for pictures, if they are asked for.
pub(crate) fn create_folder(args: &Caption) -> Result<(), Error> {
    let Some(folder) = &args.annotate else { return Ok(()) };
    let made = std::fs::create_dir_all(folder);
    made.map_err(|reason| Error::Write { path: folder.clone(), reason })
}

/// Draws an image into a folder. Captions may be too long for a picture; they are in the output all the
/// same.
pub(crate) fn picture(folder: &Path, image: &Captioned, progress: &Progress) {
    if let Err(e) = sheet(folder, image) {
        progress.say(&format!("warning: {e}"));
    }
}

#[cfg(feature = "annotate")]
fn sheet(folder: &Path, image: &Captioned) -> Result<(), Error> {
    gpt4roi::caption::write_sheet(folder, image).map(drop)
}

/// Nothing to draw with; the command line has been refused.
#[cfg(not(feature = "annotate"))]
fn sheet(_: &Path, _: &Captioned) -> Result<(), Error> {
    Ok(())
}
