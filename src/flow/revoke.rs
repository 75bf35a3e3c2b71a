//! Revocation of tokens (RFC 7009, and the shapes that definitions describe).

use zeroize::Zeroizing;

use super::answer::{Answer, Fault};
use super::call::{Call, ClientAuth, Method, Shape};
use super::endpoint::Endpoint;
use super::{AuthServer, FlowError, OAuthClient, Outbound};
use crate::limits::OAUTH_REVOKE_DEADLINE;
use crate::model::RevokeSpec;
use crate::percent::push_encoded;
use crate::secret::Secret;

/// Which token is revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// The access token.
    Access,
    /// The refresh token.
    Refresh,
}

impl TokenKind {
    /// RFC 7009 section 2.1, and `revoke.only`.
    fn name(self) -> &'static str {
        match self {
            Self::Access => "access_token",
            Self::Refresh => "refresh_token",
        }
    }
}

/// Asks the server to forget `token`, within [`OAUTH_REVOKE_DEADLINE`]. `Ok(true)` also when it knows it no more;
/// `Ok(false)`: the server has no way to do that.
///
/// # Errors
/// See [`FlowError`].
pub fn revoke(
    outbound: &Outbound,
    server: &AuthServer,
    client: &OAuthClient,
    token: &Secret,
    kind: TokenKind,
) -> Result<bool, FlowError> {
    let standard = RevokeSpec::default();
    let spec = server.settings.revoke.as_ref().unwrap_or(&standard);
    let Some(url) = spec.url.as_deref().or(server.settings.revocation_url.as_deref()) else { return Ok(false) };
    if spec.only.as_deref().is_some_and(|only| only != kind.name()) {
        return Ok(false);
    }
    let endpoint = Endpoint::required(Some(&with_client_id(url, client)), "revocation")?;
    let mut call = Call::new(method(spec), &endpoint, shape(spec));
    let field = spec.token_field.as_deref();
    call.secret_field(field.unwrap_or("token"), token);
    if field.is_none() && shape(spec) == Shape::Form {
        call.field("token_type_hint", kind.name());
    }
    for (name, value) in &spec.headers {
        call.header(name, Zeroizing::new(value.clone()));
    }
    match spec.auth.as_deref() {
        Some("none") => {}
        Some("bearer") => call.bearer(token),
        named @ Some(_) => call.authenticate(client, ClientAuth::named(named)),
        None => call.authenticate(client, server.client_auth(client)),
    }
    let answer = outbound.send_within(&call, OAUTH_REVOKE_DEADLINE)?;
    read_outcome(&answer, &call)
}

/// A path segment `{client_id}` is the client's id.
fn with_client_id(url: &str, client: &OAuthClient) -> String {
    let mut id = String::new();
    push_encoded(&mut id, &client.id);
    url.replace("{client_id}", &id)
}

fn method(spec: &RevokeSpec) -> Method {
    if spec.method.as_deref() == Some("DELETE") { Method::Delete } else { Method::Post }
}

fn shape(spec: &RevokeSpec) -> Shape {
    match spec.body.as_deref() {
        Some("json") => Shape::Json,
        Some("none") => Shape::Nothing,
        _ => Shape::Form,
    }
}

/// RFC 7009 section 2.2: success says nothing in its body. But Slack says there that it was none.
fn read_outcome(answer: &Answer, call: &Call<'_>) -> Result<bool, FlowError> {
    let is_success = (200..300).contains(&answer.status);
    let fault = if answer.status < 500 { answer.fault(call) } else { Fault::None };
    match fault {
        // Section 2.2.1.
        Fault::Refused { code, .. } if code == "unsupported_token_type" => Ok(false),
        // The token is dead already: RFC 7009 wants 200 for that, Google answers 400, Slack 200 and "ok":false.
        Fault::Refused { code, .. } if ["invalid_token", "token_revoked", "token_expired"].contains(&code.as_str()) => {
            Ok(true)
        }
        Fault::Refused { code, description } if is_success => Err(FlowError::Refused { code, description }),
        Fault::Other if is_success => Err(answer.unusable("an error that is not OAuth's")),
        _ if is_success => Ok(true),
        // GitHub: what it does not find is gone.
        _ if answer.status == 404 && call.method == Method::Delete => Ok(true),
        _ if matches!(answer.status, 400..=428 | 430..=499) => Err(answer.refusal(call)),
        _ => Err(answer.unusable("no confirmation")),
    }
}
