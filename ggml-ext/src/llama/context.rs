//! A context: the KV cache of a model and the threads that decode with it.

use super::capture::{Capture, on_eval};
use super::{Batch, Model};
use crate::backend::ThreadPool;
use crate::cancel::poll_cancelled;
use crate::graph::PlacedNode;
use crate::stable_box::StableBox;
use crate::{CancelToken, DType, Error, Result, logging, sys};
use std::ptr::NonNull;

/// Element types that a KV cache can have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KvType {
    /// 32-bit floats: twice the memory, for exact comparisons.
    F32,
    /// Half precision, the usual choice.
    #[default]
    F16,
    /// 8-bit blocks: half the memory again, at a small loss.
    Q8_0,
}

impl KvType {
    /// The type of the cache's elements.
    pub fn dtype(self) -> DType {
        match self {
            KvType::F32 => DType::F32,
            KvType::F16 => DType::F16,
            KvType::Q8_0 => DType::Q8_0,
        }
    }
}

/// Settings of a [`Context`].
#[derive(Clone, Debug)]
pub struct ContextParams {
    /// Positions in the KV cache, shared by all sequences.
    pub n_ctx: usize,
    /// Positions that one batch may hold.
    pub n_batch: usize,
    /// Sequences that may live at once.
    pub n_seq_max: usize,
    /// Positions of a batch whose predictions can be read.
    pub n_outputs: usize,
    /// Worker threads.
    pub n_threads: usize,
    /// Type of the cache.
    pub kv_type: KvType,
    /// Keep the last row of inner tensors whose name starts with this (slow; for comparisons).
    pub capture: Option<String>,
}

/// A model's state while it reads and writes text.
pub struct Context {
    raw: NonNull<sys::llama_context>,
    n_batch: usize,
    n_seq_max: usize,
    n_outputs: usize,
    capture: Option<StableBox<Capture>>,
    cancel: CancelToken,
    // After `raw`, which is freed in `drop` before any field.
    _pool: ThreadPool,
    model: Model,
}

// SAFETY: a context is bound to no thread; every use takes `&mut self` or only reads results.
unsafe impl Send for Context {}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: created by llama_init_from_model, freed once, before model and pool.
        unsafe { sys::llama_free(self.raw.as_ptr()) }
    }
}

impl Context {
    /// Makes a context; `cancel` stops its decoding.
    ///
    /// # Errors
    /// [`Error::Create`] with what llama.cpp said, usually that memory does not suffice.
    pub fn new(model: &Model, params: &ContextParams, cancel: CancelToken) -> Result<Context> {
        let pool = ThreadPool::new(params.n_threads)?;
        let capture = Capture::new(params.capture.clone(), model, params.n_threads)?;
        let capture = capture.map(StableBox::new);
        let raw_params = raw_params(params, &cancel, capture.as_ref());
        logging::take_error();
        // SAFETY: the model is alive; token and capture, to which the parameters point, are stored
        // beside the context.
        let raw = unsafe { sys::llama_init_from_model(model.raw(), raw_params) };
        let raw = NonNull::new(raw).ok_or_else(|| {
            let why = logging::take_error().unwrap_or_else(|| "out of memory?".into());
            Error::Create { action: format!("make a context of {} positions: {why}", params.n_ctx) }
        })?;
        // SAFETY: the pool outlives the context (field order and `Drop`).
        unsafe { sys::llama_attach_threadpool(raw.as_ptr(), pool.as_ptr(), pool.as_ptr()) }
        Ok(Context {
            raw,
            n_batch: params.n_batch,
            n_seq_max: params.n_seq_max,
            n_outputs: params.n_outputs,
            capture,
            cancel,
            _pool: pool,
            model: model.clone(),
        })
    }

    pub(super) fn raw(&self) -> *mut sys::llama_context {
        self.raw.as_ptr()
    }

    /// Positions that one batch may hold.
    pub fn n_batch(&self) -> usize {
        self.n_batch
    }

    /// Positions of the KV cache.
    pub fn n_ctx(&self) -> usize {
        // SAFETY: the context is alive.
        unsafe { sys::llama_n_ctx(self.raw()) as usize }
    }

    /// An empty batch for this context.
    ///
    /// # Errors
    /// If memory does not suffice.
    pub fn new_batch(&self) -> Result<Batch> {
        Batch::new(self, self.model.n_embd(), self.model.n_vocab())
    }

    /// Decodes a batch: its keys and values enter the cache, and logits can be read.
    ///
    /// # Errors
    /// [`Error::Cancelled`] if the token was cancelled, [`Error::Decode`] otherwise. After either,
    /// part of the batch may be in the cache: remove it with [`Context::truncate`].
    pub fn decode(&mut self, batch: &Batch) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        if self.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        if batch.len() > self.n_batch || batch.n_outputs() > self.n_outputs {
            let reason = "the batch was made for a larger context".to_owned();
            return Err(Error::Decode { n_tokens: batch.len(), reason });
        }
        logging::take_error();
        // SAFETY: context and batch are alive, and the batch was made by this context's size.
        let status = unsafe {
            sys::llama_process(self.raw(), sys::LLAMA_PROCESS_TYPE_DECODE, batch.as_ptr())
        };
        let reason = match status {
            0 => return Ok(()),
            2 => return Err(Error::Cancelled),
            1 => "no room in the KV cache: use a larger context".to_owned(),
            other => {
                let said = logging::take_error().unwrap_or_default();
                format!("llama.cpp returned {other}: {said}")
            }
        };
        Err(Error::Decode { n_tokens: batch.len(), reason })
    }

    /// The predictions at batch index `index` of the last decode, one float a vocabulary entry.
    /// `None` if that entry was added without `logits`.
    pub fn logits(&self, index: usize) -> Option<&[f32]> {
        // SAFETY: llama.cpp checks the index and returns null for one without logits; the row has
        // n_vocab floats and stays until the next decode, which needs `&mut self`.
        unsafe {
            let row = sys::llama_get_logits_ith(self.raw(), i32::try_from(index).ok()?);
            (!row.is_null()).then(|| std::slice::from_raw_parts(row, self.model.n_vocab()))
        }
    }

    /// Removes positions `from..` of sequence `seq` from the cache.
    ///
    /// # Panics
    /// If the context has no such sequence.
    pub fn truncate(&mut self, seq: i32, from: usize) {
        self.check_sequence(seq);
        // SAFETY: the context is alive and has a memory; the sequence id is checked above.
        unsafe {
            let memory = sys::llama_get_memory(self.raw());
            sys::llama_memory_seq_rm(memory, seq, from as sys::llama_pos, -1);
        }
    }

    /// Makes positions `..len` of sequence `from` positions of sequence `to`, too. They stay in the cache once.
    ///
    /// # Panics
    /// If the context has no such sequences.
    pub fn share(&mut self, from: i32, to: i32, len: usize) {
        self.check_sequence(from);
        self.check_sequence(to);
        // SAFETY: the context is alive and has a memory, which is unified; the ids are checked above.
        unsafe {
            let memory = sys::llama_get_memory(self.raw());
            sys::llama_memory_seq_cp(memory, from, to, 0, len as sys::llama_pos);
        }
    }

    fn check_sequence(&self, seq: i32) {
        let known = usize::try_from(seq).is_ok_and(|s| s < self.n_seq_max);
        assert!(known, "sequence {seq} of a context with {}", self.n_seq_max);
    }

    /// Sequences that may live at once.
    pub fn n_seq_max(&self) -> usize {
        self.n_seq_max
    }

    /// Positions of a batch whose predictions can be read.
    pub fn n_outputs(&self) -> usize {
        self.n_outputs
    }

    /// Every node that was computed since the context was made, if inner tensors are captured, in no order.
    pub fn nodes(&self) -> Vec<PlacedNode> {
        self.capture.as_ref().map_or_else(Vec::new, |c| c.get().nodes().cloned().collect())
    }

    /// The captured row of an inner tensor, by its name in llama.cpp, e.g. `l_out-3`.
    pub fn captured(&self, name: &str) -> Option<&[f32]> {
        self.capture.as_ref()?.get().row(name)
    }
}

pub(super) fn raw_params(
    p: &ContextParams,
    cancel: &CancelToken,
    capture: Option<&StableBox<Capture>>,
) -> sys::llama_context_params {
    // SAFETY: returns a plain struct.
    let mut raw = unsafe { sys::llama_context_default_params() };
    raw.n_ctx = p.n_ctx as u32;
    raw.n_batch = p.n_batch as u32;
    raw.n_ubatch = p.n_batch.min(512) as u32;
    raw.n_seq_max = p.n_seq_max as u32;
    // Otherwise memory for the predictions of whole batches would be reserved.
    raw.n_outputs_max = p.n_outputs.max(p.n_seq_max) as u32;
    raw.n_outputs_max_per_seq = 0; // as many as in all
    raw.n_threads = p.n_threads as i32;
    raw.n_threads_batch = p.n_threads as i32;
    raw.type_k = p.kv_type.dtype().raw();
    raw.type_v = p.kv_type.dtype().raw();
    raw.flash_attn_type = match p.kv_type {
        // Flash attention rounds queries to half precision.
        KvType::F32 => sys::LLAMA_FLASH_ATTN_TYPE_DISABLED,
        KvType::F16 => sys::LLAMA_FLASH_ATTN_TYPE_AUTO,
        // A quantised V cache exists only with it.
        KvType::Q8_0 => sys::LLAMA_FLASH_ATTN_TYPE_ENABLED,
    };
    // Copying part of a sequence aborts the process without it.
    raw.kv_unified = true;
    raw.no_perf = true;
    raw.abort_callback = Some(poll_cancelled);
    raw.abort_callback_data = cancel.as_user_data();
    if let Some(capture) = capture {
        raw.cb_eval = Some(on_eval);
        raw.cb_eval_user_data = capture.as_ptr().cast();
    }
    raw
}
