//! The stages from pixels to region vectors.

use super::costs::Weights;
use super::{Bench, costs};
use crate::error::Result;
use crate::files::MmprojFile;
use crate::preprocess::Pixels;
use crate::pyramid::{self, PyramidStage};
use crate::region::RegionStage;
use crate::vision::Vision;
use ggml_ext::graph::{Graph, Memory};
use ggml_ext::roi_align::{RoiAlignParams, RoiBox};
use gpt4roi_models::names::{gguf, weight};
use gpt4roi_models::specs::{Checkpoint, Part, mmproj_specs};

pub(super) fn measure(bench: &mut Bench<'_>, mmproj: &MmprojFile) -> Result<()> {
    let (hp, weights) = (&mmproj.hparams, &mmproj.weights);
    let parts = Parts::of(mmproj);
    let memory = &Memory::new(&bench.backend)?;
    let mut vision = Vision::new(memory, hp, weights)?;
    let mut stage = PyramidStage::new(memory, hp, weights, vision.levels(), false)?;
    let pixels = noise(hp.vision.image_size);
    let mut states = vision.run(&pixels, None)?;
    bench.time("vision", costs::vision(hp, parts.vision), || {
        states = vision.run(&pixels, None)?;
        Ok(())
    })?;
    let mut fused = stage.run(&states, None)?;
    bench.time("pyramid", costs::pyramid(hp, parts.pyramid.bytes), || {
        fused = stage.run(&states, None)?;
        Ok(())
    })?;
    for &n in &bench.options.regions {
        let boxes: Vec<RoiBox> = (0..n).map(some_box).collect();
        let mut pooling = Pooling::new(bench, mmproj, &stage, &boxes)?;
        bench
            .time(&format!("roi_align x{n}"), costs::roi_align(&hp.region, n), || pooling.run())?;
    }
    let low_memory = bench.options.low_memory;
    let mut region = RegionStage::new(memory, hp, weights, stage.levels(), false, low_memory);
    for &n in &bench.options.regions {
        let boxes: Vec<RoiBox> = (0..n).map(some_box).collect();
        let cost = costs::region(&hp.region, n, parts.region);
        bench.time(&format!("region x{n}"), cost, || {
            region.run(&fused, &boxes, None)?;
            Ok(())
        })?;
    }
    Ok(())
}

/// RoIAlign on all levels, alone.
struct Pooling(Graph);

impl Pooling {
    fn new(
        bench: &Bench<'_>,
        mmproj: &MmprojFile,
        pyramid: &PyramidStage,
        boxes: &[RoiBox],
    ) -> Result<Pooling> {
        let r = &mmproj.hparams.region;
        let (mut graph, rois) = Graph::build("roi_align", &bench.backend, 64, |g| {
            let maps = pyramid::maps(g, r, pyramid.levels())?;
            let mut rois = Vec::new();
            for (l, &size) in r.level_sizes.iter().enumerate() {
                let params = RoiAlignParams {
                    output_size: r.roi_output_size as usize,
                    sampling_ratio: r.roi_sampling_ratio as usize,
                    spatial_scale: size as f32,
                };
                let (pooled, roi) = g.roi_align(&maps, l, boxes.len(), params);
                g.need_maps(&pooled);
                rois.push(roi);
            }
            Ok::<_, crate::Error>(rois)
        })?;
        for roi in rois {
            roi.set_boxes(&mut graph, boxes)?;
        }
        Ok(Pooling(graph))
    }

    fn run(&mut self) -> Result<()> {
        Ok(self.0.run()?)
    }
}

/// The stages' weights.
#[derive(Default)]
struct Parts {
    vision: Weights,
    pyramid: Weights,
    region: Weights,
}

impl Parts {
    fn of(mmproj: &MmprojFile) -> Parts {
        let hp = &mmproj.hparams;
        let mut parts = Parts::default();
        let fuse: Vec<_> = (0..hp.region.n_fuse).map(|f| weight(&gguf::fuse_conv(f))).collect();
        let input: Vec<_> =
            (0..hp.region.n_levels()).map(|l| weight(&gguf::input_conv(l))).collect();
        for spec in mmproj_specs(hp) {
            if spec.source.checkpoint == Checkpoint::Generated {
                continue;
            }
            let n = mmproj.weights.n_bytes(&spec.name).unwrap_or(0) as f64;
            let part = match spec.part {
                Part::Vision => &mut parts.vision,
                _ if fuse.contains(&spec.name) || input.contains(&spec.name) => &mut parts.pyramid,
                _ => &mut parts.region,
            };
            part.bytes += n;
            part.elements += spec.n_elements() as f64;
        }
        parts
    }
}

fn noise(size: u32) -> Pixels {
    let mut state = 1u32;
    let mut value = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1u32 << 23) as f32 - 1.0
    };
    let data = (0..3 * size * size).map(|_| value()).collect();
    Pixels { data, size, original: (size, size) }
}

/// Boxes of many sizes and places, as fractions.
fn some_box(i: usize) -> RoiBox {
    let part = |k: usize| (i * k % 17) as f32 / 17.0;
    let (w, h) = (0.1 + 0.8 * part(5), 0.1 + 0.8 * part(7));
    let (x, y) = (part(3) * (1.0 - w), part(11) * (1.0 - h));
    [x, y, x + w, y + h]
}
