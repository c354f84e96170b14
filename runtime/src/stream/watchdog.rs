//! Cancels work that takes too long.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use crate::CancelToken;

/// A thread that cancels at a time that can be changed.
pub(super) struct Watchdog {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    cancel: CancelToken,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    barked: AtomicBool,
}

#[derive(Default)]
struct State {
    at: Option<Instant>,
    ended: bool,
}

impl Watchdog {
    pub(super) fn new(cancel: CancelToken) -> Watchdog {
        let shared: Arc<Shared> = Arc::default();
        let (theirs, token) = (shared.clone(), cancel.clone());
        let thread = Some(std::thread::spawn(move || theirs.watch(&token)));
        Watchdog { shared, thread, cancel }
    }

    /// Cancels at that time, if it is not set anew before.
    pub(super) fn set(&self, at: Option<Instant>) {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).at = at;
        self.shared.changed.notify_all();
    }

    /// Whether it has cancelled.
    pub(super) fn has_barked(&self) -> bool {
        self.shared.barked.load(Ordering::Relaxed)
    }

    /// Makes the token usable again if nobody else has cancelled; false otherwise.
    pub(super) fn reset(&self) -> bool {
        let ours = self.shared.barked.swap(false, Ordering::Relaxed);
        if ours {
            self.cancel.reset();
        }
        ours
    }
}

impl Shared {
    fn watch(&self, cancel: &CancelToken) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !state.ended {
            let now = Instant::now();
            let waited = match state.at {
                None => self.changed.wait(state),
                Some(at) if at > now => {
                    let waited = self.changed.wait_timeout(state, at - now);
                    waited.map(|(state, _)| state).map_err(|e| PoisonError::new(e.into_inner().0))
                }
                Some(_) => {
                    state.at = None;
                    self.barked.store(true, Ordering::Relaxed);
                    cancel.cancel();
                    continue;
                }
            };
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).ended = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // It holds nothing that could be lost.
            let _ = thread.join();
        }
    }
}
