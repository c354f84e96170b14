//! What a supervisor like systemd wants to know: that the program is ready, and that it lives.
//!
//! The protocol is that of sd_notify(3): datagrams to the socket that `NOTIFY_SOCKET` names.

use gpt4roi::stream::Stats;
use std::time::Duration;

/// Who wants to know.
pub(super) struct Supervisor {
    #[cfg(target_os = "linux")]
    socket: Option<(std::os::unix::net::UnixDatagram, std::os::unix::net::SocketAddr)>,
    /// Silence of the worker after which it is taken for dead.
    patience: Duration,
}

impl Supervisor {
    /// The one that the environment names, or nobody.
    pub(super) fn find() -> Supervisor {
        let microseconds = std::env::var("WATCHDOG_USEC").ok().and_then(|t| t.parse().ok());
        let patience = microseconds.map_or(Duration::MAX, Duration::from_micros);
        Supervisor {
            #[cfg(target_os = "linux")]
            socket: socket(),
            patience,
        }
    }

    pub(super) fn ready(&self) {
        self.send("READY=1");
    }

    /// Says that the worker lives, unless it has been silent for too long, and how it goes.
    pub(super) fn alive(&self, silence: Duration, stats: &Stats) {
        let c = &stats.counters;
        let status = format!(
            "STATUS={} frames, {} answers, {} repeated, {} dropped",
            c.frames,
            c.answered,
            c.repeated,
            c.dropped.total()
        );
        match silence < self.patience {
            true => self.send(&format!("WATCHDOG=1\n{status}")),
            false => self.send(&status),
        }
    }

    #[cfg(target_os = "linux")]
    fn send(&self, text: &str) {
        if let Some((socket, address)) = &self.socket {
            // Nobody listens any more: nothing to do about it.
            let _ = socket.send_to_addr(text.as_bytes(), address);
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn send(&self, _: &str) {}
}

#[cfg(target_os = "linux")]
fn socket() -> Option<(std::os::unix::net::UnixDatagram, std::os::unix::net::SocketAddr)> {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    let name = std::env::var("NOTIFY_SOCKET").ok()?;
    // A leading @ stands for the zero byte of an abstract name.
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&name),
    };
    Some((UnixDatagram::unbound().ok()?, address.ok()?))
}
