//! Every way in which a checkpoint can be unusable: an error that names file and tensor, and no
//! file left behind.

use crate::fixtures::{Tiny, Weights, convert, edit_json, names, options};
use gpt4roi_convert::FileType;
use serde_json::json;

/// Asserts that all of `parts` are in `message`.
fn mentions(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "no `{part}` in: {message}");
    }
}

#[test]
fn directories_without_weights() {
    let tiny = Tiny::new();
    std::fs::remove_file(tiny.checkpoint().join("model.safetensors")).unwrap();
    mentions(&tiny.refusal(), &["checkpoint", "pytorch_model.bin"]);
    std::fs::remove_dir_all(tiny.checkpoint()).unwrap();
    mentions(&tiny.refusal(), &["checkpoint", "not found"]);
}

#[test]
fn a_missing_shard_and_a_shard_path_elsewhere() {
    let tiny = Tiny::new();
    let index = tiny.checkpoint().join("model.safetensors.index.json");
    let write = |shard: &str| {
        let index_text = json!({"weight_map": {"model.norm.weight": shard}}).to_string();
        std::fs::write(&index, index_text).unwrap();
    };
    write("model-00002-of-00002.safetensors");
    mentions(&tiny.refusal(), &["model-00002-of-00002.safetensors", "not found"]);
    write("../clip/model.safetensors");
    mentions(&tiny.refusal(), &["index.json", "not the name of a shard"]);
    std::fs::write(&index, "{").unwrap();
    mentions(&tiny.refusal(), &["index.json"]);
}

#[test]
fn truncated_weights() {
    let tiny = Tiny::new();
    let path = tiny.checkpoint().join("model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    mentions(&tiny.refusal(), &["model.safetensors", "truncated"]);
    std::fs::write(&path, &bytes[..100]).unwrap();
    mentions(&tiny.refusal(), &["model.safetensors"]);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(tiny.checkpoint().join("pytorch_model.bin"), &bytes[..1000]).unwrap();
    mentions(&tiny.refusal(), &["pytorch_model.bin", "not a PyTorch file"]);
}

#[test]
fn wrong_shapes_missing_unknown_and_integer_tensors() {
    let tiny = Tiny::new();
    let name = "model.layers.1.mlp.up_proj.weight";
    tiny.edit_weights(|w| w.get(name).2.reverse());
    mentions(&tiny.refusal(), &["model.safetensors", name, "[128, 352]", "[352, 128]"]);
    tiny.edit_weights(|w| {
        w.get(name).2.reverse();
        w.get(name).1 = "I16".into();
    });
    mentions(&tiny.refusal(), &[name, "I16"]);
    tiny.edit_weights(|w| {
        w.get(name).1 = "F16".into();
        w.0.push(("model.extra.weight".into(), "F16".into(), vec![1], vec![0; 2]));
    });
    mentions(&tiny.refusal(), &["model.extra.weight", "unknown"]);
    tiny.edit_weights(|w| w.0.retain(|t| t.0 != name && t.0 != "model.extra.weight"));
    mentions(&tiny.refusal(), &[name, "missing"]);
    tiny.edit_weights(|w| w.0.retain(|t| !t.0.contains("spi_module")));
    mentions(&tiny.refusal(), &["spi_module", "LLaVA"]);
}

#[test]
fn weights_that_are_not_finite() {
    let tiny = Tiny::new();
    let name = "model.layers.0.self_attn.v_proj.weight";
    tiny.edit_weights(|w| w.get(name).3[..2].copy_from_slice(&[0, 0x7e]));
    mentions(&tiny.refusal(), &["blk.0.attn_v.weight", "not finite"]);
}

#[test]
fn tokenizer_files() {
    let tiny = Tiny::new();
    tiny.edit_json("added_tokens.json", |t| {
        t.as_object_mut().unwrap().remove("<bbox>");
    });
    mentions(&tiny.refusal(), &["<bbox>", "added_tokens.json"]);
    tiny.edit_json("added_tokens.json", |t| t["<bbox>"] = json!(5000));
    mentions(&tiny.refusal(), &["5001", "1030"]);
    let model = tiny.checkpoint().join("tokenizer.model");
    std::fs::write(&model, b"not a protocol buffer").unwrap();
    mentions(&tiny.refusal(), &["tokenizer.model", "SentencePiece"]);
    std::fs::remove_file(&model).unwrap();
    mentions(&tiny.refusal(), &["tokenizer.model", "not found"]);
}

#[test]
fn configuration_files() {
    let tiny = Tiny::new();
    for (key, value) in [
        ("hidden_size", json!(0)),
        ("hidden_size", json!("many")),
        ("num_attention_heads", json!(0)),
        ("num_attention_heads", json!(3)),
        ("num_hidden_layers", json!(u32::MAX)),
        ("mm_vision_select_layer", json!(0)),
        ("mm_vision_select_layer", json!(-9)),
        ("rms_norm_eps", json!(-1.0)),
        ("use_mm_proj", json!(false)),
    ] {
        let mut good = json!(null);
        tiny.edit_json("config.json", |c| {
            good = c[key].take();
            c[key] = value.clone();
        });
        assert!(!tiny.refusal().is_empty(), "{key} = {value}");
        tiny.edit_json("config.json", |c| c[key] = good);
    }
    for (key, value) in [
        ("patch_size", json!(0)),
        ("image_size", json!(225)),
        ("hidden_act", json!("relu")),
        ("num_attention_heads", json!(5)),
    ] {
        let mut good = json!(null);
        let path = tiny.clip().join("config.json");
        edit_json(&path, |c| {
            good = c[key].take();
            c[key] = value.clone();
        });
        assert!(!tiny.refusal().is_empty(), "{key} = {value}");
        edit_json(&path, |c| c[key] = good);
    }
    std::fs::remove_file(tiny.checkpoint().join("config.json")).unwrap();
    mentions(&tiny.refusal(), &["config.json", "not found"]);
}

#[test]
fn deltas_that_do_not_fit_their_base() {
    let tiny = Tiny::new();
    let base = tiny.path().join("base");
    std::fs::create_dir(&base).unwrap();
    let is_added = |name: &str| name.contains("spi_module") || name.contains("mm_projector");
    let make_base = |edit: &dyn Fn(&mut Weights)| {
        let mut w = Weights::read(&tiny.checkpoint().join("model.safetensors"));
        w.0.retain(|t| !is_added(&t.0));
        edit(&mut w);
        w.write(&base.join("model.safetensors"));
    };
    let refusal = || {
        let o = options(&tiny.checkpoint(), &tiny.clip(), Some(&base), &tiny.out(), FileType::F16);
        convert(&o).err().map(|e| e.to_string())
    };
    let norm = "model.norm.weight";
    make_base(&|w| w.0.retain(|t| t.0 != norm));
    mentions(&refusal().unwrap(), &[norm, "no such tensor"]);
    make_base(&|w| w.get(norm).2 = vec![2, 64]);
    mentions(&refusal().unwrap(), &[norm, "[128]", "[2, 64]"]);
    // More rows in the base than in the delta.
    make_base(&|w| {
        let embed = w.get("model.embed_tokens.weight");
        embed.2[0] += 1;
        embed.3.extend([0; 256]);
    });
    mentions(&refusal().unwrap(), &["model.embed_tokens.weight", "1031"]);
    assert_eq!(names(&tiny.out()), Vec::<String>::new());
    make_base(&|_| ());
    assert_eq!(refusal(), None);
}

#[test]
fn a_destination_that_cannot_be_written() {
    let tiny = Tiny::new();
    std::fs::write(tiny.out(), "a file").unwrap();
    let got = convert(&tiny.options(FileType::F16));
    mentions(&got.err().unwrap().to_string(), &["out"]);
}
