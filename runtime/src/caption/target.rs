//! Forms of the output.

use std::fmt;
use std::str::FromStr;

use super::Error;

/// What the finished output looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// `jsonl`: JSON Lines, a [`Record`](super::Record) a line.
    #[default]
    Jsonl,
    /// `coco`: the list of results that COCO's tools load.
    Coco,
}

impl Target {
    /// Every form.
    pub const ALL: [Target; 2] = [Target::Jsonl, Target::Coco];

    /// The name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Target::Jsonl => "jsonl",
            Target::Coco => "coco",
        }
    }

    pub(super) fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Target {
    type Err = Error;

    fn from_str(text: &str) -> Result<Target, Error> {
        let found = Self::ALL.into_iter().find(|target| target.name() == text);
        found.ok_or_else(|| Error::Target { text: text.into() })
    }
}
