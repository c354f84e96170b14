//! The images and boxes that are asked about.

use super::Caption;
use gpt4roi::dataset::{Dataset, Entry, Error, Options, Region, RegionBox, open};
use gpt4roi::preprocess::parse_values;
use gpt4roi::{PixelBox, dataset};

/// A data set, or one image with the boxes of the command line.
pub(crate) enum Input {
    Dataset(Box<Dataset>),
    Image(Option<Entry>),
}

impl Input {
    pub(crate) fn open(args: &Caption) -> Result<Input, gpt4roi::Error> {
        if args.is_picture() {
            return Ok(Input::Image(Some(image(args)?)));
        }
        let Caption { format, images, split, .. } = args;
        let options = Options { format: *format, images: images.clone(), split: split.clone() };
        Ok(Input::Dataset(Box::new(open(&args.input, &options)?)))
    }

    /// Number of images, if it is known already.
    pub(crate) fn n_images(&self) -> Option<usize> {
        match self {
            Input::Dataset(dataset) => dataset.n_images(),
            Input::Image(_) => Some(1),
        }
    }

    /// What was left out of a data set.
    pub(crate) fn warnings(&self) -> &[dataset::Warning] {
        match self {
            Input::Dataset(dataset) => dataset.warnings(),
            Input::Image(_) => &[],
        }
    }
}

impl Iterator for Input {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Input::Dataset(dataset) => dataset.next(),
            Input::Image(entry) => entry.take().map(Ok),
        }
    }
}

fn image(args: &Caption) -> Result<Entry, gpt4roi::Error> {
    let regions = args.boxes.iter().enumerate().map(|(i, text)| {
        let edges = args.box_format.to_xyxy(parse_values(text)?);
        let [x1, y1, x2, y2] = edges;
        let shape = match args.normalized {
            true => RegionBox::Fractions(edges),
            false => RegionBox::Pixels(PixelBox::new(x1, y1, x2, y2)),
        };
        let id = (i + 1).to_string();
        Ok(Region { id, shape, label: None, questions: Vec::new(), reference: None })
    });
    let regions = regions.collect::<Result<_, gpt4roi::Error>>()?;
    let name = args.input.display().to_string();
    Ok(Entry { image: args.input.clone(), name, image_id: None, regions })
}
