//! Opening maps files; it does not read them.

use ggml_ext::DType;
use ggml_ext::gguf::{Gguf, Writer};
use gpt4roi::{Engine, EngineOptions};
use gpt4roi_models::{mmproj_specs, names};
use gpt4roi_tests::kv::stored;
use gpt4roi_tests::small::Small;
use gpt4roi_tests::{Pair, scratch, worker};
use std::path::Path;
use std::process::Stdio;
use tempfile::TempDir;

/// Width that makes the file's largest matrix a quarter of a gigabyte.
const N_MID: u32 = 1 << 14;

/// A small language model with an mmproj file of over 256 MiB, most of it zeros.
fn large(dir: &Path) -> (Pair, u64) {
    let mut small = Small::default();
    let region = &mut small.mmproj.region;
    (region.n_mid, region.roi_output_size, region.n_channels) = (N_MID, 16, 32);
    let specs = mmproj_specs(&small.mmproj);
    let pair = Small::default().write(dir);
    let kv: Vec<_> = small.mmproj.to_kv().iter().map(|(k, v)| (k.clone(), stored(v))).collect();
    let dtype = |always_f32| if always_f32 { DType::F32 } else { DType::F16 };
    let tensors =
        specs.iter().map(|s| (s.name.as_str(), dtype(s.kind.is_always_f32()), &s.shape[..]));
    let mut writer = Writer::create(&pair.mmproj, &kv, tensors).expect("a header");
    let sizes: Vec<usize> = writer.tensors().iter().map(|t| t.nbytes).collect();
    let zeros = vec![0; 1 << 20];
    for size in sizes {
        let mut left = size;
        while left > 0 {
            let n = left.min(zeros.len());
            writer.write(&zeros[..n]).expect("zeros");
            left -= n;
        }
    }
    writer.finish().expect("a file");
    let bytes = std::fs::metadata(&pair.mmproj).expect("a file").len();
    (pair, bytes)
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

#[cfg(target_os = "linux")]
#[test]
fn opening_a_large_file_takes_no_memory_unless_asked_to() {
    let dir = TempDir::new_in(scratch()).expect("a folder");
    let (pair, bytes) = large(dir.path());
    let file_kib = bytes / 1024;
    assert!(file_kib > 256 << 10, "{file_kib} KiB");
    let grown = |mode: &str| -> [u64; 2] {
        let job = format!("{mode}:{}:{}", pair.model.display(), pair.mmproj.display());
        let mut command = worker::command("memory::worker", &job, None);
        let out = command.stderr(Stdio::inherit()).output().expect("a worker");
        assert!(out.status.success(), "{out:?}");
        let out = String::from_utf8(out.stdout).expect("UTF-8");
        let line = out.lines().find_map(|l| Some(l.split_once("grown ")?.1.to_owned()));
        let line = line.expect("a result");
        let mut numbers = line.split(' ').map(|n| n.parse().expect("a number"));
        [(); 2].map(|()| numbers.next().expect("two numbers"))
    };
    let [anon, file] = grown("map");
    eprintln!("mapped: {file_kib} KiB of file, {anon} KiB anonymous, {file} KiB of files resident");
    assert!(anon + file < file_kib / 8, "{anon} and {file} of {file_kib} KiB");
    // The counterpart shows that the figures would tell.
    let [anon, _] = grown("copy");
    assert!(anon > file_kib, "{anon} of {file_kib} KiB");
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

#[test]
fn the_large_files_weight_is_where_the_runtime_maps_it() {
    // Guards the test above: were the tensor not the bulk of the file, it would prove nothing.
    let dir = TempDir::new_in(scratch()).expect("a folder");
    let (pair, bytes) = large(dir.path());
    let gguf = Gguf::open(&pair.mmproj).expect("a file");
    let flatten = gguf.tensor(&names::weight(names::gguf::FLATTEN)).expect("a matrix");
    assert!(flatten.nbytes as u64 > bytes * 9 / 10);
}
