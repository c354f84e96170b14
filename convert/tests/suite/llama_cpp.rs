//! llama.cpp's own loader and quantiser agree with what we write.

use crate::fixtures::{Tiny, convert};
use ggml_ext::gguf::Gguf;
use ggml_ext::llama;
use gpt4roi_convert::{FileType, Options};
use gpt4roi_models::synthetic::Noise;
use gpt4roi_models::{Checkpoint, LlmHparams, MmprojHparams, Preset, llm_specs, mmproj_specs};
use std::path::Path;

/// Sizes whose rows hold super-blocks, and enough blocks for every rule of the mixes.
fn sizes() -> (LlmHparams, MmprojHparams) {
    let mut mm = Preset::Tiny.mmproj();
    mm.vision.projection_dim = 256;
    mm.region.n_embd_out = 256;
    (LlmHparams { n_embd: 256, n_layer: 17, n_ff: 512, n_head: 4, ..Preset::Tiny.llm() }, mm)
}

/// The tiny model with other sizes of its language model.
fn enlarged() -> Tiny {
    let tiny = Tiny::new();
    let (llm, mm) = sizes();
    let mut specs = llm_specs(&llm);
    specs.extend(mmproj_specs(&mm));
    specs.retain(|s| s.source.checkpoint == Checkpoint::Language);
    tiny.edit_weights(|w| {
        w.0 = specs
            .iter()
            .map(|s| {
                let bytes = Noise::values(s, 3).iter().flat_map(|v| v.to_le_bytes()).collect();
                (s.source.name.clone(), "F16".to_owned(), s.source.shape.clone(), bytes)
            })
            .collect();
    });
    tiny.edit_json("config.json", |c| {
        c["hidden_size"] = llm.n_embd.into();
        c["num_hidden_layers"] = llm.n_layer.into();
        c["intermediate_size"] = llm.n_ff.into();
    });
    tiny
}

/// Asserts that both files have the same tensors: type, shape, bytes.
fn assert_same_tensors(ours: &Gguf, theirs: &Gguf, what: &str) {
    assert_eq!(ours.tensors().len(), theirs.tensors().len());
    for t in ours.tensors() {
        let other = theirs.tensor(&t.name).expect(&t.name);
        assert_eq!((t.dtype, t.shape()), (other.dtype, other.shape()), "{what}: {}", t.name);
        assert!(ours.tensor_bytes(&t.name) == theirs.tensor_bytes(&t.name), "{what}: {}", t.name);
    }
}

fn quantised_by_llama_cpp(f16: &Path, t: FileType, out: &Path) -> Gguf {
    llama::quantize_file(f16, out, t, 2).unwrap();
    Gguf::open(out).unwrap()
}

#[test]
fn every_mix_gives_each_tensor_llama_cpps_type_and_bytes() {
    for tiny in [enlarged(), Tiny::new()] {
        let [f16, _] = convert(&tiny.options(FileType::F16)).unwrap();
        for t in FileType::ALL.into_iter().filter(|&t| t != FileType::F16) {
            let [ours, _] = convert(&Options { vision: FileType::F16, ..tiny.options(t) }).unwrap();
            let theirs = quantised_by_llama_cpp(f16.path(), t, &tiny.path().join("theirs.gguf"));
            assert_same_tensors(&ours, &theirs, t.name());
        }
    }
}

#[test]
fn the_language_model_file_loads_and_tokenises() {
    let tiny = Tiny::new();
    for t in [FileType::F32, FileType::Q4KM] {
        let [file, _] = convert(&tiny.options(t)).unwrap();
        let options = llama::LoadOptions::default();
        let model = llama::Model::load(file.path(), &options, &mut |_| true).unwrap();
        let h = Preset::Tiny.llm();
        let got = (model.n_embd(), model.n_vocab(), model.n_layer(), model.n_ctx_train());
        assert_eq!(got, (128, h.n_vocab as usize, 2, 2048));
        // A blank makes one token of `###`; at the beginning of a line there are two.
        let ids = model.tokenize("### What is the dog");
        let texts: Vec<String> = ids.iter().map(|&id| model.token(id).unwrap().text).collect();
        assert_eq!(texts.last().unwrap(), "\u{2581}dog");
        assert!(texts.contains(&"\u{2581}###".to_owned()), "{texts:?}");
    }
}
