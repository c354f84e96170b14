//! Pixels to hidden states: the vision tower and the image projector.
//!
//! Block `k` makes hidden state `k`; state 0 is the embedding, after the first norm if there is
//! one. Blocks beyond the last state that anybody reads are not run, and the tower's final norm is
//! never applied.

mod encoder;

use crate::error::Result;
use crate::preprocess::Pixels;
use crate::trace::Trace;
use crate::weights::{Weights, slots, store};
use ggml_ext::graph::{Graph, Input, Memory, Output};
use ggml_ext::weights::TensorSet;
use gpt4roi_models::hparams::MmprojHparams;
use gpt4roi_models::names::gguf;
use std::sync::Arc;

/// Graph nodes that a block takes, generously.
const NODES_PER_BLOCK: usize = 64;

/// What the tower computed for one image.
pub(crate) struct HiddenStates {
    /// Per level, shallowest first: tensor [`state_name`], `[D, 1 + n_patches]`, class token first.
    pub(crate) levels: Arc<TensorSet>,
    /// Image vectors for the language model, row-major over patches: `[H, n_patches]`.
    pub(crate) image_embeds: Vec<f32>,
}

/// Name of level `l`'s hidden state in [`HiddenStates::levels`].
pub(crate) fn state_name(l: usize) -> String {
    format!("hidden_states.{l}")
}

/// The stage: its graph is built once and allocates nothing when run.
pub(crate) struct Vision {
    graph: Graph,
    pixels: Input,
    image_embeds: Output,
    levels: Arc<TensorSet>,
    n_embd: usize,
}

impl Vision {
    pub(crate) fn new(
        memory: &Memory,
        hp: &MmprojHparams,
        weights: &Arc<TensorSet>,
    ) -> Result<Vision> {
        let (d, n) = (hp.vision.n_embd as usize, hp.vision.n_positions() as usize);
        let shapes: Vec<_> =
            (0..hp.region.taps.len()).map(|l| (state_name(l), vec![d, n])).collect();
        let levels = slots(memory.backend(), &shapes)?;
        let max_nodes = (hp.region.last_tap() as usize + 2) * NODES_PER_BLOCK;
        let (graph, (pixels, image_embeds)) = Graph::build_in("vision", memory, max_nodes, |g| {
            let w = Weights::new(g, weights);
            let side = hp.vision.image_size as usize;
            let (pixels, input) = g.input("pixels", &[side, side, 3]);
            let mut states = encoder::States::new(encoder::embed(g, &w, &hp.vision, pixels)?);
            for il in 0..hp.region.last_tap() {
                states.push(encoder::block(g, &w, &hp.vision, il, states.last())?);
            }
            for (l, &tap) in hp.region.taps.iter().enumerate() {
                store(g, states.get(tap), &levels, &state_name(l))?;
            }
            let patches = g.slice(states.get(hp.region.image_tap), 1, 1, n - 1);
            let image = w.linear(patches, gguf::IMAGE_PROJECTOR)?;
            Ok::<_, crate::Error>((input, g.output(image, "image_embed")))
        })?;
        Ok(Vision { graph, pixels, image_embeds, levels, n_embd: d })
    }

    pub(crate) fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The tensors that [`HiddenStates::levels`] will hold.
    pub(crate) fn levels(&self) -> &Arc<TensorSet> {
        &self.levels
    }

    /// Runs the tower. The result's tensors are overwritten by the next run.
    pub(crate) fn run(
        &mut self,
        pixels: &Pixels,
        trace: Option<&mut Trace>,
    ) -> Result<HiddenStates> {
        self.graph.set(self.pixels, &pixels.data)?;
        self.graph.run()?;
        let mut image_embeds = Vec::new();
        self.graph.get(self.image_embeds, &mut image_embeds);
        if let Some(trace) = trace {
            let [n_embd, ..] = self.graph.output_ne(self.image_embeds);
            trace.record("image_embed", n_embd, image_embeds.clone());
            for name in (0..).map(state_name).take_while(|name| self.levels.contains(name)) {
                let mut state = Vec::new();
                self.levels.read(&name, &mut state);
                trace.record(name, self.n_embd, state);
            }
        }
        Ok(HiddenStates { levels: self.levels.clone(), image_embeds })
    }
}
