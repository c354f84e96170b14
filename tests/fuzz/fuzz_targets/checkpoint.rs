//! The converter's readers: a good small checkpoint, one file of which is replaced. The first byte
//! says which.
#![no_main]

use gpt4roi_convert::{FileType, Options, Plan};
use libfuzzer_sys::fuzz_target;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

const REPLACED: [&str; 9] = [
    "config.json",
    "tokenizer.model",
    "added_tokens.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "clip/config.json",
];

fuzz_target!(|bytes: &[u8]| {
    let Some((which, content)) = bytes.split_first() else { return };
    let name = REPLACED[usize::from(*which) % REPLACED.len()];
    let good = gpt4roi_fuzz::seeds().join("checkpoint");
    assert!(good.exists(), "run `make fuzz-seeds` first");
    let dir = linked_copy(&good);
    // The .bin is read only where there are no safetensors.
    if name == "pytorch_model.bin" {
        remove_weights(dir);
    }
    let _ = fs::remove_file(dir.join(name));
    gpt4roi_fuzz::write(&format!("checkpoint/{name}"), content);
    let _ = Plan::new(&Options {
        checkpoint: dir.into(),
        clip: dir.join("clip"),
        base: None,
        out: gpt4roi_fuzz::scratch().join("out"),
        name: Some("fuzz".into()),
        llm: FileType::F16,
        vision: FileType::F16,
        region: FileType::F16,
    });
});

/// The checkpoint as symbolic links, made anew each time: files of it are replaced, not written to.
fn linked_copy(good: &Path) -> &'static Path {
    static DIR: OnceLock<std::path::PathBuf> = OnceLock::new();
    let dir = DIR.get_or_init(|| gpt4roi_fuzz::scratch().join("checkpoint"));
    let _ = fs::remove_dir_all(dir);
    link_all(good, dir);
    dir
}

fn link_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("the seeds").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            link_all(&entry.path(), &target);
        } else {
            std::os::unix::fs::symlink(entry.path(), target).expect("a link");
        }
    }
}

fn remove_weights(dir: &Path) {
    for entry in fs::read_dir(dir).expect("the copy").flatten() {
        if entry.file_name().to_string_lossy().contains(".safetensors") {
            let _ = fs::remove_file(entry.path());
        }
    }
}
