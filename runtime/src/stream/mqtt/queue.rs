//! What waits on its way to and from the broker: bounded, the newest wins.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rumqttc::v5::mqttbytes::v5::Publish;
use tokio::sync::Notify;

use crate::stream::link::{LinkCounters, add};

/// Most bytes that wait on one way.
const MAX_BYTES: usize = 64 << 20;
/// Most messages that wait to be read.
const MAX_UNREAD: usize = 256;
/// Lines that are on their way without a word from the broker.
pub(super) const WINDOW: usize = 16;

/// First in, first out. If there is too much in it, the oldest goes.
#[derive(Debug)]
struct Bounded<T> {
    items: VecDeque<(T, usize)>,
    bytes: usize,
    max_items: usize,
    max_bytes: usize,
}

impl<T> Bounded<T> {
    fn new(max_items: usize, max_bytes: usize) -> Bounded<T> {
        Bounded { items: VecDeque::new(), bytes: 0, max_items, max_bytes }
    }

    /// Gives what had to go.
    fn push(&mut self, item: T, bytes: usize) -> Vec<T> {
        self.items.push_back((item, bytes));
        self.bytes += bytes;
        self.trim()
    }

    /// Puts something back at the front. Gives what had to go.
    fn put_back(&mut self, item: T, bytes: usize) -> Vec<T> {
        self.items.push_front((item, bytes));
        self.bytes += bytes;
        self.trim()
    }

    fn trim(&mut self) -> Vec<T> {
        let mut gone = Vec::new();
        // The newest stays, however large it is.
        while self.items.len() > 1
            && (self.items.len() > self.max_items || self.bytes > self.max_bytes)
        {
            gone.extend(self.pop());
        }
        gone
    }

    fn pop(&mut self) -> Option<T> {
        let (item, bytes) = self.items.pop_front()?;
        self.bytes -= bytes;
        Some(item)
    }
}

/// Something for the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Post {
    /// A line of the output.
    Line(Arc<[u8]>),
    /// Whether this client is there. It is said anew with every connection.
    Status(bool),
}

/// Lines for the broker: those that wait, and those that it has not confirmed.
#[derive(Debug)]
pub struct Outbox {
    state: Mutex<Outgoing>,
    changed: Notify,
    closing: Notify,
    counters: Arc<LinkCounters>,
}

#[derive(Debug)]
struct Outgoing {
    waiting: Bounded<Arc<[u8]>>,
    /// In the order they were sent in, with their numbers as soon as those are known.
    flying: VecDeque<(Option<u16>, Post)>,
    closed: bool,
}

impl Outbox {
    pub(super) fn new(max_lines: usize, counters: Arc<LinkCounters>) -> Outbox {
        let waiting = Bounded::new(max_lines, MAX_BYTES);
        let state = Outgoing { waiting, flying: VecDeque::new(), closed: false };
        Outbox {
            state: Mutex::new(state),
            changed: Notify::new(),
            closing: Notify::new(),
            counters,
        }
    }

    /// Takes a line for the broker and never waits: the oldest goes if there is no room.
    pub fn push(&self, line: &[u8]) {
        let lost = self.lock().waiting.push(line.into(), line.len()).len();
        add(&self.counters.lost, lost);
        self.changed();
    }

    /// The next line, when there is room on the way. `None` after the last one was confirmed.
    pub(super) async fn next(&self) -> Option<Arc<[u8]>> {
        loop {
            {
                let mut state = self.lock();
                if state.flying.len() < WINDOW
                    && let Some(line) = state.waiting.pop()
                {
                    state.flying.push_back((None, Post::Line(line.clone())));
                    return Some(line);
                }
                if state.closed && state.waiting.items.is_empty() && state.flying.is_empty() {
                    return None;
                }
            }
            self.changed.notified().await;
        }
    }

    /// A status is on its way.
    pub(super) fn fly(&self, status: bool) {
        self.lock().flying.push_back((None, Post::Status(status)));
    }

    /// Returns when the broker has confirmed everything that is on its way.
    pub(super) async fn landed(&self) {
        while !self.lock().flying.is_empty() {
            self.changed.notified().await;
        }
    }

    /// The oldest post without a number has been sent with this one.
    pub(super) fn sent(&self, number: u16) {
        let mut state = self.lock();
        if let Some((n, _)) = state.flying.iter_mut().find(|(n, _)| n.is_none()) {
            *n = Some(number);
        }
    }

    /// The broker has taken a post, or refused it.
    pub(super) fn confirmed(&self, number: u16, taken: bool) {
        let post = {
            let mut state = self.lock();
            let at = state.flying.iter().position(|(n, _)| *n == Some(number));
            at.and_then(|at| state.flying.remove(at))
        };
        match post {
            Some((_, Post::Line(_))) if taken => add(&self.counters.published, 1),
            Some((_, Post::Line(_))) => add(&self.counters.lost, 1),
            _ => {}
        }
        self.changed();
    }

    /// A line that the broker would not take, whatever is done.
    pub(super) fn give_up_last(&self) {
        self.lock().flying.pop_back();
        add(&self.counters.lost, 1);
        self.changed();
    }

    /// The connection is gone: what was on its way waits again, at the front.
    pub(super) fn take_back(&self) {
        let mut lost = 0;
        let mut state = self.lock();
        while let Some((_, post)) = state.flying.pop_back() {
            if let Post::Line(line) = post {
                let bytes = line.len();
                lost += state.waiting.put_back(line, bytes).len();
            }
        }
        drop(state);
        add(&self.counters.lost, lost);
        self.changed();
    }

    /// No more lines come.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed();
        self.closing.notify_one();
    }

    /// Returns once when no more lines come.
    pub(super) async fn closing(&self) {
        self.closing.notified().await;
    }

    fn changed(&self) {
        let state = self.lock();
        let lines = state.flying.iter().filter(|(_, post)| matches!(post, Post::Line(_)));
        let n = (state.waiting.items.len() + lines.count()) as u64;
        self.counters.waiting.store(n, Ordering::Relaxed);
        drop(state);
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Outgoing> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A message that came.
#[derive(Debug)]
pub(super) struct Delivery {
    /// Which connection it came on: only that one can confirm it.
    pub(super) connection: u64,
    /// What came, without its content.
    pub(super) publish: Publish,
    pub(super) payload: Vec<u8>,
}

/// Messages that wait to be read.
#[derive(Debug)]
pub(super) struct Inbox {
    state: Mutex<(Bounded<Delivery>, bool)>,
    changed: Condvar,
}

impl Inbox {
    pub(super) fn new() -> Inbox {
        let state = Mutex::new((Bounded::new(MAX_UNREAD, MAX_BYTES), false));
        Inbox { state, changed: Condvar::new() }
    }

    /// Gives those that had to go.
    pub(super) fn push(&self, delivery: Delivery) -> Vec<Delivery> {
        let bytes = delivery.payload.len();
        let gone = self.lock().0.push(delivery, bytes);
        self.changed.notify_all();
        gone
    }

    /// The next message; waits for it. `None` when no more are wanted.
    pub(super) fn next(&self) -> Option<Delivery> {
        let mut state = self.lock();
        loop {
            if state.1 {
                return None;
            }
            if let Some(delivery) = state.0.pop() {
                return Some(delivery);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// No more messages are wanted.
    pub(super) fn close(&self) {
        self.lock().1 = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, (Bounded<Delivery>, bool)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_by_number_and_by_bytes() {
        let mut queue = Bounded::new(3, 100);
        for i in 0..3 {
            assert!(queue.push(i, 10).is_empty());
        }
        assert_eq!(queue.push(3, 10), [0]);
        assert_eq!(queue.push(4, 85), [1, 2]);
        // Too large for the rest of them, and for itself.
        assert_eq!(queue.push(5, 1000), [3, 4]);
        assert_eq!((queue.pop(), queue.pop(), queue.bytes), (Some(5), None, 0));
    }

    /// What `next` gives at once.
    fn next(outbox: &Outbox) -> Option<Option<Arc<[u8]>>> {
        use std::task::{Context, Poll, Waker};
        let mut future = std::pin::pin!(outbox.next());
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(line) => Some(line),
            Poll::Pending => None,
        }
    }

    #[test]
    fn lines_wait_for_the_broker_and_come_again_if_it_goes() {
        let counters = Arc::new(LinkCounters::default());
        let outbox = Outbox::new(20, counters.clone());
        for i in 0..25u8 {
            outbox.push(&[i]);
        }
        assert_eq!((counters.stats().lost, counters.stats().waiting), (5, 20));
        let sent: Vec<_> = (0..WINDOW).map(|_| next(&outbox).flatten().unwrap()[0]).collect();
        assert_eq!(sent, (5..5 + WINDOW as u8).collect::<Vec<_>>());
        // The way is full.
        assert_eq!(next(&outbox), None);
        for number in 1..=3 {
            outbox.sent(number);
        }
        outbox.confirmed(1, true);
        outbox.confirmed(3, false);
        let stats = counters.stats();
        assert_eq!((stats.published, stats.lost, stats.waiting), (1, 6, 18));
        outbox.take_back();
        let again: Vec<_> = (0..3).map(|_| next(&outbox).flatten().unwrap()[0]).collect();
        assert_eq!(again, [6, 8, 9]);
        assert_eq!(counters.stats().waiting, 18);
    }

    #[test]
    fn the_end_comes_after_the_last_word() {
        let outbox = Outbox::new(9, Arc::default());
        outbox.push(b"x");
        outbox.close();
        assert!(next(&outbox).flatten().is_some());
        assert_eq!(next(&outbox), None);
        outbox.sent(1);
        outbox.confirmed(1, true);
        assert_eq!(next(&outbox), Some(None));
    }
}
