//! The language model: our session, and the bare C library on the same file, by turns.

use super::costs::Weights;
use super::{Bench, costs};
use crate::decode::{Session, Vectors};
use crate::error::Result;
use crate::files::LlmFile;
use crate::prompt::Slot;
use ggml_ext::gguf::Gguf;
use ggml_ext::llama::bare::BareModel;
use ggml_ext::llama::{ContextParams, KvType, LoadOptions, Sampler, Sampling};
use std::path::Path;
use std::time::Instant;

pub(super) fn measure(bench: &mut Bench<'_>, path: &Path, file: &LlmFile) -> Result<()> {
    let [n_prompt, n_decode] = bench.options.tokens;
    let n_ctx = n_prompt + n_decode + 1;
    let cancel = bench.backend.cancel_token().clone();
    let params = ContextParams {
        n_ctx,
        n_batch: n_ctx,
        n_seq_max: 1,
        n_outputs: 1,
        n_threads: bench.n_threads,
        kv_type: KvType::F16,
        capture: None,
    };
    let device = bench.backend.info();
    let gpus = if device.kind.is_gpu() { vec![device.name.clone()] } else { Vec::new() };
    let load = LoadOptions { devices: Some(gpus.clone()), ..LoadOptions::default() };
    let model = file.load(&load, &mut |_| true)?;
    // The bare library copies weights into layouts of its own: only this is like and like.
    let repacked = file.load(&LoadOptions { repack: true, ..load }, &mut |_| true)?;
    let ids = tokens(n_prompt, file.hparams.n_vocab);
    let slots: Vec<Slot> = ids.iter().map(|&id| Slot::Token(id)).collect();
    let bare = BareModel::load(path, &gpus)?;
    let mut bare = bare.context(n_ctx, bench.n_threads)?;
    let mut session = Session::new(&model, &params, cancel.clone())?;
    let mut copied = Session::new(&repacked, &params, cancel)?;
    let mut times: [Vec<f64>; 6] = Default::default();
    for run in 0..=bench.options.runs {
        let [prefill, decode] = ours(&mut session, &slots, n_decode)?;
        let [copied_prefill, copied_decode] = ours(&mut copied, &slots, n_decode)?;
        let [bare_prefill, bare_decode] = bare.run(&ids, n_decode)?.map(|d| d.as_secs_f64() * 1e3);
        let these = [prefill, copied_prefill, bare_prefill, decode, copied_decode, bare_decode];
        if run > 0 {
            for (all, ms) in times.iter_mut().zip(these) {
                all.push(ms);
            }
        }
    }
    let weights = weights(path, &file.hparams)?;
    let hp = &file.hparams;
    let cost = [costs::llm(hp, 0, n_prompt, weights), costs::llm(hp, n_prompt, 1, weights)];
    let [prefill, copied_prefill, bare_prefill, decode, copied_decode, bare_decode] = times;
    bench.book("prefill", cost[0], prefill, Some(n_prompt));
    bench.book("prefill, repacked", cost[0], copied_prefill, Some(n_prompt));
    bench.book("prefill, bare llama.cpp", cost[0], bare_prefill, Some(n_prompt));
    // Of one token.
    let each = |all: Vec<f64>| all.into_iter().map(|ms| ms / n_decode as f64).collect();
    bench.book("decode", cost[1], each(decode), Some(1));
    bench.book("decode, repacked", cost[1], each(copied_decode), Some(1));
    bench.book("decode, bare llama.cpp", cost[1], each(bare_decode), Some(1));
    Ok(())
}

/// Milliseconds of a prompt, and of the tokens behind it.
fn ours(session: &mut Session, slots: &[Slot], n_decode: usize) -> Result<[f64; 2]> {
    session.clear();
    let nothing = Vectors { image_id: 0, image: &[], regions: &[], boxes: &[] };
    let start = Instant::now();
    session.prefill(slots, &nothing)?;
    let mut sampler = Sampler::new(&Sampling::Greedy);
    let mut token = sampler.sample(session.logits()?)?;
    let prefill = start.elapsed();
    for _ in 0..n_decode {
        session.push(token)?;
        token = sampler.sample(session.logits()?)?;
    }
    Ok([prefill, start.elapsed() - prefill].map(|d| d.as_secs_f64() * 1e3))
}

/// Some ordinary tokens.
fn tokens(n: usize, n_vocab: u32) -> Vec<i32> {
    let ordinary = n_vocab.saturating_sub(300).max(1);
    (0..n as u32)
        .map(|i| ((n_vocab - ordinary) + i * 7919 % ordinary) as i32)
        .map(|id| id.min(n_vocab as i32 - 1))
        .collect()
}

/// What every batch reads: all but the token embeddings.
fn weights(path: &Path, hp: &gpt4roi_models::hparams::LlmHparams) -> Result<Weights> {
    use gpt4roi_models::specs::{Kind, llm_specs};
    let gguf = Gguf::open(path)?;
    let mut weights = Weights::default();
    for spec in llm_specs(hp).into_iter().filter(|s| s.kind != Kind::Embedding) {
        weights.bytes += gguf.tensor(&spec.name).map_or(0.0, |t| t.nbytes as f64);
        weights.elements += spec.n_elements() as f64;
    }
    Ok(weights)
}
