//! The C library's own loader and loop, without anything of ours in between: what our speed is
//! compared with.

use crate::{Error, Result, backend, devices};
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::LlamaContextParams;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::token::LlamaToken;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::{Duration, Instant};

/// A model as llama.cpp loads it by default on given GPUs, or on the CPU.
pub struct BareModel(LlamaModel);

/// A context on it, as llama.cpp makes it by default.
pub struct Bare<'m> {
    ctx: LlamaContext<'m>,
    n_ctx: usize,
}

impl BareModel {
    /// Loads a file that was checked before, onto the GPUs of these names.
    ///
    /// # Errors
    /// [`Error::ModelLoad`].
    pub fn load(path: &Path, gpus: &[String]) -> Result<BareModel> {
        let failed = |reason: String| Error::ModelLoad { path: path.into(), reason };
        let backend = backend::init();
        let all = devices();
        let is_named = |i: &usize| gpus.iter().any(|g| g.eq_ignore_ascii_case(&all[*i].name));
        let indices: Vec<usize> = (0..all.len()).filter(is_named).collect();
        let params = LlamaModelParams::default().with_devices(&indices);
        let params = params.map_err(|e| failed(e.to_string()))?;
        let model = LlamaModel::load_from_file(backend, path, &params);
        model.map(BareModel).map_err(|e| failed(e.to_string()))
    }

    /// A context of `n_ctx` positions, which are one batch.
    ///
    /// # Errors
    /// [`Error::Create`].
    pub fn context(&self, n_ctx: usize, n_threads: usize) -> Result<Bare<'_>> {
        let (n, threads) = (u32::try_from(n_ctx).unwrap_or(u32::MAX), n_threads as i32);
        let params = LlamaContextParams::default().with_n_ctx(NonZeroU32::new(n)).with_n_batch(n);
        let params = params.with_n_threads(threads).with_n_threads_batch(threads);
        let ctx = self.0.new_context(backend::init(), params);
        let ctx = ctx.map_err(|e| Error::Create { action: format!("make a context: {e}") })?;
        Ok(Bare { ctx, n_ctx })
    }
}

impl Bare<'_> {
    /// Decodes a prompt in one batch, then `n_decode` of the likeliest tokens, one by one. Gives the time of
    /// both.
    ///
    /// # Errors
    /// [`Error::Decode`].
    pub fn run(&mut self, prompt: &[i32], n_decode: usize) -> Result<[Duration; 2]> {
        self.ctx.clear_kv_cache();
        let mut batch = LlamaBatch::new(self.n_ctx, 1);
        let start = Instant::now();
        let tokens: Vec<_> = prompt.iter().map(|&id| LlamaToken(id)).collect();
        batch.add_sequence(&tokens, 0, false).map_err(|e| failed(prompt.len(), e))?;
        let mut token = self.step(&mut batch)?;
        let prefill = start.elapsed();
        for i in 0..n_decode {
            batch.clear();
            let pos = (prompt.len() + i) as i32;
            batch.add(token, pos, &[0], true).map_err(|e| failed(1, e))?;
            token = self.step(&mut batch)?;
        }
        Ok([prefill, start.elapsed() - prefill])
    }

    /// Decodes the batch; gives the likeliest next token.
    fn step(&mut self, batch: &mut LlamaBatch<'_>) -> Result<LlamaToken> {
        let n = batch.n_tokens();
        self.ctx.decode(batch).map_err(|e| failed(n as usize, e))?;
        let logits = self.ctx.get_logits_ith(n - 1);
        let likeliest = logits.iter().zip(0..).max_by(|a, b| a.0.total_cmp(b.0));
        Ok(LlamaToken(likeliest.map_or(0, |(_, id)| id)))
    }
}

fn failed(n_tokens: usize, e: impl std::fmt::Display) -> Error {
    Error::Decode { n_tokens, reason: e.to_string() }
}
