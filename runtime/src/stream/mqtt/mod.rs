//! Detections and answers by way of a message broker: MQTT 5, QoS 1 both ways.
//!
//! ```text
//! broker ──► Inbox ──► Messages: Feed ──► Hub ──► Outbox ──► broker
//!    ▲──────────── confirmed when the hub has it
//! ```
//!
//! A thread of its own keeps the connection, and makes another when it is lost. Neither the hub nor the worker ever wait for
//! it: both boxes are bounded, and the oldest of what they hold gives way.

mod address;
mod backoff;
mod connection;
mod error;
mod queue;
mod reason;
mod tls;

pub use address::Address;
pub use error::Error;
pub use queue::Outbox;
pub use tls::TlsFiles;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use rumqttc::v5::MqttOptions;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::LastWill;
use rumqttc::{TlsConfiguration, Transport, valid_filter, valid_topic};
use tokio::sync::mpsc;

use super::link::LinkCounters;
use super::{Feed, Hub};
use connection::{Ack, Connector, IN_FLIGHT, OFFLINE};
use queue::Inbox;

/// Largest message that the broker is told to send: room for a picture in base64.
pub const MAX_MESSAGE_BYTES: u32 = 16 << 20;
/// Messages that the broker may send before the first of them is confirmed.
const MAX_UNCONFIRMED: u16 = 64;
/// Time for which the broker keeps what comes while the connection is lost.
const SESSION: Duration = Duration::from_secs(300);
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// Confirmations that wait for the connection. One that finds no room is not lost: its message comes again.
const MAX_ACKS: usize = 1024;

/// How to reach a broker, and what to do there.
#[derive(Clone, Debug)]
pub struct Options {
    /// The broker.
    pub address: Address,
    /// The user's password.
    pub password: Option<Password>,
    /// What this client is called; the broker knows sessions by it. `None` for a name by chance.
    pub client_id: Option<String>,
    /// Where detections come from, with wildcards if need be. None: they come from elsewhere.
    pub subscribe: Vec<String>,
    /// Where lines of the output go.
    pub publish: String,
    /// Where it is said, and kept, whether this client is there.
    pub status: String,
    /// Keys and certificates.
    pub tls: TlsFiles,
    /// Most lines that wait for the broker; the oldest is dropped for a new one.
    pub queue: usize,
}

/// A password, which no log ever shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// What stands in the text, without the end of its line.
    pub fn new(text: &str) -> Password {
        Password(text.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// The first line of a file.
    ///
    /// # Errors
    /// If it cannot be read, or is no text.
    pub fn from_file(path: &Path) -> Result<Password, Error> {
        let bytes = tls::read(path)?;
        let text = String::from_utf8(bytes);
        let not_text =
            |_| Error::Pem { path: path.into(), reason: "the password is not UTF-8".into() };
        Ok(Password::new(&text.map_err(not_text)?))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

impl Options {
    fn check(&self) -> Result<(), Error> {
        let tls = &self.tls;
        let rules = [
            (
                self.password.is_some() && self.address.user.is_none(),
                "there is a password for the broker, but no user: write mqtt://user@host",
            ),
            (
                *tls != TlsFiles::default() && !self.address.tls,
                "--mqtt-ca, --mqtt-cert and --mqtt-key are for encrypted connections: write mqtts://",
            ),
            (tls.cert.is_some() != tls.key.is_some(), "--mqtt-cert and --mqtt-key belong together"),
            (
                self.client_id.as_ref().is_some_and(|id| id.is_empty() || id.len() > 256),
                "--mqtt-client-id has 1 to 256 bytes",
            ),
            (self.queue == 0, "--mqtt-queue is at least 1"),
        ];
        if let Some((_, rule)) = rules.into_iter().find(|(broken, _)| *broken) {
            return Err(Error::Options(rule));
        }
        self.subscribe.iter().try_for_each(|t| check_topic(t, "to subscribe to", valid_filter))?;
        check_topic(&self.publish, "to publish answers to", valid_topic)?;
        check_topic(&self.status, "for the status", valid_topic)
    }

    fn client(&self) -> Result<MqttOptions, Error> {
        let by_chance = || format!("gpt4roi-{:016x}", backoff::random());
        let id = self.client_id.clone().unwrap_or_else(by_chance);
        let mut client = MqttOptions::new(id, &self.address.host, self.address.port);
        let will = LastWill::new(&self.status, OFFLINE, QoS::AtLeastOnce, true, None);
        client
            .set_last_will(will)
            .set_keep_alive(KEEP_ALIVE)
            .set_connection_timeout(CONNECTION_TIMEOUT.as_secs())
            .set_manual_acks(true)
            .set_clean_start(false)
            .set_session_expiry_interval(Some(SESSION.as_secs() as u32))
            .set_max_packet_size(Some(MAX_MESSAGE_BYTES))
            .set_receive_maximum(Some(MAX_UNCONFIRMED))
            .set_outgoing_inflight_upper_limit(IN_FLIGHT);
        if let Some(user) = &self.address.user {
            let password = self.password.as_ref().map_or("", |p| p.0.as_str());
            client.set_credentials(user, password);
        }
        if self.address.tls {
            let config = tls::config(&self.tls)?;
            client.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(config)));
        }
        Ok(client)
    }
}

fn check_topic(topic: &str, purpose: &'static str, valid: fn(&str) -> bool) -> Result<(), Error> {
    let reason = match topic {
        "" => "it is empty",
        t if t.len() > 65_535 => "it is longer than 65535 bytes",
        t if t.contains('\0') => "it holds a zero byte",
        t if !valid(t) => {
            "+ and # stand for whole levels, # for the last ones, and neither is published to"
        }
        _ => return Ok(()),
    };
    Err(Error::Topic { topic: topic.into(), purpose, reason })
}

/// A broker, and what is on its way to and from it.
pub struct Link {
    connector: Option<(Connector, mpsc::Receiver<Ack>)>,
    outbox: Arc<Outbox>,
    inbox: Arc<Inbox>,
    acks: mpsc::Sender<Ack>,
    counters: Arc<LinkCounters>,
    /// Is told how the connection ended.
    ended: Option<Receiver<Result<(), Error>>>,
}

impl Link {
    /// A link that is not connected yet: lines wait.
    ///
    /// # Errors
    /// If the options make no sense, or a file that they name cannot be used.
    pub fn new(options: &Options) -> Result<Link, Error> {
        options.check()?;
        let counters = Arc::new(LinkCounters::default());
        let outbox = Arc::new(Outbox::new(options.queue, counters.clone()));
        let inbox = Arc::new(Inbox::new());
        let (acks, to_confirm) = mpsc::channel(MAX_ACKS);
        let connector = Connector {
            options: options.client()?,
            broker: options.address.to_string(),
            subscribe: options.subscribe.clone(),
            publish: options.publish.clone(),
            status: options.status.clone(),
            outbox: outbox.clone(),
            inbox: inbox.clone(),
            counters: counters.clone(),
        };
        let connector = Some((connector, to_confirm));
        Ok(Link { connector, outbox, inbox, acks, counters, ended: None })
    }

    /// Where lines for the broker go.
    pub fn outbox(&self) -> Arc<Outbox> {
        self.outbox.clone()
    }

    /// What [`Hub::with_link`] wants to know.
    pub fn counters(&self) -> Arc<LinkCounters> {
        self.counters.clone()
    }

    /// What comes from the broker.
    pub fn messages(&self) -> Messages {
        Messages { inbox: self.inbox.clone(), acks: self.acks.clone() }
    }

    /// Connects on a thread of its own. The hub is stopped if that can come to nothing; [`Link::finish`] says why.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub fn connect(&mut self, hub: &Arc<Hub>) -> Result<(), Error> {
        let Some((connector, acks)) = self.connector.take() else {
            return Ok(());
        };
        let (tell, ended) = channel();
        self.ended = Some(ended);
        let leaving = Leaving { hub: hub.clone(), tell };
        let builder = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = builder.map_err(Error::Thread)?;
        let work = move || {
            let result = runtime.block_on(connector.run(acks));
            // Nobody listens if the program does not wait for it any more.
            let _ = leaving.tell.send(result);
        };
        let thread = std::thread::Builder::new().name("mqtt".into());
        thread.spawn(work).map(|_| ()).map_err(Error::Thread)
    }

    /// No more messages are read.
    pub fn stop_reading(&self) {
        self.inbox.close();
    }

    /// Gives the broker what waits, takes leave of it, and gives the number of lines that it has not confirmed in time.
    ///
    /// # Errors
    /// If the connection came to nothing.
    pub fn finish(self, limit: Duration) -> Result<u64, Error> {
        self.inbox.close();
        self.outbox.close();
        let Some(ended) = self.ended else {
            return Ok(0);
        };
        match ended.recv_timeout(limit) {
            Ok(result) => result?,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(Error::Internal),
        }
        Ok(self.counters.stats().waiting)
    }
}

/// Stops the hub when the connection's thread ends, in whatever way.
struct Leaving {
    hub: Arc<Hub>,
    tell: Sender<Result<(), Error>>,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.hub.stop();
    }
}

/// Messages that come from the broker.
pub struct Messages {
    inbox: Arc<Inbox>,
    acks: mpsc::Sender<Ack>,
}

impl Messages {
    /// Gives all of them to a feed, and confirms each when the hub has it; until no more are wanted.
    pub fn read(self, mut feed: Feed<'_>) {
        while let Some(delivery) = self.inbox.next() {
            let wanted = feed.message(&delivery.payload);
            let _ = self.acks.try_send((delivery.connection, delivery.publish));
            if !wanted {
                break;
            }
        }
        feed.finish();
    }
}
