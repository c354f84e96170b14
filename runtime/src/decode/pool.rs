//! Several questions at once.
//!
//! What all prompts begin with is decoded once and belongs to every question's sequence. From then on each step is
//! one batch: the next token of every answer on its way, and as much as fits of the prompts of those that join. An
//! answer that is complete makes room for the next question at once.
//!
//! Room is given without reserve for answers to come. When it runs out, the question that joined last leaves and waits in
//! front: what it has written stays written, and is decoded again, with the rest of its prompt, when there is room.

use super::session::{SEQ, entries};
use super::{Generated, Session, Vectors, Writer};
use crate::decode::FinishReason;
use crate::error::{Error, Result};
use crate::prompt::Slot;
use std::collections::VecDeque;

/// A question of several.
pub(crate) struct Task<'a> {
    pub(crate) slots: &'a [Slot],
    pub(crate) vectors: Vectors<'a>,
    pub(crate) writer: Writer<'a>,
}

/// What a batch was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Prompts only.
    Prefill,
    /// Answers, and perhaps prompts.
    Decode,
}

/// Who hears of the work.
pub(crate) trait Listener {
    /// All prompts begin with so many positions that are the same.
    fn shared(&mut self, n: usize);
    /// More text of a task's answer.
    fn text(&mut self, task: usize, text: &str);
    /// A task's answer is complete, or cannot be.
    fn done(&mut self, task: usize, result: Result<Generated>);
    /// Runs a batch, to time it.
    fn step<R>(&mut self, step: Step, run: impl FnOnce() -> R) -> R;
}

/// Answers all tasks, and tells `listener`.
///
/// # Errors
/// What stopped the work before all tasks were done; those that were are known to the listener.
pub(crate) fn generate_many(
    session: &mut Session,
    tasks: Vec<Task>,
    listener: &mut impl Listener,
) -> Result<()> {
    let n_prefix = listener.step(Step::Prefill, || share_prefix(session, &tasks))?;
    listener.shared(n_prefix);
    let tasks: Vec<_> = tasks.into_iter().map(Some).collect();
    let waiting = (0..tasks.len()).collect();
    let free = (1..session.ctx.n_seq_max() as i32).rev().collect();
    let mut pool = Pool { session, tasks, n_prefix, waiting, live: Vec::new(), free };
    let result = pool.run(listener);
    pool.leave_all();
    result
}

/// Brings what all prompts begin with into the cache; returns its length.
fn share_prefix(session: &mut Session, tasks: &[Task]) -> Result<usize> {
    let Some(first) = tasks.first() else {
        return Ok(0);
    };
    let start = entries(first.slots, &first.vectors)?;
    // The last position of every prompt is its own: its predictions are wanted.
    let mut common = start.len().saturating_sub(1);
    for task in &tasks[1..] {
        let other = entries(task.slots, &task.vectors)?;
        let same = start.iter().zip(&other).take_while(|(a, b)| a == b).count();
        common = common.min(same).min(other.len().saturating_sub(1));
    }
    if common > 0 {
        session.prefill(&first.slots[..common], &first.vectors)?;
    }
    session.truncate(common);
    Ok(common)
}

struct Pool<'s, 'a> {
    session: &'s mut Session,
    /// Those that are not done.
    tasks: Vec<Option<Task<'a>>>,
    n_prefix: usize,
    waiting: VecDeque<usize>,
    /// In the order in which they joined.
    live: Vec<Live>,
    /// Sequences that nobody has.
    free: Vec<i32>,
}

/// A task that has a sequence.
struct Live {
    task: usize,
    seq: i32,
    /// Positions in the cache, behind the common ones.
    len: usize,
    /// Where the batch holds its last position.
    logits_at: Option<usize>,
}

impl Pool<'_, '_> {
    fn run(&mut self, listener: &mut impl Listener) -> Result<()> {
        while !(self.waiting.is_empty() && self.live.is_empty()) {
            self.make_room(listener);
            self.admit(listener);
            if self.live.is_empty() {
                continue;
            }
            let step = self.fill_batch()?;
            let Session { ctx, batch, .. } = &mut *self.session;
            listener.step(step, || ctx.decode(batch))?;
            self.read_predictions(listener);
        }
        Ok(())
    }

    /// Positions of a task that its sequence must hold before its next token can be predicted, behind the
    /// common ones.
    fn wanted(&self, task: usize) -> usize {
        let of = |t: &Task| t.slots.len() - self.n_prefix + t.writer.tokens().len();
        self.tasks[task].as_ref().map_or(0, of)
    }

    /// Positions of the cache that nobody will have after the next step.
    fn room(&self) -> isize {
        let wanted: usize = self.live.iter().map(|l| self.wanted(l.task)).sum();
        self.session.n_ctx() as isize - (self.n_prefix + wanted) as isize
    }

    /// Sends those away that joined last until the next step fits. One that is alone and does not fit has filled
    /// the context.
    fn make_room(&mut self, listener: &mut impl Listener) {
        while self.room() < 0 {
            let Some(last) = self.live.pop() else {
                return;
            };
            self.leave(&last);
            match self.live.is_empty() {
                true => self.finish(last.task, FinishReason::ContextFull, listener),
                false => self.waiting.push_front(last.task),
            }
        }
    }

    /// Lets those join that wait, as long as there are sequences and room.
    fn admit(&mut self, listener: &mut impl Listener) {
        while let (Some(&task), Some(&seq)) = (self.waiting.front(), self.free.last()) {
            // A token for each of the others: whoever joins should not have to leave at once.
            let wanted = self.wanted(task) + self.live.len();
            let fits = self.room() >= wanted as isize;
            if !fits && !self.live.is_empty() {
                return;
            }
            self.waiting.pop_front();
            if !fits {
                self.finish(task, FinishReason::ContextFull, listener);
                continue;
            }
            self.free.pop();
            self.session.ctx.share(SEQ, seq, self.n_prefix);
            self.live.push(Live { task, seq, len: 0, logits_at: None });
        }
    }

    /// Fills the batch with what is wanted, tokens of answers before prompts.
    fn fill_batch(&mut self) -> Result<Step> {
        self.session.batch.clear();
        let mut order: Vec<usize> = (0..self.live.len()).collect();
        order.sort_by_key(|&i| self.missing(i));
        let step = match order.first().map(|&i| self.missing(i)) {
            Some(1) => Step::Decode,
            _ => Step::Prefill,
        };
        for i in order {
            self.live[i].logits_at = None;
            while self.missing(i) > 0 && !self.session.batch.is_full() {
                self.add_next(i)?;
            }
        }
        Ok(step)
    }

    /// Positions that live task `i` lacks.
    fn missing(&self, i: usize) -> usize {
        self.wanted(self.live[i].task) - self.live[i].len
    }

    /// Adds the next position of live task `i` to the batch.
    fn add_next(&mut self, i: usize) -> Result<()> {
        let last = self.missing(i) == 1;
        let live = &mut self.live[i];
        let task = self.tasks[live.task].as_ref();
        let task = task.ok_or_else(|| Error::internal("a task that is done has a sequence"))?;
        let pos = self.n_prefix + live.len;
        let slot = match task.slots.get(pos) {
            Some(&slot) => slot,
            None => Slot::Token(task.writer.tokens()[pos - task.slots.len()]),
        };
        let index = self.session.add(slot, &task.vectors, pos, live.seq, last)?;
        live.len += 1;
        live.logits_at = last.then_some(index);
        Ok(())
    }

    /// Lets every task whose prompt is complete choose its next token.
    fn read_predictions(&mut self, listener: &mut impl Listener) {
        for live in std::mem::take(&mut self.live) {
            let (task, Some(at)) = (live.task, live.logits_at) else {
                self.live.push(live);
                continue;
            };
            let written = match (&mut self.tasks[task], self.session.ctx.logits(at)) {
                (Some(t), Some(logits)) => {
                    t.writer.write(logits, &mut |text| listener.text(task, text))
                }
                _ => Err(Error::internal("no predictions after a decode")),
            };
            match written {
                Ok(None) => self.live.push(live),
                Ok(Some(reason)) => {
                    self.leave(&live);
                    self.finish(task, reason, listener);
                }
                Err(e) => {
                    self.leave(&live);
                    self.tasks[task] = None;
                    listener.done(task, Err(e));
                }
            }
        }
    }

    fn finish(&mut self, task: usize, reason: FinishReason, listener: &mut impl Listener) {
        if let Some(t) = self.tasks[task].take() {
            let generated = t.writer.finish(reason, &mut |text| listener.text(task, text));
            listener.done(task, Ok(generated));
        }
    }

    /// Gives a sequence back.
    fn leave(&mut self, live: &Live) {
        self.session.ctx.truncate(live.seq, 0);
        self.free.push(live.seq);
    }

    /// Gives all sequences back.
    fn leave_all(&mut self) {
        for live in std::mem::take(&mut self.live) {
            self.leave(&live);
        }
    }
}
