//! Follows a text through a grammar, one token at a time.

use super::program::{Op, Program, Surrounded};
use std::collections::HashSet;

/// Most ways to read a text that are followed at once, and deepest nesting. What would need more is not allowed,
/// so that the matcher's memory and time stay bounded.
const MAX_WAYS: usize = 2048;
const MAX_DEPTH: usize = 512;
const MAX_STEPS: usize = 1 << 16;

/// What is to come, the next step last. Empty where the text is complete; its last step is a set otherwise.
type Way = Vec<u32>;

/// Every way to read the text so far.
#[derive(Clone, Debug)]
struct State {
    ways: Vec<Way>,
    /// The beginning of a character that is not complete yet.
    partial: Vec<u8>,
}

/// Whether a text is what its grammar allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Completion {
    /// More must come, or may.
    Open,
    /// Only the text behind the grammar's own can come.
    Inner,
    /// All of it is there.
    Whole,
}

/// A text on its way through a grammar.
#[derive(Clone, Debug)]
pub(crate) struct Matcher {
    program: Program,
    after_at: u32,
    state: State,
}

impl Matcher {
    pub(super) fn new(Surrounded { program, after_at }: Surrounded) -> Matcher {
        let mut ways = Vec::new();
        for &start in &program.rules[program.root as usize] {
            program.reach(vec![start], &mut HashSet::new(), &mut ways);
        }
        Matcher { program, after_at, state: State { ways, partial: Vec::new() } }
    }

    /// Whether the text may go on with these bytes.
    pub(crate) fn allows(&self, bytes: &[u8]) -> bool {
        self.after(bytes).is_some()
    }

    /// Goes on with these bytes; false if they are not allowed, and nothing has changed then.
    pub(crate) fn accept(&mut self, bytes: &[u8]) -> bool {
        let after = self.after(bytes);
        let is_allowed = after.is_some();
        self.state = after.unwrap_or_else(|| self.state.clone());
        is_allowed
    }

    pub(crate) fn completion(&self) -> Completion {
        let State { ways, partial } = &self.state;
        if !partial.is_empty() {
            Completion::Open
        } else if ways.iter().any(Vec::is_empty) {
            Completion::Whole
        } else if ways.iter().all(|way| way[..] == [self.after_at]) {
            Completion::Inner
        } else {
            Completion::Open
        }
    }

    fn after(&self, bytes: &[u8]) -> Option<State> {
        if bytes.is_empty() {
            return None;
        }
        let joined;
        let bytes = if self.state.partial.is_empty() {
            bytes
        } else {
            joined = [&self.state.partial, bytes].concat();
            &joined
        };
        let (text, partial) = match std::str::from_utf8(bytes) {
            Ok(text) => (text, &[][..]),
            Err(e) if e.error_len().is_some() => return None,
            Err(e) => {
                let (text, partial) = bytes.split_at(e.valid_up_to());
                (std::str::from_utf8(text).ok()?, partial)
            }
        };
        let ways = self.program.follow(&self.state.ways, text)?;
        let fits = partial.is_empty() || self.program.may_complete(&ways, partial);
        fits.then(|| State { ways, partial: partial.to_vec() })
    }
}

impl Program {
    /// The ways behind a text, `None` if there are none or too many.
    fn follow(&self, ways: &[Way], text: &str) -> Option<Vec<Way>> {
        let mut now: Option<Vec<Way>> = None;
        for c in text.chars() {
            let next = self.step(now.as_deref().unwrap_or(ways), c);
            if next.is_empty() || next.len() > MAX_WAYS {
                return None;
            }
            now = Some(next);
        }
        Some(now.unwrap_or_else(|| ways.to_vec()))
    }

    fn step(&self, ways: &[Way], c: char) -> Vec<Way> {
        let (mut seen, mut next) = (HashSet::new(), Vec::new());
        for way in ways.iter().filter(|w| self.set_of(w).is_some_and(|set| set.contains(c))) {
            let mut way = way.clone();
            if let Some(at) = way.pop() {
                self.push(&mut way, at + 1);
                self.reach(way, &mut seen, &mut next);
            }
        }
        next
    }

    /// The set that a way's next character is of.
    fn set_of(&self, way: &Way) -> Option<&super::charset::CharSet> {
        match self.ops[*way.last()? as usize] {
            Op::Set(set) => self.sets.get(set as usize),
            _ => None,
        }
    }

    /// Puts a step on a way, unless it is an end.
    fn push(&self, way: &mut Way, at: u32) {
        if self.ops[at as usize] != Op::End {
            way.push(at);
        }
    }

    /// Adds to `found` every way, within bounds, on which `way` leads to a next character, or to the end.
    fn reach(&self, way: Way, seen: &mut HashSet<Way>, found: &mut Vec<Way>) {
        let mut todo = vec![way];
        while let Some(mut way) = todo.pop() {
            // The grammar is not left-recursive: calls end, if not soon.
            let too_many = found.len() > MAX_WAYS || seen.len() > MAX_STEPS;
            if way.len() > MAX_DEPTH || too_many || !seen.insert(way.clone()) {
                continue;
            }
            let called = way.last().map(|at| &self.ops[*at as usize]);
            let Some(&Op::Call(rule)) = called else {
                found.push(way);
                continue;
            };
            if let Some(at) = way.pop() {
                self.push(&mut way, at + 1);
            }
            for &start in &self.rules[rule as usize] {
                let mut called = way.clone();
                self.push(&mut called, start);
                todo.push(called);
            }
        }
    }

    /// Whether the beginning of a character may become one that is allowed.
    fn may_complete(&self, ways: &[Way], partial: &[u8]) -> bool {
        let (low, high) = reachable(partial);
        ways.iter().filter_map(|way| self.set_of(way)).any(|set| set.meets(low, high))
    }
}

/// The first and the last character that begin with these bytes of UTF-8, which are not all of it.
fn reachable(partial: &[u8]) -> (u32, u32) {
    let (n_bytes, mask) = match partial[0] {
        0xC0..=0xDF => (2, 0x1F),
        0xE0..=0xEF => (3, 0x0F),
        _ => (4, 0x07),
    };
    let first = u32::from(partial[0]) & mask;
    let value = partial[1..].iter().fold(first, |v, b| v << 6 | u32::from(*b & 0x3F));
    let missing = 6 * (n_bytes - partial.len());
    let smallest = [0x80, 0x800, 0x1_0000][n_bytes - 2];
    ((value << missing).max(smallest), value << missing | ((1 << missing) - 1))
}
