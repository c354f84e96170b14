//! How a connection to a message broker goes.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// What a connection counts while the stream runs.
#[derive(Debug, Default)]
pub struct LinkCounters {
    pub(super) published: AtomicU64,
    pub(super) waiting: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) received: AtomicU64,
    pub(super) missed: AtomicU64,
    pub(super) connects: AtomicU64,
}

/// The counters of a connection, as [`Stats`](super::Stats) has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LinkStats {
    /// Lines that the broker has confirmed.
    #[serde(rename = "mqtt_published")]
    pub published: u64,
    /// Lines that wait for the broker.
    #[serde(rename = "mqtt_waiting")]
    pub waiting: u64,
    /// Lines that were dropped: too many waited, or the broker refused them.
    #[serde(rename = "mqtt_lost")]
    pub lost: u64,
    /// Messages that came.
    #[serde(rename = "mqtt_received")]
    pub received: u64,
    /// Messages that came and were dropped, because too many waited to be read.
    #[serde(rename = "mqtt_missed")]
    pub missed: u64,
    /// Times that the broker was reached.
    #[serde(rename = "mqtt_connects")]
    pub connects: u64,
}

impl LinkCounters {
    pub(super) fn stats(&self) -> LinkStats {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LinkStats {
            published: of(&self.published),
            waiting: of(&self.waiting),
            lost: of(&self.lost),
            received: of(&self.received),
            missed: of(&self.missed),
            connects: of(&self.connects),
        }
    }
}

/// Counts some more.
#[cfg(feature = "mqtt")]
pub(super) fn add(counter: &AtomicU64, n: usize) {
    counter.fetch_add(n as u64, Ordering::Relaxed);
}
