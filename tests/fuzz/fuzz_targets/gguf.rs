//! The GGUF reader: every key and every tensor of a file that claims to be GGUF.
#![no_main]

use ggml_ext::gguf::Gguf;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let path = gpt4roi_fuzz::write("any.gguf", bytes);
    let Ok(file) = Gguf::open(&path) else { return };
    for key in file.keys() {
        file.get(key);
    }
    for tensor in file.tensors() {
        let data = file.tensor_bytes(&tensor.name).expect("listed, so there");
        assert_eq!(data.len(), tensor.nbytes);
    }
});
