//! Pictures: decoding, orientation, and both ways of resizing.
#![no_main]

use gpt4roi::PreprocessMode;
use gpt4roi::preprocess::{PreprocessOptions, decode, run};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(image) = decode("fuzz", bytes) else { return };
    for mode in [PreprocessMode::Inference, PreprocessMode::Training] {
        let options = PreprocessOptions { size: 28, mean: [0.5; 3], std: [0.25; 3], mode };
        let pixels = run(&image, &options).expect("these options are good");
        assert_eq!(pixels.data.len(), 28 * 28 * 3);
        assert!(pixels.data.iter().all(|v| v.is_finite()));
    }
});
