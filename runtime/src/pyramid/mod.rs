//! Hidden states to the pyramid: one fused feature map per level.
//!
//! Each level's hidden state becomes a map of its own size; then, several times over, the levels
//! exchange a quarter of their channels with each neighbour and pass through one 3x3 convolution
//! that all of them share.

mod fuse;
mod input;

use crate::error::Result;
use crate::trace::{Taps, Trace};
use crate::vision::HiddenStates;
use crate::weights::{Weights, slots};
use ggml_ext::graph::{Builder, Graph, Input, Memory};
use ggml_ext::maps::{Maps, stored_shapes};
use ggml_ext::weights::TensorSet;
use gpt4roi_models::hparams::{MmprojHparams, RegionHparams};
use std::sync::Arc;

/// The fused maps of one image.
pub(crate) struct Pyramid {
    /// All levels, finest first, `[S, S, C]` (`[C, S, S]`) each, as [`maps`] finds them.
    pub(crate) levels: Arc<TensorSet>,
}

/// What the maps are stored as.
const NAME: &str = "pyramid";

/// The levels' widths and heights.
fn sides(r: &RegionHparams) -> Vec<[usize; 2]> {
    r.level_sizes.iter().map(|&s| [s as usize; 2]).collect()
}

/// The maps of a pyramid, in a graph that reads them.
pub(crate) fn maps<'g>(
    g: &Builder<'g>,
    r: &RegionHparams,
    levels: &Arc<TensorSet>,
) -> Result<Maps<'g>> {
    let stored = g.stored_maps(levels, NAME, &sides(r), r.n_channels as usize);
    stored.ok_or_else(|| crate::Error::internal("a pyramid without maps"))
}

/// The stage: its graph is built once and allocates nothing when run.
pub(crate) struct PyramidStage {
    graph: Graph,
    coords_input: Input,
    coords: Vec<f32>,
    taps: Taps,
    states: Arc<TensorSet>,
    levels: Arc<TensorSet>,
}

impl PyramidStage {
    /// Builds the stage in `memory`, on the tensors that `states` names; with `tracing` every intermediate map
    /// can be read.
    pub(crate) fn new(
        memory: &Memory,
        hp: &MmprojHparams,
        weights: &Arc<TensorSet>,
        states: &Arc<TensorSet>,
        tracing: bool,
    ) -> Result<PyramidStage> {
        let r = &hp.region;
        let n_channels = r.n_channels as usize;
        let backend = memory.backend();
        let levels = slots(backend, &stored_shapes(backend, NAME, &sides(r), n_channels))?;
        let n_levels = r.taps.len();
        let max_nodes = n_levels * (72 + 24 * r.n_fuse as usize) + 32;
        let (graph, (coords_input, taps)) = Graph::build_in("pyramid", memory, max_nodes, |g| {
            let w = Weights::new(g, weights);
            let mut taps = Taps::default();
            if !tracing {
                // Its place is free until the result is stored; a trace reads maps of every step.
                let _ = g.lend_maps(&levels, NAME, n_levels, n_channels);
            }
            let grid = hp.vision.grid() as usize;
            let (coords, coords_input) = g.input("coords", &[2, grid * grid]);
            let tapped = Weights::new(g, states);
            let mut maps = input::maps(g, &w, hp, &tapped, coords, tracing.then_some(&mut taps))?;
            for f in 0..r.n_fuse {
                maps = g.exchanged(&maps, fuse::exchange(n_levels, n_channels));
                maps = fuse::conv_block(g, &w, r, f, &maps)?;
                if tracing {
                    fuse::tap(g, f, &maps, &mut taps);
                }
            }
            let stored = g.store_maps(&maps, &levels, NAME);
            stored.ok_or_else(|| crate::Error::internal("no place for the pyramid"))?;
            Ok::<_, crate::Error>((coords_input, taps))
        })?;
        let coords = input::coords(hp.vision.grid() as usize);
        Ok(PyramidStage { graph, coords_input, coords, taps, states: states.clone(), levels })
    }

    pub(crate) fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The tensors that [`Pyramid::levels`] will hold.
    pub(crate) fn levels(&self) -> &Arc<TensorSet> {
        &self.levels
    }

    /// Fuses the states that the vision stage computed last. The result's tensors are overwritten
    /// by the next run.
    pub(crate) fn run(
        &mut self,
        states: &HiddenStates,
        trace: Option<&mut Trace>,
    ) -> Result<Pyramid> {
        assert!(Arc::ptr_eq(&states.levels, &self.states), "states of another vision stage");
        self.graph.set(self.coords_input, &self.coords)?;
        self.graph.run()?;
        if let Some(trace) = trace {
            self.taps.record(&self.graph, trace, false /* append */);
        }
        Ok(Pyramid { levels: self.levels.clone() })
    }
}
