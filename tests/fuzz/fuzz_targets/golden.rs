//! Reference data for `compare`: golden.json and golden.safetensors, divided at the first NUL byte.
#![no_main]

use gpt4roi::EngineOptions;
use gpt4roi::compare::compare;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let cut = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    gpt4roi_fuzz::write("golden/golden.json", &bytes[..cut]);
    let json =
        gpt4roi_fuzz::write("golden/golden.safetensors", bytes.get(cut + 1..).unwrap_or_default());
    let dir = json.parent().expect("it was written there");
    // There is no such model: the golden is read first.
    let nothing = gpt4roi_fuzz::scratch().join("none.gguf");
    assert!(compare(&EngineOptions::new(&nothing, &nothing), dir).is_err());
});
