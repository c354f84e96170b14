//! Vision towers that are not OpenAI's CLIP.

use gpt4roi::compare::{Report, compare};
use gpt4roi::{Engine, Error};
use gpt4roi_convert::{FileType, Quiet, synth};
use gpt4roi_models::{Gelu, Preset, keys};
use gpt4roi_tests::dino::{Dino, Rows, Tensors};
use gpt4roi_tests::pictures::{picture, png};
use gpt4roi_tests::small::Small;
use gpt4roi_tests::{Pair, scratch, tiny};
use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize_to_file};
use serde_json::json;
use std::path::Path;
use tempfile::TempDir;

/// Side of the tower's pictures. One of this size is not resized, so nothing but the tower is tested.
const SIDE: usize = 224;
/// Hidden states that feed the levels: the last is the tower's last.
const TAPS: [usize; 4] = [4, 6, 8, 10];
/// Largest NMSE against double precision; single precision leaves some 1e-13.
const NMSE: f64 = 1e-10;

/// Red, green, blue after normalisation by ImageNet's constants, plane by plane.
fn pixels() -> Vec<f64> {
    let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    let rgb = picture(SIDE as u32, SIDE as u32, 5);
    let value = |c: usize, v: u8| (f64::from(v) / 255.0 - mean[c]) / std[c];
    let plane = |c: usize| rgb.data().iter().skip(c).step_by(3).map(move |&v| value(c, v));
    (0..3).flat_map(plane).collect()
}

fn view(floats: &[u8]) -> TensorView<'_> {
    TensorView::new(Dtype::F32, vec![floats.len() / 4], floats).expect("floats")
}

/// Writes a golden with what the oracle computed of the tower; the rest is there for form's sake.
fn write_golden(dir: &Path, root: &Path) {
    let [language, clip] = synth::directories(root);
    let pixels = pixels();
    let states = Dino::open(&clip).hidden_states(&pixels, SIDE, TAPS[3]);
    let image = Tensors::open(&language).linear(&states[TAPS[3]][1..], "model.mm_projector");
    let bytes = |rows: &Rows| -> Vec<u8> {
        rows.iter().flatten().flat_map(|&v| (v as f32).to_le_bytes()).collect()
    };
    let mut data = vec![
        ("pixel_values".to_owned(), bytes(&vec![pixels])),
        ("image_embed".into(), bytes(&image)),
    ];
    data.extend(
        TAPS.iter()
            .enumerate()
            .map(|(l, &tap)| (format!("hidden_states.{l}"), bytes(&states[tap]))),
    );
    for name in ["region_embed", "round0.inputs_embeds", "round0.logits_last"] {
        data.push((name.into(), vec![0; 4]));
    }
    let views = data.iter().map(|(name, b)| (name.as_str(), view(b)));
    serialize_to_file(views, None, &dir.join("golden.safetensors")).expect("a golden");
    std::fs::write(dir.join("picture.png"), png(SIDE as u32, SIDE as u32, 5)).expect("a picture");
    let round = json!({"question": "What is <region1>?", "new_boxes_px": [[10, 20, 90, 80]],
        "assistant_reply_fed_back": null, "prompt": "", "input_ids": [], "greedy_tokens": [0]});
    let golden = json!({"image": {"file": "picture.png"}, "rounds": [round]});
    std::fs::write(dir.join("golden.json"), golden.to_string()).expect("a golden");
}

/// The comparison's errors of the tower's values.
fn tower_errors(report: &Report) -> Vec<(&str, f64)> {
    let names = ["pixel_values", "hidden_states", "image_embed"];
    let rows = report.rows.iter().filter(|r| names.iter().any(|n| r.name.starts_with(n)));
    rows.map(|r| (r.name.as_str(), r.error)).collect()
}

#[test]
fn a_converted_dino_has_the_hidden_states_of_a_scalar_one() {
    let dir = TempDir::new_in(scratch()).expect("a folder");
    let root = dir.path().join("source");
    synth::write(Preset::TinyDino, Some(3), &root, &Quiet::default()).expect("a checkpoint");
    let [language, clip] = synth::directories(&root);
    let golden = dir.path().join("golden");
    std::fs::create_dir(&golden).expect("a folder");
    write_golden(&golden, &root);
    let pair = tiny::convert(&tiny::options(&language, &clip, None, "dino", FileType::F32));
    let report = compare(&pair.options(), &golden).unwrap_or_else(|e| panic!("{e}"));
    let errors = tower_errors(&report);
    eprintln!("{errors:?}");
    assert_eq!(errors.len(), 1 + TAPS.len() + 1);
    assert!(errors.iter().all(|(_, e)| *e <= NMSE), "{errors:?}");
}

/// A small model with DINOv2's parts.
fn dino() -> Small {
    let mut small = Small::default();
    let v = &mut small.mmproj.vision;
    (v.gelu, v.pre_norm, v.patch_bias, v.layer_scale) = (Gelu::Erf, false, true, true);
    small
}

/// Turns a truth value in a file's keys over.
fn flip(path: &Path, key: &str) {
    let mut bytes = std::fs::read(path).expect("a file");
    let at = bytes.windows(key.len()).position(|w| w == key.as_bytes()).expect("the key");
    // Behind the key are four bytes with the kind of the value.
    bytes[at + key.len() + 4] ^= 1;
    std::fs::write(path, bytes).expect("a file");
}

fn refusal(pair: &Pair) -> String {
    let error = Engine::open(&pair.options()).map(|_| ()).expect_err("keys and tensors disagree");
    assert!(matches!(error, Error::ModelFile { .. }), "{error:?}");
    error.to_string()
}

#[test]
fn tensors_that_are_missing_or_of_another_tower_are_refused_by_name() {
    for (small, key, tensor) in [
        (Small::default(), keys::VISION_PRE_NORM, "v.pre_ln.weight"),
        (Small::default(), keys::VISION_PATCH_BIAS, "v.patch_embd.bias"),
        (Small::default(), keys::VISION_LAYER_SCALE, "v.blk.0.ls1.weight"),
        (dino(), keys::VISION_PRE_NORM, "v.pre_ln.weight"),
        (dino(), keys::VISION_PATCH_BIAS, "v.patch_embd.bias"),
        (dino(), keys::VISION_LAYER_SCALE, "v.blk.0.ls1.weight"),
    ] {
        let dir = TempDir::new_in(scratch()).expect("a folder");
        let pair = small.write(dir.path());
        pair.open();
        flip(&pair.mmproj, key);
        let message = refusal(&pair);
        assert!(message.contains(&format!("`{tensor}`")), "{key}: {message}");
        assert!(message.contains("mmproj-small.gguf"), "{key}: {message}");
    }
}
