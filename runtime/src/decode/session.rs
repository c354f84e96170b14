//! The KV cache and what it holds.
//!
//! A prompt is a row of slots: tokens, image rows, region vectors. The session remembers which
//! slots are in the cache, so that a prompt with the same beginning (the next turn of a
//! conversation) is decoded from the first difference on.

use crate::error::{Error, Result};
use crate::prompt::Slot;
use ggml_ext::CancelToken;
use ggml_ext::graph::PlacedNode;
use ggml_ext::llama::{Batch, Context, ContextParams, Model};

/// The sequence of single questions, and of what several questions have in common.
pub(super) const SEQ: i32 = 0;

/// The vectors that a prompt's slots refer to, and what identifies them.
pub(crate) struct Vectors<'a> {
    /// Identifies the image's content.
    pub(crate) image_id: u64,
    /// `[H, n_patches]`.
    pub(crate) image: &'a [f32],
    /// `[H, n_regions]`.
    pub(crate) regions: &'a [f32],
    /// The boxes that the region vectors were computed from.
    pub(crate) boxes: &'a [[f32; 4]],
}

/// What one position of the cache holds; equal entries have equal keys and values.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Entry {
    Token(i32),
    Image { id: u64, row: u32 },
    Region { id: u64, fractions: [f32; 4] },
}

/// A context with a record of its contents.
pub(crate) struct Session {
    pub(super) ctx: Context,
    pub(super) batch: Batch,
    n_embd: usize,
    cached: Vec<Entry>,
    logits_at: usize,
}

impl Session {
    pub(crate) fn new(model: &Model, params: &ContextParams, cancel: CancelToken) -> Result<Self> {
        let ctx = Context::new(model, params, cancel)?;
        let batch = ctx.new_batch()?;
        Ok(Session { ctx, batch, n_embd: model.n_embd(), cached: Vec::new(), logits_at: 0 })
    }

    /// Positions that the cache can hold.
    pub(crate) fn n_ctx(&self) -> usize {
        self.ctx.n_ctx()
    }

    /// Questions that can be answered at once.
    pub(crate) fn n_parallel(&self) -> usize {
        self.ctx.n_outputs().min(self.ctx.n_seq_max() - 1).max(1)
    }

    /// Positions in the cache.
    pub(crate) fn len(&self) -> usize {
        self.cached.len()
    }

    /// Predictions after the last position that was decoded.
    pub(crate) fn logits(&self) -> Result<&[f32]> {
        let none = || Error::internal("no predictions after a decode");
        self.ctx.logits(self.logits_at).ok_or_else(none)
    }

    /// The captured inner tensor of that name, see [`ContextParams::capture`].
    pub(crate) fn captured(&self, name: &str) -> Option<&[f32]> {
        self.ctx.captured(name)
    }

    /// The nodes that were computed, see [`Context::nodes`].
    pub(crate) fn nodes(&self) -> Vec<PlacedNode> {
        self.ctx.nodes()
    }

    /// Brings the whole prompt into the cache, reusing the beginning that is there already.
    /// Returns how many positions were reused.
    ///
    /// # Errors
    /// [`Error::ContextFull`] if it leaves no room for an answer, [`Error::Cancelled`], or what
    /// llama.cpp reports. The record stays true in each case.
    pub(crate) fn prefill(&mut self, slots: &[Slot], vectors: &Vectors) -> Result<usize> {
        if slots.is_empty() || slots.len() >= self.n_ctx() {
            return Err(Error::ContextFull { n_prompt: slots.len(), n_ctx: self.n_ctx() });
        }
        let entries = entries(slots, vectors)?;
        let common = entries.iter().zip(&self.cached).take_while(|(a, b)| a == b).count();
        // The last position is decoded again if need be: its predictions are wanted.
        let kept = common.min(entries.len() - 1);
        self.truncate(kept);
        while self.len() < entries.len() {
            self.decode_chunk(slots, &entries, vectors)?;
        }
        Ok(kept)
    }

    /// Decodes one generated token.
    pub(crate) fn push(&mut self, token: i32) -> Result<()> {
        self.batch.clear();
        self.logits_at = self.batch.add_token(token, self.len(), SEQ, true)?;
        self.decode_batch(&[Entry::Token(token)])
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.truncate(0);
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.ctx.truncate(SEQ, len);
        self.cached.truncate(len);
    }

    /// Decodes as many of the missing positions as one batch takes.
    fn decode_chunk(&mut self, slots: &[Slot], entries: &[Entry], v: &Vectors) -> Result<()> {
        self.batch.clear();
        let start = self.len();
        let mut pos = start;
        while pos < slots.len() && !self.batch.is_full() {
            let last = pos + 1 == slots.len();
            self.logits_at = self.add(slots[pos], v, pos, SEQ, last)?;
            pos += 1;
        }
        self.decode_batch(&entries[start..pos])
    }

    /// Adds a slot to the batch; returns its index there.
    pub(super) fn add(
        &mut self,
        slot: Slot,
        v: &Vectors,
        pos: usize,
        seq: i32,
        logits: bool,
    ) -> Result<usize> {
        let row = match slot {
            Slot::Token(id) => return Ok(self.batch.add_token(id, pos, seq, logits)?),
            Slot::Image(row) => vector(v.image, row, self.n_embd)?,
            Slot::Region(i) => vector(v.regions, i, self.n_embd)?,
        };
        Ok(self.batch.add_embd(row, pos, seq, logits)?)
    }

    fn decode_batch(&mut self, entries: &[Entry]) -> Result<()> {
        if let Err(e) = self.ctx.decode(&self.batch) {
            // Part of the batch may be in the cache.
            self.truncate(self.len());
            return Err(e.into());
        }
        self.cached.extend_from_slice(entries);
        Ok(())
    }
}

pub(super) fn entries(slots: &[Slot], v: &Vectors) -> Result<Vec<Entry>> {
    let entry = |slot: &Slot| match *slot {
        Slot::Token(id) => Ok(Entry::Token(id)),
        Slot::Image(row) => Ok(Entry::Image { id: v.image_id, row }),
        Slot::Region(i) => {
            let fractions = *v.boxes.get(i as usize).ok_or_else(|| dangling(i))?;
            Ok(Entry::Region { id: v.image_id, fractions })
        }
    };
    slots.iter().map(entry).collect()
}

fn vector(all: &[f32], i: u32, n_embd: usize) -> Result<&[f32]> {
    let start = i as usize * n_embd;
    all.get(start..start + n_embd).ok_or_else(|| dangling(i))
}

fn dangling(i: u32) -> Error {
    Error::internal(format!("the prompt refers to vector {i}, which was not computed"))
}
