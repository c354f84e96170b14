//! Opening maps files; it does not read them.

use ggml_ext::gguf::Writer;
use ggml_ext::llama::{Context, ContextParams, KvType, LoadOptions, Model};
use ggml_ext::numeric::nmse;
use ggml_ext::{CancelToken, DType};
use gpt4roi::{Engine, EngineOptions};
use gpt4roi_models::{TensorSpec, Value, llm_specs, mmproj_specs};
use gpt4roi_tests::kv::stored;
use gpt4roi_tests::small::{Small, vocabulary_kv};
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
use gpt4roi_tests::workspace;
use gpt4roi_tests::{Pair, scratch, worker};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tempfile::TempDir;

/// Width that makes the file's largest matrix a quarter of a gigabyte.
const N_MID: u32 = 1 << 14;

/// A small language model with an mmproj file of over 256 MiB.
fn large_mmproj(dir: &Path) -> (Pair, PathBuf) {
    let mut small = Small::default();
    let region = &mut small.mmproj.region;
    (region.n_mid, region.roi_output_size, region.n_channels) = (N_MID, 16, 32);
    let pair = Small::default().write(dir);
    let kv = small.mmproj.to_kv();
    zeros(&pair.mmproj, &kv, &mmproj_specs(&small.mmproj), DType::F16);
    (pair.clone(), pair.mmproj)
}

/// A small mmproj file with a language model of over 200 MiB, in a type that llama.cpp would
/// rearrange into memory of its own if it were let.
fn large_model(dir: &Path) -> (Pair, PathBuf) {
    let mut small = Small::default().with_width(1024, 16);
    let pair = small.write(dir);
    small.llm.n_ff = 1 << 17;
    let mut kv = small.llm.to_kv();
    kv.extend(vocabulary_kv(&small.mmproj.tokens));
    zeros(&pair.model, &kv, &llm_specs(&small.llm), DType::Q4_0);
    (pair.clone(), pair.model)
}

/// Writes a file of zeros whose matrices have type `t` where they can.
fn zeros(path: &Path, kv: &[(String, Value)], specs: &[TensorSpec], t: DType) {
    let kv: Vec<_> = kv.iter().map(|(k, v)| (k.clone(), stored(v))).collect();
    let dtype = |s: &TensorSpec| match s.kind {
        k if k.is_always_f32() => DType::F32,
        k if k.is_quantizable() => t,
        _ => DType::F16,
    };
    let tensors = specs.iter().map(|s| (s.name.as_str(), dtype(s), &s.shape[..]));
    let mut writer = Writer::create(path, &kv, tensors).expect("a header");
    let sizes: Vec<usize> = writer.tensors().iter().map(|t| t.nbytes).collect();
    let zeros = vec![0; 1 << 20];
    for size in sizes {
        for at in (0..size).step_by(zeros.len()) {
            writer.write(&zeros[..zeros.len().min(size - at)]).expect("zeros");
        }
    }
    writer.finish().expect("a file");
}

/// Resident KiB of this process: anonymous and of files.
fn resident() -> [u64; 2] {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    ["RssAnon:", "RssFile:"].map(|key| {
        let line = status.lines().find(|l| l.starts_with(key)).expect(key);
        let number = line.split_whitespace().nth(1).and_then(|n| n.parse().ok());
        number.expect("a number")
    })
}

/// Anonymous and file-backed memory in KiB that opening a pair takes.
fn grown(pair: &Pair, mode: &str) -> [u64; 2] {
    let job = format!("{mode}:{}:{}", pair.model.display(), pair.mmproj.display());
    let mut command = worker::command("memory::worker", &job, None);
    let out = command.stderr(Stdio::inherit()).output().expect("a worker");
    assert!(out.status.success(), "{out:?}");
    let out = String::from_utf8(out.stdout).expect("UTF-8");
    let line = out.lines().find_map(|l| Some(l.split_once("grown ")?.1.to_owned()));
    let line = line.expect("a result");
    let mut numbers = line.split(' ').map(|n| n.parse().expect("a number"));
    [(); 2].map(|()| numbers.next().expect("two numbers"))
}

fn kib(path: &Path) -> u64 {
    std::fs::metadata(path).expect("a file").len() / 1024
}

#[cfg(target_os = "linux")]
#[test]
fn opening_a_large_mmproj_file_reads_next_to_nothing() {
    let dir = TempDir::new_in(scratch()).expect("a folder");
    let (pair, large) = large_mmproj(dir.path());
    let size = kib(&large);
    assert!(size > 256 << 10, "{size} KiB");
    let [anon, file] = grown(&pair, "map");
    eprintln!("mmproj of {size} KiB mapped: {anon} KiB anonymous, {file} KiB of files resident");
    assert!(anon + file < size / 8, "{anon} and {file} of {size} KiB");
    // The counterpart shows that the figures would tell.
    let [anon, _] = grown(&pair, "copy");
    assert!(anon > size, "{anon} of {size} KiB");
}

#[cfg(target_os = "linux")]
#[test]
fn opening_a_large_language_model_reads_next_to_nothing() {
    let dir = TempDir::new_in(scratch()).expect("a folder");
    let (pair, large) = large_model(dir.path());
    let size = kib(&large);
    assert!(size > 200 << 10, "{size} KiB");
    let [anon, file] = grown(&pair, "map");
    eprintln!("model of {size} KiB mapped: {anon} KiB anonymous, {file} KiB of files resident");
    if !gpu() {
        assert!(anon + file < size / 8, "{anon} and {file} of {size} KiB");
    }
    let [anon, _] = grown(&pair, "copy");
    assert!(anon > size, "{anon} of {size} KiB");
}

pub(crate) fn gpu() -> bool {
    ggml_ext::devices().iter().any(|d| d.kind.is_gpu())
}

/// Logits of a few tokens, read one by one and together.
struct Read {
    in_place: bool,
    /// How many of each op were computed.
    ops: BTreeMap<String, usize>,
    logits: Vec<f32>,
}

fn read(path: &Path, options: &LoadOptions) -> Read {
    let model = Model::load(path, options, &mut |_| true).expect("a model");
    let params = ContextParams {
        n_ctx: 64,
        n_batch: 8,
        n_seq_max: 1,
        n_outputs: 8,
        n_threads: 1,
        kv_type: KvType::F16,
        capture: Some("l_out".into()),
    };
    let mut context = Context::new(&model, &params, CancelToken::new()).expect("a context");
    let mut batch = context.new_batch().expect("a batch");
    let mut logits = Vec::new();
    for tokens in [&[1, 40, 41, 42, 43][..], &[44], &[45]] {
        let from = logits.len() / model.n_vocab();
        batch.clear();
        for (i, &token) in tokens.iter().enumerate() {
            batch.add_token(token, from + i, 0, true).expect("room");
        }
        context.decode(&batch).expect("a decode");
        for i in 0..tokens.len() {
            logits.extend(context.logits(i).expect("logits"));
        }
    }
    let mut ops = BTreeMap::new();
    for node in context.nodes() {
        *ops.entry(node.op).or_insert(0) += 1;
    }
    Read { in_place: model.is_in_place(), ops, logits }
}

/// A small model with matrices of a type, in place and read.
#[cfg(target_os = "linux")]
fn both_ways(matrices: DType) -> [Read; 2] {
    let dir = TempDir::new_in(scratch()).expect("a folder");
    let pair = Small { matrices, ..Small::default().with_width(256, 4) }.write(dir.path());
    let copied = LoadOptions { mmap: false, ..LoadOptions::default() };
    let [mapped, read] = [LoadOptions::default(), copied].map(|o| read(&pair.model, &o));
    assert_eq!(mapped.in_place, !gpu());
    assert!(!read.in_place);
    let first = mapped.logits[0];
    assert!(mapped.logits.iter().any(|&v| v != first), "{matrices}: all the same");
    [mapped, read]
}

#[cfg(target_os = "linux")]
#[test]
fn a_model_in_place_computes_the_same_bits_as_one_that_was_read() {
    for matrices in [DType::F32, DType::F16, DType::Q4_0] {
        let [mapped, read] = both_ways(matrices).map(|r| r.logits);
        let bits = |logits: Vec<f32>| logits.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        assert!(bits(mapped) == bits(read), "{matrices}: logits depart");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn attention_and_products_of_floats_are_ours_wherever_the_weights_are() {
    for options in [LoadOptions::default(), LoadOptions { mmap: false, ..LoadOptions::default() }] {
        let dir = TempDir::new_in(scratch()).expect("a folder");
        let pair = Small { matrices: DType::F32, ..Small::default().with_width(256, 4) };
        let read = read(&pair.write(dir.path()).model, &options);
        let is = |op| read.ops.contains_key(op);
        let ours = ["FLASH_ATTN_EXT", "MUL_MAT", "CUSTOM"].map(is);
        assert_eq!(ours, [gpu(), gpu(), !gpu()], "{:?}", read.ops);
    }
}

/// What is multiplied is rounded to 8 bits, the same in both: a sum in another order may turn one of these around.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[test]
fn products_of_quantised_matrices_are_ours_and_give_the_same_logits() {
    let vnni = is_x86_feature_detected!("avx512vnni") && is_x86_feature_detected!("avx512bw");
    for matrices in [DType::Q4K, DType::Q5K, DType::Q6K, DType::Q8_0] {
        let [mapped, read] = both_ways(matrices);
        let known = if matrices == DType::Q8_0 { vnni } else { is_x86_feature_detected!("avx2") };
        let [ours, plain] = [&mapped, &read].map(|r| r.ops.get("MUL_MAT").copied());
        assert_eq!(ours < plain, mapped.in_place && known, "{ours:?} {plain:?}");
        let error = nmse(&mapped.logits, &read.logits);
        assert!(error < 1e-5, "{matrices}: {error:e}");
    }
}

/// Predictions for texts that go on in turns, some of them at a time, in sequences of their own; each begins as all do.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn predictions(model: &Model, n_threads: usize, turns: &[&[usize]]) -> Vec<Vec<f32>> {
    let params = ContextParams {
        n_ctx: 96,
        n_batch: 16,
        n_seq_max: 5,
        n_outputs: 16,
        n_threads,
        kv_type: KvType::F16,
        capture: None,
    };
    let mut context = Context::new(model, &params, CancelToken::new()).expect("a context");
    let mut batch = context.new_batch().expect("a batch");
    for (pos, token) in [1, 300, 301, 302, 303, 304, 305].into_iter().enumerate() {
        batch.add_token(token, pos, 0, false).expect("room");
    }
    context.decode(&batch).expect("a decode");
    let mut seen = vec![Vec::new(); 4];
    let mut lens = [7; 4];
    for text in 0..4 {
        context.share(0, text + 1, 7);
    }
    for turn in turns {
        batch.clear();
        let mut at = Vec::new();
        for &text in *turn {
            let token = 310 + (17 * text + 3 * lens[text]) as i32 % 100;
            let seq = text as i32 + 1;
            at.push((text, batch.add_token(token, lens[text], seq, true).expect("room")));
            lens[text] += 1;
        }
        context.decode(&batch).expect("a decode");
        for (text, i) in at {
            seen[text].extend_from_slice(context.logits(i).expect("logits"));
        }
    }
    seen
}

/// Where products of 8-bit weights are ours, nothing of a column depends on the others, nor does attention.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[test]
fn a_text_does_not_depend_to_the_bit_on_the_others() {
    if gpu() || !is_x86_feature_detected!("avx512vnni") || !is_x86_feature_detected!("avx512bw") {
        return;
    }
    let path = workspace().join("models/demo/gpt4roi-demo-Q8_0.gguf");
    let model = Model::load(&path, &LoadOptions::default(), &mut |_| true).expect("a model");
    let together: Vec<&[usize]> = vec![&[0, 1, 2, 3]; 9];
    let in_turns: Vec<&[usize]> = [&[0][..], &[1], &[2, 3]].repeat(9);
    let late: Vec<&[usize]> =
        [vec![&[3, 3, 3, 3, 3, 3][..], &[3, 2, 3, 3]], vec![&[2, 1, 0]; 9]].concat();
    let want = predictions(&model, 1, &in_turns);
    for turns in [together, late] {
        for n_threads in [1, 2] {
            let got = predictions(&model, n_threads, &turns);
            for text in 0..4 {
                let n = got[text].len().min(want[text].len());
                assert!(n >= 9 * model.n_vocab());
                let same = got[text]
                    .iter()
                    .zip(&want[text])
                    .take_while(|(a, b)| a.to_bits() == b.to_bits())
                    .count();
                assert_eq!(same, n, "text {text}, position {}", same / model.n_vocab());
            }
        }
    }
}

#[test]
#[ignore = "a worker of the test above"]
fn worker() {
    let Some(job) = worker::job() else { return };
    let parts: Vec<&str> = job.split(':').collect();
    let [mode, model, mmproj] = parts[..] else { panic!("{job}") };
    let options = EngineOptions {
        n_threads: 1,
        n_ctx: 512,
        mmap: mode == "map",
        ..EngineOptions::new(model, mmproj)
    };
    let before = resident();
    let engine = Engine::open(&options).unwrap_or_else(|e| panic!("{e}"));
    let after = resident();
    drop(engine);
    let grown = [0, 1].map(|i| after[i].saturating_sub(before[i]));
    println!("grown {} {}", grown[0], grown[1]);
}
