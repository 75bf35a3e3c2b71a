//! What the gate itself answers: the requests that never reach a handler.

use serde_json::json;

use super::links::LinkError;
use crate::clock::Clock;
use crate::http1::{BodyError, Fields, HeadError, ResponseHead, Version};

/// An answer after which the connection ends: where the next request would start is unknown, or it must not start.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) detail: &'static str,
}

impl Refusal {
    pub(super) const fn new(status: u16, detail: &'static str) -> Self {
        Self { status, detail }
    }

    /// What to say about a head that could not be read; `None`: there is nobody to say it to.
    pub(super) fn of_head(error: &HeadError) -> Option<Self> {
        Some(match error {
            HeadError::Closed | HeadError::Truncated | HeadError::Io(_) | HeadError::TimedOut { started: false } => {
                return None;
            }
            HeadError::TimedOut { started: true } => Self::new(408, "The request head did not come in time"),
            HeadError::TooLarge => Self::new(431, "Request head too large"),
            HeadError::Malformed(what) => Self::new(400, what),
            HeadError::Version => Self::new(505, "Only HTTP/1.0 and HTTP/1.1 are served"),
        })
    }

    pub(super) fn of_link(error: &LinkError) -> Self {
        match error {
            LinkError::Busy => Self::new(503, "The daemon is busy; try again"),
            LinkError::Broken(_) => Self::new(500, "Internal Server Error"),
        }
    }

    /// The bytes of the answer.
    pub(super) fn to_bytes(&self, method: &str) -> Vec<u8> {
        let body = json!({"detail": self.detail}).to_string();
        let mut fields = Fields::new();
        fields.push("Content-Type", "application/json");
        fields.push("Content-Length", body.len().to_string());
        fields.push("Date", Clock::system().now().to_http_date());
        fields.push("Cache-Control", "no-store");
        fields.push("X-Content-Type-Options", "nosniff");
        fields.push("Connection", "close");
        let reason = super::framing::reason(self.status).to_owned();
        let mut bytes = ResponseHead { status: self.status, reason, version: Version::Http11, fields }.to_bytes();
        if method != "HEAD" {
            bytes.extend_from_slice(body.as_bytes());
        }
        bytes
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        Self::new(400, error.0)
    }
}
