//! Where the threads of a run meet: a barrier on which they spin, then yield, and a counter to share work by.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Rounds of spinning, some ten microseconds, after which a waiting thread offers its core to
/// others: on a machine with fewer free cores than threads, the awaited one may need it.
const SPINS: usize = 1000;

/// Where the threads of a run, or of a team, meet. Aligned against false sharing.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Barrier {
    arrived: AtomicUsize,
    generation: AtomicUsize,
}

impl Barrier {
    /// Returns once `n` threads have called it; all of them pass the same `n`. What any of them
    /// wrote before is visible to all after: arrivals form one release sequence, which the last
    /// acquires, and the others acquire the generation that the last releases.
    pub(crate) fn wait(&self, n: usize) {
        if n == 1 {
            return;
        }
        // No later generation can begin before this thread arrives, so the value is the current.
        let generation = self.generation.load(Ordering::Relaxed);
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 == n {
            self.arrived.store(0, Ordering::Relaxed);
            self.generation.store(generation.wrapping_add(1), Ordering::Release);
            return;
        }
        let mut spins = 0;
        while self.generation.load(Ordering::Acquire) == generation {
            if spins < SPINS {
                spins += 1;
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
    }
}

/// A counter on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Counter(pub(crate) AtomicUsize);
