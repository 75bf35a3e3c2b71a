//! What the gate itself answers: the requests that never reach a handler.

use serde_json::json;
use zeroize::Zeroizing;

use super::framing::answer;
use crate::daemon::message::Response;
use crate::http1::{BodyError, HeadError};

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

    /// The bytes of the answer.
    pub(super) fn to_bytes(&self, is_head: bool) -> Zeroizing<Vec<u8>> {
        let response = Response::json_with_status(self.status, &json!({"detail": self.detail}));
        answer(response, is_head, true, false)
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        Self::new(400, error.0)
    }
}
