//! COCO: one JSON file with images, annotations and categories; boxes are [x, y, width, height].
//!
//! <https://cocodataset.org/#format-data>. Data sets of region captions in this form have a
//! `caption` in each annotation, which becomes the reference. Outlines of objects are skipped
//! without being held in memory.

use std::collections::HashMap;
use std::io::BufRead;
use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::vec::IntoIter;

use serde::Deserialize;

use super::entry::Regions;
use super::json::{self, Id};
use super::{Entry, Error, Opened, Region, Source, Warnings, folder, input, shape};
use crate::preprocess::BoxFormat;

#[derive(Deserialize)]
struct File {
    images: Vec<Image>,
    #[serde(default)]
    annotations: Vec<Annotation>,
    #[serde(default)]
    categories: Vec<Category>,
}

#[derive(Deserialize)]
struct Image {
    id: Id,
    file_name: String,
}

#[derive(Deserialize)]
struct Annotation {
    id: Option<Id>,
    image_id: Id,
    bbox: Option<[f64; 4]>,
    category_id: Option<Id>,
    caption: Option<Box<str>>,
}

#[derive(Deserialize)]
struct Category {
    id: Id,
    name: String,
}

pub(super) fn open(
    path: &Path,
    images: Option<&Path>,
    warnings: &mut Warnings,
) -> Result<Opened, Error> {
    let mut reader = input::open(path)?;
    if reader.fill_buf().map_err(Error::read(path))?.trim_ascii_start().starts_with(b"[") {
        return Err(Error::whole(
            path,
            "a list: results of COCO do not name the image files; give the file with \"images\" \
             and \"annotations\" (as instances_val2017.json)",
        ));
    }
    let file: File = json::parse(path, reader)?;
    let categories = file.categories.into_iter().map(|c| (c.id, c.name)).collect();
    let boxes = by_image(path, &file.images, file.annotations, warnings)?.into_iter().peekable();
    let base = images.unwrap_or_else(|| folder::of(path));
    let folders = vec![base.to_path_buf(), base.join("images")];
    let n_images = file.images.len();
    let images = file.images.into_iter().enumerate();
    let source = Coco { path: path.into(), folders, images, boxes, categories };
    Ok(Opened::counted(source, n_images))
}

/// An annotation with a box.
struct Boxed {
    /// Index of its image in the file.
    image: usize,
    /// Its own index in the file.
    index: usize,
    id: Option<Id>,
    values: [f64; 4],
    category: Option<Id>,
    caption: Option<Box<str>>,
}

/// Index of each image by its id.
fn indices<'a>(path: &Path, images: &'a [Image]) -> Result<HashMap<&'a Id, usize>, Error> {
    let mut indices = HashMap::new();
    for (index, image) in images.iter().enumerate() {
        if indices.insert(&image.id, index).is_some() {
            let reason = format!("field `id`: {} is taken by another image", image.id);
            return Err(Error::element(path, format!("images[{index}]"), reason));
        }
    }
    Ok(indices)
}

/// The annotations in the order of the images; within an image, in that of the file.
fn by_image(
    path: &Path,
    images: &[Image],
    annotations: Vec<Annotation>,
    warnings: &mut Warnings,
) -> Result<Vec<Boxed>, Error> {
    let indices = indices(path, images)?;
    let mut boxes = Vec::new();
    for (index, annotation) in annotations.into_iter().enumerate() {
        let place = path.display();
        let Annotation { id, image_id, bbox, category_id: category, caption } = annotation;
        let Some(&image) = indices.get(&image_id) else {
            let what = "annotations of images that the file does not list";
            warnings.add(what, format_args!("{place}, annotations[{index}]"));
            continue;
        };
        match bbox {
            Some(values) => boxes.push(Boxed { image, index, id, values, category, caption }),
            None => {
                let what = "annotations without `bbox`";
                warnings.add(what, format_args!("{place}, annotations[{index}]"));
            }
        }
    }
    boxes.sort_by_key(|boxed| boxed.image);
    Ok(boxes)
}

struct Coco {
    path: PathBuf,
    folders: Vec<PathBuf>,
    images: std::iter::Enumerate<IntoIter<Image>>,
    boxes: Peekable<IntoIter<Boxed>>,
    categories: HashMap<Id, String>,
}

impl Source for Coco {
    fn next_entry(&mut self, _: &mut Warnings) -> Option<Result<Entry, Error>> {
        let (index, image) = self.images.next()?;
        Some(self.regions(index).map(|regions| Entry {
            image: folder::find_image(&self.folders, &image.file_name),
            name: image.file_name,
            image_id: Some(image.id.to_string()),
            regions,
        }))
    }
}

impl Coco {
    fn regions(&mut self, image: usize) -> Result<Vec<Region>, Error> {
        let mut regions = Regions::default();
        let mut result = Ok(());
        // To the end also after an error: the next image begins behind it.
        while let Some(boxed) = self.boxes.next_if(|boxed| boxed.image == image) {
            if result.is_ok() {
                result = self.add(&mut regions, boxed);
            }
        }
        result.map(|()| regions.into_list())
    }

    fn add(&self, regions: &mut Regions, boxed: Boxed) -> Result<(), Error> {
        let fail =
            |reason| Error::element(&self.path, format!("annotations[{}]", boxed.index), reason);
        let bad_box = |reason| fail(format!("field `bbox`: {reason}"));
        let mut region =
            Region::new(shape::pixels(boxed.values, BoxFormat::Xywh).map_err(bad_box)?);
        if let Some(category) = &boxed.category {
            region.label = self.label(category).map_err(fail)?;
        }
        region.reference = boxed.caption.map(Into::into);
        regions.push(boxed.id.map(|id| id.to_string()), region).map_err(fail)
    }

    /// The name of a category. Files of captions have ids of categories, but no categories.
    fn label(&self, id: &Id) -> Result<Option<String>, String> {
        let name = self.categories.get(id).cloned();
        if name.is_none() && !self.categories.is_empty() {
            return Err(format!("field `category_id`: {id} is not the id of a category"));
        }
        Ok(name)
    }
}
