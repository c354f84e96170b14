//! Models of other shapes run unchanged: nothing about the model is written into the runtime.

use ggml_ext::DType;
use gpt4roi::{Engine, EngineOptions, PixelBox, Request};
use gpt4roi_models::Gelu;
use gpt4roi_tests::pictures::picture;
use gpt4roi_tests::small::Small;
use gpt4roi_tests::{drawn, scratch};
use tempfile::TempDir;

/// Tokens of two rounds with two boxes and then one, `n_tokens` each; checks what the engine says of itself.
fn runs(small: &Small, n_tokens: usize) -> Vec<i32> {
    let dir = TempDir::new_in(scratch()).expect("a folder");
    let pair = small.write(dir.path());
    let options = EngineOptions { n_ctx: 2048, ..pair.options() };
    let mut engine = Engine::open(&options).unwrap_or_else(|e| panic!("{e}"));
    let info = engine.info();
    assert_eq!(info.image_size, small.mmproj.vision.image_size);
    assert_eq!(info.n_levels, small.mmproj.region.taps.len());
    assert_eq!(info.n_layer, small.llm.n_layer as usize);
    let n_patches = small.mmproj.vision.n_patches() as usize;
    let mut conversation = engine.conversation(picture(90, 61, 3));
    let boxes = vec![PixelBox::new(1.0, 2.0, 50.0, 60.0), PixelBox::new(30.0, 5.0, 88.0, 40.0)];
    let first = Request { boxes, ..drawn("<region1> and <region2>?", n_tokens) };
    let first = engine.ask(&mut conversation, &first, |_| ()).unwrap_or_else(|e| panic!("{e}"));
    assert!(first.n_prompt > n_patches, "{first:?}");
    let second =
        drawn("Is region2 on <region3>?", n_tokens).with_box(PixelBox::new(0.0, 0.0, 90.0, 61.0));
    let second = engine.ask(&mut conversation, &second, |_| ()).unwrap_or_else(|e| panic!("{e}"));
    assert!(second.n_reused > n_patches, "{second:?}");
    [first.tokens, second.tokens].concat()
}

#[test]
fn other_depths_and_widths() {
    let mut wide = Small::default().with_width(96, 3);
    (wide.llm.n_layer, wide.llm.n_ff) = (3, 160);
    runs(&wide, 8);
    let mut deep = Small::default();
    (deep.mmproj.vision.n_layer, deep.mmproj.vision.n_embd) = (7, 48);
    (deep.mmproj.vision.n_head, deep.mmproj.vision.n_ff) = (3, 80);
    runs(&deep.with_taps(&[2, 4, 6]), 8);
}

#[test]
fn other_grids_and_levels() {
    for (image_size, patch_size, taps) in [
        (56, 14, &[1, 2][..]),
        (56, 14, &[2]),
        (48, 16, &[1, 2, 3]),
        (64, 8, &[1, 3]),
        (30, 15, &[1, 2, 3, 4, 5]),
        (28, 14, &[5]),
    ] {
        let mut small = Small::default();
        let vision = &mut small.mmproj.vision;
        (vision.image_size, vision.patch_size, vision.n_layer) = (image_size, patch_size, 5);
        runs(&small.with_taps(taps), 8);
    }
}

#[test]
fn other_region_extractors() {
    for (out, ratio, groups, n_fuse, channels) in
        [(14, 2, 8, 5, 16), (7, 0, 1, 2, 12), (1, 1, 4, 0, 4), (3, 4, 12, 1, 12)]
    {
        let mut small = Small::default();
        let r = &mut small.mmproj.region;
        (r.roi_output_size, r.roi_sampling_ratio) = (out, ratio);
        (r.gn_groups, r.n_fuse, r.n_channels) = (groups, n_fuse, channels);
        (r.n_mid, r.n_pos_hidden) = (40, 24);
        runs(&small, 8);
    }
}

#[test]
fn the_image_may_be_read_from_another_block_than_the_coarsest_level() {
    let mut small = Small::default();
    small.mmproj.vision.n_layer = 4;
    small.mmproj.region.image_tap = 4;
    runs(&small, 8);
    small.mmproj.region.image_tap = 1;
    runs(&small, 8);
}

#[test]
fn constants_are_read_from_the_file() {
    type Change = fn(&mut Small);
    let changes: [(&str, Change); 12] = [
        ("mean", |s| s.mmproj.vision.image_mean = [5.0, -9.0, 3.0]),
        ("deviation", |s| s.mmproj.vision.image_std = [3.0, 0.01, 1.0]),
        ("layer norm", |s| s.mmproj.vision.ln_eps = 1.0),
        ("GELU", |s| s.mmproj.vision.gelu = Gelu::Erf),
        ("pre-norm", |s| s.mmproj.vision.pre_norm = false),
        ("patch bias", |s| s.mmproj.vision.patch_bias = true),
        ("layer scale", |s| s.mmproj.vision.layer_scale = true),
        ("group norm", |s| s.mmproj.region.gn_eps = 1.0),
        ("groups", |s| s.mmproj.region.gn_groups = 1),
        ("samples", |s| s.mmproj.region.roi_sampling_ratio = 1),
        ("rms norm", |s| s.llm.rms_eps = 1.0),
        ("rotation", |s| s.llm.rope_theta = 3.0),
    ];
    // Long enough that even a slight change of the numbers, as that of one GELU for another, changes a draw.
    let usual = runs(&Small::talker(), 400);
    for (name, change) in changes {
        let mut other = Small::talker();
        change(&mut other);
        assert_ne!(runs(&other, 400), usual, "{name} makes no difference");
    }
}

#[test]
fn every_type_of_matrix_runs() {
    for &matrices in DType::ALL.iter().filter(|t| **t != DType::I32) {
        // Rows of 256 hold the blocks of every type.
        let mut small = Small { matrices, ..Small::default() }.with_width(256, 4);
        small.llm.n_ff = 512;
        let vision = &mut small.mmproj.vision;
        (vision.n_embd, vision.n_ff, vision.n_head) = (256, 256, 4);
        runs(&small, 8);
    }
}

#[test]
fn grouped_query_heads_run() {
    let mut small = Small::default();
    small.llm.n_head_kv = 2;
    runs(&small, 8);
}
