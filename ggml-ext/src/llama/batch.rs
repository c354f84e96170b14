//! Batches that mix tokens and embeddings.

use super::Context;
use crate::{Error, Result, sys};
use std::ptr::NonNull;

/// Positions to be decoded together: tokens by id, or by their embedding.
///
/// Made by [`Context::new_batch`]; usable only with the context that made it.
pub struct Batch {
    raw: NonNull<sys::llama_batch_ext>,
    len: usize,
    n_outputs: usize,
    capacity: usize,
    n_embd: usize,
    n_vocab: usize,
}

// SAFETY: the batch is plain memory of its own, bound to no thread.
unsafe impl Send for Batch {}

impl Drop for Batch {
    fn drop(&mut self) {
        // SAFETY: created by llama_batch_ext_init, freed once.
        unsafe { sys::llama_batch_ext_free(self.raw.as_ptr()) }
    }
}

impl Batch {
    pub(super) fn new(ctx: &Context, n_embd: usize, n_vocab: usize) -> Result<Batch> {
        // SAFETY: the context is alive; the batch copies what it needs of it.
        let raw = unsafe { sys::llama_batch_ext_init(ctx.raw()) };
        let raw =
            NonNull::new(raw).ok_or_else(|| Error::Create { action: "make a batch".into() })?;
        Ok(Batch { raw, len: 0, n_outputs: 0, capacity: ctx.n_batch(), n_embd, n_vocab })
    }

    pub(super) fn as_ptr(&self) -> *mut sys::llama_batch_ext {
        self.raw.as_ptr()
    }

    /// Positions added so far.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Positions whose predictions were asked for.
    pub(super) fn n_outputs(&self) -> usize {
        self.n_outputs
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether the batch holds as many positions as the context takes at once.
    pub fn is_full(&self) -> bool {
        self.len == self.capacity
    }

    /// Removes everything; the memory is kept.
    pub fn clear(&mut self) {
        // SAFETY: the batch is alive.
        unsafe { sys::llama_batch_ext_clear(self.raw.as_ptr()) }
        self.len = 0;
        self.n_outputs = 0;
    }

    /// Adds a token at position `pos` of sequence `seq`. With `logits` its predictions can be read
    /// after decoding. Returns its index in the batch.
    ///
    /// # Errors
    /// [`Error::Decode`] if the batch is full or the id is not in the vocabulary.
    pub fn add_token(&mut self, id: i32, pos: usize, seq: i32, logits: bool) -> Result<usize> {
        if !(0..self.n_vocab as i64).contains(&i64::from(id)) {
            return Err(self.error(format!("token id {id} is not in the vocabulary")));
        }
        // SAFETY: the batch is alive; the id is valid.
        let index = unsafe { sys::llama_batch_ext_add_token(self.raw.as_ptr(), seq, id) };
        self.finish(index, pos, logits)
    }

    /// Adds an embedding of `n_embd` floats instead of a token.
    ///
    /// # Errors
    /// [`Error::Decode`] if the batch is full or the row has the wrong length.
    pub fn add_embd(&mut self, row: &[f32], pos: usize, seq: i32, logits: bool) -> Result<usize> {
        if row.len() != self.n_embd {
            return Err(self.error(format!("a row of {} instead of {}", row.len(), self.n_embd)));
        }
        let embd = sys::llama_embd { data: row.as_ptr(), n_rows: 1, n_embd: row.len() };
        // SAFETY: the batch is alive and copies the row before returning.
        let index = unsafe { sys::llama_batch_ext_add_embd(self.raw.as_ptr(), seq, embd) };
        self.finish(index, pos, logits)
    }

    fn finish(&mut self, index: i32, pos: usize, logits: bool) -> Result<usize> {
        if index < 0 {
            let reason = match index {
                -1 => "the batch is full",
                -3 => "no such sequence",
                _ => "llama.cpp refused the entry",
            };
            return Err(self.error(reason.into()));
        }
        let pos = pos as sys::llama_pos;
        // SAFETY: the index was just handed out; one position per entry for text models.
        unsafe {
            sys::llama_batch_ext_set_pos(self.raw.as_ptr(), index, [pos; 4].as_ptr());
            sys::llama_batch_ext_set_output_logits(self.raw.as_ptr(), index, logits);
        }
        self.len += 1;
        self.n_outputs += usize::from(logits);
        Ok(index as usize)
    }

    fn error(&self, reason: String) -> Error {
        Error::Decode { n_tokens: self.len, reason }
    }
}
