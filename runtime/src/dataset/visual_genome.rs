//! Visual Genome: `region_descriptions.json` and `objects.json`.
//!
//! <https://homes.cs.washington.edu/~ranjay/visualgenome/api.html>. Boxes are the left and
//! top edge, width and height. A phrase is what a person said about the region, never a question.
//! Images are called by their id and come in the folders `VG_100K` and `VG_100K_2`.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::entry::Regions;
use super::json::{Id, Objects};
use super::{Entry, Error, Opened, Region, Source, Warnings, folder, input, shape};
use crate::preprocess::BoxFormat;

pub(super) fn open(path: &Path, images: Option<&Path>) -> Result<Opened, Error> {
    let list = Objects::new(input::open(path)?);
    let base = images.unwrap_or_else(|| folder::of(path));
    let folders = vec![base.to_path_buf(), base.join("VG_100K"), base.join("VG_100K_2")];
    Ok(Opened::streamed(VisualGenome { path: path.into(), folders, list }))
}

struct VisualGenome {
    path: PathBuf,
    folders: Vec<PathBuf>,
    list: Objects<BufReader<File>>,
}

#[derive(Deserialize)]
struct Image {
    id: Option<Id>,
    image_id: Option<Id>,
    #[serde(default)]
    regions: Vec<Phrase>,
    #[serde(default)]
    objects: Vec<Object>,
}

#[derive(Deserialize)]
struct Phrase {
    region_id: Option<Id>,
    image_id: Option<Id>,
    x: f64,
    y: f64,
    width: f64,
    height: f64,
    phrase: Option<String>,
}

#[derive(Deserialize)]
struct Object {
    object_id: Option<Id>,
    x: f64,
    y: f64,
    w: f64,
    h: f64,
    #[serde(default)]
    names: Vec<String>,
}

impl Source for VisualGenome {
    fn next_entry(&mut self, _: &mut Warnings) -> Option<Result<Entry, Error>> {
        let (index, image) = match self.list.next::<Image>(&self.path)? {
            Ok(read) => read,
            Err(error) => return Some(Err(error)),
        };
        let fail = |(field, reason): (String, String)| {
            Error::element(&self.path, format!("[{index}]{field}"), reason)
        };
        Some(self.entry(image).map_err(fail))
    }
}

impl VisualGenome {
    /// An image; an error is the field and the reason.
    fn entry(&self, image: Image) -> Result<Entry, (String, String)> {
        let id = image.id.or(image.image_id);
        let id = id.or_else(|| image.regions.first().and_then(|region| region.image_id.clone()));
        let missing = || (String::new(), "has neither `id` nor `image_id`".into());
        let id = id.ok_or_else(missing)?.to_string();
        let name = format!("{id}.jpg");
        let mut regions = Regions::default();
        for (index, phrase) in image.regions.into_iter().enumerate() {
            let added = add_phrase(&mut regions, phrase);
            added.map_err(|reason| (format!(".regions[{index}]"), reason))?;
        }
        for (index, object) in image.objects.into_iter().enumerate() {
            let added = add_object(&mut regions, object);
            added.map_err(|reason| (format!(".objects[{index}]"), reason))?;
        }
        let image = folder::find_image(&self.folders, &name);
        Ok(Entry { image_id: Some(id), ..Entry::new(image, name, regions.into_list()) })
    }
}

fn add_phrase(regions: &mut Regions, phrase: Phrase) -> Result<(), String> {
    let values = [phrase.x, phrase.y, phrase.width, phrase.height];
    let region = Region::new(shape::pixels(values, BoxFormat::Xywh)?);
    let id = phrase.region_id.map(|id| id.to_string());
    regions.push(id, Region { reference: phrase.phrase, ..region })
}

fn add_object(regions: &mut Regions, object: Object) -> Result<(), String> {
    let values = [object.x, object.y, object.w, object.h];
    let region = Region::new(shape::pixels(values, BoxFormat::Xywh)?);
    let id = object.object_id.map(|id| id.to_string());
    regions.push(id, Region { label: object.names.into_iter().next(), ..region })
}
