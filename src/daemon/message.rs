//! Requests and answers inside the daemon: complete, bounded, and free of sockets.

use std::net::IpAddr;

use serde::Serialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::pages::{self, CONTENT_SECURITY_POLICY, Html, NextStep};
use super::people::UI_COOKIE;
use crate::error::AuthsomeError;
use crate::http1::Fields;
use crate::secret::SecretBuffer;

/// One whole request, as the gate let it through.
pub(super) struct Request {
    /// Method, as sent.
    pub(super) method: String,
    /// Request target in origin form, as sent: what a proof is bound to.
    pub(super) target: String,
    /// Header fields.
    pub(super) fields: Fields,
    /// Body, without its framing.
    pub(super) body: Zeroizing<Vec<u8>>,
    /// Who connected to the gate.
    pub(super) peer: Option<IpAddr>,
}

impl Request {
    /// The path as sent.
    pub(super) fn path(&self) -> &str {
        self.target.split_once('?').map_or(self.target.as_str(), |(path, _)| path)
    }

    /// The query as sent, without its question mark.
    pub(super) fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    /// Whether the client would rather see a page than JSON.
    pub(super) fn wants_html(&self) -> bool {
        self.fields.first_str("accept").is_some_and(|accept| accept.contains("text/html"))
    }

    /// Where a person goes on after a refusal: who has a session came from the dashboard, others from a terminal.
    pub(super) fn next_step(&self) -> NextStep<'static> {
        match self.cookie(UI_COOKIE) {
            Some(_) => NextStep::Visit("/"),
            None => NextStep::Do("Start again from your terminal."),
        }
    }

    /// Whether the client asks what to do about a refusal: the field would be new to those of 0.7.2.
    pub(super) fn wants_hints(&self) -> bool {
        self.fields.first_str("authsome-hints").is_some_and(|value| value == "1")
    }

    /// The value of the cookie called `name`. Of several that differ none counts: whoever serves a name or a port beside
    /// ours can add one, and which one is ours cannot be told.
    pub(super) fn cookie(&self, name: &str) -> Option<&str> {
        let mut values = self
            .fields
            .all("cookie")
            .filter_map(|value| std::str::from_utf8(value).ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter_map(|(known, value)| (known == name).then_some(value));
        let first = values.next()?;
        values.all(|other| other == first).then_some(first)
    }
}

/// An answer.
pub(super) struct Response {
    /// Status code.
    pub(super) status: u16,
    /// Header fields, without those of the framing.
    pub(super) fields: Fields,
    /// Body.
    pub(super) body: Zeroizing<Vec<u8>>,
}

impl Response {
    fn new(status: u16, content_type: &str, body: Vec<u8>) -> Self {
        let mut fields = Fields::new();
        if !content_type.is_empty() {
            fields.push("Content-Type", content_type);
        }
        fields.push("Cache-Control", "no-store");
        fields.push("X-Content-Type-Options", "nosniff");
        Self { status, fields, body: Zeroizing::new(body) }
    }

    /// 200 with JSON that holds nothing secret.
    pub(super) fn json(value: &impl Serialize) -> Self {
        Self::json_with_status(200, value)
    }

    /// JSON with another status.
    pub(super) fn json_with_status(status: u16, value: &impl Serialize) -> Self {
        Self::new(status, "application/json", serde_json::to_vec(value).unwrap_or_default())
    }

    /// 200 with JSON that holds secrets.
    pub(super) fn secret_json(value: SecretBuffer) -> Self {
        let mut response = Self::new(200, "application/json", Vec::new());
        response.body = value.into_bytes();
        response
    }

    /// A page.
    pub(super) fn html(status: u16, page: &Html) -> Self {
        let mut response = Self::new(status, "text/html; charset=utf-8", page.as_str().as_bytes().to_vec());
        response.fields.push("Content-Security-Policy", CONTENT_SECURITY_POLICY);
        response.fields.push("X-Frame-Options", "DENY");
        // Links of a login and of a claim are secrets for as long as they live. Not `no-referrer`: a browser would then
        // send `Origin: null` with our own forms (Fetch, "append a request Origin header"), which `origin` refuses.
        response.fields.push("Referrer-Policy", "same-origin");
        response
    }

    /// A page of the dashboard. Its script is ours and may ask only ourselves.
    pub(super) fn dashboard(status: u16, page: &Html) -> Self {
        let mut response = Self::html(status, page);
        let policy = format!("{CONTENT_SECURITY_POLICY}; script-src 'self'; connect-src 'self'");
        response.fields.set("Content-Security-Policy", policy);
        response
    }

    /// A page whose form's answer leads to a provider, and from there wherever the provider signs people in. Browsers
    /// hold every one of these redirects to the policy of the form's page.
    pub(super) fn form_to_provider(status: u16, page: &Html) -> Self {
        const ANYWHERE: &str = "form-action 'self' https: http://127.0.0.1:* http://localhost:*";
        let mut response = Self::html(status, page);
        let policy = CONTENT_SECURITY_POLICY.replace("form-action 'self'", ANYWHERE);
        response.fields.set("Content-Security-Policy", policy);
        response
    }

    /// A style sheet.
    pub(super) fn style(text: &'static str) -> Self {
        Self::asset("text/css; charset=utf-8", text)
    }

    /// A script.
    pub(super) fn script(text: &'static str) -> Self {
        Self::asset("text/javascript; charset=utf-8", text)
    }

    /// What changes only with the program.
    fn asset(content_type: &str, text: &'static str) -> Self {
        let mut response = Self::new(200, content_type, text.as_bytes().to_vec());
        response.fields.set("Cache-Control", "public, max-age=300");
        response
    }

    /// 303 See Other.
    pub(super) fn redirect(location: &str) -> Self {
        Self::redirect_with_status(303, location)
    }

    /// A redirect with another status.
    pub(super) fn redirect_with_status(status: u16, location: &str) -> Self {
        let mut response = Self::new(status, "", Vec::new());
        response.fields.push("Location", location);
        response.fields.push("Referrer-Policy", "no-referrer");
        response
    }

    /// Adds a cookie.
    pub(super) fn set_cookie(&mut self, cookie: &str) {
        self.fields.push("Set-Cookie", cookie);
    }
}

/// A refusal at the level of routes: `{"detail": ..}` (`contract/http.md` section 2).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refusal {
    status: u16,
    detail: Value,
}

impl Refusal {
    /// A refusal with a text.
    pub(super) fn new(status: u16, detail: impl Into<String>) -> Self {
        Self { status, detail: Value::String(detail.into()) }
    }

    /// 422: one field does not fit its schema.
    pub(super) fn field(loc: &[&str], msg: &str, kind: &str) -> Self {
        Self { status: 422, detail: json!([{"type": kind, "loc": loc, "msg": msg}]) }
    }

    #[cfg(test)]
    pub(super) fn status(&self) -> u16 {
        self.status
    }
}

/// All that a client learns of a failure inside.
pub(super) const INTERNAL: &str = "Internal Server Error";

/// Why a handler gives no ordinary answer.
pub(super) enum Failure {
    /// A refusal of the route.
    Refusal(Refusal),
    /// A domain error.
    Domain(AuthsomeError),
    /// Another answer, such as a redirect to the sign-in page.
    Answer(Box<Response>),
}

impl Failure {
    /// 303 to `location`.
    pub(super) fn redirect(location: &str) -> Self {
        Self::Answer(Box::new(Response::redirect(location)))
    }

    /// The answer for the client, with a hint for who asks for one. What went wrong inside is for the log only.
    pub(super) fn into_response(self, with_hint: bool) -> Response {
        match self {
            Self::Answer(response) => *response,
            Self::Refusal(refusal) => Response::json_with_status(refusal.status, &json!({"detail": refusal.detail})),
            Self::Domain(error @ AuthsomeError::IdentityRegistration { .. }) => Response::json_with_status(
                error.http_status(),
                &json!({"error": error.name().as_str(), "message": error.to_string()}),
            ),
            Self::Domain(AuthsomeError::Io(_)) => Response::json_with_status(500, &json!({"detail": INTERNAL})),
            Self::Domain(error) => {
                let mut body = json!({
                    "error": error.name().as_str(),
                    "message": error.to_string(),
                    "provider": error.provider(),
                    "operation": error.operation(),
                });
                if let Some(hint) = error.hint().filter(|_| with_hint) {
                    body["hint"] = Value::String(hint);
                }
                Response::json_with_status(error.http_status(), &body)
            }
        }
    }
}

impl Failure {
    /// The same for a person in a browser, who would not read JSON.
    pub(super) fn into_page(self, next: NextStep<'_>) -> Response {
        let (status, what) = match &self {
            Self::Answer(_) => return self.into_response(false),
            Self::Refusal(refusal) => (refusal.status, refusal.words()),
            Self::Domain(AuthsomeError::Io(_)) => (500, INTERNAL.to_owned()),
            Self::Domain(error) => (error.http_status(), error.message()),
        };
        Response::html(status, &pages::failure(refusal_title(status), &what, next))
    }
}

impl Refusal {
    /// The detail for a person: the contract's texts for paths and methods say nothing to one.
    fn words(&self) -> String {
        match (self.status, &self.detail) {
            (404, Value::String(detail)) if detail == "Not Found" => "There is no page at this address.".to_owned(),
            (401, _) => "You are not signed in any more.".to_owned(),
            (405, _) => "This address takes a form: go back to the page that has it.".to_owned(),
            (_, Value::String(detail)) => detail.clone(),
            _ => "That does not fit".to_owned(),
        }
    }
}

/// What a status means to a person.
fn refusal_title(status: u16) -> &'static str {
    match status {
        401 => "Sign in first",
        403 => "Not for this browser",
        404 | 405 => "Nothing here",
        500.. => "That went wrong",
        _ => "That did not work",
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

impl From<AuthsomeError> for Failure {
    fn from(error: AuthsomeError) -> Self {
        Self::Domain(error)
    }
}

/// What a handler returns.
pub(super) type Outcome = Result<Response, Failure>;
