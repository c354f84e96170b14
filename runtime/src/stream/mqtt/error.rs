//! Errors of the connection to a broker.

use std::io;
use std::path::PathBuf;

/// Why a broker cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address of the broker is none.
    #[error(
        "`{text}` is no address of a broker: {reason}; write mqtt://[user@]host[:1883] or \
         mqtts://[user@]host[:8883]"
    )]
    Address {
        /// The address.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The address holds a password. It is not repeated here.
    #[error(
        "the address of the broker holds a password, which everybody on this machine can see: write \
         it into a file (--mqtt-password-file) or into the environment variable GPT4ROI_MQTT_PASSWORD"
    )]
    PasswordInAddress,
    /// Options do not go together.
    #[error("{0}")]
    Options(&'static str),
    /// A topic cannot be used.
    #[error("`{topic}` is no topic {purpose}: {reason}")]
    Topic {
        /// The topic.
        topic: String,
        /// What it was to be used for.
        purpose: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A file of a key, certificate or password could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file holds no usable key or certificate.
    #[error("{}: {reason}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what would help.
        reason: String,
    },
    /// The machine's own list of certificate authorities cannot be used.
    #[error(
        "no certificate authority is known on this machine: name the broker's (--mqtt-ca){reason}"
    )]
    NoAuthorities {
        /// What went wrong when they were looked for.
        reason: String,
    },
    /// The broker does not want this client.
    #[error("{broker} refuses the connection: {reason}")]
    Refused {
        /// The broker.
        broker: String,
        /// Why, and what would help.
        reason: String,
    },
    /// The broker cannot prove who it is.
    #[error("{broker} is not trusted: {reason}")]
    Untrusted {
        /// The broker.
        broker: String,
        /// Why, and what would help.
        reason: String,
    },
    /// The broker does not let this client subscribe.
    #[error("{broker} refuses the subscription to `{topic}`: {reason}; let the user read it")]
    Subscription {
        /// The broker.
        broker: String,
        /// The topic.
        topic: String,
        /// What the broker said.
        reason: String,
    },
    /// The broker cannot be reached, or has gone.
    #[error("no connection to {broker}: {reason}")]
    Lost {
        /// The broker.
        broker: String,
        /// Why.
        reason: String,
    },
    /// There is no thread for the connection.
    #[error("cannot start a thread for the connection to the broker: {0}")]
    Thread(io::Error),
    /// A broken promise inside this crate or the client library; please report it.
    #[error("internal error: the connection to the broker ended without a word")]
    Internal,
}

impl Error {
    /// Whether waiting does not help: somebody has to change something.
    pub fn is_final(&self) -> bool {
        !matches!(self, Error::Lost { .. })
    }
}
