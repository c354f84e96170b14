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
use crate::weights::{Weights, slots, store};
use ggml_ext::Backend;
use ggml_ext::graph::Graph;
use ggml_ext::weights::TensorSet;
use gpt4roi_models::hparams::MmprojHparams;
use std::sync::Arc;

/// The fused maps of one image.
pub(crate) struct Pyramid {
    /// Per level, finest first: tensor [`level_name`], `[S, S, C]` (`[C, S, S]`).
    pub(crate) levels: Arc<TensorSet>,
}

/// Name of level `l`'s map in [`Pyramid::levels`].
pub(crate) fn level_name(l: usize) -> String {
    format!("pyramid.{l}")
}

/// The stage: its graph is built once and allocates nothing when run.
pub(crate) struct PyramidStage {
    graph: Graph,
    taps: Taps,
    states: Arc<TensorSet>,
    levels: Arc<TensorSet>,
}

impl PyramidStage {
    /// Builds the stage on the tensors that `states` names; with `tracing` every intermediate map
    /// can be read.
    pub(crate) fn new(
        backend: &Backend,
        hp: &MmprojHparams,
        weights: &Arc<TensorSet>,
        states: &Arc<TensorSet>,
        tracing: bool,
    ) -> Result<PyramidStage> {
        let r = &hp.region;
        let shape = |s: u32| vec![s as usize, s as usize, r.n_channels as usize];
        let sizes = r.level_sizes.iter().enumerate();
        let shapes: Vec<_> = sizes.map(|(l, &s)| (level_name(l), shape(s))).collect();
        let levels = slots(backend, &shapes)?;
        let n_levels = r.taps.len();
        let max_nodes = n_levels * (24 + 24 * r.n_fuse as usize) + 16;
        let (mut graph, (coords, taps)) = Graph::build("pyramid", backend, max_nodes, |g| {
            let w = Weights::new(g, weights);
            let mut taps = Taps::default();
            let grid = hp.vision.grid() as usize;
            let (coords, coords_input) = g.persistent_input("coords", &[2, grid * grid]);
            let tapped = Weights::new(g, states);
            let mut maps = input::maps(g, &w, hp, &tapped, coords, tracing.then_some(&mut taps))?;
            for f in 0..r.n_fuse {
                maps = fuse::exchange(g, &maps);
                maps = fuse::conv_block(g, &w, r, f, &maps)?;
                if tracing {
                    fuse::tap(g, f, &maps, &mut taps);
                }
            }
            for (l, &map) in maps.iter().enumerate() {
                store(g, map, &levels, &level_name(l))?;
            }
            Ok::<_, crate::Error>((coords_input, taps))
        })?;
        graph.set(coords, &input::coords(hp.vision.grid() as usize))?;
        Ok(PyramidStage { graph, taps, states: states.clone(), levels })
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
        self.graph.run()?;
        if let Some(trace) = trace {
            self.taps.record(&self.graph, trace, false /* append */);
        }
        Ok(Pyramid { levels: self.levels.clone() })
    }
}
