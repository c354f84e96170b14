//! Hooks for measuring where the time of a run goes.

/// What a thread of a run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Transforms the input of a block of tiles.
    Input,
    /// Transforms the weights of a group of output channels.
    Weights,
    /// Multiplies.
    Multiply,
    /// Transforms the output, and writes it.
    Output,
    /// Sums up the statistics.
    Moments,
    /// Waits for other threads, or has finished.
    Wait,
}

/// Told by a thread what it begins to do.
pub trait Probe {
    /// `phase` begins, and what was before ends.
    fn enter(&mut self, phase: Phase);
}

/// Listens to nothing.
impl Probe for () {
    #[inline(always)]
    fn enter(&mut self, _phase: Phase) {}
}
