//! Products of matrices in graphs: ours against ggml's.

use crate::noise;
use ggml_ext::graph::{Graph, Input, Output};
use ggml_ext::weights::{Residence, StoredTensor, TensorSet};
use ggml_ext::{Backend, CancelToken, DType, Error, numeric, quant};
use memmap2::MmapMut;
use std::path::Path;
use std::sync::Arc;

const TYPES: [DType; 4] = [DType::Q8_0, DType::Q4K, DType::Q5K, DType::Q6K];

/// A matrix `[n_in, n_out]` in a mapping.
fn matrix(backend: &Backend, dtype: DType, [n_in, n_out]: [usize; 2]) -> Arc<TensorSet> {
    let mut bytes = Vec::new();
    quant::quantize(dtype, &noise(n_in * n_out, 3), n_in, 1, &mut bytes).expect("whole rows");
    let mut map = MmapMut::map_anon(bytes.len()).expect("memory");
    map.copy_from_slice(&bytes);
    let map = Arc::new(map.make_read_only().expect("a mapping"));
    let stored = StoredTensor {
        name: "w".into(),
        dtype,
        ne: vec![n_in, n_out],
        offset: 0,
        n_bytes: bytes.len(),
    };
    let set = TensorSet::load(Path::new("w"), &map, &[stored], backend, Residence::Mapped);
    Arc::new(set.expect("a set"))
}

struct Op {
    graph: Graph,
    x: Input,
    y: Output,
}

impl Op {
    fn new(backend: &Backend, set: &Arc<TensorSet>, [n_in, n]: [usize; 2]) -> Op {
        let (graph, (x, y)) = Graph::build("product", backend, 8, |g| {
            let (x, input) = g.input("x", &[n_in, n]);
            let w = g.tensor(set, "w").expect("the matrix");
            Ok::<_, Error>((input, g.output(g.mul_mat(w, x), "y")))
        })
        .expect("a graph");
        Op { graph, x, y }
    }

    fn run(&mut self, x: &[f32]) -> Vec<f32> {
        self.graph.set(self.x, x).expect("its size");
        self.graph.run().expect("a run");
        let mut out = Vec::new();
        self.graph.get(self.y, &mut out);
        out
    }

    fn op(&self) -> String {
        self.graph.nodes().expect("memory").last().expect("a node").op.clone()
    }
}

/// The same product by ggml and as graphs have it.
fn both(backend: &Backend, dtype: DType, n_in: usize, n_out: usize, n: usize) -> [Op; 2] {
    let set = matrix(backend, dtype, [n_in, n_out]);
    backend.keep_plain_nodes(true);
    let plain = Op::new(backend, &set, [n_in, n]);
    backend.keep_plain_nodes(false);
    assert_eq!(plain.op(), "MUL_MAT");
    [plain, Op::new(backend, &set, [n_in, n])]
}

#[test]
fn products_are_those_of_ggml() {
    for n_threads in 1..=3 {
        let backend = Backend::cpu(n_threads, CancelToken::new()).expect("a CPU backend");
        for dtype in TYPES {
            for (n_in, n_out, n) in [(512, 40, 1), (256, 100, 33), (1024, 16, 300)] {
                let x = noise(n_in * n, 5);
                let [expected, got] =
                    both(&backend, dtype, n_in, n_out, n).map(|mut op| op.run(&x));
                let error = numeric::nmse(&got, &expected);
                assert!(error < 1e-10, "{dtype} {n_in} {n_out} {n}: {error:e}");
            }
        }
    }
}

/// ggml rounds columns to the type of the weights.
#[test]
fn products_of_floats_are_those_of_ggml_or_better() {
    let backend = crate::cpu();
    for (dtype, bound) in [(DType::F32, 1e-12), (DType::F16, 1e-6), (DType::Bf16, 1e-4)] {
        for (n_in, n_out, n) in [(512, 60, 1), (256, 100, 33), (1024, 64, 300)] {
            let x = noise(n_in * n, 5);
            let [mut plain, mut ours] = both(&backend, dtype, n_in, n_out, n);
            assert!(ours.op() == "CUSTOM" || dtype != DType::F32, "{dtype}");
            let error = numeric::nmse(&ours.run(&x), &plain.run(&x));
            assert!(error < bound, "{dtype} {n_in} {n_out} {n}: {error:e}");
        }
    }
}

#[test]
fn other_types_and_few_rows_are_left_to_ggml() {
    let backend = crate::cpu();
    for (dtype, n_out) in [(DType::Q8_0, 15), (DType::F16, 7), (DType::Q4_0, 32)] {
        let [_, op] = both(&backend, dtype, 256, n_out, 9);
        assert_eq!(op.op(), "MUL_MAT", "{dtype}");
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn products_are_ours_where_there_are_instructions() {
    let avx2 = is_x86_feature_detected!("avx2");
    let vnni = is_x86_feature_detected!("avx512vnni") && is_x86_feature_detected!("avx512bw");
    for dtype in TYPES {
        let [_, op] = both(&crate::cpu(), dtype, 256, 32, 1);
        let ours = if dtype == DType::Q8_0 { vnni } else { avx2 };
        assert_eq!(op.op() == "CUSTOM", ours, "{dtype}");
    }
}

#[test]
fn graphs_share_the_room() {
    let backend = crate::cpu();
    let [mut plain, mut small] = both(&backend, DType::Q4K, 256, 64, 3);
    let x = noise(256 * 3, 5);
    let before = small.run(&x);
    assert!(numeric::nmse(&before, &plain.run(&x)) < 1e-10);
    // A larger one needs more room, which moves.
    let [mut plain, mut large] = both(&backend, DType::Q4K, 2048, 64, 77);
    let y = noise(2048 * 77, 6);
    assert!(numeric::nmse(&large.run(&y), &plain.run(&y)) < 1e-10);
    assert_eq!(small.run(&x), before);
}
