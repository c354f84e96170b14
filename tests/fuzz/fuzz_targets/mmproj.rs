//! Opening an engine with a good language model and any mmproj file: an error or an engine.
#![no_main]

use gpt4roi::{Engine, EngineOptions};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mmproj = gpt4roi_fuzz::write("any-mmproj.gguf", bytes);
    let model = gpt4roi_fuzz::seeds().join("model.gguf");
    assert!(model.exists(), "run `make fuzz-seeds` first");
    let _ = Engine::open(&EngineOptions::new(model, mmproj));
});
