//! One binary for all integration tests: llama.cpp is linked once.

mod graphs;
mod interpolated;
mod maps;
mod memory;
mod products;
mod roi_align;
mod winograd;

use ggml_ext::{Backend, CancelToken};

fn cpu() -> Backend {
    Backend::cpu(2, CancelToken::new()).expect("a CPU backend")
}

/// Deterministic values in -1..1.
fn noise(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    std::iter::repeat_with(next).take(n).collect()
}
