//! Seeded mutations of a checkpoint's files: errors or conversions, never a crash.

use crate::fixtures::Tiny;
use gpt4roi_convert::{FileType, Plan};

/// SplitMix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z ^ (z >> 27)
}

fn mutate(bytes: &[u8], limit: usize, state: &mut u64) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for _ in 0..1 + next(state) % 3 {
        let at = next(state) as usize % limit.min(out.len()).max(1);
        match next(state) % 5 {
            0 => out.truncate(at),
            1 => out.insert(at.min(out.len()), next(state) as u8),
            2 => out.iter_mut().skip(at).take(1).for_each(|b| *b = b'0' + (next(state) % 10) as u8),
            _ => out.iter_mut().skip(at).take(1).for_each(|b| *b ^= 1 << (next(state) % 8)),
        }
    }
    out
}

#[test]
fn mutated_checkpoints_are_errors_or_plans() {
    let tiny = Tiny::new();
    let mut state = 4;
    let mut planned = 0;
    for name in [
        "config.json",
        "tokenizer.model",
        "added_tokens.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "model.safetensors",
    ] {
        let path = tiny.checkpoint().join(name);
        let good = std::fs::read(&path).unwrap();
        // Of the weights, only the header is worth it.
        for _ in 0..if name.ends_with("safetensors") { 150 } else { 400 } {
            std::fs::write(&path, mutate(&good, 8000, &mut state)).unwrap();
            planned += usize::from(Plan::new(&tiny.options(FileType::Q4KM)).is_ok());
        }
        std::fs::write(&path, &good).unwrap();
    }
    assert!(planned > 30, "the mutations are too harsh to test anything: {planned}");
}
