//! Where those who read, who decide and who describe meet.
//!
//! Readers tell the [`Hub`] what comes in, on threads of their own, and what is known already is answered there and then. One
//! [`worker`](super::work) takes frames from it. Everything that is to be said goes through it, line by line.

use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::link::LinkCounters;
use super::schedule::{Asked, Failure, Frame, Job, Policy, Scheduler, Settled};
use super::source::Source;
use super::{Command, Detection, Detections, Message, Record, Stats};
use crate::Answer;
use std::sync::Arc;

/// Where lines go.
pub type Sink = Box<dyn FnMut(&Record) -> io::Result<()> + Send>;

/// How often a worker that waits shows that it lives.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// What readers and a worker share, behind one lock.
pub struct Hub {
    state: Mutex<State>,
    changed: Condvar,
    began: Instant,
    patient: bool,
}

struct State {
    scheduler: Scheduler<Source>,
    sink: Sink,
    /// Nobody reads the output any more, or it cannot be written.
    broken: Option<io::Error>,
    phase: Phase,
    stats: Stats,
    /// When the worker last showed that it lives.
    alive: Instant,
    /// Readers with a frame that waits for room.
    held_up: usize,
    /// What a connection to a broker counts.
    link: Option<Arc<LinkCounters>>,
}

/// What is still to come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// More input.
    Open,
    /// Nothing but what waits.
    Draining,
    /// Nothing.
    Stopped,
    /// The last line has been said.
    Finished,
}

impl Hub {
    /// A hub without frames. A `patient` one lets readers wait where others would drop frames.
    pub fn new(policy: Policy, patient: bool, sink: Sink) -> Hub {
        let began = Instant::now();
        let state = State {
            scheduler: Scheduler::new(policy),
            sink,
            broken: None,
            phase: Phase::Open,
            stats: Stats::default(),
            alive: began,
            held_up: 0,
            link: None,
        };
        Hub { state: Mutex::new(state), changed: Condvar::new(), began, patient }
    }

    /// Lets the counters tell of a connection to a broker too.
    #[must_use]
    pub fn with_link(self, link: Arc<LinkCounters>) -> Hub {
        self.lock().link = Some(link);
        self
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nobody leaves the state half changed when it panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Time since the stream began.
    pub fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// The instant of a time since the stream began.
    pub(super) fn instant(&self, at: Duration) -> Option<Instant> {
        self.began.checked_add(at)
    }

    /// Says something.
    pub fn say(&self, record: &Record) {
        self.lock().say(record);
        self.changed.notify_all();
    }

    /// Counts a line of the input.
    pub fn line(&self) {
        self.lock().stats.lines += 1;
    }

    /// Something in the input cannot be used: a line, or a detection of it.
    pub fn refuse(&self, line: u64, whole: bool, error: String) {
        let mut state = self.lock();
        match whole {
            true => state.stats.bad_lines += 1,
            false => state.stats.bad_detections += 1,
        }
        state.say(&Record::Error { line: Some(line), error });
    }

    /// Counts frames of the video, as its reader does.
    pub fn video(&self, frames: u64, bad: u64) {
        let mut state = self.lock();
        (state.stats.video_frames, state.stats.bad_video_frames) = (frames, bad);
    }

    /// Takes what came in; `find` looks for a frame's picture. False when no more is wanted.
    ///
    /// Detections that come when nothing more is wanted are settled all the same.
    pub fn accept(&self, message: Message, find: impl FnOnce(&mut Detections) -> Source) -> bool {
        let mut state = self.lock();
        match message {
            _ if state.phase == Phase::Finished => {}
            Message::Detections(mut detections) => {
                let source = find(&mut detections);
                state = self.wait_for_room(state, &detections.frame.camera);
                let settled = match state.is_open() {
                    true => state.scheduler.arrive(detections, source, self.now()),
                    false => state.scheduler.turn_away(detections, self.now()),
                };
                state.settle(&settled);
            }
            Message::Command(Command::Stats) => {
                let stats = state.stats(self.now());
                state.say(&Record::Stats(Box::new(stats)));
            }
            Message::Command(Command::Set(settings)) => state.scheduler.apply(*settings),
            Message::Command(Command::Forget) => state.scheduler.forget(),
            Message::Command(Command::Stop) => state.stop(self.now()),
        }
        let open = state.is_open();
        drop(state);
        self.changed.notify_all();
        open
    }

    fn wait_for_room<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        camera: &str,
    ) -> MutexGuard<'a, State> {
        state.held_up += 1;
        while self.patient && state.is_open() && state.scheduler.is_full(camera) {
            state = self.wait(state, HEARTBEAT);
        }
        state.held_up -= 1;
        state
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, most: Duration) -> MutexGuard<'a, State> {
        let waited = self.changed.wait_timeout(state, most);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// No more input: what waits is answered.
    pub fn end(&self) {
        let mut state = self.lock();
        state.phase = state.phase.max(Phase::Draining);
        drop(state);
        self.changed.notify_all();
    }

    /// What waits is dropped, what is being answered is finished.
    pub fn stop(&self) {
        self.lock().stop(self.now());
        self.changed.notify_all();
    }

    /// The next frame to look at; waits for it. `None` at the end.
    pub(super) fn next(&self) -> Option<Job<Source>> {
        let mut state = self.lock();
        loop {
            state.alive = Instant::now();
            if state.phase >= Phase::Stopped {
                return None;
            }
            let (settled, job) = state.scheduler.next(self.now());
            state.settle(&settled);
            // Readers that wait may have room now.
            self.changed.notify_all();
            if job.is_some() {
                return job;
            }
            if state.phase != Phase::Open {
                return None;
            }
            state = self.wait(state, HEARTBEAT);
        }
    }

    /// The frame that would be next, if the present one were done.
    pub(super) fn upcoming(&self) -> Option<(Arc<Frame>, Source, Vec<Detection>)> {
        self.lock().scheduler.upcoming()
    }

    /// Runs something on the scheduler and says what is settled by it.
    fn settle(&self, work: impl FnOnce(&mut Scheduler<Source>, Duration) -> Vec<Settled>) {
        let now = self.now();
        let mut state = self.lock();
        state.alive = Instant::now();
        let settled = work(&mut state.scheduler, now);
        state.settle(&settled);
    }

    pub(super) fn compare(&self, job: &mut Job<Source>, embeddings: &[Vec<f32>]) {
        self.settle(|s, now| s.compare(job, embeddings, now));
    }

    pub(super) fn repeat_known(&self, job: &mut Job<Source>) {
        self.settle(|s, now| s.repeat_known(job, now));
    }

    pub(super) fn answered(&self, frame: &Arc<Frame>, asked: Asked, answer: Answer) {
        self.settle(|s, now| vec![s.answered(frame, asked, answer, now)]);
    }

    pub(super) fn failed(&self, frame: &Arc<Frame>, detection: Detection, failure: Failure) {
        self.settle(|s, now| vec![s.failed(frame, detection, failure, now)]);
    }

    /// The worker lives.
    pub(super) fn beat(&self) {
        self.lock().alive = Instant::now();
    }

    /// Time since the worker last showed that it lives.
    pub fn silence(&self) -> Duration {
        self.lock().alive.elapsed()
    }

    /// The counters.
    pub fn stats(&self) -> Stats {
        let now = self.now();
        self.lock().stats(now)
    }

    /// Whether nothing more will be begun.
    pub fn is_stopped(&self) -> bool {
        self.lock().phase >= Phase::Stopped
    }

    /// Says the counters, and nothing after them. To be called when the worker has ended.
    pub fn finish(&self) {
        let mut state = self.lock();
        state.phase = state.phase.max(Phase::Stopped);
        self.changed.notify_all();
        // What readers hold in their hands is settled before.
        while state.held_up > 0 {
            state = self.wait(state, HEARTBEAT);
        }
        let stats = state.stats(self.now());
        state.say(&Record::Stats(Box::new(stats)));
        state.phase = Phase::Finished;
    }

    /// What kept lines from being written, at the end.
    pub fn take_error(&self) -> Option<io::Error> {
        self.lock().broken.take()
    }
}

impl State {
    fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    fn say(&mut self, record: &Record) {
        if self.broken.is_some() || self.phase == Phase::Finished {
            return;
        }
        if let Err(e) = (self.sink)(record) {
            self.broken = Some(e);
            self.phase = self.phase.max(Phase::Stopped);
        }
    }

    fn settle(&mut self, settled: &[Settled]) {
        for s in settled {
            self.say(&s.into());
        }
    }

    fn stop(&mut self, now: Duration) {
        self.phase = self.phase.max(Phase::Stopped);
        let settled = self.scheduler.stop(now);
        self.settle(&settled);
    }

    fn stats(&self, now: Duration) -> Stats {
        let uptime = (now.as_secs_f64() * 1e3).round() / 1e3;
        let link = self.link.as_ref().map(|l| l.stats());
        Stats { uptime, counters: self.scheduler.counters(), link, ..self.stats }
    }
}
