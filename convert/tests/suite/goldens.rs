//! The golden checkpoints: a merged one, and a delta with its base.

use crate::fixtures::{Weights, convert, goldens, options};
use gpt4roi_convert::{FileType, Plan, Quiet, verify};
use gpt4roi_models::Transform;
use tempfile::TempDir;

#[test]
fn both_goldens_convert_and_verify_in_every_type() {
    let Some(dir) = goldens() else { return };
    for name in ["p1-real-vocab", "p2-delta-multiround"] {
        let (checkpoint, clip) = (dir.join(name).join("checkpoint"), dir.join(name).join("clip"));
        for t in [FileType::F32, FileType::F16, FileType::Q8_0, FileType::Q4KM] {
            let out = TempDir::new().unwrap();
            let o = options(&checkpoint, &clip, None, out.path(), t);
            let plan = Plan::new(&o).unwrap();
            for file in convert(&o).unwrap() {
                let report = verify::verify(&file, &plan, 2, &Quiet::default()).unwrap();
                assert!(report.is_good(), "{name} {t}: {report:?}");
            }
        }
    }
}

#[test]
fn delta_and_base_give_the_merged_checkpoint_bit_for_bit() {
    let Some(dir) = goldens() else { return };
    let dir = dir.join("p2-delta-multiround");
    let out = TempDir::new().unwrap();
    let (clip, base) = (dir.join("clip"), dir.join("base"));
    let run = |checkpoint: &str, base, name: &str| {
        let out = out.path().join(name);
        let o = options(&dir.join(checkpoint), &clip, base, &out, FileType::F16);
        convert(&o).unwrap().map(|f| f.map().to_vec())
    };
    let merged = run("checkpoint", None, "merged");
    let summed = run("delta", Some(base.as_path()), "summed");
    assert!(merged == summed);
}

#[test]
fn f16_files_hold_exactly_the_source() {
    let Some(dir) = goldens() else { return };
    let dir = dir.join("p1-real-vocab");
    let out = TempDir::new().unwrap();
    let (checkpoint, clip) = (dir.join("checkpoint"), dir.join("clip"));
    let o = options(&checkpoint, &clip, None, out.path(), FileType::F16);
    let plan = Plan::new(&o).unwrap();
    let files = convert(&o).unwrap();
    let mut compared = 0;
    for (file, file_plan) in files.iter().zip(plan.files()) {
        for t in &file_plan.tensors {
            let same_order = t.spec.transform == Transform::None;
            if t.dtype == ggml_ext::DType::F16 && same_order {
                let path = &t.source;
                let want = Weights::read(path).get(&t.spec.source.name).3.clone();
                assert!(file.tensor_bytes(&t.spec.name) == Some(&want), "{}", t.spec.name);
                compared += 1;
            }
        }
    }
    assert!(compared > 80, "{compared}");
}

#[test]
fn special_tokens_are_read_from_the_files() {
    let Some(dir) = goldens() else { return };
    let kv = |name: &str| {
        let dir = dir.join(name);
        let out = TempDir::new().unwrap();
        let (checkpoint, clip) = (dir.join("checkpoint"), dir.join("clip"));
        let o = options(&checkpoint, &clip, None, out.path(), FileType::F16);
        let plan = Plan::new(&o).unwrap();
        gpt4roi_models::MmprojHparams::from_kv(plan.mmproj.keys.as_slice()).unwrap().tokens
    };
    let p1 = kv("p1-real-vocab");
    assert_eq!((p1.im_patch, p1.im_start, p1.im_end, p1.bbox), (32001, 32004, 32005, 32002));
    assert_eq!((p1.bos, p1.eos, p1.unk, p1.pad), (1, 2, 0, Some(32000)));
    let strip = |t: &gpt4roi_models::SpecialTokens, text: &str| {
        t.split.iter().find(|s| s.text == text).unwrap().strip
    };
    assert!(!strip(&p1, "<s>") && strip(&p1, "<bbox>") && strip(&p1, "[PAD]"));
    // Here the tokenizer says `</s>` for both ends, as a plain string.
    let p2 = kv("p2-delta-multiround");
    assert_eq!((p2.bos, p2.eos, p2.unk, p2.pad), (2, 2, 0, Some(1500)));
    assert!(strip(&p2, "</s>") && p2.split.iter().all(|s| s.text != "<s>"));
}
