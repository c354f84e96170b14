//! A progress bar on a terminal, and Ctrl-C.

use anyhow::Context;
use gpt4roi_convert::Observer;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Shows how far the work is, and stops it on Ctrl-C.
pub struct Progress {
    bar: ProgressBar,
    cancelled: Arc<AtomicBool>,
}

impl Progress {
    /// Begins to show `total` bytes of work; made once in a process.
    pub fn new(what: &'static str, total: u64) -> anyhow::Result<Progress> {
        let cancelled = Arc::new(AtomicBool::new(false));
        let flag = cancelled.clone();
        ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed))
            .context("cannot listen for Ctrl-C")?;
        let target = if std::io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let style = "{prefix} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta} {wide_msg}";
        let style = ProgressStyle::with_template(style)?.progress_chars("=> ");
        let bar = ProgressBar::with_draw_target(Some(total), target);
        Ok(Progress { bar: bar.with_style(style).with_prefix(what), cancelled })
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // An error message must not follow half a bar.
        self.bar.finish_and_clear();
    }
}

impl Observer for Progress {
    fn advance(&self, name: &str, bytes: u64) {
        self.bar.set_message(name.to_owned());
        self.bar.inc(bytes);
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}
