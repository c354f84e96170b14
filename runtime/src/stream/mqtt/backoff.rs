//! How long to wait before the next try.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// Twice as long after each try that came to nothing, and a little by chance, so that many clients of a broker that comes
/// back do not come all at once.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(super) fn new() -> Backoff {
        Backoff { next: SHORTEST }
    }

    /// The time to wait after a connection that lasted so long.
    pub(super) fn after(&mut self, lasted: Duration) -> Duration {
        self.after_with(lasted, chance())
    }

    fn after_with(&mut self, lasted: Duration, chance: f64) -> Duration {
        // One that is accepted and thrown out at once again has come to nothing.
        if lasted > LONGEST {
            self.next = SHORTEST;
        }
        let wait = self.next.mul_f64(0.5 + 0.5 * chance);
        self.next = (self.next * 2).min(LONGEST);
        wait
    }
}

/// A number from 0 to 1.
fn chance() -> f64 {
    f64::from(random() as u32) / f64::from(u32::MAX)
}

/// Bits that differ from process to process, and from call to call.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_a_limit_and_begins_again() {
        let mut backoff = Backoff::new();
        let waits: Vec<f64> =
            (0..8).map(|_| backoff.after_with(Duration::ZERO, 1.0).as_secs_f64()).collect();
        assert_eq!(waits, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]);
        assert_eq!(backoff.after_with(Duration::from_secs(60), 0.0), SHORTEST / 2);
    }

    #[test]
    fn chance_differs_and_is_bounded() {
        let all: Vec<f64> = (0..20).map(|_| chance()).collect();
        assert!(all.iter().all(|c| (0.0..=1.0).contains(c)), "{all:?}");
        assert!(all.iter().any(|c| *c != all[0]), "{all:?}");
    }
}
