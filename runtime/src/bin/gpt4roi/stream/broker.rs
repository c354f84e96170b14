//! The message broker of `gpt4roi stream --mqtt`.

use super::Stream;
use crate::setup::Usage;
use anyhow::Context;
pub(super) use gpt4roi::stream::mqtt::Messages;
use gpt4roi::stream::mqtt::{Error, Link, Options, Password, TlsFiles};
use gpt4roi::stream::{Hub, LinkCounters};
use std::sync::Arc;
use std::time::Duration;

const PASSWORD: &str = "GPT4ROI_MQTT_PASSWORD";
/// Where answers go unless an option says otherwise.
const ANSWERS: &str = "gpt4roi/answers";
/// Where it is said that the stream is there.
const STATUS: &str = "gpt4roi/status";
/// Lines that wait for a broker.
const QUEUE: usize = 1000;
/// How long the broker has for what is left at the end.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A connection to a broker, or one that will be.
pub(super) struct Broker(Link);

impl Broker {
    /// The broker that the options name, if they do.
    pub(super) fn new(args: &Stream) -> anyhow::Result<Option<Broker>> {
        let Some(text) = &args.mqtt else {
            return Ok(None);
        };
        let address = text.parse().map_err(usage)?;
        let options = Options {
            address,
            password: password(args)?,
            client_id: args.mqtt_client_id.clone(),
            subscribe: args.mqtt_subscribe.clone(),
            publish: args.mqtt_publish.clone().unwrap_or_else(|| ANSWERS.into()),
            status: args.mqtt_status.clone().unwrap_or_else(|| STATUS.into()),
            tls: TlsFiles {
                ca: args.mqtt_ca.clone(),
                cert: args.mqtt_cert.clone(),
                key: args.mqtt_key.clone(),
            },
            queue: args.mqtt_queue.unwrap_or(QUEUE),
        };
        Ok(Some(Broker(Link::new(&options).map_err(usage)?)))
    }

    /// Takes lines and never waits.
    pub(super) fn lines(&self) -> impl FnMut(&[u8]) + Send + use<> {
        let outbox = self.0.outbox();
        move |line| outbox.push(line)
    }

    pub(super) fn counters(&self) -> Arc<LinkCounters> {
        self.0.counters()
    }

    pub(super) fn messages(&self) -> Messages {
        self.0.messages()
    }

    pub(super) fn connect(&mut self, hub: &Arc<Hub>) -> anyhow::Result<()> {
        Ok(self.0.connect(hub)?)
    }

    pub(super) fn stop_reading(&self) {
        self.0.stop_reading();
    }

    /// Brings the broker what is left, and takes leave.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        match self.0.finish(LAST_WORDS)? {
            0 => {}
            n => eprintln!("gpt4roi: {n} lines are lost: the broker did not take them in time"),
        }
        Ok(())
    }
}

fn password(args: &Stream) -> anyhow::Result<Option<Password>> {
    let from_environment = std::env::var_os(PASSWORD);
    match (&args.mqtt_password_file, from_environment) {
        (Some(path), _) => Ok(Some(Password::from_file(path)?)),
        (None, Some(text)) => {
            let text = text.into_string().ok();
            let text = text.with_context(|| format!("{PASSWORD} is not UTF-8"))?;
            Ok(Some(Password::new(&text)))
        }
        (None, None) => Ok(None),
    }
}

/// Mistakes on the command line are usage errors, files that cannot be used are not.
fn usage(error: Error) -> anyhow::Error {
    match error {
        Error::Address { .. }
        | Error::PasswordInAddress
        | Error::Options(_)
        | Error::Topic { .. } => Usage(error.to_string()).into(),
        error => error.into(),
    }
}
