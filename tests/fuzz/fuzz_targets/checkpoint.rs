//! The converter's readers: a good small checkpoint, one file of which is replaced. The first byte
//! says which.
#![no_main]

use gpt4roi_convert::{FileType, Options, Plan};
use libfuzzer_sys::fuzz_target;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

const REPLACED: [&str; 9] = [
    "checkpoint/config.json",
    "checkpoint/tokenizer.model",
    "checkpoint/added_tokens.json",
    "checkpoint/tokenizer_config.json",
    "checkpoint/special_tokens_map.json",
    "checkpoint/model.safetensors",
    "checkpoint/model.safetensors.index.json",
    "checkpoint/pytorch_model.bin",
    "clip/config.json",
];

fuzz_target!(|bytes: &[u8]| {
    let Some((which, content)) = bytes.split_first() else { return };
    let name = REPLACED[usize::from(*which) % REPLACED.len()];
    let dir = linked_copy();
    let (checkpoint, clip) = (dir.join("checkpoint"), dir.join("clip"));
    // A .bin is read only where there are no safetensors.
    if name.ends_with(".bin") {
        let _ = fs::remove_file(checkpoint.join("model.safetensors"));
    }
    gpt4roi_fuzz::write(&format!("copy/{name}"), content);
    let _ = Plan::new(&Options {
        checkpoint,
        clip,
        base: None,
        out: gpt4roi_fuzz::scratch().join("out"),
        name: Some("fuzz".into()),
        llm: FileType::F16,
        vision: FileType::F16,
        region: FileType::F16,
    });
});

/// The seeds' checkpoints as symbolic links, made anew each time: files are replaced, not written
/// to.
fn linked_copy() -> PathBuf {
    let good = gpt4roi_fuzz::seeds();
    assert!(good.join("checkpoint").exists(), "run `make fuzz-seeds` first");
    let dir = gpt4roi_fuzz::scratch().join("copy");
    let _ = fs::remove_dir_all(&dir);
    for name in ["checkpoint", "clip"] {
        link_all(&good.join(name), &dir.join(name));
    }
    dir
}

fn link_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("the seeds").flatten() {
        symlink(entry.path(), to.join(entry.file_name())).expect("a link");
    }
}
