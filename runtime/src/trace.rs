//! Where time goes, and what the stages computed.

use ggml_ext::graph::{Graph, Output};
use serde::Serialize;
use std::time::{Duration, Instant};

/// The stages of the pipeline, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Picture to normalised pixels.
    Preprocess,
    /// Pixels to hidden states and image vectors.
    Vision,
    /// Hidden states to fused maps.
    Pyramid,
    /// Boxes to region vectors.
    Region,
    /// Question to positions of the prompt.
    Prompt,
    /// Prompt into the KV cache.
    Prefill,
    /// Tokens of the answer.
    Decode,
}

impl Stage {
    /// All stages in order.
    pub const ALL: [Stage; 7] = [
        Stage::Preprocess,
        Stage::Vision,
        Stage::Pyramid,
        Stage::Region,
        Stage::Prompt,
        Stage::Prefill,
        Stage::Decode,
    ];

    /// The lower-case name.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Preprocess => "preprocess",
            Stage::Vision => "vision",
            Stage::Pyramid => "pyramid",
            Stage::Region => "region",
            Stage::Prompt => "prompt",
            Stage::Prefill => "prefill",
            Stage::Decode => "decode",
        }
    }
}

/// Time spent in each stage for one answer; zero for a stage whose result was reused.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StageTimings([Duration; Stage::ALL.len()]);

impl StageTimings {
    /// Time of one stage.
    pub fn get(&self, stage: Stage) -> Duration {
        self.0[stage as usize]
    }

    /// Sum over all stages.
    pub fn total(&self) -> Duration {
        self.0.iter().sum()
    }

    /// Runs `f` and books its time under `stage`.
    pub(crate) fn time<R>(&mut self, stage: Stage, f: impl FnOnce() -> R) -> R {
        let _span = tracing::debug_span!("stage", name = stage.name()).entered();
        let start = Instant::now();
        let result = f();
        self.0[stage as usize] += start.elapsed();
        result
    }
}

impl Serialize for StageTimings {
    /// A map from stage name to milliseconds, with the total.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ms = |d: Duration| (d.as_secs_f64() * 1e6).round() / 1e3;
        let stages = Stage::ALL.iter().map(|&s| (s.name(), ms(self.get(s))));
        serializer.collect_map(stages.chain([("total", ms(self.total()))]))
    }
}

/// Inner values of the stages, kept when an engine is opened for comparison.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    values: Vec<Value>,
}

#[derive(Debug)]
struct Value {
    name: String,
    /// Size of the fastest dimension.
    width: usize,
    data: Vec<f32>,
}

impl Trace {
    /// The value recorded last under `name`, in PyTorch's element order.
    pub(crate) fn get(&self, name: &str) -> Option<&[f32]> {
        self.find(name).map(|v| v.data.as_slice())
    }

    /// Its fastest dimension; the side of a square map.
    pub(crate) fn width(&self, name: &str) -> Option<usize> {
        self.find(name).map(|v| v.width)
    }

    fn find(&self, name: &str) -> Option<&Value> {
        self.values.iter().find(|v| v.name == name)
    }

    pub(crate) fn record(&mut self, name: impl Into<String>, width: usize, data: Vec<f32>) {
        let name = name.into();
        self.values.retain(|v| v.name != name);
        self.values.push(Value { name, width, data });
    }

    pub(crate) fn clear(&mut self) {
        self.values.clear();
    }
}

/// Outputs that a graph has only for a trace: name and handle. Empty unless tracing.
#[derive(Default)]
pub(crate) struct Taps(pub(crate) Vec<(String, Output)>);

impl Taps {
    /// Reads all outputs; with `append` they continue what the trace has under their names.
    pub(crate) fn record(&self, graph: &Graph, trace: &mut Trace, append: bool) {
        for (name, output) in &self.0 {
            let mut value = Vec::new();
            graph.get(*output, &mut value);
            let width = graph.output_ne(*output)[0];
            match trace.values.iter_mut().find(|v| append && v.name == *name) {
                Some(known) => known.data.extend(value),
                None => trace.record(name.clone(), width, value),
            }
        }
    }
}
