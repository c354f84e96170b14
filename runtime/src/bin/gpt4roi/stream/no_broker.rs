//! In the place of `broker.rs` where the program is built without MQTT.

use super::Stream;
use crate::setup::Usage;
use gpt4roi::stream::{Feed, Hub, LinkCounters};
use std::sync::Arc;

/// There is none.
pub(super) enum Broker {}

/// Nor are there messages.
pub(super) enum Messages {}

impl Messages {
    pub(super) fn read(self, _: Feed<'_>) {
        match self {}
    }
}

impl Broker {
    pub(super) fn new(args: &Stream) -> anyhow::Result<Option<Broker>> {
        match args.mqtt {
            None => Ok(None),
            Some(_) => Err(Usage(
                "--mqtt: this program was built without MQTT; build it with `cargo build --release \
                 --features gpt4roi/mqtt`"
                    .into(),
            )
            .into()),
        }
    }

    pub(super) fn lines(&self) -> fn(&[u8]) {
        match *self {}
    }

    pub(super) fn counters(&self) -> Arc<LinkCounters> {
        match *self {}
    }

    pub(super) fn messages(&self) -> Messages {
        match *self {}
    }

    pub(super) fn connect(&mut self, _: &Arc<Hub>) -> anyhow::Result<()> {
        match *self {}
    }

    pub(super) fn stop_reading(&self) {
        match *self {}
    }

    pub(super) fn finish(self) -> anyhow::Result<()> {
        match self {}
    }
}
