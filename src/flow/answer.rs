//! What an endpoint answered, and what that means (RFC 6749 sections 5.1 and 5.2).

use std::collections::BTreeMap;
use std::time::Duration;

use super::FlowError;
use super::call::Call;
use super::document::{Document, Value};
use super::error::INVALID_GRANT;
use crate::limits::{OAUTH_RETRY_AFTER, OAUTH_TEXT_CHARS};
use crate::secret::SecretBuffer;

/// A complete answer.
#[derive(Debug)]
pub(super) struct Answer {
    /// Host of the endpoint.
    pub(super) endpoint: String,
    /// HTTP status.
    pub(super) status: u16,
    /// `Content-Type`.
    pub(super) content_type: Option<String>,
    /// `Retry-After`, capped.
    pub(super) retry_after: Option<Duration>,
    /// At most [`OAUTH_BODY_BYTES`](crate::limits::OAUTH_BODY_BYTES).
    pub(super) body: SecretBuffer,
}

/// What an answer says went wrong.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing.
    None,
    /// A standard error.
    Refused {
        /// The code.
        code: String,
        /// The text for people.
        description: Option<String>,
    },
    /// Something, in a form of its own. It is not shown.
    Other,
}

impl Answer {
    /// The data of a successful answer to `call`.
    ///
    /// # Errors
    /// `Refused` for an OAuth error, whatever its status; `Unusable` for everything else but data.
    pub(super) fn success(&self, call: &Call<'_>) -> Result<Document, FlowError> {
        match self.status {
            200..=299 => {
                let document = self.document().map_err(|what| self.unusable(what))?;
                match fault(&document, call) {
                    Fault::None => Ok(document),
                    Fault::Refused { code, description } => Err(FlowError::Refused { code, description }),
                    Fault::Other => Err(self.unusable("an error that is not OAuth's")),
                }
            }
            // Too many requests: even a standard error there is about the pace, not about the grant.
            400..=428 | 430..=499 => Err(self.refusal(call)),
            _ => Err(self.unusable("no tokens")),
        }
    }

    /// What this answer with an error status means.
    pub(super) fn refusal(&self, call: &Call<'_>) -> FlowError {
        match self.fault(call) {
            Fault::Refused { code, description } => FlowError::Refused { code, description },
            Fault::None | Fault::Other => self.unusable("an error that is not OAuth's"),
        }
    }

    /// The error in the body, whatever the status is.
    pub(super) fn fault(&self, call: &Call<'_>) -> Fault {
        self.document().map_or(Fault::None, |document| fault(&document, call))
    }

    /// The same with the definition's word for a dead grant (`oauth.dead_grant`): a field and its value, of which one
    /// that is there suffices. Providers that do not say `invalid_grant` are told apart from broken ones by that.
    pub(super) fn success_or_dead_grant(
        &self,
        call: &Call<'_>,
        dead_grant: &BTreeMap<String, String>,
    ) -> Result<Document, FlowError> {
        let error = match self.success(call) {
            Err(error @ (FlowError::Refused { .. } | FlowError::Unusable { .. })) => error,
            other => return other,
        };
        let is_about_the_grant = matches!(self.status, 200..=299 | 400..=428 | 430..=499);
        let is_dead = is_about_the_grant && self.document().is_ok_and(|document| document.has_one_of(dead_grant));
        Err(match error {
            FlowError::Refused { code, description } if is_dead && code != INVALID_GRANT => {
                FlowError::Refused { code: INVALID_GRANT.to_owned(), description: description.or(Some(code)) }
            }
            FlowError::Unusable { .. } if is_dead => {
                FlowError::Refused { code: INVALID_GRANT.to_owned(), description: None }
            }
            other => other,
        })
    }

    /// This answer is of no use: it is `what`. Statuses speak for themselves.
    pub(super) fn unusable(&self, what: &str) -> FlowError {
        let status = self.status;
        let reason = match status {
            200..=299 => what.to_owned(),
            300..=399 => format!("a redirect (status {status}), which is not followed"),
            429 => "too many requests (status 429)".to_owned(),
            _ => format!("status {status}"),
        };
        let retry_after = self.retry_after.filter(|_| matches!(status, 429 | 503));
        FlowError::Unusable { endpoint: self.endpoint.clone(), reason, retry_after }
    }

    fn document(&self) -> Result<Document, &'static str> {
        Document::parse(self.content_type.as_deref(), self.body.expose_bytes())
    }
}

/// RFC 6749 section 5.2, whatever the status is: GitHub answers errors with 200, Slack as well and with `"ok":false`.
/// Objects and numbers under `error` (Google's APIs, Reddit) are errors without a code.
fn fault(document: &Document, call: &Call<'_>) -> Fault {
    let shown = |name| document.text(name).map(clean).filter(|text| !text.is_empty() && !call.is_echoed_in(text));
    if let Some(code) = shown("error") {
        return Fault::Refused { code, description: shown("error_description") };
    }
    let is_error = match document.get("error") {
        None | Some(Value::Bool(false)) => false,
        Some(Value::Text(text)) => !text.is_empty(),
        Some(Value::Bool(true) | Value::Null | Value::Number(_) | Value::List(_) | Value::Object(_)) => true,
    };
    if is_error || matches!(document.get("ok"), Some(Value::Bool(false))) { Fault::Other } else { Fault::None }
}

/// A server's words, fit for a log and a terminal: no controls, no characters that turn the text around, not long.
pub(super) fn clean(text: &str) -> String {
    let is_harmless = |character: &char| !matches!(character, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let is_break = |character: char| character.is_control() || matches!(character, '\u{2028}' | '\u{2029}');
    let spaced = text.chars().filter(is_harmless).map(|it| if is_break(it) { ' ' } else { it });
    spaced.take(OAUTH_TEXT_CHARS).collect::<String>().trim().to_owned()
}

/// Reads `Retry-After` (RFC 9110 section 10.2.3): seconds, or a date that is compared with `now` (Unix seconds).
pub(super) fn retry_after(value: &str, now: i64) -> Option<Duration> {
    let value = value.trim();
    let seconds = if value.bytes().all(|byte| byte.is_ascii_digit()) && !value.is_empty() {
        value.parse().unwrap_or(u64::MAX)
    } else {
        let date = crate::clock::Timestamp::parse_http_date(value)?;
        u64::try_from(date.unix().saturating_sub(now)).unwrap_or(0)
    };
    Some(Duration::from_secs(seconds).min(OAUTH_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_words_are_made_harmless() {
        let cases = [
            ("plain text", "plain text"),
            ("a\u{1b}[31mred\u{7}\r\nnext", "a [31mred   next"),
            (" \t padded \n", "padded"),
            ("left\u{202e}thgir\u{2066}x\u{200f}\u{61c}", "leftthgirx"),
            ("two\u{2028}lines\u{85}", "two lines"),
        ];
        for (text, expected) in cases {
            assert_eq!(clean(text), expected);
        }
        assert_eq!(clean(&"é".repeat(500)).chars().count(), OAUTH_TEXT_CHARS);
    }

    #[test]
    fn servers_may_ask_for_an_hour_of_rest_at_most() {
        let now = 1_769_860_800; // Sat, 31 Jan 2026 12:00:00 GMT
        let cases = [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("3601", Some(3600)),
            ("99999999999999999999999", Some(3600)),
            ("Sat, 31 Jan 2026 12:02:00 GMT", Some(120)),
            ("Sat, 31 Jan 2026 11:00:00 GMT", Some(0)),
            ("Mon, 31 Jan 2028 12:00:00 GMT", Some(3600)),
            ("-5", None),
            ("1.5", None),
            ("", None),
            ("soon", None),
        ];
        for (value, seconds) in cases {
            assert_eq!(retry_after(value, now), seconds.map(Duration::from_secs), "{value:?}");
        }
    }
}
