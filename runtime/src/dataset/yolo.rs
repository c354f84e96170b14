//! YOLO: a text file of fractions for each image.
//!
//! A line is `class cx cy width height`, perhaps with a confidence behind it, or a class and the
//! corners of a polygon, which becomes the box around it
//! (<https://docs.ultralytics.com/datasets/detect/>). The file of `images/a.jpg` is
//! `labels/a.txt` or `images/a.txt`; an image without one has no regions. A folder is read as a whole,
//! a YAML file by the [splits](super::yolo_splits) that it names.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::vec::IntoIter;

use super::entry::Regions;
use super::yolo_names::{self, Names};
use super::yolo_splits::Splits;
use super::{Entry, Error, Opened, Options, Region, Source, Warnings, folder, input, shape};
use crate::preprocess::BoxFormat;

/// Bytes of a text file that tell whether it holds labels.
const N_BEGINNING: u64 = 1 << 12;

/// Text files of a folder that are looked at to recognise it.
const N_SAMPLES: usize = 32;

pub(super) fn open(
    path: &Path,
    options: &Options,
    warnings: &mut Warnings,
) -> Result<Opened, Error> {
    let root = root(path)?;
    if path.is_file() {
        let splits = Splits::read(path, options.images.as_deref())?;
        if options.split.is_some() || !splits.is_empty() {
            return of_splits(path, &splits, options.split.as_deref(), warnings);
        }
    }
    let image_root = match &options.images {
        Some(images) => images.clone(),
        None => image_root(root)?,
    };
    let file = yolo_names::file_of(path, root, &image_root);
    if let Some(split) = &options.split {
        let file = file.filter(|file| yolo_names::is_yaml(file)).ok_or_else(|| no_splits(path))?;
        let splits = Splits::read(&file, options.images.as_deref())?;
        return of_splits(&file, &splits, Some(split), warnings);
    }
    let names = file.as_deref().map_or_else(|| Ok(Names::default()), yolo_names::read)?;
    let pairs = pairs(root, &image_root)?;
    warn_of_orphans(root, &pairs, warnings)?;
    checked(path, &image_root, pairs.into_iter().map(Ok).collect(), names)
}

fn no_splits(path: &Path) -> Error {
    Error::whole(path, "splits are in a YAML file, as data.yaml, and none is here; give that file")
}

/// The images that a YAML file names.
fn of_splits(
    file: &Path,
    splits: &Splits,
    split: Option<&str>,
    warnings: &mut Warnings,
) -> Result<Opened, Error> {
    let names = yolo_names::read(file)?;
    let root = splits.root();
    let listed = splits.images(split, warnings)?.into_iter();
    let pairs = listed.map(|image| image.map(|image| pair(image, root, root)));
    checked(file, root, pairs.collect(), names)
}

/// The data set, if any of its images has labels.
fn checked(
    path: &Path,
    image_root: &Path,
    pairs: Vec<Result<Pair, Error>>,
    names: Names,
) -> Result<Opened, Error> {
    if !pairs.iter().flatten().any(|pair| pair.labels.is_some()) {
        let pairs = pairs.into_iter().collect::<Result<Vec<_>, _>>()?;
        return Err(nothing_found(path, image_root, &pairs));
    }
    let n_images = pairs.len();
    Ok(Opened::counted(Yolo { pairs: pairs.into_iter(), names }, n_images))
}

/// The folder that was given, or that of the YAML file that was given.
fn root(path: &Path) -> Result<&Path, Error> {
    if path.is_dir() {
        return Ok(path);
    }
    input::open(path)?;
    match yolo_names::is_yaml(path) {
        true => Ok(folder::of(path)),
        false => Err(Error::whole(path, "YOLO is read from a folder; give the folder")),
    }
}

/// What shows that a folder is of YOLO, if anything does.
pub(super) fn sign(path: &Path, files: &[PathBuf]) -> Option<String> {
    let texts = files.iter().filter(|file| folder::has_extension(file, "txt"));
    let labels = texts.take(N_SAMPLES).find(|file| holds_labels(file))?;
    let labels = labels.strip_prefix(path).unwrap_or(labels);
    Some(format!("{} has lines of a class and fractions", labels.display()))
}

/// Whether the first line of a file is one of labels.
fn holds_labels(file: &Path) -> bool {
    let beginning = input::beginning(file, N_BEGINNING).unwrap_or_default();
    let first = beginning.lines().map(str::trim).find(|line| !line.is_empty());
    first.is_some_and(|line| class_and_box(line).is_ok())
}

/// The folder with the images: beside `labels` if that is what was given.
fn image_root(root: &Path) -> Result<PathBuf, Error> {
    let has_images = folder::files(root)?.iter().any(|file| folder::is_image(file));
    let beside = swapped(root, "labels", "images").filter(|beside| beside.is_dir());
    Ok(beside.filter(|_| !has_images).unwrap_or_else(|| root.into()))
}

/// The path with its last part of one name replaced by another.
fn swapped(path: &Path, from: &str, to: &str) -> Option<PathBuf> {
    let parts: Vec<_> = path.components().collect();
    let at = parts.iter().rposition(|part| part.as_os_str() == from)?;
    let mut swapped: PathBuf = parts[..at].iter().collect();
    swapped.push(to);
    swapped.extend(&parts[at + 1..]);
    Some(swapped)
}

/// An image and the file with its labels.
struct Pair {
    image: PathBuf,
    name: String,
    labels: Option<PathBuf>,
}

fn pairs(root: &Path, image_root: &Path) -> Result<Vec<Pair>, Error> {
    let files = folder::files(image_root)?;
    let images = files.into_iter().filter(|file| folder::is_image(file));
    Ok(images.map(|image| pair(image, root, image_root)).collect())
}

fn pair(image: PathBuf, root: &Path, image_root: &Path) -> Pair {
    let relative = image.strip_prefix(image_root).unwrap_or(&image);
    let places = [
        swapped(&image, "images", "labels").unwrap_or_else(|| image.clone()),
        image.clone(),
        root.join(relative),
        root.join("labels").join(relative),
    ];
    let mut places = places.into_iter().map(|place| place.with_extension("txt"));
    let labels = places.find(|place| place.is_file());
    Pair { name: relative.to_string_lossy().replace('\\', "/"), labels, image }
}

fn nothing_found(path: &Path, image_root: &Path, pairs: &[Pair]) -> Error {
    let folder = image_root.display();
    Error::whole(
        path,
        match pairs.first() {
            None => {
                format!("no image (jpg, png, webp, bmp) is in {folder}; name the folder of images")
            }
            Some(pair) => format!(
                "none of the {} image(s) in {folder} has a file of labels; that of {} would be {}, \
             beside it or in a folder `labels` beside `images`",
                pairs.len(),
                pair.name,
                Path::new(&pair.name).with_extension("txt").display()
            ),
        },
    )
}

/// Counts files of labels that belong to no image.
fn warn_of_orphans(root: &Path, pairs: &[Pair], warnings: &mut Warnings) -> Result<(), Error> {
    let used: HashSet<&Path> = pairs.iter().filter_map(|pair| pair.labels.as_deref()).collect();
    let texts = folder::files(root)?.into_iter().filter(|f| folder::has_extension(f, "txt"));
    for file in texts.filter(|file| !used.contains(file.as_path()) && holds_labels(file)) {
        warnings.add("files of labels without an image", file.display());
    }
    Ok(())
}

struct Yolo {
    pairs: IntoIter<Result<Pair, Error>>,
    names: Names,
}

impl Source for Yolo {
    fn next_entry(&mut self, _: &mut Warnings) -> Option<Result<Entry, Error>> {
        let Pair { image, name, labels } = match self.pairs.next()? {
            Ok(pair) => pair,
            Err(error) => return Some(Err(error)),
        };
        let regions = labels.map_or(Ok(Vec::new()), |file| self.regions(&file));
        Some(regions.map(|regions| Entry::new(image, name, regions)))
    }
}

impl Yolo {
    fn regions(&self, file: &Path) -> Result<Vec<Region>, Error> {
        let text = input::text(file)?;
        let mut regions = Regions::default();
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let added = self.region(line).and_then(|region| regions.push(None, region));
            added.map_err(|reason| Error::line(file, index as u64 + 1, reason))?;
        }
        Ok(regions.into_list())
    }

    fn region(&self, line: &str) -> Result<Region, String> {
        let (class, edges) = class_and_box(line)?;
        let label = self.names.get(&class).cloned().unwrap_or_else(|| class.to_string());
        let shape = shape::fractions(edges, BoxFormat::Xyxy)?;
        Ok(Region { label: Some(label), ..Region::new(shape) })
    }
}

/// The class of a line, and left, top, right and bottom edge.
fn class_and_box(line: &str) -> Result<(u64, [f64; 4]), String> {
    let mut fields = line.split_whitespace();
    let class = class(fields.next().unwrap_or_default())?;
    let numbers: Result<Vec<f64>, String> =
        fields.enumerate().map(|(i, text)| shape::number(&format!("{}", i + 2), text)).collect();
    let numbers = numbers?;
    let edges = match *numbers.as_slice() {
        [cx, cy, w, h] | [cx, cy, w, h, _] => BoxFormat::Cxcywh.to_xyxy([cx, cy, w, h]),
        ref corners if corners.len() >= 6 && corners.len().is_multiple_of(2) => {
            shape::hull(corners.as_chunks().0)?
        }
        ref other => {
            return Err(format!(
                "has {} numbers behind the class; a box has 4 (cx cy width height), or 5 with a \
                 confidence, and a polygon 6 or more in pairs",
                other.len()
            ));
        }
    };
    Ok((class, edges))
}

/// A class is a whole number; tables of floats are saved as `3.0`.
fn class(text: &str) -> Result<u64, String> {
    let whole = text.split_once('.').filter(|(_, zeros)| zeros.bytes().all(|b| b == b'0'));
    let digits = whole.map_or(text, |(whole, _)| whole);
    digits
        .parse()
        .map_err(|_| format!("class `{}` is not a whole number from 0", shape::shortened(text)))
}
