//! Which part of a data set a process works on.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Error;

/// The I-th of N parts of a data set: every N-th image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Shard {
    index: usize,
    count: usize,
}

impl Shard {
    /// The whole data set.
    pub const WHOLE: Shard = Shard { index: 0, count: 1 };

    /// Its number, from 1.
    pub fn number(self) -> usize {
        self.index + 1
    }

    /// How many parts there are.
    pub fn count(self) -> usize {
        self.count
    }

    /// Whether the image with this index in the data set, from 0, belongs to it.
    pub fn holds(self, image: usize) -> bool {
        image % self.count == self.index
    }

    /// How many of the first `n` images of the data set belong to it.
    pub fn n_of(self, n: usize) -> usize {
        n / self.count + usize::from(n % self.count > self.index)
    }
}

impl Default for Shard {
    fn default() -> Shard {
        Shard::WHOLE
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number(), self.count)
    }
}

impl From<Shard> for String {
    fn from(shard: Shard) -> String {
        shard.to_string()
    }
}

impl TryFrom<String> for Shard {
    type Error = Error;

    fn try_from(text: String) -> Result<Shard, Error> {
        text.parse()
    }
}

impl FromStr for Shard {
    type Err = Error;

    fn from_str(text: &str) -> Result<Shard, Error> {
        let parsed = text.split_once('/').and_then(|(i, n)| {
            let (number, count): (usize, usize) = (i.parse().ok()?, n.parse().ok()?);
            (1..=count).contains(&number).then(|| Shard { index: number - 1, count })
        });
        parsed.ok_or_else(|| Error::Shard { text: text.into() })
    }
}
