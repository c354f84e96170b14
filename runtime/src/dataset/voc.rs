//! Pascal VOC: an XML file an image.
//!
//! In VOC the top left pixel of an image is (1, 1), and the pixels of xmax and ymax belong to the
//! box (Everingham et al., "The PASCAL Visual Object Classes Challenge 2012 Development Kit",
//! <http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/>). Here (0, 0) is the outer corner of
//! the first pixel, so that xmin and ymin lose 1 while xmax and ymax stay. Some programs write
//! an edge at 0, outside the image of VOC; it becomes the edge of the image.

use std::path::Path;

use super::entry::Regions;
use super::xml::{self, Element};
use super::{Entry, Error, Opened, Region, Warnings, folder, input, shape};
use crate::preprocess::BoxFormat;

pub(super) fn open(path: &Path, images: Option<&Path>) -> Result<Opened, Error> {
    folder::open_each(path, "xml", images, read)
}

fn read(path: &Path, images: Option<&Path>, warnings: &mut Warnings) -> Result<Entry, Error> {
    let text = input::text(path)?;
    let document = xml::parse(path, &text)?;
    let root = Element::root(path, &document, "annotation")?;
    let name = root.text("filename")?;
    let mut regions = Regions::default();
    for object in root.children().filter(|child| child.name() == "object") {
        let region = region(object, path, warnings)?;
        regions.push(None, region).map_err(|reason| object.error(reason))?;
    }
    let folders = match images {
        Some(images) => vec![images.to_path_buf()],
        None => folders_beside(folder::of(path)),
    };
    let image = folder::find_image(&folders, name);
    Ok(Entry::new(image, name.into(), regions.into_list()))
}

/// Where images of a folder of annotations usually are.
fn folders_beside(folder: &Path) -> Vec<std::path::PathBuf> {
    let above = folder.join("..");
    vec![folder.to_path_buf(), above.join("JPEGImages"), above.join("images")]
}

fn region(object: Element, path: &Path, warnings: &mut Warnings) -> Result<Region, Error> {
    let bounds = object.child("bndbox")?;
    let mut near = |name| {
        let value = bounds.number(name)?;
        if (0.0..1.0).contains(&value) {
            warnings.add("edges at 0 although VOC counts pixels from 1", path.display());
            return Ok(0.0);
        }
        Ok(value - 1.0)
    };
    let (x1, y1) = (near("xmin")?, near("ymin")?);
    let values = [x1, y1, bounds.number("xmax")?, bounds.number("ymax")?];
    let shape = shape::pixels(values, BoxFormat::Xyxy).map_err(|reason| bounds.error(reason))?;
    Ok(Region { label: Some(object.text("name")?.into()), ..Region::new(shape) })
}
