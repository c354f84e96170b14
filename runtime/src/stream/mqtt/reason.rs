//! What a client library's error means, and what would help.

use std::io;

use rumqttc::v5::mqttbytes::Error as PacketError;
use rumqttc::v5::mqttbytes::v5::{ConnectReturnCode as Code, DisconnectReasonCode};
use rumqttc::v5::{ConnectionError, StateError};
use rustls::{AlertDescription, CertificateError};

use super::Error;

pub(super) fn of(broker: &str, error: &ConnectionError) -> Error {
    let broker = broker.to_owned();
    if let Some(tls) = tls(error) {
        return of_tls(broker, tls);
    }
    let reason = match error {
        ConnectionError::ConnectionRefused(code) => return refused(broker, *code),
        ConnectionError::Timeout(_) => "it does not answer".into(),
        ConnectionError::Io(e)
        | ConnectionError::MqttState(StateError::Deserialization(PacketError::Io(e))) => {
            e.to_string()
        }
        ConnectionError::MqttState(StateError::ConnectionAborted) => {
            "it has closed the connection".into()
        }
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, .. }) => {
            match reason_code {
                DisconnectReasonCode::SessionTakenOver => {
                    "another client has connected with the same id; give each its own \
                     (--mqtt-client-id)"
                        .into()
                }
                code => format!("it has closed the connection ({code:?})"),
            }
        }
        other => other.to_string(),
    };
    Error::Lost { broker, reason }
}

fn refused(broker: String, code: Code) -> Error {
    let reason = match code {
        Code::BadUserNamePassword | Code::NotAuthorized => {
            "user or password are wrong, or the user may not connect; the user stands in the address, \
             the password in --mqtt-password-file or GPT4ROI_MQTT_PASSWORD"
        }
        Code::RefusedProtocolVersion | Code::UnsupportedProtocolVersion => {
            "it does not speak MQTT 5; use one that does"
        }
        Code::BadClientId | Code::ClientIdentifierNotValid => {
            "it does not like the client's id; give another (--mqtt-client-id)"
        }
        Code::Banned => "this client is banned; ask who runs the broker",
        Code::RetainNotSupported | Code::QoSNotSupported => {
            "it lacks retained messages or QoS 1; use one that has them"
        }
        other => return Error::Lost { broker, reason: format!("it says {other:?}") },
    };
    Error::Refused { broker, reason: reason.into() }
}

fn of_tls(broker: String, error: &rustls::Error) -> Error {
    match error {
        rustls::Error::InvalidCertificate(why) => {
            let reason = match why {
                CertificateError::UnknownIssuer => {
                    "no known authority has signed its certificate; name the one that has (--mqtt-ca)".into()
                }
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                    "its certificate has expired; give it a new one, or set this machine's clock".into()
                }
                CertificateError::NotValidForName
                | CertificateError::NotValidForNameContext { .. } => {
                    format!("{why}; connect by a name that its certificate is for")
                }
                why => format!("its certificate is not valid: {why}"),
            };
            Error::Untrusted { broker, reason }
        }
        rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::HandshakeFailure
            | AlertDescription::UnknownCA,
        ) => Error::Refused {
            broker,
            reason: format!(
                "{error}; it may want a certificate of this client (--mqtt-cert, --mqtt-key)"
            ),
        },
        other => Error::Lost { broker, reason: format!("TLS: {other}") },
    }
}

/// The error of TLS that is the reason for another.
fn tls(error: &ConnectionError) -> Option<&rustls::Error> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = match error {
        // The client library does not call this one a source.
        ConnectionError::MqttState(StateError::Deserialization(inner)) => Some(inner),
        other => Some(other),
    };
    while let Some(error) = next {
        // An I/O error does not call what it wraps its source.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(tls) = inner.and_then(|e| e.downcast_ref()).or(error.downcast_ref()) {
            return Some(tls);
        }
        next = error.source();
    }
    None
}
