//! CVAT for images 1.1: one XML file.
//!
//! <https://docs.cvat.ai/docs/other/xml_format>. Boxes, polygons, ellipses and masks become the box
//! around them; what has no area or is not flat is left out, with a warning.

use std::path::{Path, PathBuf};
use std::vec::IntoIter;

use super::entry::Regions;
use super::xml::{self, Element};
use super::{Entry, Error, Opened, Region, Source, Warnings, folder, input, shape};
use crate::preprocess::BoxFormat;

pub(super) fn open(
    path: &Path,
    images: Option<&Path>,
    warnings: &mut Warnings,
) -> Result<Opened, Error> {
    let text = input::text(path)?;
    let document = xml::parse(path, &text)?;
    let root = Element::root(path, &document, "annotations")?;
    if let Some(track) = root.find("track") {
        let reason = "<track> is of a video; export the task as \"CVAT for images 1.1\"";
        return Err(track.error(reason));
    }
    let images_of_root = root.children().filter(|child| child.name() == "image");
    let read: Vec<_> = images_of_root.map(|image| named_regions(image, warnings)).collect();
    let base = images.unwrap_or_else(|| folder::of(path));
    let folders = vec![base.to_path_buf(), base.join("images")];
    let n_images = read.len();
    Ok(Opened::counted(Cvat { folders, read: read.into_iter() }, n_images))
}

type Named = (String, Vec<Region>);

struct Cvat {
    folders: Vec<PathBuf>,
    read: IntoIter<Result<Named, Error>>,
}

impl Source for Cvat {
    fn next_entry(&mut self, _: &mut Warnings) -> Option<Result<Entry, Error>> {
        Some(self.read.next()?.map(|(name, regions)| {
            let image = folder::find_image(&self.folders, &name);
            Entry::new(image, name, regions)
        }))
    }
}

fn named_regions(image: Element, warnings: &mut Warnings) -> Result<Named, Error> {
    let name = image.attribute("name")?;
    let mut regions = Regions::default();
    for child in image.children() {
        if let Some(what) = without_box(child.name()) {
            warnings.add(what, format!("image `{}`", shape::shortened(name)));
            continue;
        }
        let shape = shape::pixels(edges(child)?, BoxFormat::Xyxy);
        let region = Region::new(shape.map_err(|reason| child.error(reason))?);
        let label = child.attribute("label")?;
        let added = regions.push(None, Region { label: Some(label.into()), ..region });
        added.map_err(|reason| child.error(reason))?;
    }
    Ok((name.into(), regions.into_list()))
}

/// Of elements that have no box: what to say of them.
fn without_box(name: &str) -> Option<&'static str> {
    match name {
        "box" | "polygon" | "ellipse" | "mask" => None,
        "polyline" => Some("polylines, which have no box"),
        "points" | "skeleton" => Some("points and skeletons, which have no box"),
        "cuboid" => Some("cuboids, which have no box"),
        "tag" => Some("tags, which are of the whole image"),
        _ => Some("elements of an unknown kind"),
    }
}

/// Left, top, right and bottom edge of a shape.
fn edges(shape: Element) -> Result<[f64; 4], Error> {
    let number = |name| shape.number_attribute(name);
    let degrees = match shape.optional("rotation") {
        Some(_) => number("rotation")?,
        None => 0.0,
    };
    Ok(match shape.name() {
        "box" => {
            let upright = [number("xtl")?, number("ytl")?, number("xbr")?, number("ybr")?];
            shape::turned(upright, degrees)
        }
        "ellipse" => {
            let centre = [number("cx")?, number("cy")?];
            shape::ellipse(centre, [number("rx")?, number("ry")?], degrees)
        }
        "mask" => BoxFormat::Xywh.to_xyxy([
            number("left")?,
            number("top")?,
            number("width")?,
            number("height")?,
        ]),
        _ => polygon(shape.attribute("points")?).map_err(|reason| shape.error(reason))?,
    })
}

/// The box around `x,y;x,y;...`.
fn polygon(text: &str) -> Result<[f64; 4], String> {
    let point = |pair: &str| {
        let (x, y) = pair.split_once(',').ok_or_else(|| {
            format!("field `points`: `{}` is not a pair x,y", shape::shortened(pair))
        })?;
        Ok([shape::number("points", x)?, shape::number("points", y)?])
    };
    let points: Result<Vec<_>, String> = text.split(';').map(point).collect();
    shape::hull(&points?)
}
