//! Which format a file or folder is of, by its name and its beginning.

use std::path::{Path, PathBuf};

use super::sketch::sketch;
use super::{Error, Format, folder, input, xml, yolo};

/// Bytes at the beginning of a file that are looked at.
const N_BEGINNING: u64 = 1 << 20;

/// Files of a kind in a folder that are looked at.
const N_SAMPLES: usize = 32;

/// Files that stand for the folder they are in.
const FILES: [(&str, Format); 6] = [
    ("boxes.jsonl", Format::Jsonl),
    ("boxes.csv", Format::Csv),
    ("_annotations.coco.json", Format::Coco),
    ("annotations.xml", Format::Cvat),
    ("region_descriptions.json", Format::VisualGenome),
    ("objects.json", Format::VisualGenome),
];

/// What in a JSON file is a sign of which format, the surest first.
const KEYS: [(&str, Format, &str); 10] = [
    (".images[].file_name", Format::Coco, "has \"images\" with \"file_name\""),
    (".annotations[].bbox", Format::Coco, "has \"annotations\" with \"bbox\""),
    (".annotations[].image_id", Format::Coco, "has \"annotations\" with \"image_id\""),
    (".shapes", Format::Labelme, "has \"shapes\""),
    (".imagePath", Format::Labelme, "has \"imagePath\""),
    (".imageData", Format::Labelme, "has \"imageData\""),
    (".image", Format::Jsonl, "begins with an object that has \"image\""),
    ("[].regions", Format::VisualGenome, "is a list with \"regions\""),
    ("[].objects", Format::VisualGenome, "is a list with \"objects\""),
    ("[].bbox", Format::Coco, "is a list with \"bbox\""),
];

/// Finds out which format the file or folder at `path` is of, and what says so.
///
/// # Errors
/// If it cannot be read, or is of no known format; then the message says what was looked for.
pub fn detect(path: &Path) -> Result<(Format, String), Error> {
    find(path).map(|found| (found.format, found.why))
}

/// A format, the file or folder to read, and what says so.
pub(super) struct Found {
    pub(super) format: Format,
    pub(super) path: PathBuf,
    pub(super) why: String,
}

impl Found {
    fn new(format: Format, path: &Path, why: impl Into<String>) -> Self {
        Self { format, path: path.into(), why: why.into() }
    }
}

/// What to read at `path` if the format is known: of a folder it may be one file.
pub(super) fn locate(format: Format, path: &Path) -> Result<Found, Error> {
    let names = FILES.iter().filter(|(_, of)| *of == format).map(|(name, _)| *name);
    let names: Vec<&str> = names.collect();
    let file = names.iter().map(|name| path.join(name)).find(|file| file.is_file());
    if file.is_none() && path.is_dir() && !names.is_empty() {
        let reason = format!("the folder has no {}; give the file", names.join(" or "));
        return Err(Error::whole(path, reason));
    }
    Ok(Found::new(format, &file.unwrap_or_else(|| path.into()), "named by the caller"))
}

pub(super) fn find(path: &Path) -> Result<Found, Error> {
    match path.is_dir() {
        true => find_in_folder(path),
        false => find_in_file(path),
    }
}

fn find_in_folder(path: &Path) -> Result<Found, Error> {
    if let Some((name, format)) = FILES.iter().find(|(name, _)| path.join(name).is_file()) {
        return Ok(Found::new(*format, &path.join(name), format!("the folder has {name}")));
    }
    let files = folder::files(path)?;
    let kinds = [("xml", Format::Voc), ("json", Format::Labelme)];
    for (extension, format) in kinds {
        if let Some(file) = sample_of(&files, extension, format) {
            return Ok(Found::new(format, path, format!("{} {}", file.path.display(), file.why)));
        }
    }
    if let Some(why) = yolo::sign(path, &files) {
        return Ok(Found::new(Format::Yolo, path, why));
    }
    let names = FILES.map(|(name, _)| name).join(", ");
    Err(Error::Unrecognised {
        path: path.into(),
        reason: format!(
            "the folder has none of {names}, no .xml of Pascal VOC, no .json of LabelMe, and no \
             .txt of YOLO"
        ),
    })
}

/// The first of a few files with this extension that is of this format.
fn sample_of(files: &[PathBuf], extension: &str, format: Format) -> Option<Found> {
    let samples = files.iter().filter(|file| folder::has_extension(file, extension));
    let found = samples.take(N_SAMPLES).filter_map(|file| find_in_file(file).ok());
    found.into_iter().find(|found| found.format == format)
}

fn find_in_file(path: &Path) -> Result<Found, Error> {
    if let Some((format, why)) = by_extension(path) {
        // A file that is not there should be the first thing to hear of.
        input::open(path)?;
        return Ok(Found::new(format, path, why));
    }
    let beginning = input::beginning(path, N_BEGINNING)?;
    if folder::is_image(path) {
        let reason = "it is an image; give the file or folder with the boxes".into();
        return Err(Error::Unrecognised { path: path.into(), reason });
    }
    let text = beginning.trim_start();
    let found = match text.as_bytes().first() {
        Some(b'{' | b'[') => by_keys(text),
        Some(b'<') => by_root(text),
        Some(_) => by_header(text),
        None => Err("it is empty".into()),
    };
    let fail = |reason| Error::Unrecognised { path: path.into(), reason };
    let (format, why) = found.map_err(fail)?;
    Ok(Found::new(format, path, why))
}

fn by_extension(path: &Path) -> Option<(Format, String)> {
    let rules = [
        ("jsonl", Format::Jsonl),
        ("ndjson", Format::Jsonl),
        ("csv", Format::Csv),
        ("yaml", Format::Yolo),
        ("yml", Format::Yolo),
    ];
    let mut rules = rules.into_iter();
    let (extension, format) = rules.find(|(e, _)| folder::has_extension(path, e))?;
    Some((format, format!("the name ends in .{extension}")))
}

fn by_keys(text: &str) -> Result<(Format, String), String> {
    let keys = sketch(text);
    let sign = KEYS.iter().find(|(key, ..)| keys.contains(*key));
    sign.map(|(_, format, why)| (*format, (*why).into())).ok_or_else(|| {
        "it is JSON, but has no \"images\" and \"annotations\" (COCO), no \"shapes\" (LabelMe), \
         no \"image\" (JSON Lines), and is no list with \"regions\" or \"objects\" (Visual Genome)"
            .into()
    })
}

fn by_root(text: &str) -> Result<(Format, String), String> {
    match xml::root_name(text) {
        Some("annotations") => Ok((Format::Cvat, "its root is <annotations>".into())),
        Some("annotation") => Ok((Format::Voc, "its root is <annotation>".into())),
        _ => Err("it is XML, but its root is neither <annotation> (Pascal VOC) nor \
                  <annotations> (CVAT)"
            .into()),
    }
}

fn by_header(text: &str) -> Result<(Format, String), String> {
    let header = text.lines().next().unwrap_or_default();
    let has = |name| header.split(',').any(|column| column.trim().trim_matches('"') == name);
    if ["image", "x1", "y1", "x2", "y2"].into_iter().all(has) {
        return Ok((Format::Csv, "its first line names image, x1, y1, x2 and y2".into()));
    }
    Err("it is not JSON, not XML, and its first line has no columns image, x1, y1, x2, y2 (CSV); \
         of YOLO, give the folder"
        .into())
}
