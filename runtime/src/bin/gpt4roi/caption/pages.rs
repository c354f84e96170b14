//! The page that `--html` asks for.

use super::Caption;
use super::input::Input;
use gpt4roi::caption::{Error, Journal, Page, Record};
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

/// Makes the page from a journal that is complete: what earlier runs did is on it too, whatever
/// became of theirs.
pub(crate) fn from_journal(path: &Path, args: &Caption, journal: &Journal) -> anyhow::Result<()> {
    let mut page = PageFile::create(path, &args.input)?;
    let input = Input::open(args).map_err(anyhow::Error::from)?;
    let mut entries = input.enumerate().filter(|(i, _)| args.shard.holds(*i));
    for block in journal.blocks().map_err(gpt4roi::Error::from)? {
        let block = block.map_err(gpt4roi::Error::from)?;
        let entry = entries.next().and_then(|(_, entry)| entry.ok());
        let records = block.lines.iter().map(|line| serde_json::from_str(line));
        let records: Vec<Record> = records.collect::<Result<_, _>>()?;
        add(&mut page, entry.as_ref(), &records)?;
    }
    Ok(page.finish().map_err(gpt4roi::Error::from)?)
}

fn add(page: &mut PageFile, entry: Option<&Entry>, records: &[Record]) -> anyhow::Result<()> {
    let Some(entry) = entry.filter(|_| !records.is_empty()) else { return Ok(()) };
    let pixels = load_image(&entry.image).ok();
    Ok(page.image(&entry.name, pixels.as_ref(), records).map_err(gpt4roi::Error::from)?)
}
