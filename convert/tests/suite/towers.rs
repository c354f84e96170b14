//! Vision towers that are not OpenAI's CLIP, and levels in other steps.

use crate::fixtures::{Tiny, convert, edit_json};
use ggml_ext::gguf::Value;
use gpt4roi_convert::{FileType, Plan, Quiet, verify};
use gpt4roi_models::{Gelu, MmprojHparams, Preset, keys};
use serde_json::json;

fn hparams(tiny: &Tiny) -> MmprojHparams {
    let plan = Plan::new(&tiny.options(FileType::F16)).unwrap();
    MmprojHparams::from_kv(plan.mmproj.keys.as_slice()).unwrap()
}

/// Asserts that the checkpoint is refused with all of `parts` in the message.
fn refuses(tiny: &Tiny, parts: &[&str]) {
    let message = tiny.refusal();
    for part in parts {
        assert!(message.contains(part), "no `{part}` in: {message}");
    }
}

const POSITIONS: &str = "embeddings.position_embeddings";

#[test]
fn dino_verifies_and_says_what_it_is() {
    let tiny = Tiny::of(Preset::TinyDino);
    let o = tiny.options(FileType::Q8_0);
    let [_, mmproj] = convert(&o).unwrap();
    for (key, value) in [
        (keys::CLIP_USE_GELU, true),
        (keys::VISION_PRE_NORM, false),
        (keys::VISION_PATCH_BIAS, true),
        (keys::VISION_LAYER_SCALE, true),
    ] {
        assert_eq!(mmproj.get(key), Some(Value::Bool(value)), "{key}");
    }
    assert!(mmproj.tensor("v.pre_ln.weight").is_none());
    for name in ["v.patch_embd.bias", "v.blk.0.ls1.weight", "v.blk.9.ls2.weight"] {
        assert_eq!(mmproj.tensor(name).unwrap().shape(), [64], "{name}");
    }
    let report = verify::verify(&mmproj, &Plan::new(&o).unwrap(), 2, &Quiet::default()).unwrap();
    assert!(report.is_good(), "{report:?}");
}

#[test]
fn what_dino_holds_beside_its_blocks_is_ignored() {
    let tiny = Tiny::of(Preset::TinyDino);
    let o = tiny.options(FileType::F16);
    let before = convert(&o).unwrap().map(|f| f.map().to_vec());
    tiny.edit_tower(|w| {
        for name in ["embeddings.mask_token", "layernorm.weight", "layernorm.bias"] {
            w.0.push((name.into(), "F16".into(), vec![1], vec![0; 2]));
        }
    });
    assert!(convert(&o).unwrap().map(|f| f.map().to_vec()) == before);
    // CLIP has no such tensors, so there they are not known.
    let clip = Tiny::new();
    clip.edit_tower(|w| w.0.push(("layernorm.bias".into(), "F16".into(), vec![1], vec![0; 2])));
    refuses(&clip, &["layernorm.bias", "unknown"]);
}

#[test]
fn constants_come_from_the_files_or_from_the_layout() {
    let tiny = Tiny::of(Preset::TinyDino);
    let preprocessor = tiny.clip().join("preprocessor_config.json");
    edit_json(&preprocessor, |p| p["image_mean"] = json!([0.1, 0.2, 0.3]));
    let v = hparams(&tiny).vision;
    assert_eq!((v.image_mean, v.image_std), ([0.1, 0.2, 0.3], [0.229, 0.224, 0.225]));
    std::fs::remove_file(preprocessor).unwrap();
    edit_json(&tiny.clip().join("config.json"), |c| {
        let c = c.as_object_mut().unwrap();
        c.retain(|k, _| {
            !["hidden_act", "layer_norm_eps", "image_size", "patch_size"].contains(&k.as_str())
        });
        c["mlp_ratio"] = json!(2.0);
    });
    assert_eq!(hparams(&tiny).vision, Preset::TinyDino.mmproj().vision);
}

#[test]
fn a_position_table_of_another_size() {
    for (preset, name) in [
        (Preset::TinyDino, POSITIONS),
        (Preset::Tiny, "vision_model.embeddings.position_embedding.weight"),
    ] {
        let tiny = Tiny::of(preset);
        tiny.edit_tower(|w| {
            let (_, _, shape, bytes) = w.get(name);
            let n = shape.len();
            shape[n - 2] = 37 * 37 + 1;
            bytes.resize(2 * 64 * (37 * 37 + 1), 0);
        });
        refuses(&tiny, &["model.safetensors", name, "1370", "37x37", "257", "16x16", "224"]);
    }
}

#[test]
fn dinos_with_tensors_missing_or_too_many() {
    let tiny = Tiny::of(Preset::TinyDino);
    let scale = "encoder.layer.3.layer_scale2.lambda1";
    let mut removed = None;
    tiny.edit_tower(|w| {
        let at = w.0.iter().position(|t| t.0 == scale).unwrap();
        removed = Some(w.0.remove(at));
    });
    refuses(&tiny, &["clip", scale, "missing"]);
    tiny.edit_tower(|w| {
        w.0.extend(removed);
        w.get(scale).2 = vec![1, 64];
    });
    refuses(&tiny, &["model.safetensors", scale, "[1, 64]", "[64]"]);
    tiny.edit_tower(|w| {
        w.get(scale).2 = vec![64];
        w.0.push(("embeddings.register_tokens".into(), "F16".into(), vec![1], vec![0; 2]));
    });
    refuses(&tiny, &["embeddings.register_tokens", "unknown"]);
    tiny.edit_tower(|w| {
        w.0.retain(|t| t.0 != POSITIONS && t.0 != "embeddings.register_tokens");
    });
    refuses(&tiny, &[POSITIONS, "missing"]);
}

#[test]
fn dinos_of_other_kinds() {
    let tiny = Tiny::of(Preset::TinyDino);
    for (key, value, part) in [
        ("model_type", json!("dinov2_with_registers"), "dinov2_with_registers"),
        ("use_swiglu_ffn", json!(true), "use_swiglu_ffn"),
        ("mlp_ratio", json!(-4), "mlp_ratio"),
        ("mlp_ratio", json!(1e300), "mlp_ratio"),
        ("hidden_act", json!("silu"), "silu"),
        ("hidden_size", json!(null), "config.json"),
        ("patch_size", json!(0), "patch_size"),
    ] {
        let path = tiny.clip().join("config.json");
        let mut good = json!(null);
        edit_json(&path, |c| {
            good = c[key].take();
            c[key] = value.clone();
        });
        refuses(&tiny, &["config.json", part]);
        edit_json(&path, |c| c[key] = good);
    }
    assert!(convert(&tiny.options(FileType::F16)).is_ok());
}

#[test]
fn clip_with_the_exact_gelu() {
    let tiny = Tiny::new();
    assert_eq!(hparams(&tiny).vision.gelu, Gelu::Quick);
    edit_json(&tiny.clip().join("config.json"), |c| c["hidden_act"] = json!("gelu"));
    let mut expected = Preset::Tiny.mmproj().vision;
    expected.gelu = Gelu::Erf;
    assert_eq!(hparams(&tiny).vision, expected);
}

#[test]
fn groups_of_the_group_norms() {
    let tiny = Tiny::new();
    assert_eq!(hparams(&tiny).region.gn_groups, 64);
    tiny.edit_json("config.json", |c| c["mm_region_norm_groups"] = json!(4));
    assert_eq!(hparams(&tiny).region.gn_groups, 4);
    for bad in [json!(0), json!(3)] {
        tiny.edit_json("config.json", |c| c["mm_region_norm_groups"] = bad);
        refuses(&tiny, &["groups"]);
    }
    tiny.edit_json("config.json", |c| c["mm_region_norm_groups"] = json!("four"));
    refuses(&tiny, &["config.json"]);
}

#[test]
fn steps_between_levels() {
    let tiny = Tiny::new();
    assert_eq!(hparams(&tiny).region.taps, [2, 5, 8, 11]);
    tiny.edit_json("config.json", |c| c["mm_vision_level_step"] = json!(2));
    assert_eq!(hparams(&tiny).region.taps, [5, 7, 9, 11]);
    tiny.edit_json("config.json", |c| c["mm_vision_select_layer"] = json!(-1));
    let region = hparams(&tiny).region;
    assert_eq!((region.image_tap, region.taps), (12, vec![6, 8, 10, 12]));
    tiny.edit_json("config.json", |c| c["mm_vision_level_step"] = json!(5));
    refuses(&tiny, &["too shallow", "12", "4 levels"]);
    for bad in [json!(0), json!(-1), json!("two")] {
        tiny.edit_json("config.json", |c| c["mm_vision_level_step"] = bad);
        refuses(&tiny, &["config.json"]);
    }
}
