//! Boxes to region vectors: RoIAlign on every level, one convolution a level, and two linear
//! layers with the embedding of the box itself.

mod embed;

use crate::error::Result;
use crate::pyramid::{self, Pyramid};
use crate::trace::{Taps, Trace};
use crate::weights::Weights;
use ggml_ext::graph::{Graph, Input, Memory, Output};
use ggml_ext::roi_align::{RoiAlign, RoiAlignParams, RoiBox};
use ggml_ext::weights::TensorSet;
use gpt4roi_models::hparams::MmprojHparams;
use std::sync::Arc;

/// Regions that one graph run handles on the CPU; more go in several runs, so that memory stays bounded. At the published
/// sizes these take no more than the pyramid's graph did, whose memory they use.
const MAX_ON_CPU: usize = 32;
/// The same elsewhere, where more is kept in between.
const MAX_ELSEWHERE: usize = 22;
/// And where memory is short besides.
const FEW_ELSEWHERE: usize = 4;
/// Graphs kept, one for each number of regions asked for lately.
const MAX_GRAPHS: usize = 4;

/// One vector for the language model for each box.
#[derive(Clone, Debug, Default)]
pub(crate) struct RegionTokens {
    /// `[H, n]`, in the order of the boxes.
    pub(crate) embeds: Vec<f32>,
}

/// The stage. A graph is built for each number of regions and kept; run again, it allocates
/// nothing but the result.
pub(crate) struct RegionStage {
    memory: Memory,
    hp: MmprojHparams,
    weights: Arc<TensorSet>,
    pyramid: Arc<TensorSet>,
    tracing: bool,
    max_per_run: usize,
    /// Last used last.
    graphs: Vec<RegionGraph>,
}

struct RegionGraph {
    n_regions: usize,
    graph: Graph,
    boxes: Input,
    rois: Vec<RoiAlign>,
    embeds: Output,
    taps: Taps,
    /// Side of the model's input image, in pixels.
    side: f32,
}

impl RegionStage {
    /// A stage over the maps that `pyramid` names, with its graphs in `memory`.
    pub(crate) fn new(
        memory: &Memory,
        hp: &MmprojHparams,
        weights: &Arc<TensorSet>,
        pyramid: &Arc<TensorSet>,
        tracing: bool,
        low_memory: bool,
    ) -> RegionStage {
        RegionStage {
            memory: memory.clone(),
            hp: hp.clone(),
            weights: weights.clone(),
            pyramid: pyramid.clone(),
            tracing,
            max_per_run: match low_memory {
                _ if memory.backend().is_cpu() => MAX_ON_CPU,
                true => FEW_ELSEWHERE,
                false => MAX_ELSEWHERE,
            },
            graphs: Vec::new(),
        }
    }

    /// Region vectors of `boxes` (x1, y1, x2, y2 as fractions of the image) over the maps that
    /// the pyramid stage computed last.
    pub(crate) fn run(
        &mut self,
        pyramid: &Pyramid,
        boxes: &[RoiBox],
        mut trace: Option<&mut Trace>,
    ) -> Result<RegionTokens> {
        assert!(Arc::ptr_eq(&pyramid.levels, &self.pyramid), "maps of another pyramid stage");
        let mut tokens = RegionTokens::default();
        let mut embeds = Vec::new();
        let n_runs = boxes.len().div_ceil(self.max_per_run).max(1);
        let per_run = boxes.len().div_ceil(n_runs).max(1);
        for (i, chunk) in boxes.chunks(per_run).enumerate() {
            let graph = self.graph_for(chunk.len())?;
            graph.run(chunk, &mut embeds)?;
            tokens.embeds.extend_from_slice(&embeds);
            if let Some(trace) = trace.as_deref_mut() {
                graph.taps.record(&graph.graph, trace, i > 0 /* append */);
            }
        }
        Ok(tokens)
    }

    pub(crate) fn graphs(&self) -> impl Iterator<Item = &Graph> {
        self.graphs.iter().map(|g| &g.graph)
    }

    /// Builds the largest graph that the stage will need.
    pub(crate) fn prepare_largest(&mut self) -> Result<()> {
        self.graph_for(self.max_per_run).map(|_| ())
    }

    fn graph_for(&mut self, n_regions: usize) -> Result<&mut RegionGraph> {
        let graph = match self.graphs.iter().position(|g| g.n_regions == n_regions) {
            Some(i) => self.graphs.remove(i),
            None => self.build(n_regions)?,
        };
        if self.graphs.len() == MAX_GRAPHS {
            self.graphs.remove(0);
        }
        self.graphs.push(graph);
        let last = self.graphs.len() - 1;
        Ok(&mut self.graphs[last])
    }

    fn build(&self, n_regions: usize) -> Result<RegionGraph> {
        let r = &self.hp.region;
        let side = self.hp.vision.image_size as f32;
        let max_nodes = 32 * r.taps.len() + 64;
        let (graph, (boxes, rois, embeds, taps)) =
            Graph::build_in("region", &self.memory, max_nodes, |g| {
                let w = Weights::new(g, &self.weights);
                let maps = pyramid::maps(g, r, &self.pyramid)?;
                let mut taps = Taps::default();
                let (boxes, boxes_input) = g.input("boxes", &[4, n_regions]);
                let (mut pooled, mut rois) = (Vec::new(), Vec::new());
                for (l, &size) in r.level_sizes.iter().enumerate() {
                    let params = RoiAlignParams {
                        output_size: r.roi_output_size as usize,
                        sampling_ratio: r.roi_sampling_ratio as usize,
                        spatial_scale: size as f32 / side,
                    };
                    let (x, roi) = g.roi_align(&maps, l, n_regions, params);
                    pooled.push(x);
                    rois.push(roi);
                }
                let taps_wanted = self.tracing.then_some(&mut taps);
                let embeds = embed::embed(g, &w, r, &pooled, boxes, taps_wanted)?;
                let embeds = g.output(embeds, "region_embed");
                Ok::<_, crate::Error>((boxes_input, rois, embeds, taps))
            })?;
        Ok(RegionGraph { n_regions, graph, boxes, rois, embeds, taps, side })
    }
}

impl RegionGraph {
    fn run(&mut self, fractions: &[RoiBox], embeds: &mut Vec<f32>) -> Result<()> {
        self.graph.set(self.boxes, fractions.as_flattened())?;
        // Fractions to pixels of the model's input in single precision, as the original does.
        let pixels: Vec<RoiBox> = fractions.iter().map(|b| b.map(|v| v * self.side)).collect();
        for roi in &self.rois {
            roi.set_boxes(&mut self.graph, &pixels)?;
        }
        self.graph.run()?;
        self.graph.get(self.embeds, embeds);
        Ok(())
    }
}
