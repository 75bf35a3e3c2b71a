//! Dynamic client registration (RFC 7591).

use super::answer::Answer;
use super::call::{Call, Method, Shape};
use super::document::{Document, Value};
use super::endpoint::Endpoint;
use super::tokens::credential;
use super::{AuthMethod, AuthServer, FlowError, OAuthClient, Outbound};

/// What a new client says of itself.
#[derive(Debug)]
pub struct ClientMetadata<'a> {
    /// Name for people.
    pub name: &'a str,
    /// Where authorization answers may go.
    pub redirect_uris: &'a [String],
    /// Scopes that it will ask for; none: the server's default.
    pub scopes: &'a [String],
}

/// Registers a client at the server's registration endpoint: one with a secret, and where the server does not want
/// that, one without.
///
/// # Errors
/// `Unsupported` without a registration endpoint; else see [`FlowError`].
pub fn register(
    outbound: &Outbound,
    server: &AuthServer,
    metadata: &ClientMetadata<'_>,
) -> Result<OAuthClient, FlowError> {
    let endpoint = Endpoint::required(server.registration_endpoint.as_deref(), "registration")?;
    match register_as(outbound, &endpoint, metadata, "client_secret_post") {
        Err(FlowError::Refused { code, .. }) if code == "invalid_client_metadata" => {
            register_as(outbound, &endpoint, metadata, "none")
        }
        other => other,
    }
}

fn register_as(
    outbound: &Outbound,
    endpoint: &Endpoint,
    metadata: &ClientMetadata<'_>,
    auth_method: &'static str,
) -> Result<OAuthClient, FlowError> {
    let scope = metadata.scopes.join(" "); // section 2: spaces, whatever the authorization endpoint wants
    let mut call = Call::new(Method::Post, endpoint, Shape::Json);
    call.field("client_name", metadata.name);
    call.list("redirect_uris", metadata.redirect_uris.iter().map(String::as_str));
    call.list("grant_types", ["authorization_code", "refresh_token"]);
    call.list("response_types", ["code"]);
    call.field("token_endpoint_auth_method", auth_method);
    if !scope.is_empty() {
        call.field("scope", &scope);
    }
    let answer = outbound.send(&call)?;
    let document = answer.success(&call)?;
    read_client(&answer, &document, auth_method)
}

/// Section 3.2.1. The server may have chosen another method than was asked for.
fn read_client(answer: &Answer, document: &Document, asked: &str) -> Result<OAuthClient, FlowError> {
    let text = |name: &str| credential(document.get(name)).map_err(|_| answer.unusable("a client that cannot be kept"));
    let id = text("client_id")?.ok_or_else(|| answer.unusable("no client id"))?;
    let secret = text("client_secret")?;
    match document.text("token_endpoint_auth_method").unwrap_or(asked) {
        "none" => Ok(OAuthClient { id: id.expose().to_owned(), ..OAuthClient::default() }),
        method @ ("client_secret_post" | "client_secret_basic") => Ok(OAuthClient {
            id: id.expose().to_owned(),
            secret,
            method: Some(if method == "client_secret_basic" { AuthMethod::Basic } else { AuthMethod::Post }),
            secret_expires_at: document.get("client_secret_expires_at").and_then(moment),
        }),
        _ => Err(answer.unusable("a client that has to prove itself in a way that we do not know")),
    }
}

/// Seconds since 1970; zero is never.
fn moment(value: &Value) -> Option<i64> {
    let Value::Number(seconds) = value else { return None };
    #[expect(clippy::cast_possible_truncation, reason = "rounds down, and the range was checked")]
    (1.0..1e12).contains(seconds).then_some(*seconds as i64)
}
