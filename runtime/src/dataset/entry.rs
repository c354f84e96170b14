//! An image of a data set and its regions.

use std::collections::HashSet;
use std::path::PathBuf;

use crate::preprocess::{BoxFormat, PixelBox};

/// Most regions of one image.
pub const MAX_REGIONS: usize = 100_000;

/// An image and its regions.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Where the image is; nobody looked whether it is there.
    pub image: PathBuf,
    /// The image as the file calls it; in a folder, its path from there.
    pub name: String,
    /// Its id, where the file has one that is not its name.
    pub image_id: Option<String>,
    /// Its regions in the order of the file; there may be none.
    pub regions: Vec<Region>,
}

impl Entry {
    /// An image without an id.
    pub(super) fn new(image: PathBuf, name: String, regions: Vec<Region>) -> Self {
        Self { image, name, image_id: None, regions }
    }
}

/// A box of an image and what the data set says about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// Its id, unique among the regions of the entry; where the file gives none, its number from 1.
    pub id: String,
    /// The box.
    pub shape: RegionBox,
    /// What is in it: the name of a class.
    pub label: Option<String>,
    /// What to ask about it.
    pub questions: Vec<String>,
    /// What a person said about it, to compare an answer with.
    pub reference: Option<String>,
}

impl Region {
    /// A box and nothing else; it gets its id from [`Regions::push`].
    pub(super) fn new(shape: RegionBox) -> Self {
        Self { id: String::new(), shape, label: None, questions: Vec::new(), reference: None }
    }
}

/// A box in the units of its file; finite, and not empty.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RegionBox {
    /// Pixels of the upright picture.
    Pixels(PixelBox),
    /// Left, top, right and bottom edge as fractions of the upright picture.
    Fractions([f64; 4]),
}

impl RegionBox {
    /// The box in pixels of a picture of `size` = (width, height) pixels.
    pub fn in_pixels(&self, size: (u32, u32)) -> PixelBox {
        match *self {
            RegionBox::Pixels(pixels) => pixels,
            RegionBox::Fractions(edges) => PixelBox::from_normalized(edges, BoxFormat::Xyxy, size),
        }
    }
}

/// The regions of one image as they are collected.
#[derive(Default)]
pub(super) struct Regions {
    list: Vec<Region>,
    ids: HashSet<String>,
}

impl Regions {
    /// Adds a region; without an id it gets its number from 1.
    ///
    /// # Errors
    /// The reason, if the id is taken or there are more than [`MAX_REGIONS`].
    pub(super) fn push(&mut self, id: Option<String>, region: Region) -> Result<(), String> {
        if self.list.len() >= MAX_REGIONS {
            return Err(format!("an image may have at most {MAX_REGIONS} regions"));
        }
        let id = id.unwrap_or_else(|| (self.list.len() + 1).to_string());
        if !self.ids.insert(id.clone()) {
            return Err(format!("id `{id}` is taken by another region of the image"));
        }
        self.list.push(Region { id, ..region });
        Ok(())
    }

    pub(super) fn into_list(self) -> Vec<Region> {
        self.list
    }
}
