//! The line of a journal behind those of an image.

use serde::{Deserialize, Serialize};

/// An image that is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Its index in the data set, from 0.
    pub index: usize,
    /// What it is called there; absent for a part of the data set that cannot be read.
    pub image: Option<String>,
    /// Its id there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_id: Option<String>,
    /// How many lines it has.
    pub lines: usize,
}

/// A mark as it stands in a journal: no record begins like that.
#[derive(Serialize, Deserialize)]
pub(super) struct MarkLine {
    end: Mark,
}

/// What the line of a mark begins with.
const BEGINNING: &[u8] = b"{\"end\":";

impl Mark {
    /// The line, without its end.
    pub(super) fn line(&self) -> serde_json::Result<String> {
        serde_json::to_string(&MarkLine { end: self.clone() })
    }

    /// The mark that a line is; `None` for other lines.
    pub(super) fn parse(line: &[u8]) -> Option<serde_json::Result<Mark>> {
        let is_mark = line.starts_with(BEGINNING);
        is_mark.then(|| serde_json::from_slice::<MarkLine>(line).map(|line| line.end))
    }

    /// The image, for messages.
    pub(super) fn shown(&self) -> String {
        shown(self.image.as_deref())
    }
}

/// An image in messages.
pub(super) fn shown(image: Option<&str>) -> String {
    image.map_or_else(|| "unreadable".into(), |name| format!("`{name}`"))
}
