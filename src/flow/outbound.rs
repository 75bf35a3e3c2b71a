//! The way to a provider's OAuth endpoints: https, no redirects, capped, within a deadline.
//!
//! ureq speaks HTTP/1.1; the connections below it are ours (`dial`), so that every address is checked before it is
//! dialled and every read and write ends in time. Each call has an agent of its own with one connection: nothing is
//! pooled, so no request can be repeated because a kept connection had gone stale.
//!
//! Limits: bodies and buffers are wiped; the copy of an `Authorization` field that the HTTP library holds while it sends
//! is not.

mod dial;
mod line;

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{ConnectionDetails, Connector, NextTimeout};
use ureq::{Agent, Body, RequestBuilder, http};
use zeroize::Zeroizing;

use self::dial::{Dialler, NoConnection};
use self::line::Line;
use super::FlowError;
use super::answer::{Answer, retry_after};
use super::call::{Call, Method};
use super::endpoint::Endpoint;
use crate::clock::Clock;
use crate::limits::{HEAD_BYTES, OAUTH_BODY_BYTES, OAUTH_CALL_DEADLINE};
use crate::net::{NetSettings, tls_fault};
use crate::secret::SecretBuffer;

/// What one read of a body asks for.
const STEP_BYTES: usize = 8 * 1024;

/// Calls OAuth endpoints. Cheap to make: trust roots are read at the first call over TLS, and kept.
#[derive(Debug)]
pub struct Outbound {
    dialler: Arc<Dialler>,
    deadline: Duration,
}

impl Outbound {
    /// With the operator's network settings.
    pub fn new(settings: NetSettings) -> Self {
        Self { dialler: Arc::new(Dialler::new(settings)), deadline: OAUTH_CALL_DEADLINE }
    }

    /// The same with a shorter deadline for the whole call.
    #[cfg(test)]
    pub(super) fn within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Makes one request, once, and reads the whole answer.
    ///
    /// # Errors
    /// `Unreachable`: no connection, no TLS, no complete answer in time. `Unusable`: too many bytes, not HTTP.
    pub(super) fn send(&self, call: &Call<'_>) -> Result<Answer, FlowError> {
        self.send_within(call, OAUTH_CALL_DEADLINE)
    }

    /// The same with a deadline of its own, name resolution to last byte.
    pub(super) fn send_within(&self, call: &Call<'_>, limit: Duration) -> Result<Answer, FlowError> {
        let limit = limit.min(self.deadline);
        let fault = |error| to_flow_error(call.endpoint, limit, error);
        let connector = OneConnection {
            dialler: Arc::clone(&self.dialler),
            endpoint: call.endpoint.clone(),
            until: Instant::now() + limit,
        };
        let agent = Agent::with_parts(config(call.endpoint, limit), connector, NoResolver);
        let mut response = request(&agent, call).map_err(fault)?;
        let header = |name| response.headers().get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
        let mut answer = Answer {
            endpoint: call.endpoint.host().to_owned(),
            status: response.status().as_u16(),
            content_type: header(http::header::CONTENT_TYPE).map(str::to_owned),
            retry_after: header(http::header::RETRY_AFTER)
                .and_then(|value| retry_after(value, Clock::system().now().unix())),
            body: SecretBuffer::new(),
        };
        read_body(&mut response.body_mut().as_reader(), &mut answer).map_err(fault)?;
        if answer.body.expose_bytes().len() > OAUTH_BODY_BYTES {
            return Err(unusable(call.endpoint, &format!("more than {OAUTH_BODY_BYTES} bytes")));
        }
        Ok(answer)
    }
}

/// A name for the logs of providers, and for those that refuse clients without a distinctive one: a product and its
/// version (RFC 9110 section 10.1.5), and in the comment the form that Reddit asks for.
fn user_agent() -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!("authsome/{version} ({}:authsome:{version})", std::env::consts::OS)
}

fn config(endpoint: &Endpoint, limit: Duration) -> ureq::config::Config {
    Agent::config_builder()
        .https_only(endpoint.is_secure())
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None) // ours, not ureq's own reading of the environment
        .accept("application/json")
        .accept_encoding("identity")
        .user_agent(user_agent())
        .timeout_global(Some(limit))
        .max_response_header_size(HEAD_BYTES)
        .max_idle_connections(0)
        .build()
}

fn request(agent: &Agent, call: &Call<'_>) -> Result<http::Response<Body>, ureq::Error> {
    let uri = call.endpoint.uri();
    let body = call.body();
    match (call.method, call.content_type()) {
        (Method::Get, _) => with_headers(agent.get(uri), call).call(),
        (Method::Delete, None) => with_headers(agent.delete(uri), call).call(),
        (Method::Delete, Some(_)) => with_headers(agent.delete(uri), call).force_send_body().send(body.expose_bytes()),
        (Method::Post, _) => with_headers(agent.post(uri), call).send(body.expose_bytes()),
    }
}

fn with_headers<B>(mut builder: RequestBuilder<B>, call: &Call<'_>) -> RequestBuilder<B> {
    builder = builder.header(http::header::CONNECTION, "close");
    if let Some(media_type) = call.content_type() {
        builder = builder.header(http::header::CONTENT_TYPE, media_type);
    }
    for (name, value) in call.headers() {
        // An impossible value (a line break) makes the builder fail when it sends.
        builder = match http::HeaderValue::from_str(value) {
            Ok(mut value) => {
                value.set_sensitive(true);
                builder.header(name, value)
            }
            Err(_) => builder.header(name, value),
        };
    }
    builder
}

/// Reads the body up to one byte more than it may have.
fn read_body(reader: &mut impl Read, answer: &mut Answer) -> Result<(), ureq::Error> {
    let mut step = Zeroizing::new([0; STEP_BYTES]);
    let mut left = OAUTH_BODY_BYTES + 1;
    while left > 0 {
        let wanted = left.min(STEP_BYTES);
        let count = reader.read(&mut step[..wanted])?;
        if count == 0 {
            break;
        }
        io::Write::write_all(&mut answer.body, &step[..count])?;
        left -= count;
    }
    Ok(())
}

fn to_flow_error(endpoint: &Endpoint, limit: Duration, error: ureq::Error) -> FlowError {
    let unreachable = |reason: String| FlowError::Unreachable { endpoint: endpoint.host().to_owned(), reason };
    let late = || unreachable(format!("no answer within {limit:?}"));
    match error {
        ureq::Error::Timeout(_) => late(),
        ureq::Error::Io(error) => match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => late(),
            io::ErrorKind::InvalidData => unreachable(tls_fault(&error)),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                unreachable("the connection was closed before a complete answer".to_owned())
            }
            _ => unreachable(error.to_string()),
        },
        ureq::Error::Other(error) => match error.downcast::<NoConnection>() {
            Ok(error) if error.timed_out() => late(),
            Ok(error) => unreachable(error.to_string()),
            Err(_) => unreachable("the call failed".to_owned()),
        },
        // About the request, which was not sent; the texts of ureq may quote it.
        ureq::Error::Http(_) | ureq::Error::BadUri(_) | ureq::Error::RequireHttpsOnly(_) => {
            FlowError::Unsupported { reason: format!("the request to {} cannot be written", endpoint.host()) }
        }
        // What is left is about the answer. A token may have been spent for it.
        _ => unusable(endpoint, "something that is not HTTP"),
    }
}

fn unusable(endpoint: &Endpoint, reason: &str) -> FlowError {
    FlowError::Unusable { endpoint: endpoint.host().to_owned(), reason: reason.to_owned(), retry_after: None }
}

/// Opens the connection of one call.
struct OneConnection {
    dialler: Arc<Dialler>,
    endpoint: Endpoint,
    until: Instant,
}

impl fmt::Debug for OneConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OneConnection")
    }
}

impl Connector for OneConnection {
    type Out = Line;

    fn connect(&self, _: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Line>, ureq::Error> {
        let line = self.dialler.open(&self.endpoint, self.until);
        line.map(Some).map_err(|error| ureq::Error::Other(Box::new(error)))
    }
}

/// Names are resolved where they are dialled, in [`Dialler`], so that a name has one meaning.
#[derive(Debug)]
struct NoResolver;

impl Resolver for NoResolver {
    fn resolve(
        &self,
        _: &http::Uri,
        _: &ureq::config::Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        Ok(self.empty())
    }
}
