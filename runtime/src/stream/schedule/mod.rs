//! Which detections are described, which are known already, and which are left out.
//!
//! A [`Scheduler`] does nothing itself: it is told what arrives and what became of it, with the time, and says what to do next.
//! Every detection that arrives is settled exactly once.

mod counters;
mod policy;
#[cfg(test)]
mod tests;
mod tracks;

pub use counters::{Counters, Drops};
pub use policy::{Order, Policy};
pub use tracks::{MAX_TRACKS, Said};

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use half::f16;
use policy::{Budget, overlap};
use serde::Serialize;
use tracks::{Key, Tracks, distance};

use super::{Detection, Detections, FrameRef, Settings};
use crate::Answer;

/// Most frames that wait, of all cameras together.
const MAX_WAITING: usize = 256;

/// Why a detection is described.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Nothing was said about its track yet, or nothing about this question.
    New,
    /// It moved, grew or looks different.
    Changed,
    /// What was said is old.
    Refresh,
}

/// Why a detection is not described.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Its score is too low.
    LowScore,
    /// Its label is none of those that are described.
    Label,
    /// Another detection of the frame has the same track.
    Duplicate,
    /// The frame has enough others that come first.
    OverCap,
    /// The tokens of this second are spent.
    OverBudget,
    /// A newer frame came.
    Superseded,
    /// It took too long.
    Deadline,
    /// Its frame cannot be had, or cannot be decoded.
    NoPicture,
    /// Its box or question cannot be used.
    Refused,
    /// The model failed.
    #[default]
    Failed,
    /// The stream ended.
    Stopped,
}

/// A frame that arrived.
#[derive(Debug, PartialEq)]
pub struct Frame {
    /// What the detector said of it; its picture is elsewhere.
    pub about: FrameRef,
    /// When it arrived.
    pub arrived: Duration,
    /// When its answers come too late.
    pub deadline: Option<Duration>,
}

/// A detection that is done with.
#[derive(Clone, Debug)]
pub struct Settled {
    /// Its frame.
    pub frame: Arc<Frame>,
    /// What it is.
    pub detection: Detection,
    /// What became of it.
    pub fate: Fate,
    /// When.
    pub at: Duration,
}

/// What became of a detection.
#[derive(Clone, Debug)]
pub enum Fate {
    /// It was described.
    Answered {
        /// Why.
        why: Why,
        /// What was answered.
        answer: Box<Answer>,
    },
    /// It is known.
    Repeated(Arc<Said>),
    /// It was left out.
    Dropped {
        /// Why.
        reason: Reason,
        /// What went wrong, in words, if something did.
        error: Option<String>,
        /// What was written until then.
        partial: String,
    },
}

/// A frame to look at.
#[derive(Debug)]
pub struct Job<P> {
    /// The frame.
    pub frame: Arc<Frame>,
    /// Its picture.
    pub picture: P,
    /// What to ask, first what matters most.
    pub asked: Vec<Asked>,
    /// What else is in it.
    pub known: Vec<Known>,
}

/// A detection to ask about.
#[derive(Debug)]
pub struct Asked {
    /// The detection.
    pub detection: Detection,
    /// Why.
    pub why: Why,
    /// The question.
    pub question: String,
    key: Key,
    embedding: Vec<f16>,
}

/// A detection that need not be asked about, unless it looks different.
#[derive(Debug)]
pub struct Known {
    /// The detection.
    pub detection: Detection,
    said: Arc<Said>,
    key: Key,
}

impl<P> Job<P> {
    /// All of its detections: those asked about, then the others.
    pub fn detections(&self) -> impl Iterator<Item = &Detection> {
        let known = self.known.iter().map(|k| &k.detection);
        self.asked.iter().map(|a| &a.detection).chain(known)
    }
}

/// A frame that waits.
struct Waiting<P> {
    frame: Arc<Frame>,
    picture: P,
    items: Vec<(Detection, Key)>,
}

/// Decides. `P` is what a picture is found by.
pub struct Scheduler<P> {
    policy: Policy,
    tracks: Tracks,
    waiting: VecDeque<Waiting<P>>,
    budget: Option<Budget>,
    counters: Counters,
    /// Tokens of an answer, on average.
    mean_tokens: f64,
}

impl<P> Scheduler<P> {
    /// A scheduler that knows nobody.
    pub fn new(policy: Policy) -> Scheduler<P> {
        Scheduler {
            policy,
            tracks: Tracks::default(),
            waiting: VecDeque::new(),
            budget: None,
            counters: Counters::default(),
            mean_tokens: 16.0,
        }
    }

    /// Changes what is worth describing.
    pub fn apply(&mut self, settings: Settings) {
        self.policy.apply(settings);
        if self.policy.tokens_per_second.is_none() {
            self.budget = None;
        }
    }

    /// Forgets what was said about everybody.
    pub fn forget(&mut self) {
        self.tracks.forget();
    }

    /// Counts so far.
    pub fn counters(&self) -> Counters {
        let waiting = self.counters.detections
            - self.counters.answered
            - self.counters.repeated
            - self.counters.dropped.total();
        Counters { waiting, tracks: self.tracks.len() as u64, ..self.counters }
    }

    /// Whether a frame of this camera would push another one out.
    pub fn is_full(&self, camera: &str) -> bool {
        let n = self.waiting.iter().filter(|w| w.frame.about.camera == camera).count();
        n >= self.policy.queue.max(1) || self.waiting.len() >= MAX_WAITING
    }

    /// Takes a frame. Gives what is settled by it.
    pub fn arrive(&mut self, detections: Detections, picture: P, now: Duration) -> Vec<Settled> {
        let Detections { frame, items } = detections;
        self.counters.frames += 1;
        self.counters.detections += items.len() as u64;
        let deadline = self.policy.deadline.map(|d| now + d);
        let frame = Arc::new(Frame { about: frame, arrived: now, deadline });
        let mut settled = Vec::new();
        let wanted = self.filter(&frame, items, now, &mut settled);
        let detections: Vec<&Detection> = wanted.iter().collect();
        let keys = self.tracks.recognise(&frame.about.camera, &detections, now);
        let mut recognised = Vec::new();
        for (detection, key) in wanted.into_iter().zip(keys) {
            match key {
                Some(key) => recognised.push((detection, key)),
                None => settled.push(self.drop(&frame, detection, Reason::Duplicate, now)),
            }
        }
        let news = recognised.iter().any(|(d, key)| self.why(d, key, now).is_err());
        let frame = Waiting { frame, picture, items: recognised };
        if news || (self.policy.every_frame && !frame.items.is_empty()) {
            self.enqueue(frame, now, &mut settled);
        } else {
            self.give_up(frame, Reason::Superseded, now, &mut settled);
        }
        settled
    }

    /// Settles a frame that comes when nothing more is described.
    pub fn turn_away(&mut self, detections: Detections, now: Duration) -> Vec<Settled> {
        let Detections { frame, items } = detections;
        self.counters.frames += 1;
        self.counters.frames_dropped += 1;
        self.counters.detections += items.len() as u64;
        let frame = Arc::new(Frame { about: frame, arrived: now, deadline: None });
        items.into_iter().map(|d| self.drop(&frame, d, Reason::Stopped, now)).collect()
    }

    fn filter(
        &mut self,
        frame: &Arc<Frame>,
        items: Vec<Detection>,
        now: Duration,
        settled: &mut Vec<Settled>,
    ) -> Vec<Detection> {
        let mut wanted = Vec::new();
        for detection in items {
            let reason = if detection.score.is_some_and(|s| s < self.policy.min_score) {
                Reason::LowScore
            } else if !self.policy.wants(detection.label.as_deref()) {
                Reason::Label
            } else {
                wanted.push(detection);
                continue;
            };
            settled.push(self.drop(frame, detection, reason, now));
        }
        wanted
    }

    /// What was said about a detection, or why it should be described.
    fn why(&self, detection: &Detection, key: &Key, now: Duration) -> Result<&Arc<Said>, Why> {
        let said = self.tracks.said(key).ok_or(Why::New)?;
        if said.question != self.policy.question_for(detection) {
            return Err(Why::New);
        }
        if overlap(&said.shape, &detection.shape) < self.policy.min_overlap {
            return Err(Why::Changed);
        }
        match self.policy.refresh {
            Some(age) if now.saturating_sub(said.seen) >= age => Err(Why::Refresh),
            _ => Ok(said),
        }
    }

    /// Lets a frame wait; the oldest of its camera goes if there are too many. Detections that come one by one join those of
    /// the same frame.
    fn enqueue(&mut self, frame: Waiting<P>, now: Duration, settled: &mut Vec<Settled>) {
        let same = |w: &&mut Waiting<P>| w.frame.about.is_same(&frame.frame.about);
        if let Some(waiting) = self.waiting.iter_mut().find(same) {
            let is_there = |key: &Key| waiting.items.iter().any(|(_, k)| k == key);
            let (again, new) = frame.items.into_iter().partition(|(_, key)| is_there(key));
            waiting.items.extend::<Vec<_>>(new);
            let again: Vec<(Detection, Key)> = again;
            for (detection, _) in again {
                settled.push(self.drop(&frame.frame, detection, Reason::Duplicate, now));
            }
            return;
        }
        if self.is_full(&frame.frame.about.camera) {
            let same = |w: &Waiting<P>| w.frame.about.camera == frame.frame.about.camera;
            let oldest = self.waiting.iter().position(same).unwrap_or(0);
            if let Some(old) = self.waiting.remove(oldest) {
                self.counters.frames_dropped += 1;
                self.give_up(old, Reason::Superseded, now, settled);
            }
        }
        self.waiting.push_back(frame);
    }

    /// Settles all detections of a frame that the model will not look at.
    fn give_up(
        &mut self,
        frame: Waiting<P>,
        reason: Reason,
        now: Duration,
        settled: &mut Vec<Settled>,
    ) {
        let Waiting { frame, items, .. } = frame;
        for (detection, key) in items {
            settled.push(match self.why(&detection, &key, now).cloned() {
                Ok(said) => self.repeat(&frame, detection, said, now),
                Err(_) => self.drop(&frame, detection, reason, now),
            });
        }
    }

    /// The next frame to look at: of the camera that has waited longest.
    pub fn next(&mut self, now: Duration) -> (Vec<Settled>, Option<Job<P>>) {
        let mut settled = Vec::new();
        while let Some(next) = self.waiting.pop_front() {
            if next.frame.deadline.is_some_and(|d| d <= now) {
                self.counters.frames_dropped += 1;
                self.give_up(next, Reason::Deadline, now, &mut settled);
                continue;
            }
            let mut job = self.plan(next, now, &mut settled);
            if !job.asked.is_empty() || self.policy.every_frame {
                self.counters.frames_seen += 1;
                return (settled, Some(job));
            }
            settled.extend(self.repeat_known(&mut job, now));
        }
        (settled, None)
    }

    /// The frame that is next, as it is now, with what is in it.
    pub fn upcoming(&self) -> Option<(Arc<Frame>, P, Vec<Detection>)>
    where
        P: Clone,
    {
        let next = self.waiting.front()?;
        let detections = next.items.iter().map(|(d, _)| d.clone()).collect();
        Some((next.frame.clone(), next.picture.clone(), detections))
    }

    /// Sorts a frame's detections into those to ask about and the others.
    fn plan(&mut self, next: Waiting<P>, now: Duration, settled: &mut Vec<Settled>) -> Job<P> {
        let Waiting { frame, picture, items } = next;
        let (mut asked, mut known) = (Vec::new(), Vec::new());
        for (detection, key) in items {
            match self.why(&detection, &key, now).cloned() {
                Ok(said) => known.push(Known { detection, said, key }),
                Err(why) => {
                    let question = self.policy.question_for(&detection).to_owned();
                    asked.push(Asked { detection, why, question, key, embedding: Vec::new() });
                }
            }
        }
        let policy = &self.policy;
        asked.sort_by(|a, b| policy.compare((&a.detection, a.why), (&b.detection, b.why)));
        let mut job = Job { frame, picture, asked, known };
        self.limit(&mut job, now, settled);
        job
    }

    /// Leaves out what is too much for one frame, or for the tokens that are left.
    fn limit(&mut self, job: &mut Job<P>, now: Duration, settled: &mut Vec<Settled>) {
        let affordable = self.affordable(now);
        let most = affordable.min(self.policy.max_regions);
        let reason = match affordable < self.policy.max_regions {
            true => Reason::OverBudget,
            false => Reason::OverCap,
        };
        let surplus = job.asked.split_off(most.min(job.asked.len()));
        for asked in surplus {
            settled.push(self.drop(&job.frame, asked.detection, reason, now));
        }
    }

    fn affordable(&mut self, now: Duration) -> usize {
        let Some(rate) = self.policy.tokens_per_second else {
            return usize::MAX;
        };
        let budget = self.budget.get_or_insert_with(|| Budget::new(rate, now));
        budget.affords(rate, self.mean_tokens, now)
    }

    /// Is told the embeddings of all of a job's detections, in the order of [`Job::detections`]; those that look different from
    /// when they were described are asked about again. Gives those for whom there is no room.
    pub fn compare(
        &mut self,
        job: &mut Job<P>,
        embeddings: &[Vec<f32>],
        now: Duration,
    ) -> Vec<Settled> {
        let half = |v: &[f32]| v.iter().map(|&x| f16::from_f32(x)).collect::<Vec<_>>();
        let (asked, known) = embeddings.split_at(job.asked.len().min(embeddings.len()));
        for (asked, embedding) in job.asked.iter_mut().zip(asked) {
            asked.embedding = half(embedding);
        }
        let Some(most) = self.policy.max_distance else {
            return Vec::new();
        };
        let mut still_known = Vec::new();
        for (k, embedding) in std::mem::take(&mut job.known).into_iter().zip(known) {
            let known_look = !k.said.embedding.is_empty();
            if !known_look || distance(embedding, &k.said.embedding) <= most {
                still_known.push(k);
                continue;
            }
            let question = self.policy.question_for(&k.detection).to_owned();
            let Known { detection, key, .. } = k;
            let (why, embedding) = (Why::Changed, half(embedding));
            job.asked.push(Asked { detection, why, question, key, embedding });
        }
        job.known = still_known;
        let mut settled = Vec::new();
        self.limit(job, now, &mut settled);
        settled
    }

    /// Settles those of a job that are known.
    pub fn repeat_known(&mut self, job: &mut Job<P>, now: Duration) -> Vec<Settled> {
        let known = std::mem::take(&mut job.known);
        known.into_iter().map(|k| self.repeat(&job.frame, k.detection, k.said, now)).collect()
    }

    /// A detection was described.
    pub fn answered(
        &mut self,
        frame: &Arc<Frame>,
        asked: Asked,
        answer: Answer,
        now: Duration,
    ) -> Settled {
        let Asked { detection, why, question, key, embedding } = asked;
        self.pay(answer.n_generated);
        self.mean_tokens += (answer.n_generated as f64 - self.mean_tokens) / 8.0;
        self.counters.answered += 1;
        let said = Said {
            question,
            answer: answer.text.clone(),
            logprob: answer.logprob,
            seen: frame.arrived,
            shape: detection.shape,
            embedding,
        };
        self.tracks.remember(&key, Arc::new(said));
        let fate = Fate::Answered { why, answer: Box::new(answer) };
        Settled { frame: frame.clone(), detection, fate, at: now }
    }

    /// A detection could not be described; `tokens` were written for it.
    pub fn failed(
        &mut self,
        frame: &Arc<Frame>,
        detection: Detection,
        failure: Failure,
        now: Duration,
    ) -> Settled {
        let Failure { reason, error, partial, tokens } = failure;
        self.pay(tokens);
        let settled = self.drop(frame, detection, reason, now);
        Settled { fate: Fate::Dropped { reason, error, partial }, ..settled }
    }

    fn pay(&mut self, tokens: usize) {
        self.counters.tokens += tokens as u64;
        if let Some(budget) = &mut self.budget {
            budget.pay(tokens);
        }
    }

    /// Settles all that wait.
    pub fn stop(&mut self, now: Duration) -> Vec<Settled> {
        let mut settled = Vec::new();
        while let Some(frame) = self.waiting.pop_front() {
            self.counters.frames_dropped += 1;
            self.give_up(frame, Reason::Stopped, now, &mut settled);
        }
        settled
    }

    fn repeat(
        &mut self,
        frame: &Arc<Frame>,
        detection: Detection,
        said: Arc<Said>,
        now: Duration,
    ) -> Settled {
        self.counters.repeated += 1;
        Settled { frame: frame.clone(), detection, fate: Fate::Repeated(said), at: now }
    }

    fn drop(
        &mut self,
        frame: &Arc<Frame>,
        detection: Detection,
        reason: Reason,
        now: Duration,
    ) -> Settled {
        *self.counters.dropped.of(reason) += 1;
        let fate = Fate::Dropped { reason, error: None, partial: String::new() };
        Settled { frame: frame.clone(), detection, fate, at: now }
    }
}

/// Why a detection could not be described.
#[derive(Clone, Debug, Default)]
pub struct Failure {
    /// Why.
    pub reason: Reason,
    /// In words.
    pub error: Option<String>,
    /// What was written until then.
    pub partial: String,
    /// Its tokens.
    pub tokens: usize,
}
