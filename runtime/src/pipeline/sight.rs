//! The image side: from pixels to the vectors of an image and its regions, which are kept.

use crate::error::{Error, Result};
use crate::files::MmprojFile;
use crate::preprocess::{self, PreprocessOptions, RgbImage8};
use crate::pyramid::{Pyramid, PyramidStage};
use crate::region::RegionStage;
use crate::trace::{Stage, StageTimings, Trace};
use crate::vision::{HiddenStates, Vision};
use ggml_ext::Backend;
use ggml_ext::graph::{Memory, PlacedNode};
use ggml_ext::roi_align::RoiBox;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Bytes of the convolutions' scratch space where memory is short.
pub(crate) const LOW_SCRATCH: usize = 60_000_000;
/// Images whose vectors are kept.
const MAX_IMAGES: usize = 4;
/// Region vectors that are kept of an image; those of the question at hand always are.
const MAX_REGIONS: usize = 256;

/// An image, known by its content: copies are cheap, and an engine keeps what it computed for equal ones.
#[derive(Clone, Debug)]
pub struct Image {
    id: u64,
    pixels: Arc<RgbImage8>,
}

impl From<RgbImage8> for Image {
    fn from(pixels: RgbImage8) -> Image {
        let mut hasher = DefaultHasher::new();
        (pixels.size(), pixels.data()).hash(&mut hasher);
        Image { id: hasher.finish(), pixels: Arc::new(pixels) }
    }
}

impl Image {
    /// Its pixels.
    pub fn pixels(&self) -> &RgbImage8 {
        &self.pixels
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (u32, u32) {
        self.pixels.size()
    }

    pub(crate) fn reference(&self) -> ImageRef<'_> {
        ImageRef { id: self.id, pixels: &self.pixels }
    }
}

/// An image with what identifies its content.
#[derive(Clone, Copy)]
pub(crate) struct ImageRef<'a> {
    pub(crate) id: u64,
    pub(crate) pixels: &'a RgbImage8,
}

/// The stages from pixels to region vectors, on one device.
pub(crate) struct ImageSide {
    preprocess: PreprocessOptions,
    vision: Vision,
    pyramid: PyramidStage,
    region: RegionStage,
}

impl ImageSide {
    /// Builds the graphs.
    pub(crate) fn new(
        backend: &Backend,
        mmproj: &MmprojFile,
        preprocess: PreprocessOptions,
        tracing: bool,
        low_memory: bool,
    ) -> Result<ImageSide> {
        if low_memory {
            backend.limit_scratch(LOW_SCRATCH);
        }
        let (hp, weights) = (&mmproj.hparams, &mmproj.weights);
        // The stages run one after the other, and what they hand on lies elsewhere.
        let memory = &Memory::new(backend)?;
        let vision = Vision::new(memory, hp, weights)?;
        let pyramid = PyramidStage::new(memory, hp, weights, vision.levels(), tracing)?;
        let region = RegionStage::new(memory, hp, weights, pyramid.levels(), tracing, low_memory);
        Ok(ImageSide { preprocess, vision, pyramid, region })
    }

    /// Builds the largest graph of those that depend on the number of regions.
    pub(crate) fn prepare_largest(&mut self) -> Result<()> {
        self.region.prepare_largest()
    }

    /// The nodes of all graphs that are built.
    pub(crate) fn nodes(&self) -> Result<Vec<PlacedNode>> {
        let mut nodes = Vec::new();
        for graph in
            [self.vision.graph(), self.pyramid.graph()].into_iter().chain(self.region.graphs())
        {
            nodes.extend(graph.nodes()?);
        }
        Ok(nodes)
    }
}

/// What the language model is shown.
pub(crate) struct Seen {
    /// The image's vectors, `[H, n_patches]`.
    pub(crate) image: Arc<[f32]>,
    /// Those of the boxes, `[H, n]`.
    pub(crate) regions: Vec<f32>,
}

/// The image side's results for one image.
struct Encoded {
    image_id: u64,
    image_embeds: Arc<[f32]>,
    /// Region vectors computed so far; a vector depends on nothing but image and box.
    regions: Vec<(RoiBox, Vec<f32>)>,
}

/// What more region vectors of an image are made from. The next image overwrites it.
struct Live {
    image_id: u64,
    states: HiddenStates,
    /// Made when a question first has boxes.
    pyramid: Option<Pyramid>,
}

/// The stages of the image side, and what they computed for the images seen last.
pub(crate) struct Sight {
    side: ImageSide,
    /// Used last, last.
    encoded: Vec<Encoded>,
    /// What the stages hold of the image that they worked on last.
    live: Option<Live>,
    trace: Option<Trace>,
}

impl Sight {
    pub(super) fn nodes(&self) -> Result<Vec<PlacedNode>> {
        self.side.nodes()
    }

    pub(super) fn new(side: ImageSide, tracing: bool) -> Sight {
        let trace = tracing.then(Trace::default);
        Sight { side, encoded: Vec::new(), live: None, trace }
    }

    /// The vectors of an image and of boxes in it; computes those that are not known yet.
    pub(super) fn look(
        &mut self,
        image: ImageRef,
        boxes: &[RoiBox],
        timings: &mut StageTimings,
    ) -> Result<Seen> {
        self.encode(image, timings)?;
        let regions = self.regions(image, boxes, timings)?;
        let last = self.encoded.last().ok_or_else(|| Error::internal("no image"))?;
        Ok(Seen { image: last.image_embeds.clone(), regions })
    }

    pub(super) fn trace(&self) -> Option<&Trace> {
        self.trace.as_ref()
    }

    pub(super) fn trace_mut(&mut self) -> Option<&mut Trace> {
        self.trace.as_mut()
    }

    pub(super) fn forget(&mut self) {
        self.encoded.clear();
        self.live = None;
    }

    /// Sees to it that the image's vectors are known, and last in `encoded`.
    fn encode(&mut self, image: ImageRef, timings: &mut StageTimings) -> Result<()> {
        if let Some(i) = self.encoded.iter().position(|e| e.image_id == image.id) {
            self.encoded[i..].rotate_left(1);
            return Ok(());
        }
        let image_embeds = self.look_at(image, timings)?;
        // A trace is of the image that was looked at last: no other is known then.
        let kept = if self.trace.is_some() { 0 } else { MAX_IMAGES - 1 };
        self.encoded.drain(..self.encoded.len().saturating_sub(kept));
        self.encoded.push(Encoded {
            image_id: image.id,
            image_embeds: image_embeds.into(),
            regions: Vec::new(),
        });
        Ok(())
    }

    /// Runs the vision tower; gives the image's vectors.
    fn look_at(&mut self, image: ImageRef, timings: &mut StageTimings) -> Result<Vec<f32>> {
        // The stages overwrite their results in place: nothing of the old image may be used.
        self.live = None;
        let pixels = timings
            .time(Stage::Preprocess, || preprocess::run(image.pixels, &self.side.preprocess))?;
        if let Some(trace) = &mut self.trace {
            trace.clear();
            trace.record("pixel_values", pixels.size as usize, pixels.data.clone());
        }
        let mut states =
            timings.time(Stage::Vision, || self.side.vision.run(&pixels, self.trace.as_mut()))?;
        let image_embeds = std::mem::take(&mut states.image_embeds);
        self.live = Some(Live { image_id: image.id, states, pyramid: None });
        Ok(image_embeds)
    }

    /// The vectors of all boxes of the image that was encoded last, `[H, n]`; computes those that are
    /// not known yet.
    fn regions(
        &mut self,
        image: ImageRef,
        boxes: &[RoiBox],
        timings: &mut StageTimings,
    ) -> Result<Vec<f32>> {
        if self.trace.is_some() {
            self.known().clear(); // a trace shows all boxes of the question
        }
        let known = self.known();
        let is_known = |b: &RoiBox| known.iter().any(|(k, _)| k == b);
        let missing: Vec<RoiBox> = boxes.iter().filter(|b| !is_known(b)).copied().collect();
        if !missing.is_empty() {
            let embeds = self.pool(image, &missing, timings)?;
            let rows = embeds.chunks(embeds.len() / missing.len()).map(<[f32]>::to_vec);
            let known = self.known();
            known.extend(missing.into_iter().zip(rows));
            let mut surplus = known.len().saturating_sub(MAX_REGIONS);
            known.retain(|(b, _)| {
                let goes = surplus > 0 && !boxes.contains(b);
                surplus -= usize::from(goes);
                !goes
            });
        }
        let known = self.known();
        let row = |b: &RoiBox| known.iter().find(|(k, _)| k == b);
        Ok(boxes.iter().filter_map(row).flat_map(|(_, v)| v).copied().collect())
    }

    /// Region vectors of the image that was encoded last.
    fn known(&mut self) -> &mut Vec<(RoiBox, Vec<f32>)> {
        let last = self.encoded.len() - 1;
        &mut self.encoded[last].regions
    }

    /// Runs the region stage, and what it needs of those before.
    fn pool(
        &mut self,
        image: ImageRef,
        boxes: &[RoiBox],
        timings: &mut StageTimings,
    ) -> Result<Vec<f32>> {
        if self.live.as_ref().is_none_or(|l| l.image_id != image.id) {
            self.look_at(image, timings)?;
        }
        let (side, mut trace) = (&mut self.side, self.trace.as_mut());
        let live = self.live.as_mut().ok_or_else(|| Error::internal("no image"))?;
        let pyramid = match live.pyramid.take() {
            Some(pyramid) => pyramid,
            None => timings
                .time(Stage::Pyramid, || side.pyramid.run(&live.states, trace.as_deref_mut()))?,
        };
        let pyramid = live.pyramid.insert(pyramid);
        let tokens = timings.time(Stage::Region, || side.region.run(pyramid, boxes, trace))?;
        Ok(tokens.embeds)
    }
}
