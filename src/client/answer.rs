//! What a daemon answered, and what its refusals mean to us.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{AuthsomeError, ErrorName, Result};
use crate::secret::SecretBuffer;

/// The longest error text that is taken over from a daemon, in characters.
const MESSAGE_CHARS: usize = 1000;

/// The field that asks for what to do about a refusal. An older daemon does not know it, and says nothing.
pub(super) const HINTS: (&str, &str) = ("Authsome-Hints", "1");

/// Status and body of an answer. The body may hold secrets.
#[derive(Debug)]
pub struct Answer {
    status: u16,
    body: SecretBuffer,
}

impl Answer {
    pub(super) fn new(status: u16, body: SecretBuffer) -> Self {
        Self { status, body }
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The body as it came.
    pub fn expose_bytes(&self) -> &[u8] {
        self.body.expose_bytes()
    }

    /// Reads the body.
    ///
    /// # Errors
    /// `DaemonUnavailable` when it is not the JSON that was expected: then it is not a daemon that answered.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(self.expose_bytes()).map_err(|error| AuthsomeError::DaemonUnavailable {
            // serde's own text quotes values; line and column do not.
            reason: format!(
                "the answer of the daemon is not understood (line {}, column {})",
                error.line(),
                error.column()
            ),
        })
    }

    /// This answer, unless it is a refusal.
    ///
    /// # Errors
    /// The refusal as [`AuthsomeError::Remote`].
    pub fn into_success(self) -> Result<Self> {
        if (200..300).contains(&self.status) { Ok(self) } else { Err(self.refusal()) }
    }

    /// The `detail` of a route-level refusal, where it is a text.
    pub fn detail(&self) -> Option<String> {
        let body: Refusal = serde_json::from_slice(self.expose_bytes()).ok()?;
        body.detail?.as_str().map(str::to_owned)
    }

    fn refusal(&self) -> AuthsomeError {
        let body: Refusal = serde_json::from_slice(self.expose_bytes()).unwrap_or_default();
        if let Some(name) = body.error {
            return AuthsomeError::Remote {
                name: ErrorName::parse(&name),
                status: self.status,
                message: clean(body.message.as_deref().unwrap_or(&name)),
                provider: body.provider,
                operation: body.operation,
                hint: body.hint.as_deref().map(clean),
            };
        }
        let (name, message) = match &body.detail {
            Some(Value::String(text)) if self.status >= 500 => {
                (ErrorName::Authsome, format!("the daemon failed: {}", clean(text)))
            }
            Some(Value::String(text)) => (name_of(self.status, text), clean(text)),
            Some(Value::Array(problems)) => (ErrorName::Authsome, clean(&schema_problems(problems))),
            _ if self.status >= 500 => (ErrorName::Authsome, format!("the daemon failed (status {})", self.status)),
            _ => (ErrorName::DaemonUnavailable, format!("what answers is not an authsome daemon ({})", self.status)),
        };
        AuthsomeError::Remote { name, status: self.status, message, provider: None, operation: None, hint: None }
    }
}

/// The two shapes of `contract/http.md` section 2, with the hint that [`HINTS`] asks for.
#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    provider: Option<String>,
    #[serde(default)]
    operation: Option<String>,
    #[serde(default)]
    hint: Option<String>,
    #[serde(default)]
    detail: Option<Value>,
}

/// The name for a refusal that carries none.
fn name_of(status: u16, detail: &str) -> ErrorName {
    match status {
        401 if detail == super::UNKNOWN_HANDLE => ErrorName::IdentityNotRegistered,
        401 => ErrorName::AuthenticationFailed,
        403 if detail.to_ascii_lowercase().contains("claim") => ErrorName::IdentityNotRegistered,
        403 => ErrorName::OperationNotAllowed,
        _ => ErrorName::Authsome,
    }
}

/// One line for a 422: where and what, for each problem.
fn schema_problems(problems: &[Value]) -> String {
    let describe = |problem: &Value| {
        let place: Vec<String> = problem["loc"]
            .as_array()
            .map(|loc| loc.iter().map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned)).collect())
            .unwrap_or_default();
        format!("{}: {}", place.join("."), problem["msg"].as_str().unwrap_or("not acceptable"))
    };
    let all: Vec<String> = problems.iter().take(5).map(describe).collect();
    format!("the daemon does not take this request: {}", all.join("; "))
}

/// A text from elsewhere, fit for a terminal: no control characters, not endless.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MESSAGE_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        let mut buffer = SecretBuffer::new();
        buffer.write_all(body.as_bytes()).expect("memory");
        Answer::new(status, buffer)
    }

    #[test]
    fn refusals_keep_their_name_and_prefix() {
        let body = r#"{"error":"ProviderNotFoundError","message":"[x] Provider 'x' not found","provider":"x","operation":null}"#;
        let error = answer(404, body).into_success().expect_err("refused");
        assert_eq!((error.name(), error.exit_code()), (ErrorName::ProviderNotFound, 4));
        assert_eq!(error.to_string(), "[x] Provider 'x' not found");
        assert_eq!(error.provider(), Some("x"));
    }

    #[test]
    fn what_the_daemon_says_to_do_is_passed_on() {
        let refused = |body: &str| answer(400, body).into_success().expect_err("refused");
        let named = r#"{"error":"OperationNotAllowedError","message":"no","hint":"ask\u001b[31m Ada"}"#;
        assert_eq!(refused(named).hint().as_deref(), Some("ask [31m Ada"));
        assert_eq!(refused(r#"{"error":"OperationNotAllowedError","message":"no"}"#).hint(), None);
        let usual = r#"{"error":"TokenExpiredError","message":"no","provider":"x"}"#;
        assert_eq!(refused(usual).hint().as_deref(), Some("run: authsome login x"));
    }

    #[test]
    fn details_get_the_nearest_name() {
        for (status, body, name) in [
            (401, r#"{"detail":"Unknown identity handle"}"#, ErrorName::IdentityNotRegistered),
            (401, r#"{"detail":"Proof JWT was already used"}"#, ErrorName::AuthenticationFailed),
            (403, r#"{"detail":"Identity is not claimed"}"#, ErrorName::IdentityNotRegistered),
            (403, r#"{"detail":"Admin role required"}"#, ErrorName::OperationNotAllowed),
            (404, r#"{"detail":"Not Found"}"#, ErrorName::Authsome),
            (422, r#"{"detail":[{"loc":["body","scope"],"msg":"no","type":"enum"}]}"#, ErrorName::Authsome),
            (500, r#"{"detail":"Internal Server Error"}"#, ErrorName::Authsome),
            (502, "<html>", ErrorName::Authsome),
            (404, "<html>", ErrorName::DaemonUnavailable),
            (302, "", ErrorName::DaemonUnavailable),
        ] {
            assert_eq!(answer(status, body).into_success().expect_err("refused").name(), name, "{status} {body}");
        }
        let problems = answer(422, r#"{"detail":[{"loc":["body",0,"x"],"msg":"bad","type":"t"}]}"#);
        assert!(problems.into_success().expect_err("refused").to_string().ends_with("body.0.x: bad"));
    }

    #[test]
    fn foreign_texts_cannot_steer_a_terminal_or_leak_a_body() {
        let error = answer(400, "{\"detail\":\"a\\u001b[31mb\"}").into_success().expect_err("refused");
        assert_eq!(error.to_string(), "a [31mb");
        let error = answer(200, r#"{"api_key":"hunter2""#).parse::<Value>().expect_err("not JSON");
        assert!(!error.to_string().contains("hunter2"));
        let error = answer(200, r#"{"status":"hunter2"}"#).parse::<std::collections::BTreeMap<String, u8>>();
        assert!(!error.expect_err("not numbers").to_string().contains("hunter2"));
    }
}
