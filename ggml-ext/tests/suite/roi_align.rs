//! Both lowerings against the scalar loop.

use crate::{cpu, noise};
use ggml_ext::graph::{Graph, Input, Output};
use ggml_ext::maps::Maps;
use ggml_ext::roi_align::{RoiAlign, RoiAlignParams, RoiBox, RoiLowering, roi_align_reference};
use ggml_ext::winograd::{Kernel, conv3x3_reference};
use ggml_ext::{Error, numeric};
use proptest::prelude::*;

const CHANNELS: usize = 3;

struct Op {
    graph: Graph,
    map: Input,
    out: Output,
    roi: RoiAlign,
}

impl Op {
    fn new(lowering: RoiLowering, [w, h]: [usize; 2], n: usize, p: RoiAlignParams) -> Op {
        let (graph, (map, out, roi)) = Graph::build("roi", &cpu(), 64, |g| {
            let (map, input) = g.input("map", &[w, h, CHANNELS]);
            let (out, roi) = g.roi_align_as(lowering, &Maps::planes(vec![map]), 0, n, p);
            Ok::<_, Error>((input, g.output(g.to_batch(&out), "out"), roi))
        })
        .expect("a graph");
        Op { graph, map, out, roi }
    }

    fn run(&mut self, map: &[f32], boxes: &[RoiBox]) -> Result<Vec<f32>, Error> {
        self.graph.set(self.map, map)?;
        self.roi.set_boxes(&mut self.graph, boxes)?;
        self.graph.run()?;
        let mut out = Vec::new();
        self.graph.get(self.out, &mut out);
        Ok(out)
    }
}

fn params(output_size: usize, sampling_ratio: usize, spatial_scale: f32) -> RoiAlignParams {
    RoiAlignParams { output_size, sampling_ratio, spatial_scale }
}

fn check(size: [usize; 2], p: RoiAlignParams, boxes: &[RoiBox]) {
    let map = noise(size[0] * size[1] * CHANNELS, 11);
    let expected = roi_align_reference(&map, [size[0], size[1], CHANNELS], boxes, &p);
    for lowering in [RoiLowering::Fused, RoiLowering::MatMul] {
        let got = Op::new(lowering, size, boxes.len(), p).run(&map, boxes).expect("valid boxes");
        let diff = numeric::max_abs_diff(&got, &expected);
        assert!(diff < 2e-6, "{lowering:?} {size:?} {p:?} {boxes:?}: {diff}");
    }
}

const SPECIAL: [RoiBox; 12] = [
    [0.0, 0.0, 224.0, 224.0],     // full
    [100.0, 100.0, 100.5, 100.5], // tiny
    [50.0, 60.0, 50.0, 60.0],     // zero area
    [0.0, 0.0, 0.0, 224.0],       // zero width on the border
    [224.0, 224.0, 224.0, 224.0], // the far corner
    [-30.0, -40.0, 60.0, 50.0],   // partly outside
    [200.0, 200.0, 300.0, 260.0], // partly outside, other side
    [-90.0, -90.0, -50.0, -60.0], // wholly outside
    [400.0, 10.0, 500.0, 20.0],   // wholly outside, other side
    [-1000.0, -1000.0, 1000.0, 1000.0],
    [0.0, 100.0, 224.0, 100.1], // flat
    [223.0, 0.0, 224.0, 224.0], // last column
];

#[test]
fn special_boxes_on_every_level() {
    for (size, scale) in [(128, 128.0), (64, 64.0), (32, 32.0), (16, 16.0), (1, 1.0)] {
        for sampling_ratio in [2, 0, 1, 3] {
            check([size, size], params(14, sampling_ratio, scale / 224.0), &SPECIAL);
        }
    }
}

#[test]
fn other_sizes_and_shapes() {
    check([20, 7], params(3, 2, 0.1), &SPECIAL);
    check([5, 33], params(1, 0, 0.1), &SPECIAL);
    check([9, 4], params(25, 2, 0.04), &SPECIAL[..1]);
}

#[test]
fn adaptive_sampling_of_whole_bins() {
    // Sides that are whole numbers of bins: the number of samples hangs on the last bit.
    for k in 1..6 {
        for shift in 0..40 {
            let (at, side) = (0.37 * shift as f32, (14 * k) as f32);
            check([96, 96], params(14, 0, 1.0), &[[at, at / 2.0, at + side, at / 2.0 + side]]);
        }
    }
}

#[test]
fn a_node_whose_boxes_were_never_set_reads_nothing() {
    for lowering in [RoiLowering::Fused, RoiLowering::MatMul] {
        let mut op = Op::new(lowering, [16, 16], 2, params(14, 2, 1.0));
        op.graph.set(op.map, &noise(16 * 16 * CHANNELS, 5)).expect("the right size");
        op.graph.run().expect("a run");
    }
}

#[test]
fn boxes_can_be_changed_between_runs() {
    let p = params(14, 2, 16.0 / 224.0);
    let map = noise(16 * 16 * CHANNELS, 5);
    for lowering in [RoiLowering::Fused, RoiLowering::MatMul] {
        let mut op = Op::new(lowering, [16, 16], 1, p);
        for b in &SPECIAL {
            let expected = roi_align_reference(&map, [16, 16, CHANNELS], &[*b], &p);
            let got = op.run(&map, &[*b]).expect("valid box");
            assert!(numeric::max_abs_diff(&got, &expected) < 2e-6, "{lowering:?} {b:?}");
        }
    }
}

#[test]
fn unusable_boxes_are_errors() {
    let adaptive = params(14, 0, 1.0);
    let map = noise(16 * 16 * CHANNELS, 5);
    let bad: [RoiBox; 5] = [
        [10.0, 0.0, 5.0, 5.0],
        [0.0, 10.0, 5.0, 5.0],
        [f32::NAN, 0.0, 5.0, 5.0],
        [0.0, 0.0, f32::INFINITY, 5.0],
        [0.0, 0.0, 1e9, 5.0],
    ];
    for lowering in [RoiLowering::Fused, RoiLowering::MatMul] {
        let mut op = Op::new(lowering, [16, 16], 1, adaptive);
        for b in bad {
            let got = op.run(&map, &[b]);
            assert!(matches!(got, Err(Error::Box { index: 0, .. })), "{lowering:?} {b:?}");
        }
        let got = op.run(&map, &[SPECIAL[0], SPECIAL[1]]);
        assert!(matches!(got, Err(Error::Length { .. })), "two boxes for one region");
    }
}

/// Channels of maps that are convolved, in and out: enough for the map to be worth convolving in place of the regions.
const CONVOLVED: [usize; 2] = [96, 52];

/// The convolution of regions, twice, one onto the other; and whether it was that of the map.
fn convolve(
    [w, h]: [usize; 2],
    p: RoiAlignParams,
    boxes: &[RoiBox],
    [map, kernel]: [&[f32]; 2],
) -> (Vec<f32>, bool) {
    let [c_in, c_out] = CONVOLVED;
    let (mut graph, (inputs, out, rois)) = Graph::build("regions", &cpu(), 64, |g| {
        let (map, map_input) = g.input("map", &[w, h, c_in]);
        let (kernel, kernel_input) = g.input("kernel", &[3, 3, c_in, c_out]);
        let maps = Maps::planes(vec![map]);
        let (first, one) = g.roi_align(&maps, 0, boxes.len(), p);
        let (second, other) = g.roi_align(&maps, 0, boxes.len(), p);
        let sum = g.conv_3x3(&first, kernel)?;
        let sum = g.conv_3x3_onto(&second, kernel, Some(&sum))?;
        let out = g.output(g.to_batch(&sum), "out");
        Ok::<_, Error>(([map_input, kernel_input], out, [one, other]))
    })
    .expect("a graph");
    let nodes = graph.nodes().expect("memory");
    let n_on_map = nodes.iter().filter(|n| n.name.starts_with("conv_3x3_pooled")).count();
    assert!([0, 2].contains(&n_on_map));
    for (input, values) in inputs.into_iter().zip([map, kernel]) {
        graph.set(input, values).expect("the right size");
    }
    for roi in rois {
        roi.set_boxes(&mut graph, boxes).expect("valid boxes");
    }
    graph.run().expect("a run");
    let mut y = Vec::new();
    graph.get(out, &mut y);
    (y, n_on_map > 0)
}

/// `[W, H, C, n]` to `[C, W, H, n]`.
fn channels_first(x: &[f32], c: usize, n_pixels: usize) -> Vec<f32> {
    let region = |x: &[f32]| {
        let at = |i: usize| x[i % c * n_pixels + i / c];
        (0..x.len()).map(at).collect::<Vec<_>>()
    };
    x.chunks(c * n_pixels).flat_map(region).collect()
}

#[test]
fn regions_convolved_on_their_map() {
    let [c_in, c_out] = CONVOLVED;
    let kernel = noise(9 * c_in * c_out, 3);
    let cases = [
        ([4, 4], params(14, 2, 4.0 / 224.0), 1, true),
        ([7, 5], params(14, 2, 7.0 / 224.0), 5, true),
        ([5, 9], params(6, 0, 9.0 / 224.0), 3, true),
        ([1, 1], params(3, 2, 1.0 / 224.0), 12, true),
        ([16, 16], params(14, 2, 16.0 / 224.0), 12, true),
        ([16, 16], params(14, 2, 16.0 / 224.0), 1, false),
    ];
    for (size @ [w, h], p, n, expected) in cases {
        let (map, out, boxes) = (noise(w * h * c_in, 7), p.output_size, &SPECIAL[..n]);
        let (got, on_map) = convolve(size, p, boxes, [&map, &kernel]);
        assert_eq!(on_map, expected, "{size:?}, {n} regions");
        let pooled = roi_align_reference(&map, [w, h, c_in], boxes, &p);
        let pooled = channels_first(&pooled, c_in, out * out);
        let sides = vec![[out, out]; n];
        let want = conv3x3_reference(&pooled, &sides, CONVOLVED, Kernel::F32(&kernel));
        let want: Vec<f32> = want.iter().map(|v| 2.0 * *v as f32).collect();
        let got = channels_first(&got, c_out, out * out);
        let error = numeric::nmse(&got, &want);
        assert!(error < 1e-11, "{size:?}, {n} regions: {error:e}");
        assert!(want.iter().any(|v| v.abs() > 1.0), "something to compare");
    }
}

fn any_box() -> impl Strategy<Value = RoiBox> {
    let corner = -60.0f32..280.0;
    let side = prop_oneof![0.0f32..0.5, 0.0f32..300.0];
    (corner.clone(), corner, side.clone(), side).prop_map(|(x, y, w, h)| [x, y, x + w, y + h])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn random_boxes(
        boxes in prop::collection::vec(any_box(), 1..12),
        size in prop::sample::select(vec![16usize, 32, 64, 128]),
        sampling_ratio in 0usize..4,
    ) {
        check([size, size], params(14, sampling_ratio, size as f32 / 224.0), &boxes);
    }
}
