//! Captioning without a model: journals, shards, merging, questions, pages.

mod captioner;
mod fake;
mod journal;
mod merge;
mod page;
mod question;
mod seed;
mod shard;
#[cfg(feature = "annotate")]
mod sheet;
