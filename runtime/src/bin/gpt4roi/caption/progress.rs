//! What standard error says while a run lasts.

use gpt4roi::caption::Summary;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// A bar on a terminal, and the time.
pub(crate) struct Progress {
    bar: ProgressBar,
    begun: Instant,
    n_answers: usize,
}

impl Progress {
    /// Begins to show a run over so many images, if that is known.
    pub(crate) fn begin(n_images: Option<usize>) -> anyhow::Result<Progress> {
        let target = match std::io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let style = match n_images {
            Some(_) => "[{bar:30}] {pos}/{len} images, {per_sec}, {eta} left {wide_msg}",
            None => "{spinner} {pos} images, {per_sec} {wide_msg}",
        };
        let style = ProgressStyle::with_template(style)?.progress_chars("=> ");
        let bar =
            ProgressBar::with_draw_target(n_images.map(|n| n as u64), target).with_style(style);
        bar.enable_steady_tick(Duration::from_millis(500));
        Ok(Progress { bar, begun: Instant::now(), n_answers: 0 })
    }

    /// Another image was done by an earlier run: no measure of how fast this one is.
    pub(crate) fn skipped(&self) {
        self.bar.inc(1);
        self.bar.reset_eta();
    }

    pub(crate) fn image(&self) {
        self.bar.inc(1);
    }

    pub(crate) fn answer(&mut self, image: &str) {
        self.n_answers += 1;
        let rate = self.n_answers as f64 / self.begun.elapsed().as_secs_f64();
        self.bar.set_message(format!("{} answers, {rate:.1}/s, {image}", self.n_answers));
    }

    /// A line that stays.
    pub(crate) fn say(&self, line: &str) {
        self.bar.suspend(|| eprintln!("gpt4roi: {line}"));
    }

    /// The last line of a run.
    pub(crate) fn summary(&self, s: &Summary) -> String {
        let seconds = self.begun.elapsed().as_secs_f64();
        let rate = |n: usize| n as f64 / seconds;
        format!(
            "{} images, {} regions, {} answers, {} errors, {} images skipped (done before) in \
             {seconds:.1} s: {:.1} answers/s, {:.1} tokens/s",
            s.images,
            s.regions,
            s.answers,
            s.errors,
            s.skipped,
            rate(s.answers),
            rate(s.tokens)
        )
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // Nothing must follow half a bar.
        self.bar.finish_and_clear();
    }
}
