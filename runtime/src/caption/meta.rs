//! How captions were made: what must be the same for a run to go on.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Error, Shard};

/// The form of journals and of what stands beside outputs.
const VERSION: u32 = 1;

/// Options of a run, and its part of the data set; the first line of a journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    #[serde(rename = "gpt4roi_caption")]
    version: u32,
    /// Everything that the answers depend on, by names that the user knows.
    pub options: Map<String, Value>,
    /// The part of the data set.
    pub shard: Shard,
}

impl Meta {
    /// A run with these options.
    pub fn new(options: Map<String, Value>, shard: Shard) -> Meta {
        Meta { version: VERSION, options, shard }
    }

    /// Whether a run with these options may go on with what `before` began.
    ///
    /// # Errors
    /// [`Error::OtherOptions`] with the first option that differs.
    pub(super) fn check(&self, before: &Meta, path: &Path) -> Result<(), Error> {
        let other = |field: &str, before: String, now: String| {
            Err(Error::OtherOptions { path: path.into(), field: field.into(), before, now })
        };
        if self.version != before.version {
            return other("version", before.version.to_string(), self.version.to_string());
        }
        if self.shard != before.shard {
            return other("shard", before.shard.to_string(), self.shard.to_string());
        }
        self.check_options(before, path)
    }

    /// [`Meta::check`], whatever the shards are.
    pub(super) fn check_options(&self, before: &Meta, path: &Path) -> Result<(), Error> {
        let mut names = before.options.keys().chain(self.options.keys());
        let differs = |name: &&String| before.options.get(*name) != self.options.get(*name);
        let Some(field) = names.find(differs) else { return Ok(()) };
        let value = |meta: &Meta| meta.options.get(field).map_or("none".into(), Value::to_string);
        let (field, before, now) = (field.clone(), value(before), value(self));
        Err(Error::OtherOptions { path: path.into(), field, before, now })
    }
}

impl Default for Meta {
    fn default() -> Meta {
        Meta::new(Map::new(), Shard::WHOLE)
    }
}
