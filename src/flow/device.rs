//! Device authorization (RFC 8628).

use super::answer::{Fault, clean};
use super::call::{Call, Method, Shape};
use super::document::Document;
use super::endpoint::{Endpoint, is_web_url};
use super::tokens::{Source, credential, lifetime, read_tokens, token_call};
use super::{AuthServer, FlowError, OAuthClient, Outbound, Tokens};
use crate::limits::{DEVICE_INTERVAL_SECONDS, DEVICE_LIFETIME_SECONDS, DEVICE_MAX_LIFETIME_SECONDS};
use crate::secret::Secret;

/// RFC 8628 section 3.4.
const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// What a person is asked to type. The longest seen has 11 characters.
const USER_CODE_CHARS: usize = 64;

/// A login that a person finishes on another device.
#[derive(Debug)]
pub struct DeviceGrant {
    /// What we ask with.
    pub device_code: Secret,
    /// What the person types.
    pub user_code: String,
    /// Where the person types it; http or https.
    pub verification_uri: String,
    /// Both in one link.
    pub verification_uri_complete: Option<String>,
    /// Life of the codes in seconds.
    pub lifetime_seconds: i64,
    /// Seconds between two polls, at least 1.
    pub interval_seconds: i64,
}

/// How a poll went.
#[derive(Debug)]
pub enum DevicePoll {
    /// The person has not decided yet.
    Pending,
    /// The same, and the interval grows by 5 seconds.
    SlowDown,
    /// The person agreed.
    Done(Box<Tokens>),
}

/// Asks for a device code.
///
/// # Errors
/// See [`FlowError`].
pub fn start_device(
    outbound: &Outbound,
    server: &AuthServer,
    client: &OAuthClient,
    scopes: &[String],
) -> Result<DeviceGrant, FlowError> {
    let endpoint = Endpoint::required(server.settings.device_authorization_url.as_deref(), "device authorization")?;
    let scope = server.join_scopes(scopes);
    let mut call = Call::new(Method::Post, &endpoint, Shape::Form);
    // Section 3.1: needed unless the client authenticates, and some servers look only here when it does.
    call.client_id(client);
    if !scope.is_empty() {
        call.field("scope", &scope);
    }
    call.authenticate(client, server.client_auth(client));
    let answer = outbound.send(&call)?;
    let document = answer.success(&call)?;
    read_grant(&document).map_err(|what| answer.unusable(what))
}

/// Reads a device authorization answer (section 3.2).
///
/// # Errors
/// What is wrong with it, to follow "answered with ".
fn read_grant(document: &Document) -> Result<DeviceGrant, &'static str> {
    let link = |names: [&str; 2]| names.iter().find_map(|name| document.text(name));
    let seconds = |name| document.get(name).and_then(lifetime);
    // Google wrote `verification_url` before the standard was one.
    let verification_uri = link(["verification_uri", "verification_url"]).ok_or("no verification address")?;
    if !is_web_url(verification_uri) {
        return Err("a verification address that is no web address");
    }
    let complete = link(["verification_uri_complete", "verification_url_complete"]).filter(|url| is_web_url(url));
    let user_code = document.text("user_code").ok_or("no user code")?;
    if clean(user_code) != user_code || user_code.chars().count() > USER_CODE_CHARS {
        return Err("a user code that nobody can type");
    }
    let lifetime_seconds = seconds("expires_in").filter(|it| *it > 0).unwrap_or(DEVICE_LIFETIME_SECONDS);
    let lifetime_seconds = lifetime_seconds.min(DEVICE_MAX_LIFETIME_SECONDS);
    Ok(DeviceGrant {
        device_code: credential(document.get("device_code"))?.ok_or("no device code")?,
        user_code: user_code.to_owned(),
        verification_uri: verification_uri.to_owned(),
        verification_uri_complete: complete.map(str::to_owned),
        lifetime_seconds,
        interval_seconds: seconds("interval").unwrap_or(DEVICE_INTERVAL_SECONDS).clamp(1, lifetime_seconds),
    })
}

/// Asks once whether the person has decided.
///
/// # Errors
/// See [`FlowError`]: `Unreachable` and `Unusable` may pass; `Refused` (such as `access_denied`, `expired_token`) is the
/// end.
pub fn poll_device(
    outbound: &Outbound,
    server: &AuthServer,
    client: &OAuthClient,
    device_code: &Secret,
) -> Result<DevicePoll, FlowError> {
    let endpoint = server.token_endpoint()?;
    let call = poll_call(server, &endpoint, client, device_code);
    let answer = outbound.send(&call)?;
    // Auth0 asks for a slower pace with status 429, Google answers "pending" with 428: the code says it, not the status.
    if answer.status < 500
        && let Fault::Refused { code, .. } = answer.fault(&call)
    {
        match code.as_str() {
            "authorization_pending" => return Ok(DevicePoll::Pending),
            "slow_down" => return Ok(DevicePoll::SlowDown),
            _ => {}
        }
    }
    let document = answer.success(&call)?;
    let tokens = read_tokens(server, &document, Source::Grant).map_err(|what| answer.unusable(what))?;
    Ok(DevicePoll::Done(Box::new(tokens)))
}

/// Section 3.4, or the one field as JSON of those who want it so (`device_token_request`).
fn poll_call<'a>(
    server: &AuthServer,
    endpoint: &'a Endpoint,
    client: &'a OAuthClient,
    device_code: &'a Secret,
) -> Call<'a> {
    if server.settings.device_token_request.as_deref() == Some("json") {
        let mut call = Call::new(Method::Post, endpoint, Shape::Json);
        call.secret_field("device_code", device_code);
        return call;
    }
    let mut call = token_call(server, endpoint, GRANT_TYPE);
    call.secret_field("device_code", device_code);
    call.authenticate(client, server.client_auth(client));
    call
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(answer: &serde_json::Value) -> Result<DeviceGrant, &'static str> {
        read_grant(&Document::parse(None, answer.to_string().as_bytes()).expect("JSON"))
    }

    fn grant(changes: &serde_json::Value) -> Result<DeviceGrant, &'static str> {
        let mut answer = serde_json::json!({
            "device_code": "dc-1", "user_code": "WDJB-MJHT", "verification_uri": "https://x.test/device",
            "verification_uri_complete": "https://x.test/device?user_code=WDJB-MJHT", "expires_in": 1800, "interval": 7,
        });
        for (name, value) in changes.as_object().expect("an object") {
            answer[name] = value.clone();
        }
        read(&answer)
    }

    #[test]
    fn a_device_answer_has_defaults_and_bounds() {
        let full = grant(&serde_json::json!({})).expect("a grant");
        assert_eq!((full.device_code.expose(), full.user_code.as_str()), ("dc-1", "WDJB-MJHT"));
        assert_eq!((full.lifetime_seconds, full.interval_seconds), (1800, 7));
        assert!(full.verification_uri_complete.is_some());
        let google = serde_json::json!({"device_code": "d", "user_code": "u", "verification_url": "https://g.test/d"});
        let google = read(&google).expect("a grant");
        assert_eq!((google.verification_uri.as_str(), google.verification_uri_complete), ("https://g.test/d", None));
        assert_eq!((google.lifetime_seconds, google.interval_seconds), (900, 5));
        let cases = [
            (serde_json::json!({"expires_in": 0, "interval": 0}), (900, 1)),
            (serde_json::json!({"expires_in": -5, "interval": -1}), (900, 5)),
            (serde_json::json!({"expires_in": null, "interval": null}), (900, 5)),
            (serde_json::json!({"expires_in": "600", "interval": "2"}), (600, 2)),
            (serde_json::json!({"expires_in": 86400, "interval": 86400}), (3600, 3600)),
            (serde_json::json!({"expires_in": 3, "interval": 5}), (3, 3)),
            (serde_json::json!({"expires_in": 1e30, "interval": "soon"}), (900, 5)),
        ];
        for (changes, expected) in cases {
            let grant = grant(&changes).expect("a grant");
            assert_eq!((grant.lifetime_seconds, grant.interval_seconds), expected, "{changes}");
        }
    }

    #[test]
    fn what_a_person_is_shown_is_harmless() {
        let cases = [
            (serde_json::json!({"verification_uri": "javascript:alert(1)"}), "no web address"),
            (serde_json::json!({"verification_uri": "https://x.test/\u{1b}[2J"}), "no web address"),
            (serde_json::json!({"verification_uri": "https://bank.test@evil.test/"}), "no web address"),
            (serde_json::json!({"verification_uri": null}), "no verification address"),
            (serde_json::json!({"user_code": ""}), "no user code"),
            (serde_json::json!({"user_code": "A\r\nB"}), "nobody can type"),
            (serde_json::json!({"user_code": "A\u{202e}B"}), "nobody can type"),
            (serde_json::json!({"user_code": "A".repeat(65)}), "nobody can type"),
            (serde_json::json!({"device_code": ""}), "no device code"),
            (serde_json::json!({"device_code": 7}), "not a text"),
        ];
        for (changes, problem) in cases {
            let found = grant(&changes).expect_err(problem);
            assert!(found.contains(problem), "{changes}: {found}");
        }
        let bad_link = grant(&serde_json::json!({"verification_uri_complete": "file:///etc/passwd"}));
        assert_eq!(bad_link.expect("still usable").verification_uri_complete, None);
    }
}
