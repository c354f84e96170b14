//! The shards of a run become one output.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::output::Output;
use super::sidecar::ImageLines;
use super::{Error, Meta, Record, Shard, Sidecar, Target};

/// What was put together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// Images of the data set.
    pub images: usize,
    /// Lines.
    pub lines: usize,
}

/// Puts the shards of a run together, in the order of the data set. Each part is a finished output in
/// JSON Lines with its `.meta.json` beside it; the order of `parts` does not matter.
///
/// # Errors
/// [`Error::Part`] if a shard is missing or given twice, or a part is not what stands beside it says;
/// [`Error::OtherOptions`] if they are of different runs; [`Error::Exists`] unless `replace`.
pub fn merge(
    parts: &[PathBuf],
    output: &Path,
    target: Target,
    replace: bool,
) -> Result<Merged, Error> {
    if output.exists() && !replace {
        return Err(Error::Exists { path: output.into() });
    }
    let mut parts = complete(parts)?;
    let n_images = parts[0].sidecar.n_images;
    let n_parts = parts.len();
    let mut out = Output::create(output, target)?;
    let mut all = Sidecar { meta: whole(&parts[0], target), n_images, images: Vec::new() };
    let mut merged = Merged::default();
    for index in 0..n_images {
        let (image, lines) = parts[index % n_parts].image(index / n_parts)?;
        out.image(image.id.as_deref(), &lines)?;
        merged.lines += lines.len();
        merged.images += 1;
        all.images.push(image);
    }
    parts.iter_mut().try_for_each(Part::ends)?;
    all.write(output)?;
    out.finish()?;
    Ok(merged)
}

/// How the whole was made.
fn whole(first: &Part, target: Target) -> Meta {
    let mut options = first.sidecar.meta.options.clone();
    options.insert("to".into(), target.name().into());
    Meta::new(options, Shard::WHOLE)
}

/// A part that is being read.
pub(super) struct Part {
    path: PathBuf,
    sidecar: Sidecar,
    lines: std::io::Lines<BufReader<File>>,
}

/// The parts in the order of their shards, after a look at whether they are all shards of one run.
fn complete(paths: &[PathBuf]) -> Result<Vec<Part>, Error> {
    let mut parts = paths.iter().map(|p| Part::open(p)).collect::<Result<Vec<_>, _>>()?;
    parts.sort_by_key(|part| part.shard().number());
    let Some(first) = parts.first() else {
        return Err(Error::part("parts".as_ref(), "none given"));
    };
    for part in &parts {
        part.check(&first.sidecar, &first.path)?;
    }
    let count = first.shard().count();
    for (i, part) in parts.iter().enumerate() {
        let number = part.shard().number();
        if number <= i {
            return Err(Error::part(&part.path, format!("shard {number}/{count} is given twice")));
        }
        if number > i + 1 {
            return Err(missing(first, i + 1));
        }
    }
    if parts.len() < count {
        return Err(missing(first, parts.len() + 1));
    }
    Ok(parts)
}

fn missing(first: &Part, number: usize) -> Error {
    let count = first.shard().count();
    let reason = format!("one of {count} shards, but shard {number}/{count} is not given");
    Error::part(&first.path, reason)
}

impl Part {
    /// Opens a finished output with what stands beside it.
    pub(super) fn open(path: &Path) -> Result<Part, Error> {
        let file = File::open(path).map_err(Error::read(path))?;
        let sidecar = Sidecar::read(path)?.ok_or_else(|| {
            let reason =
                "no .meta.json beside it: it has not been finished, or was moved without it";
            Error::part(path, reason)
        })?;
        Ok(Part { path: path.into(), sidecar, lines: BufReader::new(file).lines() })
    }

    fn shard(&self) -> Shard {
        self.sidecar.meta.shard
    }

    /// Whether it belongs to the run of `other`.
    fn check(&self, other: &Sidecar, path: &Path) -> Result<(), Error> {
        self.sidecar.meta.check_options(&other.meta, path)?;
        let target = self.sidecar.meta.options.get("to").and_then(|v| v.as_str());
        if target.is_some_and(|t| t != Target::Jsonl.name()) {
            return Err(Error::part(&self.path, "parts must be JSON Lines (--to jsonl)"));
        }
        let (count, others) = (self.shard().count(), other.meta.shard.count());
        if count != others {
            let reason = format!("a shard of {count}, and {} one of {others}", path.display());
            return Err(Error::part(&self.path, reason));
        }
        let (n, n_other) = (self.sidecar.n_images, other.n_images);
        if n != n_other {
            let reason = format!("of {n} images, and {} of {n_other}", path.display());
            return Err(Error::part(&self.path, reason));
        }
        let (expected, found) = (self.shard().n_of(n), self.sidecar.images.len());
        if expected != found {
            let reason = format!("has {found} of the {expected} images of its shard");
            return Err(Error::part(&self.path, reason));
        }
        Ok(())
    }

    /// The lines of the image behind the first `n_read`, which is counted then; `None` behind the last.
    pub(super) fn next_image(
        &mut self,
        n_read: &mut usize,
    ) -> Result<Option<(ImageLines, Vec<String>)>, Error> {
        if *n_read == self.sidecar.images.len() {
            return self.ends().map(|()| None);
        }
        let image = self.image(*n_read)?;
        *n_read += 1;
        Ok(Some(image))
    }

    /// The lines of its k-th image.
    fn image(&mut self, k: usize) -> Result<(ImageLines, Vec<String>), Error> {
        let image = self.sidecar.images[k].clone();
        // The number may be wrong, so no room is made for it.
        let mut lines = Vec::new();
        for _ in 0..image.lines {
            let line =
                self.lines.next().ok_or_else(|| Error::part(&self.path, "lines are missing"));
            lines.push(line?.map_err(Error::read(&self.path))?);
        }
        self.check_lines(&lines)?;
        Ok((image, lines))
    }

    /// Whether lines are of one image and nothing comes twice.
    fn check_lines(&self, lines: &[String]) -> Result<(), Error> {
        let mut seen = HashSet::new();
        let mut name = None;
        for line in lines {
            let record: Record = serde_json::from_str(line)
                .map_err(|e| Error::part(&self.path, format!("a line is not a record: {e}")))?;
            let image = record.image.unwrap_or_default();
            if *name.get_or_insert_with(|| image.clone()) != image {
                let reason = format!("a line of image `{image}` where none is expected");
                return Err(Error::part(&self.path, reason));
            }
            let id = record.id.unwrap_or_default();
            if !seen.insert((id.clone(), record.question)) {
                let reason = format!("image `{image}`, region `{id}`: the same question twice");
                return Err(Error::part(&self.path, reason));
            }
        }
        Ok(())
    }

    /// Whether nothing is left.
    fn ends(&mut self) -> Result<(), Error> {
        match self.lines.next() {
            None => Ok(()),
            Some(_) => Err(Error::part(&self.path, "has more lines than its .meta.json says")),
        }
    }
}
