//! One request to an authorization server: its fields, their shape, and who says to be asking.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};
use zeroize::Zeroizing;

use super::OAuthClient;
use super::endpoint::Endpoint;
use crate::limits::{OAUTH_ECHO_BYTES, SHORTEST_SECRET_BYTES};
use crate::percent::{encoded, push_encoded};
use crate::secret::{Secret, SecretBuffer};

/// RFC 9110 section 11.6.2.
const AUTHORIZATION: &str = "authorization";

/// The methods that these protocols use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Post,
    Delete,
}

/// How the fields are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Nothing,
    Form,
    Json,
}

/// How the client proves itself (RFC 6749 section 2.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientAuth {
    /// Fields `client_id` and `client_secret`.
    Body,
    /// HTTP Basic.
    Basic,
}

impl ClientAuth {
    /// As `oauth.authorization_method` or `revoke.auth` says.
    pub(super) fn named(name: Option<&str>) -> Self {
        if name == Some("basic") { Self::Basic } else { Self::Body }
    }
}

/// The value of a field.
#[derive(Serialize)]
#[serde(untagged)]
enum Field<'a> {
    Text(&'a str),
    List(Vec<&'a str>),
}

/// A request that is being put together.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) endpoint: &'a Endpoint,
    shape: Shape,
    fields: Vec<(&'a str, Field<'a>)>,
    headers: Vec<(&'a str, Zeroizing<String>)>,
    secrets: Vec<&'a str>,
}

impl<'a> Call<'a> {
    pub(super) fn new(method: Method, endpoint: &'a Endpoint, shape: Shape) -> Self {
        Self { method, endpoint, shape, fields: Vec::new(), headers: Vec::new(), secrets: Vec::new() }
    }

    /// Adds a field to the body.
    pub(super) fn field(&mut self, name: &'a str, value: &'a str) {
        self.fields.push((name, Field::Text(value)));
    }

    /// Adds a field with more than one value. Only JSON has such fields.
    pub(super) fn list(&mut self, name: &'a str, values: impl IntoIterator<Item = &'a str>) {
        self.fields.push((name, Field::List(values.into_iter().collect())));
    }

    /// Adds a field whose value is never shown, not even when the server repeats it.
    pub(super) fn secret_field(&mut self, name: &'a str, value: &'a Secret) {
        self.field(name, value.expose());
        self.secrets.push(value.expose());
    }

    /// Adds a header field.
    pub(super) fn header(&mut self, name: &'a str, value: Zeroizing<String>) {
        self.headers.push((name, value));
    }

    /// Says which client asks, and proves it where there is a secret. A client without an id (some device flows know
    /// none) says nothing.
    pub(super) fn authenticate(&mut self, client: &'a OAuthClient, how: ClientAuth) {
        match (&client.secret, how) {
            (Some(secret), ClientAuth::Basic) => {
                let mut pair = Zeroizing::new(String::with_capacity(3 * (client.id.len() + secret.expose().len()) + 1));
                push_encoded(&mut pair, &client.id);
                pair.push(':');
                push_encoded(&mut pair, secret.expose());
                self.secrets.push(secret.expose());
                self.authorization("Basic ", &Zeroizing::new(STANDARD.encode(pair.as_bytes())));
            }
            (Some(secret), ClientAuth::Body) => {
                self.client_id(client);
                self.secret_field("client_secret", secret);
            }
            (None, ClientAuth::Basic | ClientAuth::Body) => self.client_id(client),
        }
    }

    /// Adds the field `client_id`, once.
    pub(super) fn client_id(&mut self, client: &'a OAuthClient) {
        if !client.id.is_empty() && !self.fields.iter().any(|(name, _)| *name == "client_id") {
            self.field("client_id", &client.id);
        }
    }

    /// Lets `token` prove itself (RFC 6750 section 2.1).
    pub(super) fn bearer(&mut self, token: &'a Secret) {
        self.secrets.push(token.expose());
        self.authorization("Bearer ", token.expose());
    }

    fn authorization(&mut self, scheme: &str, value: &str) {
        let mut header = Zeroizing::new(String::with_capacity(scheme.len() + value.len()));
        header.push_str(scheme);
        header.push_str(value);
        self.header(AUTHORIZATION, header);
    }

    /// Whether `text`, which is short, repeats a secret of this request or a good part of one, as it is or as Basic
    /// authentication encodes it.
    pub(super) fn is_echoed_in(&self, text: &str) -> bool {
        let proofs = self.headers.iter().filter(|(name, _)| *name == AUTHORIZATION).map(|(_, value)| value.as_str());
        self.secrets.iter().copied().chain(proofs).any(|secret| repeats(text, secret))
    }

    pub(super) fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// The media type of [`Call::body`].
    pub(super) fn content_type(&self) -> Option<&'static str> {
        match self.shape {
            Shape::Nothing => None,
            Shape::Form => Some("application/x-www-form-urlencoded"),
            Shape::Json => Some("application/json"),
        }
    }

    /// The fields as bytes.
    pub(super) fn body(&self) -> SecretBuffer {
        match self.shape {
            Shape::Nothing => SecretBuffer::new(),
            Shape::Form => self.form(),
            Shape::Json => SecretBuffer::from_json(&JsonFields(&self.fields)).expect("a map with string keys"),
        }
    }

    fn form(&self) -> SecretBuffer {
        let mut out = SecretBuffer::new();
        let texts = self.fields.iter().filter_map(|(name, value)| match value {
            Field::Text(value) => Some((name, value)),
            Field::List(_) => None,
        });
        for (index, (name, value)) in texts.enumerate() {
            let start = if index == 0 { "" } else { "&" };
            let bytes = start.bytes().chain(encoded(name)).chain(Some(b'=')).chain(encoded(value));
            bytes.for_each(|byte| out.write_all(&[byte]).expect("memory takes every byte"));
        }
        out
    }
}

/// Whether `text`, which is short, repeats `secret` or a good part of it. Servers do that in error texts, cut or with some
/// of its signs percent-encoded.
pub(super) fn repeats(text: &str, secret: &str) -> bool {
    let secret = secret.as_bytes();
    let mut parts = secret.windows(secret.len().clamp(1, OAUTH_ECHO_BYTES));
    secret.len() >= SHORTEST_SECRET_BYTES && parts.any(|part| memchr::memmem::find(text.as_bytes(), part).is_some())
}

struct JsonFields<'a>(&'a [(&'a str, Field<'a>)]);

impl Serialize for JsonFields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(secret: Option<&str>) -> OAuthClient {
        let secret = secret.map(|it| Secret::new(it.to_owned()));
        OAuthClient { id: "my id:1".to_owned(), secret, ..OAuthClient::default() }
    }

    fn body(call: &Call<'_>) -> String {
        String::from_utf8(call.body().expose_bytes().to_vec()).expect("UTF-8")
    }

    #[test]
    fn clients_prove_themselves_as_rfc_6749_says() {
        let endpoint = Endpoint::parse("https://x.test/t").expect("a URL");
        let made = |secret: Option<&str>, how, shape| {
            let client = client(secret);
            let mut call = Call::new(Method::Post, &endpoint, shape);
            call.field("grant_type", "a b");
            call.authenticate(&client, how);
            (body(&call), call.headers().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>())
        };
        let (sent, headers) = made(Some("s&cret/é"), ClientAuth::Body, Shape::Form);
        assert_eq!(sent, "grant_type=a%20b&client_id=my%20id%3A1&client_secret=s%26cret%2F%C3%A9");
        assert!(headers.is_empty());
        let (sent, headers) = made(Some("s&cret/é"), ClientAuth::Basic, Shape::Form);
        assert_eq!(sent, "grant_type=a%20b");
        // Section 2.3.1: each is encoded first, so that a colon in the id does not end it.
        assert_eq!(headers, [format!("authorization: Basic {}", STANDARD.encode("my%20id%3A1:s%26cret%2F%C3%A9"))]);
        for how in [ClientAuth::Body, ClientAuth::Basic] {
            let (sent, headers) = made(None, how, Shape::Form);
            assert_eq!((sent.as_str(), headers.len()), ("grant_type=a%20b&client_id=my%20id%3A1", 0));
        }
        let (sent, _) = made(Some("s\""), ClientAuth::Body, Shape::Json);
        assert_eq!(sent, r#"{"grant_type":"a b","client_id":"my id:1","client_secret":"s\""}"#);
        assert_eq!(made(Some("s"), ClientAuth::Body, Shape::Nothing).0, "");
    }

    #[test]
    fn secrets_of_a_request_are_recognised_in_a_text() {
        let endpoint = Endpoint::parse("https://x.test/t").expect("a URL");
        let (client, token) = (client(Some("long-secret")), Secret::new("refresh-1".to_owned()));
        let mut call = Call::new(Method::Post, &endpoint, Shape::Form);
        call.secret_field("refresh_token", &token);
        call.authenticate(&client, ClientAuth::Basic);
        assert!(call.is_echoed_in("token 'refresh-1' is unknown") && call.is_echoed_in("long-secret?"));
        assert!(!call.is_echoed_in("the refresh token is unknown"));
        let sent = STANDARD.encode("my%20id%3A1:long-secret");
        assert!(call.is_echoed_in(&format!("bad credentials: Basic {sent}")) && call.is_echoed_in(&sent[8..]));
        assert!(!call.is_echoed_in("Basic authorization is needed"));
        let (long, other) = (Secret::new("at-0123456789abcdef/+==".to_owned()), Secret::new("short".to_owned()));
        let mut call = Call::new(Method::Post, &endpoint, Shape::Form);
        call.secret_field("token", &long);
        call.secret_field("other", &other);
        for text in ["at-0123456789abcdef%2F%2B%3D%3D", "'at-012345678...' is unknown", "6789abcdef/+=="] {
            assert!(call.is_echoed_in(text), "{text}");
        }
        assert!(!call.is_echoed_in("at-0123456 is too short a part") && !call.is_echoed_in("a short text"));
    }
}
