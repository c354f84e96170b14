//! The finished output.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::paths::writing_path;
use super::{Error, Record, Target};

/// An output on its way: it gets its name when it is complete.
pub(super) struct Output {
    path: PathBuf,
    beside: PathBuf,
    out: BufWriter<File>,
    target: Target,
    n_written: usize,
}

/// A result as COCO's tools load it.
#[derive(Serialize)]
struct Caption<'a> {
    image_id: Id<'a>,
    id: Id<'a>,
    caption: &'a str,
}

/// A number where the data set's own id is one.
#[derive(Serialize)]
#[serde(untagged)]
enum Id<'a> {
    Number(i64),
    Text(&'a str),
}

impl Id<'_> {
    fn new(text: &str) -> Id<'_> {
        let number = text.parse().ok().filter(|n: &i64| n.to_string() == text);
        number.map_or(Id::Text(text), Id::Number)
    }
}

impl Output {
    pub(super) fn create(path: &Path, target: Target) -> Result<Output, Error> {
        let beside = writing_path(path);
        let file = File::create(&beside).map_err(Error::write(path))?;
        let out = BufWriter::new(file);
        Ok(Output { path: path.into(), beside, out, target, n_written: 0 })
    }

    /// Adds the lines of an image.
    pub(super) fn image(&mut self, id: Option<&str>, lines: &[String]) -> Result<(), Error> {
        let written = lines.iter().try_for_each(|line| match self.target {
            Target::Jsonl => writeln!(self.out, "{line}"),
            Target::Coco => self.caption(id, line),
        });
        written.map_err(Error::write(&self.path))
    }

    fn caption(&mut self, image_id: Option<&str>, line: &str) -> std::io::Result<()> {
        let record: Record = serde_json::from_str(line)?;
        // A region without an answer has no caption.
        let (Some(image), Some(id), Some(answer)) = (&record.image, &record.id, &record.answer)
        else {
            return Ok(());
        };
        let image_id = Id::new(image_id.unwrap_or(image));
        let caption = Caption { image_id, id: Id::new(id), caption: answer };
        let before = if self.n_written == 0 { "[\n" } else { ",\n" };
        self.n_written += 1;
        write!(self.out, "{before}{}", serde_json::to_string(&caption)?)
    }

    /// Completes it and gives it its name.
    pub(super) fn finish(self) -> Result<(), Error> {
        let Output { path, beside, mut out, target, n_written } = self;
        let end = match (target, n_written) {
            (Target::Jsonl, _) => "",
            (Target::Coco, 0) => "[]\n",
            (Target::Coco, _) => "\n]\n",
        };
        let written = out.write_all(end.as_bytes()).and_then(|()| {
            out.flush()?;
            // The journal goes away next: the content must be on the disk by then.
            out.get_ref().sync_all()?;
            fs::rename(&beside, &path)
        });
        written.map_err(Error::write(&path))
    }
}
