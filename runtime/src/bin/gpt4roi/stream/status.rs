//! One line on a terminal that says how it goes.

use gpt4roi::stream::Stats;
use std::io::{self, IsTerminal, Write};

/// Shows the counters where standard error is a terminal and standard output is not.
pub(super) struct Status {
    shown: bool,
    last: Option<Stats>,
}

impl Status {
    pub(super) fn new() -> Status {
        Status { shown: io::stderr().is_terminal() && !io::stdout().is_terminal(), last: None }
    }

    pub(super) fn show(&mut self, stats: &Stats) {
        if !self.shown || self.last.as_ref().is_some_and(|l| l.counters == stats.counters) {
            return;
        }
        self.last = Some(*stats);
        // A courtesy: a closed standard error must not stop the work.
        let _ = write!(io::stderr(), "\r\x1b[K{}", line(stats));
    }
}

fn line(stats: &Stats) -> String {
    let c = &stats.counters;
    format!(
        "{:.0} s: {} frames, {} seen, {} dropped; {} answers, {} repeated, {} dropped, {} waiting",
        stats.uptime,
        c.frames,
        c.frames_seen,
        c.frames_dropped,
        c.answered,
        c.repeated,
        c.dropped.total(),
        c.waiting
    )
}
