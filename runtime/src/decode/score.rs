//! How likely given continuations of a prompt are.
//!
//! The prompt is decoded once; each continuation is a sequence that shares it. A batch holds as many of their tokens as predictions
//! can be read of, and memory for them is what limits that.

use super::generate::log_softmax;
use super::session::SEQ;
use super::{Session, Vectors};
use crate::error::{Error, Result};
use crate::prompt::Slot;

/// The natural logarithm of each continuation's probability behind the prompt: the sum over its tokens.
///
/// # Errors
/// [`Error::ContextFull`] if the prompt and one of them do not fit, [`Error::Cancelled`], [`Error::Compute`].
pub(crate) fn score(
    session: &mut Session,
    slots: &[Slot],
    vectors: &Vectors,
    continuations: &[Vec<i32>],
) -> Result<Vec<f64>> {
    let longest = continuations.iter().map(|c| c.len().saturating_sub(1)).max().unwrap_or(0);
    if slots.len() + longest > session.n_ctx() {
        return Err(Error::ContextFull { n_prompt: slots.len() + longest, n_ctx: session.n_ctx() });
    }
    // Decodes the last position of a prompt that is there already by itself: the same question has the same
    // answer to the last bit, whatever was in the cache before.
    session.prefill(slots, vectors)?;
    let first = session.logits()?;
    let of_first = |c: &Vec<i32>| c.first().map_or(0.0, |&id| log_softmax(first, id as usize));
    let sums = continuations.iter().map(of_first).collect();
    let n_prefix = slots.len();
    let mut scorer = Scorer { session, n_prefix, sums, wanted: Vec::new(), seq: SEQ, n_used: 0 };
    let result = continuations.iter().enumerate().try_for_each(|(i, c)| scorer.add(i, c));
    let result = result.and_then(|()| scorer.decode());
    scorer.leave_all();
    result.map(|()| scorer.sums)
}

struct Scorer<'s> {
    session: &'s mut Session,
    n_prefix: usize,
    sums: Vec<f64>,
    wanted: Vec<Wanted>,
    /// The sequence that was taken last.
    seq: i32,
    /// Positions of all sequences behind the prompt.
    n_used: usize,
}

/// A token whose probability the batch will tell.
struct Wanted {
    continuation: usize,
    id: i32,
    /// Where the batch holds the token in front of it.
    at: usize,
}

impl Scorer<'_> {
    /// Adds a continuation to the batch, which is decoded whenever it is full.
    fn add(&mut self, continuation: usize, ids: &[i32]) -> Result<()> {
        let n = ids.len().saturating_sub(1);
        if n == 0 {
            return Ok(());
        }
        self.take_sequence(n)?;
        for (i, pair) in ids.windows(2).enumerate() {
            let n_outputs = self.session.ctx.n_outputs();
            if self.session.batch.is_full() || self.wanted.len() == n_outputs {
                self.decode()?;
            }
            let pos = self.n_prefix + i;
            let at = self.session.batch.add_token(pair[0], pos, self.seq, true)?;
            self.wanted.push(Wanted { continuation, id: pair[1], at });
        }
        Ok(())
    }

    /// Takes a sequence for `n` positions; the others end where there is no other or no room.
    fn take_sequence(&mut self, n: usize) -> Result<()> {
        let is_last = self.seq as usize + 1 == self.session.ctx.n_seq_max();
        if is_last || self.n_prefix + self.n_used + n > self.session.n_ctx() {
            self.decode()?;
            self.leave_all();
        }
        if self.wanted.is_empty() {
            self.session.batch.clear();
        }
        self.seq += 1;
        self.n_used += n;
        self.session.ctx.share(SEQ, self.seq, self.n_prefix);
        Ok(())
    }

    fn decode(&mut self) -> Result<()> {
        if self.wanted.is_empty() {
            return Ok(());
        }
        self.session.ctx.decode(&self.session.batch)?;
        for wanted in self.wanted.drain(..) {
            let logits = self.session.ctx.logits(wanted.at);
            let logits = logits.ok_or_else(|| Error::internal("no predictions after a decode"))?;
            self.sums[wanted.continuation] += log_softmax(logits, wanted.id as usize);
        }
        self.session.batch.clear();
        Ok(())
    }

    fn leave_all(&mut self) {
        for seq in SEQ + 1..=self.seq {
            self.session.ctx.truncate(seq, 0);
        }
        (self.seq, self.n_used) = (SEQ, 0);
    }
}
