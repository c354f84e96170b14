//! The splits of a YOLO data set: which images its YAML file calls `train`, `val` and so on.
//!
//! A split is a folder, a text file with the name of an image a line, or a list of these
//! (<https://docs.ultralytics.com/datasets/detect/>). Paths are relative to the entry `path`, which is
//! relative to the YAML file; where that leads nowhere, to the YAML file itself: data sets move.

use std::collections::HashSet;
use std::path::{Component, Path, PathBuf};

use super::yaml::{self, Value, Wrong};
use super::{Error, Warnings, folder, input, shape};

/// What splits may be called.
const NAMES: [&str; 5] = ["train", "val", "validation", "test", "minival"];

/// An image of a split, or what is wrong in its place.
pub(super) type Listed = Result<PathBuf, Error>;

/// The splits of a YAML file.
pub(super) struct Splits {
    file: PathBuf,
    /// Folders that paths are relative to, the likeliest first.
    folders: Vec<PathBuf>,
    splits: Vec<Split>,
}

struct Split {
    name: &'static str,
    /// Folders and lists with the lines that name them.
    parts: Vec<(u64, String)>,
}

impl Splits {
    /// Reads what a YAML file says; `images` stands for the folder that it names.
    pub(super) fn read(file: &Path, images: Option<&Path>) -> Result<Splits, Error> {
        let text = input::text(file)?;
        let parsed = parse(&text).map_err(|(line, reason)| Error::line(file, line, reason));
        let (path, splits) = parsed?;
        let here = folder::of(file).to_path_buf();
        let folders = match images {
            Some(images) => vec![images.to_path_buf()],
            None => path.map(|path| here.join(path)).into_iter().chain([here.clone()]).collect(),
        };
        Ok(Splits { file: file.into(), folders, splits })
    }

    /// Whether it names none.
    pub(super) fn is_empty(&self) -> bool {
        self.splits.is_empty()
    }

    /// The folder that images are relative to.
    pub(super) fn root(&self) -> &Path {
        let is_there = |folder: &&PathBuf| folder.is_dir();
        let root = self.folders.iter().find(is_there).or(self.folders.first());
        root.map_or(Path::new("."), PathBuf::as_path)
    }

    /// The images of the split of this name, or of all of them; each once.
    pub(super) fn images(
        &self,
        name: Option<&str>,
        warnings: &mut Warnings,
    ) -> Result<Vec<Listed>, Error> {
        let mut images = Vec::new();
        let mut seen = HashSet::new();
        for (line, part) in self.chosen(name)?.iter().flat_map(|split| &split.parts) {
            for listed in self.part(*line, part)? {
                match &listed {
                    Ok(image) if !seen.insert(image.clone()) => {
                        warnings.add("images that are listed again", image.display());
                    }
                    _ => images.push(listed),
                }
            }
        }
        Ok(images)
    }

    fn chosen(&self, name: Option<&str>) -> Result<&[Split], Error> {
        let Some(name) = name else { return Ok(&self.splits) };
        let found = self.splits.iter().position(|split| split.name == name);
        let found = found.and_then(|at| self.splits.get(at..=at));
        found.ok_or_else(|| Error::whole(&self.file, self.without(name)))
    }

    fn without(&self, name: &str) -> String {
        let name = shape::shortened(name);
        match self.splits.as_slice() {
            [] => format!("names no split, so none `{name}`: it lacks {}", NAMES.join(", ")),
            some => {
                let names: Vec<&str> = some.iter().map(|split| split.name).collect();
                format!("has no split `{name}`; it has {}", names.join(", "))
            }
        }
    }

    /// The images of a folder or a list.
    fn part(&self, line: u64, part: &str) -> Result<Vec<Listed>, Error> {
        let fail = |reason| Error::line(&self.file, line, reason);
        let found = places(&self.folders, part).into_iter().find(|place| place.exists());
        let found = found.ok_or_else(|| fail(self.nowhere(part)))?;
        if found.is_dir() {
            let images = folder::files(&found)?.into_iter().filter(|file| folder::is_image(file));
            return Ok(images.map(Ok).collect());
        }
        match found.is_file() && folder::has_extension(&found, "txt") {
            true => self.listed(&found),
            false => Err(fail(format!(
                "`{}` is neither a folder nor a .txt file that lists images",
                shape::shortened(part)
            ))),
        }
    }

    fn nowhere(&self, part: &str) -> String {
        let places = self.folders.iter().map(|folder| format!("`{}`", folder.display()));
        format!(
            "`{}` is not there, seen from {}; fetch it, choose another split, or name the folder of images",
            shape::shortened(part),
            places.collect::<Vec<_>>().join(" and ")
        )
    }

    /// The images that a text file lists, relative to the data set or to the file itself.
    fn listed(&self, list: &Path) -> Result<Vec<Listed>, Error> {
        let mut folders = self.folders.clone();
        folders.push(folder::of(list).into());
        let text = input::text(list)?;
        let lines = (1..).zip(text.lines().map(str::trim)).filter(|(_, line)| !line.is_empty());
        let image = |(at, line): (u64, &str)| {
            let image = listed_image(&folders, folder::of(list), line);
            image.map_err(|reason| Error::line(list, at, reason))
        };
        Ok(lines.map(image).collect())
    }
}

/// The image that a line of a list names.
fn listed_image(folders: &[PathBuf], here: &Path, line: &str) -> Result<PathBuf, String> {
    let name = shape::shortened(line);
    if !folder::is_image(Path::new(line)) {
        return Err(format!("`{name}` is not the name of an image (jpg, png, webp, bmp)"));
    }
    let mut found = places(folders, line);
    if line.starts_with("./") {
        found.insert(0, tidy(&here.join(line)));
    }
    let image = found.into_iter().find(|place| place.is_file());
    image.ok_or_else(|| format!("the image `{name}` is not there"))
}

/// Where a path may lead. Some programs write paths as seen from a folder beside the data set:
/// `../train` for what is `train`.
fn places(folders: &[PathBuf], path: &str) -> Vec<PathBuf> {
    let portable = path.replace('\\', "/");
    let mut forms = vec![path, &portable];
    forms.extend(portable.strip_prefix("../"));
    let joined = |form: &&str| folders.iter().map(|f| tidy(&f.join(form))).collect::<Vec<_>>();
    forms.iter().flat_map(joined).collect()
}

/// A path without the parts `.`, so that one image has one name; `.` if nothing else is left.
fn tidy(path: &Path) -> PathBuf {
    let tidy: PathBuf = path.components().filter(|part| *part != Component::CurDir).collect();
    if tidy.as_os_str().is_empty() { Component::CurDir.as_os_str().into() } else { tidy }
}

type Parsed = (Option<String>, Vec<Split>);

fn parse(text: &str) -> Result<Parsed, Wrong> {
    let path = match parts(text, "path")?.as_mut_slice() {
        [] => None,
        [(_, path)] => Some(std::mem::take(path)),
        [_, (line, _), ..] => return Err((*line, "field `path` may be one folder only".into())),
    };
    let mut splits = Vec::new();
    for name in NAMES {
        let parts = parts(text, name)?;
        if !parts.is_empty() {
            splits.push(Split { name, parts });
        }
    }
    Ok((path, splits))
}

/// The text or the texts behind a key, with their lines.
fn parts(text: &str, key: &str) -> Result<Vec<(u64, String)>, Wrong> {
    let Some((at, value)) = yaml::value(text, key)? else { return Ok(Vec::new()) };
    let part = |at, written: &str| match yaml::text(written) {
        Ok(part) if part.is_empty() => Err((at, format!("field `{key}`: a path is empty"))),
        Ok(part) => Ok((at, part)),
        Err(reason) => Err((at, format!("field `{key}`: {reason}"))),
    };
    let not_paths = |at| (at, format!("field `{key}` is not a path or a list of paths"));
    match value {
        Value::Nothing => Ok(Vec::new()),
        Value::Text(written) => Ok(vec![part(at, written)?]),
        Value::Brackets(all) => match all.strip_prefix('[').map(|rest| yaml::items(rest, ']')) {
            Some(Some(items)) => items.into_iter().map(|item| part(at, item)).collect(),
            Some(None) => Err((at, format!("the `]` of `{key}` is missing"))),
            None => Err(not_paths(at)),
        },
        Value::Block(lines) => {
            let item = |(at, line): (u64, &str)| match line.strip_prefix('-') {
                Some(written) => part(at, written),
                None => Err(not_paths(at)),
            };
            lines.into_iter().map(item).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_that_one_is_in_stays_one() {
        for (path, expected) in [(".", "."), ("./.", "."), ("./a/./b/", "a/b"), ("/./a", "/a")] {
            assert_eq!(tidy(path.as_ref()).to_str(), Some(expected), "{path}");
        }
        let here = [PathBuf::from(".")];
        assert_eq!(places(&here, "./"), [".", "."].map(PathBuf::from));
        assert_eq!(places(&here, "../a\\b"), ["../a\\b", "../a/b", "a/b"].map(PathBuf::from));
    }
}
