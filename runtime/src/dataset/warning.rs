//! What is left out although the data set can be used.

use std::fmt;

/// A kind of thing that was left out, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// What was left out, and why.
    pub what: &'static str,
    /// How often.
    pub count: u64,
    /// Where the first one is.
    pub first: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} (the first in {})", self.what, self.count, self.first)
    }
}

/// Warnings counted by kind, so that a million of them take no room.
#[derive(Debug, Default)]
pub(super) struct Warnings(Vec<Warning>);

impl Warnings {
    pub(super) fn add(&mut self, what: &'static str, place: impl fmt::Display) {
        match self.0.iter_mut().find(|warning| warning.what == what) {
            Some(warning) => warning.count += 1,
            None => self.0.push(Warning { what, count: 1, first: place.to_string() }),
        }
    }

    pub(super) fn list(&self) -> &[Warning] {
        &self.0
    }
}
