//! Where a broker is.

use std::fmt;
use std::str::FromStr;

use super::Error;

/// A broker's address: `mqtt://[user@]host[:1883]` or, with TLS, `mqtts://[user@]host[:8883]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Who connects.
    pub user: Option<String>,
    /// The machine, as a name or a number; a number of IPv6 stands in brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether the connection is encrypted.
    pub tls: bool,
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        // Before anything else: other errors repeat the address.
        if rest.rsplit_once('@').is_some_and(|(user, _)| user.contains(':')) {
            return Err(Error::PasswordInAddress);
        }
        let tls = match scheme {
            "mqtt" => false,
            "mqtts" => true,
            _ => return Err(wrong(text, "it begins with neither mqtt:// nor mqtts://")),
        };
        let (user, place) = match rest.rsplit_once('@') {
            Some(("", _)) => return Err(wrong(text, "the user is empty")),
            Some((user, place)) => (Some(user.to_owned()), place),
            None => (None, rest),
        };
        let place = place.strip_suffix('/').unwrap_or(place);
        let (host, port) = divided(place).ok_or_else(|| wrong(text, "the port is no number"))?;
        check_host(host, tls).map_err(|reason| wrong(text, reason))?;
        let port = port.unwrap_or(if tls { 8883 } else { 1883 });
        Ok(Address { user, host: host.into(), port, tls })
    }
}

fn wrong(text: &str, reason: &'static str) -> Error {
    Error::Address { text: text.into(), reason }
}

/// Host and port; the colons of an IPv6 number are inside of brackets.
fn divided(place: &str) -> Option<(&str, Option<u16>)> {
    let begin = place.rfind(']').map_or(0, |end| end + 1);
    match place[begin..].find(':') {
        None => Some((place, None)),
        Some(at) => {
            let (host, port) = place.split_at(begin + at);
            Some((host, Some(port[1..].parse().ok().filter(|port| *port > 0)?)))
        }
    }
}

fn check_host(host: &str, tls: bool) -> Result<(), &'static str> {
    let inner = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    match inner {
        Some(_) if tls => Err("a certificate is for a name: give the broker's"),
        Some(number) => match number.parse::<std::net::Ipv6Addr>() {
            Ok(_) => Ok(()),
            Err(_) => Err("what stands in brackets is no IPv6 number"),
        },
        None if host.is_empty() => Err("the host is missing"),
        None if host.chars().all(|c| c.is_alphanumeric() || "-._".contains(c)) => Ok(()),
        None => Err("the host is no name and no number"),
    }
}

/// Without the user: for messages.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "mqtts" } else { "mqtt" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        for (text, user, host, port, tls) in [
            ("mqtt://broker", None, "broker", 1883, false),
            ("mqtt://broker:1999/", None, "broker", 1999, false),
            ("mqtts://10.0.0.7", None, "10.0.0.7", 8883, true),
            ("mqtts://me@a.example.org:1", Some("me"), "a.example.org", 1, true),
            ("mqtt://me@home@[::1]:5", Some("me@home"), "[::1]", 5, false),
            ("mqtt://[::1]", None, "[::1]", 1883, false),
        ] {
            let address: Address = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            let user = user.map(str::to_owned);
            assert_eq!(address, Address { user, host: host.into(), port, tls }, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, words) in [
            ("broker:1883", "mqtt://"),
            ("http://broker", "mqtt://"),
            ("mqtt://", "host is missing"),
            ("mqtt://:1883", "host is missing"),
            ("mqtt://@broker", "user is empty"),
            ("mqtt://broker:", "port"),
            ("mqtt://broker:0", "port"),
            ("mqtt://broker:99999", "port"),
            ("mqtt://broker/topic", "no name"),
            ("mqtt://::1", "port"),
            ("mqtt://[::1", "port"),
            ("mqtt://[broker]", "IPv6"),
            ("mqtts://[::1]", "certificate"),
        ] {
            let error = text.parse::<Address>().expect_err(text).to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn a_password_is_refused_and_not_repeated() {
        for text in ["mqtt://me:secret@broker", "http://me:secret@broker", "me:secret@x:99999"] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(matches!(error, Error::PasswordInAddress), "{text}");
            assert!(!error.to_string().contains("secret"), "{text}");
        }
    }
}
