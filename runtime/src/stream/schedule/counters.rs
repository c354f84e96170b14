//! How many of everything.

use serde::Serialize;

use super::Reason;

/// What has happened so far. Of detections, `answered`, `repeated`, `dropped` and `waiting` together are all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Frames that came with detections, or without.
    pub frames: u64,
    /// Frames that the model has looked at.
    pub frames_seen: u64,
    /// Frames that gave way to newer ones, or to the deadline, before.
    pub frames_dropped: u64,
    /// Detections.
    pub detections: u64,
    /// Those that were answered.
    pub answered: u64,
    /// Those whose last answer was repeated.
    pub repeated: u64,
    /// Those that were dropped.
    pub dropped: Drops,
    /// Those that wait, or are being answered.
    pub waiting: u64,
    /// Tokens of all answers, also of those that came to nothing.
    pub tokens: u64,
    /// Tracks that are remembered.
    pub tracks: u64,
}

/// Detections that were dropped, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "each is explained at `Reason`")]
pub struct Drops {
    pub low_score: u64,
    pub label: u64,
    pub duplicate: u64,
    pub over_cap: u64,
    pub over_budget: u64,
    pub superseded: u64,
    pub deadline: u64,
    pub no_picture: u64,
    pub refused: u64,
    pub failed: u64,
    pub stopped: u64,
}

impl Drops {
    /// The counter of a reason.
    pub(super) fn of(&mut self, reason: Reason) -> &mut u64 {
        match reason {
            Reason::LowScore => &mut self.low_score,
            Reason::Label => &mut self.label,
            Reason::Duplicate => &mut self.duplicate,
            Reason::OverCap => &mut self.over_cap,
            Reason::OverBudget => &mut self.over_budget,
            Reason::Superseded => &mut self.superseded,
            Reason::Deadline => &mut self.deadline,
            Reason::NoPicture => &mut self.no_picture,
            Reason::Refused => &mut self.refused,
            Reason::Failed => &mut self.failed,
            Reason::Stopped => &mut self.stopped,
        }
    }

    /// All of them together.
    pub fn total(&self) -> u64 {
        let Drops { low_score, label, duplicate, over_cap, over_budget, superseded, .. } = self;
        let Drops { deadline, no_picture, refused, failed, stopped, .. } = self;
        let before = low_score + label + duplicate + over_cap + over_budget + superseded;
        before + deadline + no_picture + refused + failed + stopped
    }
}
