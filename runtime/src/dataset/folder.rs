//! Folders: what is in them, and where images are.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Entry, Error, Opened, Source, Warnings, input};

/// Extensions of the pictures that `preprocess` decodes.
const IMAGE_EXTENSIONS: [&str; 5] = ["jpg", "jpeg", "png", "webp", "bmp"];

/// Deepest folder within a folder.
const MAX_DEPTH: usize = 32;

/// Every file in a folder and the folders in it, sorted; hidden ones are left out.
pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut walk = Walk { seen: HashSet::new(), files: Vec::new() };
    walk.enter(folder, 0)?;
    walk.files.sort();
    Ok(walk.files)
}

struct Walk {
    /// Folders as they are really called: links may lead to one twice, or in circles.
    seen: HashSet<PathBuf>,
    files: Vec<PathBuf>,
}

impl Walk {
    fn enter(&mut self, folder: &Path, depth: usize) -> Result<(), Error> {
        let real = folder.canonicalize().map_err(Error::read(folder))?;
        if depth > MAX_DEPTH || !self.seen.insert(real) {
            return Ok(());
        }
        for item in fs::read_dir(folder).map_err(Error::read(folder))? {
            let item = item.map_err(Error::read(folder))?;
            if item.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let path = item.path();
            if path.is_dir() {
                self.enter(&path, depth + 1)?;
            } else if path.is_file() {
                self.files.push(path);
            }
        }
        Ok(())
    }
}

/// Whether a file's name ends in `.extension`, in capitals or not.
pub(super) fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found.eq_ignore_ascii_case(extension))
}

pub(super) fn is_image(path: &Path) -> bool {
    IMAGE_EXTENSIONS.iter().any(|extension| has_extension(path, extension))
}

/// The folder of a file; `.` for a bare name.
pub(super) fn of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// Where the image is that a file calls `name`: in the first of `folders` that has it, under its
/// whole name or its last part; if it is nowhere, where it should be.
///
/// Files that moved between machines name folders that are left behind, or use `\`.
pub(super) fn find_image(folders: &[PathBuf], name: &str) -> PathBuf {
    let portable = name.replace('\\', "/");
    let last = portable.rsplit('/').next().unwrap_or(name);
    let mut places = [name, &portable, last]
        .into_iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    let expected = folders.first().map_or_else(|| name.into(), |folder| folder.join(name));
    places.find(|place| place.is_file()).unwrap_or(expected)
}

/// How one file that holds one image is read.
pub(super) type ReadOne = fn(&Path, Option<&Path>, &mut Warnings) -> Result<Entry, Error>;

/// A folder with a file for each image, or one such file.
pub(super) fn open_each(
    path: &Path,
    extension: &str,
    images: Option<&Path>,
    read: ReadOne,
) -> Result<Opened, Error> {
    let files = match path.is_dir() {
        true => files(path)?.into_iter().filter(|f| has_extension(f, extension)).collect(),
        // Whether it is there should be known now.
        false => input::open(path).map(|_| vec![path.to_path_buf()])?,
    };
    if files.is_empty() {
        return Err(Error::whole(path, format!("no file in this folder ends in .{extension}")));
    }
    let n_images = files.len();
    let images = images.map(Path::to_path_buf);
    Ok(Opened::counted(Each { files: files.into_iter(), images, read }, n_images))
}

struct Each {
    files: std::vec::IntoIter<PathBuf>,
    images: Option<PathBuf>,
    read: ReadOne,
}

impl Source for Each {
    fn next_entry(&mut self, warnings: &mut Warnings) -> Option<Result<Entry, Error>> {
        let file = self.files.next()?;
        Some((self.read)(&file, self.images.as_deref(), warnings))
    }
}
