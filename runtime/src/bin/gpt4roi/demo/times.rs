//! Where the demo's time went.

use gpt4roi::{Answer, Stage};
use serde::Serialize;
use std::time::{Duration, Instant};

/// Time of everything that the demo does; the stages' times are sums over all answers.
pub(crate) struct Times {
    begun: Instant,
    /// Names and times in order.
    rows: Vec<(&'static str, Duration)>,
    total: Duration,
}

impl Times {
    pub(crate) fn begin() -> Times {
        Times { begun: Instant::now(), rows: Vec::new(), total: Duration::ZERO }
    }

    /// Runs `f` and books its time.
    pub(crate) fn time<R>(&mut self, name: &'static str, f: impl FnOnce() -> R) -> R {
        let start = Instant::now();
        let result = f();
        self.rows.push((name, start.elapsed()));
        result
    }

    /// Books the stages of all answers.
    pub(crate) fn stages<'a>(&mut self, answers: impl Iterator<Item = &'a Answer> + Clone) {
        for stage in Stage::ALL {
            let sum = answers.clone().map(|a| a.timings_ms.get(stage)).sum();
            self.rows.push((stage.name(), sum));
        }
    }

    /// Time since the beginning.
    pub(crate) fn so_far(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Ends the measurement.
    pub(crate) fn end(&mut self) {
        self.total = self.so_far();
    }

    /// The table, a line a row.
    pub(crate) fn table(&self) -> String {
        let total = [("total", self.total)];
        let rows = self.rows.iter().chain(&total);
        rows.map(|(name, d)| format!("{name:<12}{:>10.1} ms\n", d.as_secs_f64() * 1e3)).collect()
    }
}

impl Serialize for Times {
    /// A map from names to milliseconds.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let total = [("total", self.total)];
        let ms = |d: Duration| (d.as_secs_f64() * 1e6).round() / 1e3;
        serializer.collect_map(self.rows.iter().chain(&total).map(|(name, d)| (name, ms(*d))))
    }
}
