//! LabelMe: a JSON file an image; points are pixels of the upright image.
//!
//! <https://github.com/wkentaro/labelme>. A shape becomes the box around it. Lines and points have
//! no area: they are left out, with a warning.

use std::path::Path;

use serde::Deserialize;

use super::entry::Regions;
use super::{Entry, Error, Opened, Region, Warnings, folder, input, json, shape};
use crate::preprocess::BoxFormat;

pub(super) fn open(path: &Path, images: Option<&Path>) -> Result<Opened, Error> {
    folder::open_each(path, "json", images, read)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    image_path: String,
    shapes: Vec<Shape>,
}

#[derive(Deserialize)]
struct Shape {
    label: Option<String>,
    points: Vec<[f64; 2]>,
    /// Files of old versions lack it: all their shapes are polygons.
    shape_type: Option<String>,
}

fn read(path: &Path, images: Option<&Path>, warnings: &mut Warnings) -> Result<Entry, Error> {
    let file: File = json::parse(path, input::open(path)?)?;
    let mut regions = Regions::default();
    for (index, shape) in file.shapes.into_iter().enumerate() {
        let place = format!("shapes[{index}]");
        let kind = shape.shape_type.as_deref().unwrap_or("polygon");
        if let Some(what) = without_box(kind) {
            warnings.add(what, format_args!("{}, {place}", path.display()));
            continue;
        }
        let added = region(kind, &shape.points)
            .and_then(|region| regions.push(None, Region { label: shape.label, ..region }));
        added.map_err(|reason| Error::element(path, place, reason))?;
    }
    let folder = images.unwrap_or_else(|| folder::of(path)).to_path_buf();
    let image = folder::find_image(&[folder], &file.image_path);
    Ok(Entry::new(image, file.image_path, regions.into_list()))
}

/// Of shapes that have no box: what to say of them.
fn without_box(kind: &str) -> Option<&'static str> {
    match kind {
        "rectangle" | "oriented_rectangle" | "polygon" | "circle" | "mask" => None,
        "line" | "linestrip" => Some("lines, which have no box"),
        "point" | "points" => Some("points, which have no box"),
        _ => Some("shapes of an unknown type"),
    }
}

fn region(kind: &str, points: &[[f64; 2]]) -> Result<Region, String> {
    let edges = match (kind, points) {
        ("circle", &[[cx, cy], [x, y]]) => {
            let radius = (x - cx).hypot(y - cy);
            shape::ellipse([cx, cy], [radius, radius], 0.0)
        }
        ("circle", _) => {
            let n_points = points.len();
            return Err(format!("a circle is its centre and a point on it, not {n_points} points"));
        }
        _ => shape::hull(points)?,
    };
    shape::pixels(edges, BoxFormat::Xyxy).map(Region::new)
}
