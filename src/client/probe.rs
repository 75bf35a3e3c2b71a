//! Who listens at an address: one unsigned `GET /health`.

use std::io;
use std::time::Instant;

use serde::Deserialize;

use super::base_url::BaseUrl;
use super::plain::{Connection, ExchangeError};
use super::request_head;
use crate::limits::CLIENT_CONNECT_DEADLINE;

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// A daemon of this version.
    Daemon { version: String },
    /// Something that does not answer as a daemon does.
    Other,
    /// Nobody.
    Refused,
    /// Somebody who does not answer in time.
    Silent,
}

#[derive(Deserialize)]
struct Health {
    status: String,
    version: String,
}

/// Asks; takes at most a few seconds.
pub(super) fn probe(base: &BaseUrl) -> Probe {
    let mut connection = match Connection::open(base) {
        Ok(connection) => connection,
        Err(error) if error.kind() == io::ErrorKind::TimedOut => return Probe::Silent,
        Err(_) => return Probe::Refused,
    };
    let head = request_head("GET", "/health", base, 0, None);
    match connection.exchange(&head, b"", Instant::now() + CLIENT_CONNECT_DEADLINE) {
        Ok(answer) => match serde_json::from_slice::<Health>(answer.expose_bytes()) {
            Ok(health) if answer.status() == 200 && health.status == "ok" => Probe::Daemon { version: health.version },
            _ => Probe::Other,
        },
        Err(ExchangeError::TimedOut) => Probe::Silent,
        Err(ExchangeError::Closed | ExchangeError::NotHttp(_) | ExchangeError::Io(_)) => Probe::Other,
    }
}
