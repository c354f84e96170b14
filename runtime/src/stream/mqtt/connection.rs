//! One connection to the broker after the other.
//!
//! Every connection begins with a client of its own: what is on its way is remembered by the [`Outbox`] alone, which is bounded
//! and sends it again, whether the broker remembers the session or not.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, Filter, Packet, PubAck, PubAckReason, Publish, RetainForwardRule, SubAck,
    SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use tokio::sync::{Notify, mpsc};

use super::backoff::Backoff;
use super::queue::{Delivery, Inbox, Outbox, WINDOW};
use super::{Error, reason};
use crate::stream::link::{LinkCounters, add};

/// Requests that wait for the client: those of a full window, and confirmations.
const REQUESTS: usize = 64;
/// Pings that may be overdue before a connection is given up.
const PATIENCE: u32 = 3;
/// Bytes of a packet besides topic and content, at most.
const ENVELOPE: usize = 64;

/// What the retained status says.
pub(super) const ONLINE: &str = "online";
/// What it says when the client has gone.
pub(super) const OFFLINE: &str = "offline";

/// A message that was read, for the connection of that number to confirm.
pub(super) type Ack = (u64, Publish);

/// All that connections need.
pub(super) struct Connector {
    pub(super) options: MqttOptions,
    pub(super) broker: String,
    pub(super) subscribe: Vec<String>,
    pub(super) publish: String,
    pub(super) status: String,
    pub(super) outbox: Arc<Outbox>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) counters: Arc<LinkCounters>,
}

impl Connector {
    /// Connects, again and again, until all has been said.
    ///
    /// # Errors
    /// If the first connection fails for a reason that waiting does not remove. Later ones are tried again whatever happens:
    /// a broker may start before its users are known to it.
    pub(super) async fn run(&self, mut acks: mpsc::Receiver<Ack>) -> Result<(), Error> {
        let (mut backoff, mut known, mut reached) = (Backoff::new(), String::new(), false);
        for number in 0.. {
            let (began, session) = (Instant::now(), Session::new(self, number));
            let error = match session.run(&mut acks).await {
                Ok(()) => break,
                Err(e) => e,
            };
            reached |= session.is_open.get();
            if error.is_final() && !reached {
                return Err(error);
            }
            self.outbox.take_back();
            let wait = backoff.after(began.elapsed());
            let text = error.to_string();
            // Once is enough for as long as nothing changes.
            match text == known && !session.is_open.get() {
                true => tracing::debug!("{text}; next try in {wait:.1?}"),
                false => tracing::warn!("{text}; next try in {wait:.1?}, and so on"),
            }
            known = text;
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // The end is near: one more try, now.
                () = self.outbox.closing() => {}
            }
        }
        Ok(())
    }
}

fn filter(topic: &str) -> Filter {
    Filter {
        // Answers must not come back as questions; the standard forbids to say so of a shared subscription.
        nolocal: !topic.starts_with("$share/"),
        // After a reconnection an old frame is of no interest.
        retain_forward_rule: RetainForwardRule::OnNewSubscribe,
        ..Filter::new(topic, QoS::AtLeastOnce)
    }
}

/// A connection.
struct Session<'c> {
    about: &'c Connector,
    number: u64,
    /// The broker has accepted the connection and all subscriptions.
    is_open: Cell<bool>,
    /// It has accepted the connection.
    greeted: Notify,
    /// Largest packet that the broker takes.
    max_packet: Cell<usize>,
    /// Time between pings.
    ping: Cell<Duration>,
    /// A refused line has been reported.
    complained: Cell<bool>,
}

impl Session<'_> {
    fn new(about: &Connector, number: u64) -> Session<'_> {
        Session {
            about,
            number,
            is_open: Cell::new(false),
            greeted: Notify::new(),
            max_packet: Cell::new(usize::MAX),
            ping: Cell::new(about.options.keep_alive()),
            complained: Cell::new(false),
        }
    }

    async fn run(&self, acks: &mut mpsc::Receiver<Ack>) -> Result<(), Error> {
        let (client, events) = AsyncClient::new(self.about.options.clone(), REQUESTS);
        // None of them is cancelled before the connection ends: the client library would lose packets.
        tokio::select! {
            ended = self.receive(&client, events) => ended,
            never = self.send(&client) => match never {},
            never = self.confirm(&client, acks) => match never {},
        }
    }

    /// Takes what comes from the broker, until the connection ends: in order, or with an error.
    async fn receive(&self, client: &AsyncClient, mut events: EventLoop) -> Result<(), Error> {
        loop {
            let event = tokio::time::timeout(self.ping.get() * PATIENCE, events.poll()).await;
            let event = event.map_err(|_| self.lost("the broker does not take anything more"))?;
            match event.map_err(|e| reason::of(&self.about.broker, &e))? {
                Event::Incoming(Packet::ConnAck(greeting)) => self.greeted(&greeting),
                Event::Incoming(Packet::SubAck(ack)) => self.subscribed(&ack)?,
                Event::Incoming(Packet::Publish(publish)) => self.take(client, publish),
                Event::Incoming(Packet::PubAck(ack)) => self.confirmed(&ack),
                Event::Outgoing(Outgoing::Publish(number)) => self.about.outbox.sent(number),
                Event::Outgoing(Outgoing::Disconnect) => return Ok(()),
                _ => {}
            }
        }
    }

    fn lost(&self, reason: &str) -> Error {
        Error::Lost { broker: self.about.broker.clone(), reason: reason.into() }
    }

    fn greeted(&self, greeting: &ConnAck) {
        if let Some(wishes) = &greeting.properties {
            self.max_packet.set(wishes.max_packet_size.map_or(usize::MAX, |n| n as usize));
            if let Some(seconds) = wishes.server_keep_alive {
                self.ping.set(self.ping.get().max(Duration::from_secs(seconds.into())));
            }
        }
        add(&self.about.counters.connects, 1);
        tracing::info!(session = greeting.session_present, "connected to {}", self.about.broker);
        self.is_open.set(self.about.subscribe.is_empty());
        self.greeted.notify_one();
    }

    fn subscribed(&self, ack: &SubAck) -> Result<(), Error> {
        for (topic, code) in self.about.subscribe.iter().zip(&ack.return_codes) {
            if !matches!(code, SubscribeReasonCode::Success(_)) {
                let (broker, topic) = (self.about.broker.clone(), topic.clone());
                return Err(Error::Subscription { broker, topic, reason: format!("{code:?}") });
            }
        }
        self.is_open.set(true);
        Ok(())
    }

    /// Keeps a message to be read. It is confirmed when the scheduler has it.
    fn take(&self, client: &AsyncClient, mut publish: Publish) {
        // Copied, because a part of the client's buffer would keep all of it in memory.
        let payload = std::mem::take(&mut publish.payload).to_vec();
        (publish.topic, publish.properties) = (Default::default(), None);
        add(&self.about.counters.received, 1);
        let delivery = Delivery { connection: self.number, publish, payload };
        for gone in self.about.inbox.push(delivery) {
            add(&self.about.counters.missed, 1);
            if gone.connection == self.number {
                // Unconfirmed, it would keep the broker from sending others. If there is no room for this, it comes again.
                let _ = client.try_ack(&gone.publish);
            }
        }
    }

    fn confirmed(&self, ack: &PubAck) {
        let taken =
            matches!(ack.reason, PubAckReason::Success | PubAckReason::NoMatchingSubscribers);
        self.about.outbox.confirmed(ack.pkid, taken);
        if !taken {
            let reason = format!("{:?}", ack.reason);
            self.complain(&format!("{reason}; let the user write to `{}`", self.about.publish));
        }
    }

    /// Once a connection is enough: refusals come in crowds, and are counted.
    fn complain(&self, why: &str) {
        if !self.complained.replace(true) {
            tracing::warn!("{} does not take what is published: {why}", self.about.broker);
        }
    }

    /// Confirms what was read.
    async fn confirm(&self, client: &AsyncClient, acks: &mut mpsc::Receiver<Ack>) -> Infallible {
        while let Some((number, publish)) = acks.recv().await {
            if number == self.number && client.ack(&publish).await.is_err() {
                break;
            }
        }
        pending().await
    }

    /// Brings everything to the broker, and takes leave after the last word.
    async fn send(&self, client: &AsyncClient) -> Infallible {
        self.greeted.notified().await;
        // It fails when the connection has ended, which `receive` knows better.
        let _ = self.send_all(client).await;
        pending().await
    }

    /// `None` if the connection ended before.
    async fn send_all(&self, client: &AsyncClient) -> Option<()> {
        let outbox = &self.about.outbox;
        let topics = &self.about.subscribe;
        if !topics.is_empty() {
            client.subscribe_many(topics.iter().map(|t| filter(t))).await.ok()?;
        }
        self.say_status(client, true).await?;
        while let Some(line) = outbox.next().await {
            let topic = self.about.publish.as_str();
            let size = line.len() + topic.len() + ENVELOPE;
            if size > self.max_packet.get() {
                outbox.give_up_last();
                self.complain(&format!("a line of {} bytes is too large for it", line.len()));
                continue;
            }
            client.publish(topic, QoS::AtLeastOnce, false, line.to_vec()).await.ok()?;
        }
        self.say_status(client, false).await?;
        outbox.landed().await;
        client.disconnect().await.ok()
    }

    async fn say_status(&self, client: &AsyncClient, status: bool) -> Option<()> {
        let (topic, text) = (self.about.status.as_str(), if status { ONLINE } else { OFFLINE });
        self.about.outbox.fly(status);
        client.publish(topic, QoS::AtLeastOnce, true, text).await.ok()
    }
}

/// How many packets the client may have on its way: a window of lines, and some more, so that their numbers do not come
/// around while one of them is late.
pub(super) const IN_FLIGHT: u16 = 8 * WINDOW as u16;
