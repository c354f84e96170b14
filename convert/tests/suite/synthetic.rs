//! The tiny synthetic model through every type.

use crate::fixtures::{Tiny, Weights, convert, names, options};
use ggml_ext::gguf::{Gguf, Value};
use gpt4roi_convert::{Error, FileType, Plan, Quiet, synth, verify};
use gpt4roi_models::{
    Checkpoint, Kind, MmprojHparams, Preset, TensorSpec, Transform, keys, llm_specs, mmproj_specs,
};
use std::sync::atomic::AtomicBool;

/// The values of an f16 tensor as f32 bytes, rows of each head interleaved if need be.
fn expected(bytes: &[u8], n_rows: usize, transform: Transform) -> Vec<u8> {
    let f32s = |row: &[u8]| -> Vec<u8> {
        let half = |b: &[u8]| half::f16::from_le_bytes([b[0], b[1]]).to_f32().to_le_bytes();
        row.chunks(2).flat_map(half).collect()
    };
    let rows: Vec<&[u8]> = bytes.chunks(bytes.len() / n_rows).collect();
    let Transform::PermuteRope { n_head } = transform else {
        return f32s(bytes);
    };
    let head = n_rows / n_head as usize;
    // As llama.cpp's converter does it: reshape to (head, 2, half), swap the last two.
    let order = (0..n_rows).map(|r| {
        let (h, i) = (r / head, r % head);
        h * head + (i % 2) * (head / 2) + i / 2
    });
    order.flat_map(|r| f32s(rows[r])).collect()
}

/// Whatever small type a made-up tensor has, its values are exact.
fn assert_is_identity_or_zero(file: &Gguf, spec: &TensorSpec) {
    let dtype = file.tensor(&spec.name).unwrap().dtype.unwrap();
    let mut values = vec![f32::NAN; spec.n_elements() as usize];
    ggml_ext::quant::dequantize(dtype, file.tensor_bytes(&spec.name).unwrap(), &mut values)
        .unwrap();
    let one =
        |i: usize| spec.kind == Kind::Identity && i.is_multiple_of(spec.n_per_row() as usize + 1);
    let wrong = values.iter().enumerate().find(|&(i, &v)| v != f32::from(u8::from(one(i))));
    assert_eq!(wrong, None, "{}", spec.name);
}

#[test]
fn f32_files_hold_exactly_the_source() {
    for preset in [Preset::Tiny, Preset::TinyDino] {
        holds_exactly_the_source(preset);
    }
}

fn holds_exactly_the_source(preset: Preset) {
    let tiny = Tiny::of(preset);
    let files = convert(&tiny.options(FileType::F32)).unwrap();
    let mut sources =
        [tiny.checkpoint(), tiny.clip()].map(|d| Weights::read(&d.join("model.safetensors")));
    let specs = [llm_specs(&preset.llm()), mmproj_specs(&preset.mmproj())];
    for (file, specs) in files.iter().zip(&specs) {
        assert_eq!(file.tensors().len(), specs.len());
        let (made_up, converted): (Vec<_>, Vec<_>) =
            specs.iter().partition(|s| s.source.checkpoint == Checkpoint::Generated);
        made_up.iter().for_each(|spec| assert_is_identity_or_zero(file, spec));
        for spec in converted {
            let source = sources
                .iter_mut()
                .flat_map(|w| w.0.iter())
                .find(|t| t.0 == spec.source.name)
                .unwrap();
            let n_rows = (spec.n_elements() / spec.n_per_row()) as usize;
            let want = expected(&source.3, n_rows, spec.transform);
            assert!(file.tensor_bytes(&spec.name) == Some(&want), "{}", spec.name);
            assert_eq!(file.tensor(&spec.name).unwrap().shape(), spec.shape);
        }
    }
}

/// An open file as the models crate asks it.
struct Keys<'a>(&'a Gguf);

impl gpt4roi_models::KeyValues for Keys<'_> {
    fn value(&self, key: &str) -> Option<gpt4roi_models::Value> {
        use gpt4roi_models::Value as V;
        let items = |v: Vec<Value>| -> Option<V> {
            let u32s: Option<Vec<u32>> =
                v.iter().map(|v| if let Value::U32(v) = v { Some(*v) } else { None }).collect();
            let f32s: Option<Vec<f32>> =
                v.iter().map(|v| if let Value::F32(v) = v { Some(*v) } else { None }).collect();
            let bools: Option<Vec<bool>> =
                v.iter().map(|v| if let Value::Bool(v) = v { Some(*v) } else { None }).collect();
            let texts: Option<Vec<String>> = v
                .iter()
                .map(|v| if let Value::Str(v) = v { Some(v.clone()) } else { None })
                .collect();
            u32s.map(V::U32s).or(f32s.map(V::F32s)).or(bools.map(V::Bools)).or(texts.map(V::Strs))
        };
        match self.0.get(key)? {
            Value::U32(v) => Some(V::U32(v)),
            Value::F32(v) => Some(V::F32(v)),
            Value::Bool(v) => Some(V::Bool(v)),
            Value::Str(v) => Some(V::Str(v)),
            Value::Array(_, v) => items(v),
            _ => None,
        }
    }
}

#[test]
fn the_mmproj_file_describes_the_preset() {
    for preset in [Preset::Tiny, Preset::TinyDino] {
        let tiny = Tiny::of(preset);
        let [_, mmproj] = convert(&tiny.options(FileType::F16)).unwrap();
        let h = MmprojHparams::from_kv(&Keys(&mmproj)).unwrap();
        assert_eq!(h, MmprojHparams { name: "m".into(), ..preset.mmproj() });
    }
}

#[test]
fn every_type_verifies_and_leaves_only_the_two_files() {
    let tiny = Tiny::new();
    for t in FileType::ALL {
        let o = tiny.options(t);
        let files = convert(&o).unwrap();
        let want = [format!("m-{}.gguf", t.label()), format!("mmproj-m-{}.gguf", t.label())];
        assert_eq!(names(&tiny.out()), want);
        for file in &files {
            let plan = Plan::new(&o).unwrap();
            let report = verify::verify(file, &plan, 2, &Quiet::default()).unwrap();
            assert!(report.is_good(), "{t}: {report:?}");
            assert_eq!(file.get(keys::FILE_TYPE), Some(Value::U32(t.number())));
        }
        std::fs::remove_dir_all(tiny.out()).unwrap();
    }
}

#[test]
fn verify_notices_one_changed_scale() {
    let tiny = Tiny::new();
    let o = tiny.options(FileType::Q8_0);
    let [llm, _] = convert(&o).unwrap();
    let at = llm.tensor("blk.0.attn_q.weight").unwrap().offset;
    let path = llm.path().to_owned();
    drop(llm);
    let mut bytes = std::fs::read(&path).unwrap();
    // The exponent of a half-precision scale.
    bytes[at + 1] ^= 0x10;
    std::fs::write(&path, bytes).unwrap();
    let file = Gguf::open(&path).unwrap();
    let plan = Plan::new(&o).unwrap();
    let report = verify::verify(&file, &plan, 1, &Quiet::default()).unwrap();
    assert!(!report.is_good());
    let bad: Vec<_> =
        report.groups.iter().filter(|((_, t), g)| g.nmse() > verify::bound(*t)).collect();
    assert_eq!(bad.len(), 1);
    assert_eq!(bad[0].0.0, "blk.*.attn_q.weight");
}

#[test]
fn other_float_types_are_read_too() {
    let tiny = Tiny::new();
    let exact = convert(&tiny.options(FileType::F32)).unwrap()[0].map().to_vec();
    // f16 to f32 loses nothing, so the file must come out the same.
    tiny.edit_weights(|w| {
        for t in &mut w.0 {
            let wide = |b: &[u8]| half::f16::from_le_bytes([b[0], b[1]]).to_f32().to_le_bytes();
            t.3 = t.3.chunks(2).flat_map(wide).collect();
            t.1 = "F32".into();
        }
    });
    assert!(convert(&tiny.options(FileType::F32)).unwrap()[0].map().to_vec() == exact);
    tiny.edit_weights(|w| {
        for t in &mut w.0 {
            t.3 = t.3.chunks(4).flat_map(|b| [b[2], b[3]]).collect();
            t.1 = "BF16".into();
        }
    });
    let [llm, _] = convert(&tiny.options(FileType::Bf16)).unwrap();
    let source = Weights::read(&tiny.checkpoint().join("model.safetensors"))
        .get("model.embed_tokens.weight")
        .3
        .clone();
    assert!(llm.tensor_bytes("token_embd.weight") == Some(&source));
}

#[test]
fn shards_and_a_full_clip_convert_to_the_same_bytes() {
    let tiny = Tiny::new();
    let o = tiny.options(FileType::Q8_0);
    let whole = convert(&o).unwrap().map(|f| f.map().to_vec());
    // The language checkpoint in two shards.
    let dir = tiny.checkpoint();
    let mut all = Weights::read(&dir.join("model.safetensors")).0;
    let mut map = serde_json::Map::new();
    let second = all.split_off(all.len() / 2);
    for (name, part) in [("a.safetensors", all), ("b.safetensors", second)] {
        map.extend(part.iter().map(|t| (t.0.clone(), name.into())));
        Weights(part).write(&dir.join(name));
    }
    std::fs::remove_file(dir.join("model.safetensors")).unwrap();
    let index = serde_json::json!({ "weight_map": map }).to_string();
    std::fs::write(dir.join("model.safetensors.index.json"), index).unwrap();
    // CLIP with its text half.
    let clip = tiny.clip().join("model.safetensors");
    let mut weights = Weights::read(&clip);
    for (name, dtype, n) in [
        ("text_model.encoder.layers.0.mlp.fc1.weight", "F16", 2),
        ("visual_projection.weight", "F16", 2),
        ("text_projection.weight", "F16", 2),
        ("logit_scale", "F16", 2),
        ("vision_model.post_layernorm.weight", "F16", 2),
        ("vision_model.embeddings.position_ids", "I64", 8),
    ] {
        weights.0.push((name.into(), dtype.into(), vec![1], vec![0; n]));
    }
    weights.write(&clip);
    crate::fixtures::edit_json(&tiny.clip().join("config.json"), |c| {
        *c = serde_json::json!({"vision_config": c.take(), "model_type": "clip"});
    });
    assert!(convert(&o).unwrap().map(|f| f.map().to_vec()) == whole);
}

#[test]
fn outlines_are_the_files_without_their_weights() {
    let tiny = Tiny::new();
    let o = tiny.options(FileType::Q4KM);
    let files = convert(&o).unwrap();
    let mut plan = Plan::new(&o).unwrap();
    plan.rename_outlines();
    plan.outline().unwrap();
    let outlines = ["m-Q4_K_M.outline.gguf", "mmproj-m-Q4_K_M.outline.gguf"];
    for (file, outline) in files.iter().zip(outlines) {
        let path = tiny.out().join(outline);
        let outline = Gguf::open(&path).unwrap();
        let values = |f: &Gguf| f.keys().map(|k| (k.to_owned(), f.get(k))).collect::<Vec<_>>();
        assert_eq!(values(&outline), values(file), "{}", path.display());
        assert_eq!(outline.tensors(), file.tensors(), "{}", path.display());
        let last = outline.tensors().iter().max_by_key(|t| t.offset).unwrap();
        let bytes = outline.tensor_bytes(&last.name).unwrap();
        assert!(bytes.len() == last.nbytes && bytes.iter().all(|&b| b == 0), "{}", last.name);
    }
}

#[test]
fn checkpoints_without_weights_have_the_same_outline() {
    let (tiny, empty) = (Tiny::new(), tempfile::TempDir::new().unwrap());
    synth::write(Preset::Tiny, None, empty.path(), &Quiet::default()).unwrap();
    let [checkpoint, clip] = synth::directories(empty.path());
    let options = options(&checkpoint, &clip, None, &tiny.out(), FileType::F16);
    let (plan, full) =
        (Plan::new(&options).unwrap(), Plan::new(&tiny.options(FileType::F16)).unwrap());
    for (a, b) in plan.files().into_iter().zip(full.files()) {
        assert_eq!(a.keys, b.keys);
        assert_eq!(a.n_bytes(), b.n_bytes());
    }
}

#[test]
fn a_cancelled_conversion_leaves_nothing() {
    let tiny = Tiny::new();
    let plan = Plan::new(&tiny.options(FileType::F16)).unwrap();
    let stopped = Quiet(AtomicBool::new(true));
    assert!(matches!(plan.run(2, &stopped), Err(Error::Cancelled)));
    assert_eq!(names(&tiny.out()), Vec::<String>::new());
}
