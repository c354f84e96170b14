//! What the machine reaches: large products and large copies, by ggml's own operations.

use crate::error::Result;
use ggml_ext::graph::Graph;
use ggml_ext::weights::TensorSet;
use ggml_ext::{Backend, DType};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Instant;

/// Sides of the matrices.
const SIDE: usize = 1536;
/// Floats that are read: more than the caches hold.
const LARGE: usize = 64 << 20;
/// The best of so many counts.
const RUNS: usize = 5;

/// The best of several runs each.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Peaks {
    /// The best of two single-precision products, ggml's and ours, and a loop of our kernels' multiply-adds, in 1e9
    /// operations a second.
    pub gflops_f32: f64,
    /// ggml's product of single-precision matrices.
    pub gflops_ggml_f32: f64,
    /// ggml's product with weights in half precision.
    pub gflops_ggml_f16: f64,
    /// ggml's product with 8-bit weights.
    pub gflops_ggml_q8_0: f64,
    /// Product of single-precision matrices as graphs have it: ours.
    #[serde(default)]
    pub gflops_our_f32: f64,
    /// The same with weights in half precision.
    #[serde(default)]
    pub gflops_our_f16: f64,
    /// The same with 8-bit weights: ours, if this processor has instructions for it.
    #[serde(default)]
    pub gflops_q8_0: f64,
    /// Reading memory, in 1e9 bytes a second.
    pub read_gbytes: f64,
}

/// `in_registers`: what multiply-adds alone reach, in 1e9 operations a second.
pub(super) fn measure(backend: &Backend, in_registers: f64) -> Result<Peaks> {
    let all = [DType::F32, DType::F16, DType::Q8_0];
    backend.keep_plain_nodes(true);
    let (ggml, read_gbytes) = (all.map(|t| product(backend, t)), reading(backend));
    backend.keep_plain_nodes(false);
    let [ggml_f32, ggml_f16, ggml_q8_0] = ggml;
    let [our_f32, our_f16, q8_0] = all.map(|t| product(backend, t));
    let (ggml_f32, our_f32) = (ggml_f32?, our_f32?);
    Ok(Peaks {
        gflops_f32: ggml_f32.max(our_f32).max(in_registers),
        gflops_ggml_f32: ggml_f32,
        gflops_ggml_f16: ggml_f16?,
        gflops_ggml_q8_0: ggml_q8_0?,
        gflops_our_f32: our_f32,
        gflops_our_f16: our_f16?,
        gflops_q8_0: q8_0?,
        read_gbytes: read_gbytes?,
    })
}

/// A product of two square matrices, the first of the given type.
fn product(backend: &Backend, dtype: DType) -> Result<f64> {
    let set = TensorSet::allocate(backend, &[("w", dtype, &[SIDE, SIDE])])?;
    let set = Arc::new(set);
    let (mut graph, x) = Graph::build("peak", backend, 16, |g| {
        let (x, input) = g.input("x", &[SIDE, SIDE]);
        let w = g.tensor(&set, "w").ok_or_else(|| crate::Error::internal("no matrix"))?;
        g.output(g.mul_mat(w, x), "y");
        Ok::<_, crate::Error>(input)
    })?;
    let data = vec![1.0; SIDE * SIDE];
    let mut best = f64::INFINITY;
    for _ in 0..=RUNS {
        graph.set(x, &data)?;
        let start = Instant::now();
        graph.run()?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(2.0 * (SIDE as f64).powi(3) / best / 1e9)
}

/// A sum over more than the caches hold, all threads at once.
fn reading(backend: &Backend) -> Result<f64> {
    let rows = LARGE / SIDE;
    let set = TensorSet::allocate(backend, &[("x", DType::F32, &[SIDE, rows])])?;
    let set = Arc::new(set);
    let (mut graph, v) = Graph::build("reading", backend, 16, |g| {
        let (v, input) = g.input("v", &[SIDE]);
        let x = g.tensor(&set, "x").ok_or_else(|| crate::Error::internal("no memory"))?;
        g.output(g.mul_mat(x, v), "y");
        Ok::<_, crate::Error>(input)
    })?;
    let data = vec![1.0; SIDE];
    let mut best = f64::INFINITY;
    for _ in 0..=RUNS {
        graph.set(v, &data)?;
        let start = Instant::now();
        graph.run()?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok((rows * SIDE * 4) as f64 / best / 1e9)
}
