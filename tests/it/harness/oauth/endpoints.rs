//! The endpoints of the authorization server, from bytes to decisions and back.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::book::{Refusal, TokenRequest};
use super::{Knobs, Reply, State, lock};
use crate::harness::{PATIENCE, form};
use crate::upstream::{Exchange, Head, Next, Upstream};

const JSON: &str = "content-type: application/json\r\ncache-control: no-store\r\n";

/// An answer that is decided and not sent yet.
struct Outcome {
    status: &'static str,
    fields: String,
    body: String,
    /// Where in the book its tokens stand.
    issued: Option<usize>,
}

impl Outcome {
    fn json(status: &'static str, body: &Value) -> Self {
        Self { status, fields: JSON.to_owned(), body: body.to_string(), issued: None }
    }

    fn refused(code: Refusal) -> Self {
        let status = if code == "invalid_client" { "401 Unauthorized" } else { "400 Bad Request" };
        Self::json(status, &json!({"error": code, "error_description": format!("scripted: {code}")}))
    }

    fn page(status: &'static str, text: &str) -> Self {
        let fields = "content-type: text/html\r\n".to_owned();
        Self { status, fields, body: format!("<!doctype html><p>{text}"), issued: None }
    }

    fn redirect(to: &str) -> Self {
        Self { status: "302 Found", fields: format!("location: {to}\r\n"), body: String::new(), issued: None }
    }
}

/// A request that has been read.
struct Request<'a> {
    head: &'a Head,
    body: Vec<u8>,
}

impl Request<'_> {
    fn query(&self) -> Vec<(String, String)> {
        form::query(self.head.word(1))
    }

    fn fields(&self) -> Vec<(String, String)> {
        let body = String::from_utf8_lossy(&self.body);
        let is_json = self.head.field("content-type").is_some_and(|kind| kind.contains("json"));
        if is_json { members(&body) } else { form::decode(&body) }
    }

    fn authorization(&self) -> Option<&str> {
        self.head.field("authorization")
    }
}

type Endpoint = fn(&State, &Request<'_>) -> Outcome;

pub(super) fn install(upstream: &Upstream, state: &Arc<State>) {
    let endpoints: [(&str, Endpoint); 8] = [
        ("/authorize", authorize),
        ("/token", token),
        ("/device", device),
        ("/activate", activate),
        ("/revoke", revoke),
        ("/register", register),
        ("/.well-known/oauth-authorization-server", metadata),
        ("/.well-known/openid-configuration", |_, _| Outcome::page("404 Not Found", "nothing here")),
    ];
    for (path, endpoint) in endpoints {
        let state = Arc::clone(state);
        upstream.on(path, move |exchange| serve(&state, exchange, endpoint));
    }
}

fn serve(state: &State, exchange: &mut Exchange<'_>, endpoint: Endpoint) -> io::Result<Next> {
    let body = exchange.read_body()?;
    let request = Request { head: exchange.head, body };
    let scripted = lock(&state.next).get_mut(exchange.path).and_then(VecDeque::pop_front);
    let scripted = scripted.or_else(|| lock(&state.always).get(exchange.path).cloned());
    let limit = match scripted {
        Some(Reply::Cut(limit)) => limit,
        Some(scripted) => {
            if exchange.path == "/token" {
                note(state, &request);
            }
            pass_gate(state, exchange.path);
            return play(exchange, scripted);
        }
        None => usize::MAX,
    };
    let outcome = endpoint(state, &request);
    pass_gate(state, exchange.path);
    let Outcome { status, fields, body, issued } = outcome;
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{fields}\r\n{body}", body.len()).into_bytes();
    let sent = answer.len().min(limit);
    exchange.send(&answer[..sent])?;
    if sent < answer.len() {
        return Ok(Next::Close);
    }
    if let Some(index) = issued {
        lock(&state.book).issued[index].written = true;
    }
    Ok(Next::KeepAlive)
}

fn play(exchange: &mut Exchange<'_>, scripted: Reply) -> io::Result<Next> {
    match scripted {
        Reply::Raw(bytes) => exchange.send(bytes).map(|()| Next::Close),
        Reply::With(script) => script(exchange),
        Reply::HangUp | Reply::Cut(_) => Ok(Next::Close),
    }
}

/// Holds answers of the token endpoint while the gate is closed.
fn pass_gate(state: &State, path: &str) {
    if path != "/token" {
        return;
    }
    let mut gate = lock(&state.gate);
    gate.waiting += 1;
    state.moved.notify_all();
    let (mut gate, _) = state.moved.wait_timeout_while(gate, PATIENCE, |gate| gate.is_closed).expect("no panic inside");
    gate.waiting -= 1;
}

/// Takes a token request into the book; gives its number there.
fn note(state: &State, request: &Request<'_>) -> usize {
    let authorization = request.authorization().map(str::to_owned);
    let mut book = lock(&state.book);
    book.requests.push(TokenRequest { fields: request.fields(), authorization, refused: None });
    state.noted.notify_all();
    book.requests.len() - 1
}

fn members(body: &str) -> Vec<(String, String)> {
    let members: Map<String, Value> = serde_json::from_str(body).unwrap_or_default();
    let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    members.into_iter().map(|(name, value)| (name, text(value))).collect()
}

fn authorize(state: &State, request: &Request<'_>) -> Outcome {
    let query = request.query();
    let knobs = lock(&state.knobs).clone();
    let get = |name: &str| form::value(&query, name).unwrap_or_default();
    let redirect_uri = get("redirect_uri");
    let is_loopback = |uri: &str| ["http://127.0.0.1:", "http://localhost:"].iter().any(|start| uri.starts_with(start));
    let fits = if knobs.redirect_uris.is_empty() {
        is_loopback(&redirect_uri)
    } else {
        knobs.redirect_uris.contains(&redirect_uri)
    };
    if !fits || !knobs.clients.contains_key(&get("client_id")) {
        return Outcome::page("400 Bad Request", "unknown client or redirect address"); // RFC 6749 section 4.1.2.1
    }
    let code = lock(&state.book).authorize(&query, &knobs);
    let denial = |code: &str, text: &str| vec![("error", code.to_owned()), ("error_description", text.to_owned())];
    let mut answer = match (&knobs.denies, code) {
        (Some((code, text)), Ok(_)) => denial(code, text),
        (None, Ok(code)) => vec![("code", code)],
        (_, Err(code)) => denial(code, "scripted"),
    };
    answer.push(("state", get("state")));
    if let Some(iss) = knobs.iss {
        answer.push(("iss", iss));
    }
    let mark = if redirect_uri.contains('?') { '&' } else { '?' };
    let answer = form::encode(answer.iter().map(|(name, value)| (*name, value.as_str())));
    Outcome::redirect(&format!("{redirect_uri}{mark}{answer}"))
}

fn token(state: &State, request: &Request<'_>) -> Outcome {
    let number = note(state, request);
    let knobs = lock(&state.knobs).clone();
    let mut book = lock(&state.book);
    let noted = book.requests[number].clone();
    let client = client(&knobs, &noted.fields, noted.authorization.as_deref());
    let decision = client.and_then(|client| book.token(&noted, &client, &knobs));
    match decision {
        Ok(index) => Outcome { issued: Some(index), ..Outcome::json("200 OK", &book.describe(index, &knobs)) },
        Err(code) => {
            book.requests[number].refused = Some(code);
            Outcome::refused(code)
        }
    }
}

/// The client that a request comes from: RFC 6749 section 2.3.1, in one of its two ways, never in both.
fn client(knobs: &Knobs, fields: &[(String, String)], authorization: Option<&str>) -> Result<String, Refusal> {
    let basic = authorization.and_then(|value| value.strip_prefix("Basic ")).map(|value| {
        let text = String::from_utf8(STANDARD.decode(value).unwrap_or_default()).unwrap_or_default();
        let (id, secret) = text.split_once(':').unwrap_or_default();
        let plain = |text: &str| form::decode(&format!("x={text}")).remove(0).1;
        (plain(id), Some(plain(secret)))
    });
    let in_body = form::value(fields, "client_id").map(|id| (id, form::value(fields, "client_secret")));
    let (id, secret) = match (basic, in_body) {
        (Some(_), Some((_, Some(_)))) => return Err("invalid_request"),
        (Some(client), _) | (None, Some(client)) => client,
        // `device_token_request: "json"` brings the device code alone.
        (None, None) if form::value(fields, "device_code").is_some() => return Ok(super::CLIENT_ID.to_owned()),
        (None, None) => return Err("invalid_client"),
    };
    match knobs.clients.get(&id) {
        Some(known) if *known == secret => Ok(id),
        _ => Err("invalid_client"),
    }
}

fn device(state: &State, request: &Request<'_>) -> Outcome {
    let fields = request.fields();
    let client = match client(&lock(&state.knobs), &fields, request.authorization()) {
        Ok(client) => client,
        Err(code) => return Outcome::refused(code),
    };
    let scope = form::value(&fields, "scope").unwrap_or_default();
    let (device_code, user_code) = lock(&state.book).start_device(client, scope);
    let page = format!("https://{}/activate", state.host);
    let answer = json!({
        "device_code": device_code,
        "user_code": user_code,
        "verification_uri": page,
        "verification_uri_complete": format!("{page}?user_code={user_code}"),
        "expires_in": 600,
        "interval": 1,
    });
    Outcome::json("200 OK", &changed(answer, &lock(&state.knobs).device))
}

/// Where a person ends up who follows `verification_uri_complete`: opening it is agreeing.
fn activate(state: &State, request: &Request<'_>) -> Outcome {
    let code = form::value(&request.query(), "user_code").unwrap_or_default();
    let is_known = lock(&state.book).decide(&code, true);
    Outcome::page(if is_known { "200 OK" } else { "404 Not Found" }, "activation")
}

fn revoke(state: &State, request: &Request<'_>) -> Outcome {
    let fields = request.fields();
    if let Err(code) = client(&lock(&state.knobs), &fields, request.authorization()) {
        return Outcome::refused(code);
    }
    let Some(token) = form::value(&fields, "token") else { return Outcome::refused("invalid_request") };
    lock(&state.book).revoke(&token, form::value(&fields, "token_type_hint"));
    Outcome::json("200 OK", &json!({}))
}

fn register(state: &State, request: &Request<'_>) -> Outcome {
    let Ok(wanted) = serde_json::from_slice::<Value>(&request.body) else { return Outcome::refused("invalid_request") };
    lock(&state.book).registrations.push(wanted.clone());
    let mut knobs = lock(&state.knobs);
    let is_public = wanted["token_endpoint_auth_method"] == "none";
    if knobs.registers_public_only && !is_public {
        return Outcome::refused("invalid_client_metadata");
    }
    let id = format!("registered-{}", knobs.clients.len());
    let secret = (!is_public).then(|| format!("cs-{id}/+=&<%>end"));
    knobs.clients.insert(id.clone(), secret.clone());
    let mut answer = wanted;
    answer["client_id"] = json!(id);
    answer["client_secret"] = json!(secret);
    answer["client_secret_expires_at"] = json!(0);
    Outcome::json("201 Created", &changed(answer, &knobs.registration))
}

fn metadata(state: &State, _: &Request<'_>) -> Outcome {
    let Some(changes) = lock(&state.knobs).metadata.clone() else {
        return Outcome::page("404 Not Found", "no metadata");
    };
    let at = |path: &str| format!("https://{}{path}", state.host);
    let answer = json!({
        "issuer": at(""),
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "revocation_endpoint": at("/revoke"),
        "device_authorization_endpoint": at("/device"),
        "registration_endpoint": at("/register"),
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "code_challenge_methods_supported": ["S256"],
    });
    Outcome::json("200 OK", &changed(answer, &changes))
}

/// `answer` with `changes`; null takes a member away.
fn changed(mut answer: Value, changes: &Map<String, Value>) -> Value {
    let members = answer.as_object_mut().expect("an object");
    members.extend(changes.clone());
    members.retain(|_, value| !value.is_null());
    answer
}

/// An API that takes living tokens.
pub(super) fn resource(state: &State, exchange: &mut Exchange<'_>) -> io::Result<Next> {
    exchange.read_body()?;
    let token = exchange.head.field("authorization").and_then(|value| value.strip_prefix("Bearer "));
    if token.is_some_and(|token| lock(&state.book).lives(token)) {
        return exchange.respond_json(&json!({"ok": true}));
    }
    exchange.respond("401 Unauthorized", "www-authenticate: Bearer error=\"invalid_token\"\r\n", b"")
}
