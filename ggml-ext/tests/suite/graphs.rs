//! Layers against plain loops.

use crate::{cpu, noise};
use ggml_ext::graph::Graph;
use ggml_ext::weights::TensorSet;
use ggml_ext::{Backend, CancelToken, DType, Error, devices, numeric};
use std::sync::Arc;

/// Runs a graph of one input and one output.
fn run(
    ne: &[usize],
    data: &[f32],
    build: impl for<'g> Fn(&ggml_ext::graph::Builder<'g>, ggml_ext::Tensor<'g>) -> ggml_ext::Tensor<'g>,
) -> Vec<f32> {
    let (mut graph, (input, output)) = Graph::build("test", &cpu(), 64, |g| {
        let (x, input) = g.input("x", ne);
        Ok::<_, Error>((input, g.output(build(g, x), "y")))
    })
    .expect("a graph");
    graph.set(input, data).expect("the right size");
    graph.run().expect("a run");
    let mut out = Vec::new();
    graph.get(output, &mut out);
    out
}

#[test]
fn the_cpu_is_always_there() {
    assert!(devices().iter().any(|d| d.name == "CPU" && d.maps_host_memory));
    let err = Backend::open("abacus", 1, CancelToken::new()).expect_err("no such device");
    assert!(err.to_string().contains("CPU"), "names the known ones: {err}");
}

#[test]
fn layer_norm_is_exact() {
    let x = noise(7 * 3, 1);
    let got = run(&[7, 3], &x, |g, x| {
        let ones = g.reshape(g.slice(x, 1, 0, 1), &[7]);
        g.layer_norm(x, ones, ones, 1e-5)
    });
    let expected: Vec<f32> = x
        .chunks(7)
        .flat_map(|row| {
            let mean = row.iter().sum::<f32>() / 7.0;
            let var = row.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / 7.0;
            let w = &x[..7];
            row.iter()
                .zip(w)
                .map(|(v, w)| (v - mean) / (var + 1e-5).sqrt() * w + w)
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(numeric::max_abs_diff(&got, &expected) < 1e-5);
}

#[test]
fn gelu_quick_is_exact() {
    let mut x: Vec<f32> = noise(1000, 2).iter().map(|v| v * 10.0).collect();
    x[..2].copy_from_slice(&[-200.0, 200.0]);
    let got = run(&[1000], &x, |g, x| g.gelu_quick(x));
    let expected: Vec<f32> = x.iter().map(|&v| v / (1.0 + (-1.702 * v).exp())).collect();
    assert!(numeric::max_abs_diff(&got, &expected) < 1e-5);
}

#[test]
fn conv_2d_pads_with_zeros() {
    let [w, h, c_in, c_out] = [6usize, 5, 4, 3];
    let x = noise(w * h * c_in, 3);
    let k = noise(9 * c_in * c_out, 4);
    let expected = naive_conv_3x3(&x, &k, [w, h, c_in, c_out]);
    let got = run(&[w * h * c_in + k.len()], &[x, k].concat(), |g, both| {
        let x = g.reshape(g.slice(both, 0, 0, w * h * c_in), &[w, h, c_in]);
        let k = g.reshape(g.slice(both, 0, w * h * c_in, 9 * c_in * c_out), &[3, 3, c_in, c_out]);
        g.conv_2d(x, k, 1, 1)
    });
    assert!(numeric::nmse(&got, &expected) < 1e-12);
}

fn naive_conv_3x3(x: &[f32], k: &[f32], [w, h, c_in, c_out]: [usize; 4]) -> Vec<f32> {
    let mut out = Vec::new();
    for o in 0..c_out {
        for oy in 0..h as i32 {
            for ox in 0..w as i32 {
                let mut sum = 0.0;
                for (c, ky, kx) in
                    (0..c_in * 9).map(|i| (i / 9, (i / 3 % 3) as i32, (i % 3) as i32))
                {
                    let (y, x_) = (oy + ky - 1, ox + kx - 1);
                    if (0..h as i32).contains(&y) && (0..w as i32).contains(&x_) {
                        let at = c * w * h + y as usize * w + x_ as usize;
                        sum += x[at] * k[(o * c_in + c) * 9 + (ky * 3 + kx) as usize];
                    }
                }
                out.push(sum);
            }
        }
    }
    out
}

#[test]
fn resize_keeps_the_corners() {
    let got = run(&[2, 2, 1], &[0.0, 1.0, 2.0, 3.0], |g, x| g.resize_aligned(x, 3, 3));
    assert_eq!(got, [0.0, 0.5, 1.0, 1.0, 1.5, 2.0, 2.0, 2.5, 3.0]);
    let shrunk = run(&[5, 1, 1], &[0.0, 1.0, 2.0, 3.0, 4.0], |g, x| g.resize_aligned(x, 3, 1));
    assert_eq!(shrunk, [0.0, 2.0, 4.0], "two taps, no averaging");
}

#[test]
fn attention_of_one_head_is_a_softmax_average() {
    let x = noise(4 * 3, 9);
    let got = run(&[4, 3], &x, |g, x| g.attention(x, x, x, 1));
    for (t, got) in got.chunks(4).enumerate() {
        let dot = |u: &[f32]| -> f32 { x[t * 4..][..4].iter().zip(u).map(|(a, b)| a * b).sum() };
        let e: Vec<f32> = x.chunks(4).map(|u| (dot(u) / 2.0).exp()).collect();
        let total: f32 = e.iter().sum();
        for (i, &got) in got.iter().enumerate() {
            let mean: f32 = (0..3).map(|j| e[j] / total * x[j * 4 + i]).sum();
            assert!((got - mean).abs() < 1e-5);
        }
    }
}

#[test]
fn attention_in_one_op_is_attention_in_steps() {
    // More tokens than a tile of ggml's kernel has, and not a multiple of it.
    let x = noise(96 * 257, 4);
    let one = run(&[96, 257], &x, |g, x| g.attention(x, g.relu(x), g.soft_max(x, 3.0), 3));
    let steps =
        run(&[96, 257], &x, |g, x| g.attention_in_steps(x, g.relu(x), g.soft_max(x, 3.0), 3));
    for (a, b) in one.iter().zip(&steps) {
        assert!((a - b).abs() < 1e-6, "{a} {b}");
    }
}

#[test]
fn stages_hand_on_tensors_without_the_host() {
    let backend = cpu();
    let slot = TensorSet::allocate(&backend, &[("map", DType::F32, &[3, 2])]).expect("memory");
    let slot = Arc::new(slot);
    let (mut first, input) = Graph::build("first", &backend, 16, |g| {
        let (x, input) = g.input("x", &[3, 2]);
        assert!(g.store(x, &slot, "no such").is_none());
        g.store(g.add(x, x), &slot, "map").expect("the slot has a map");
        Ok::<_, Error>(input)
    })
    .expect("a graph");
    let (mut second, output) = Graph::build("second", &backend, 16, |g| {
        let map = g.tensor(&slot, "map").expect("the slot has a map");
        assert!(g.tensor(&slot, "no such").is_none());
        Ok::<_, Error>(g.output(g.relu(map), "y"))
    })
    .expect("a graph");
    let mut out = Vec::new();
    for run in 0..3 {
        let x: Vec<f32> = (0..6).map(|i| (i - 3 + run) as f32).collect();
        first.set(input, &x).expect("the right size");
        first.run().expect("a run");
        second.run().expect("a run");
        second.get(output, &mut out);
        assert_eq!(out, x.iter().map(|v| (2.0 * v).max(0.0)).collect::<Vec<_>>());
    }
    assert!(matches!(first.set(input, &[0.0]), Err(Error::Length { expected: 6, got: 1, .. })));
}

#[test]
fn a_cancelled_token_stops_runs_until_reset() {
    let cancel = CancelToken::new();
    let backend = Backend::cpu(1, cancel.clone()).expect("a CPU backend");
    let (mut graph, _) = Graph::build("g", &backend, 8, |g| {
        let (x, input) = g.input("x", &[1]);
        g.output(g.relu(x), "y");
        Ok::<_, Error>(input)
    })
    .expect("a graph");
    cancel.cancel();
    assert!(matches!(graph.run(), Err(Error::Cancelled)));
    cancel.reset();
    assert!(graph.run().is_ok());
}
