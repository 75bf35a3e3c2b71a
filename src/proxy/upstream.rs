//! Connections to upstreams: dialled through the guard, verified, and only then given to a request.

use std::io::{self, IoSlice};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection};
use zeroize::Zeroizing;

use super::agree::Authority;
use super::link::{Link, Wait};
use super::refusal::{Code, Refusal};
use super::tls::client_config;
use crate::http1::{Buffered, Fields, HeadError, RequestHead, Version};
use crate::limits::{UPSTREAM_CONNECT_DEADLINE, UPSTREAM_TLS_DEADLINE};
use crate::net::{
    ConnectError, NetSettings, Policy, Roots, UpstreamProxy, UpstreamProxyScheme, check_unresolved, connect,
    connect_to_proxy, tls_fault,
};

/// Opens connections to upstreams. A pool of idle ones would live here, behind the same call.
pub(super) struct Upstreams {
    net: NetSettings,
    policy: Policy,
    /// Made on first use: reading the platform's roots takes longer than many runs last.
    tls: Mutex<Option<Arc<ClientConfig>>>,
}

impl Upstreams {
    pub(super) fn new(net: NetSettings, policy: Policy) -> Self {
        Self { net, policy, tls: Mutex::default() }
    }

    /// A TCP connection to `authority`, for a blind tunnel or plain HTTP, and what came over it already.
    pub(super) fn dial(&self, authority: &Authority) -> Result<(Arc<TcpStream>, Buffered), Refusal> {
        let (host, port) = (authority.host.as_str(), authority.port);
        if let Some(proxy) = self.net.proxy_for(host, port) {
            check_unresolved(&self.net, host, self.policy).map_err(|error| unreachable(authority, &error))?;
            return chain(proxy, authority);
        }
        let socket = connect(&self.net, host, port, self.policy, UPSTREAM_CONNECT_DEADLINE)
            .map_err(|error| unreachable(authority, &error))?;
        Ok((Arc::new(socket), Buffered::new()))
    }

    /// A connection to `authority` without TLS.
    pub(super) fn open_plain(&self, authority: &Authority) -> Result<Link, Refusal> {
        let (socket, early) = self.dial(authority)?;
        Link::plain(socket, early).map_err(|error| broken(authority, &error))
    }

    /// A connection to `authority` whose certificate was verified for that host. Nothing was written to it yet.
    pub(super) fn open_verified(&self, authority: &Authority) -> Result<Link, Refusal> {
        let config = self.client_config()?;
        let name = ServerName::try_from(authority.host.as_str().to_owned())
            .map_err(|_| tls_failed(authority, "the host cannot stand in a certificate"))?;
        let connection =
            ClientConnection::new(config, name).map_err(|error| tls_failed(authority, &error.to_string()))?;
        let (socket, early) = self.dial(authority)?;
        let until = Instant::now() + UPSTREAM_TLS_DEADLINE;
        let link = Link::secure(socket, early.unread(), Connection::from(connection), until);
        link.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => tls_failed(authority, &tls_fault(&error)),
            io::ErrorKind::TimedOut => timed_out(authority, "the TLS handshake was not done in time"),
            _ => tls_failed(authority, "the connection was closed during the TLS handshake"),
        })
    }

    fn client_config(&self) -> Result<Arc<ClientConfig>, Refusal> {
        let mut made = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = &*made {
            return Ok(Arc::clone(config));
        }
        let config = Roots::find(&self.net).root_store().and_then(client_config).map_err(|error| {
            Refusal::new(
                Code::UpstreamTls,
                format!("The trust roots cannot be read: {error}"),
                "See SSL_CERT_FILE and AUTHSOME_UPSTREAM_CA, and: authsome doctor",
            )
        })?;
        Ok(Arc::clone(made.insert(config)))
    }
}

/// Asks `proxy`, which the operator's environment names, for a connection to `authority`.
fn chain(proxy: &UpstreamProxy, authority: &Authority) -> Result<(Arc<TcpStream>, Buffered), Refusal> {
    if proxy.scheme == UpstreamProxyScheme::Https {
        return Err(proxy_failed("proxies that are spoken to over TLS are not supported yet"));
    }
    let socket =
        connect_to_proxy(proxy, UPSTREAM_CONNECT_DEADLINE).map_err(|error| proxy_failed(&error.to_string()))?;
    let until = Instant::now() + UPSTREAM_CONNECT_DEADLINE;
    let io_failed = |error: io::Error| proxy_failed(&error.to_string());
    let mut link = Link::plain(Arc::new(socket), Buffered::new()).map_err(io_failed)?;
    let request = connect_request(proxy, authority);
    link.queue(&[IoSlice::new(&request)]).and_then(|()| link.flush_until(until)).map_err(io_failed)?;
    let head = loop {
        match link.read_response(Wait::Briefly) {
            Err(HeadError::TimedOut { .. }) if Instant::now() < until => {}
            other => break other.map_err(|error| proxy_failed(&error.to_string()))?,
        }
    };
    if !(200..300).contains(&head.status) {
        return Err(proxy_failed(&format!("it answered {}", head.status)));
    }
    Ok(link.into_parts())
}

fn connect_request(proxy: &UpstreamProxy, authority: &Authority) -> Zeroizing<Vec<u8>> {
    let target = authority.to_host_field(0); // with its port, whatever it is
    let mut fields = Fields::new();
    fields.push("Host", target.as_str());
    if let Some(credentials) = &proxy.credentials {
        let encoded = Zeroizing::new(STANDARD.encode(credentials.expose()));
        fields.push("Proxy-Authorization", format!("Basic {}", *encoded));
    }
    let head = RequestHead { method: "CONNECT".to_owned(), target, version: Version::Http11, fields };
    Zeroizing::new(head.to_bytes())
}

fn proxy_failed(what: &str) -> Refusal {
    Refusal::new(
        Code::UpstreamUnreachable,
        format!("The proxy that HTTPS_PROXY or ALL_PROXY names did not connect: {what}"),
        "Check these variables where authsome was started, or except the host with NO_PROXY.",
    )
}

fn unreachable(authority: &Authority, error: &ConnectError) -> Refusal {
    let host = &authority.host;
    match error {
        ConnectError::Blocked(what) => Refusal::new(
            Code::BlockedAddress,
            format!("{host} stands for {what}, which is never dialled"),
            "If this is meant, list the host or network in AUTHSOME_ALLOW_PRIVATE.",
        ),
        ConnectError::Unresolved => Refusal::new(
            Code::UpstreamUnreachable,
            format!("{host} has no address"),
            "Check the name and the network, then try again.",
        ),
        ConnectError::Unreachable(error) => broken(authority, error),
        ConnectError::TimedOut => timed_out(authority, "no connection in time"),
    }
}

fn broken(authority: &Authority, error: &io::Error) -> Refusal {
    let message = format!("{} cannot be reached on port {}: {error}", authority.host, authority.port);
    Refusal::new(Code::UpstreamUnreachable, message, "Check the network, then try again.")
}

fn timed_out(authority: &Authority, what: &str) -> Refusal {
    Refusal::new(Code::UpstreamTimeout, format!("{}: {what}", authority.host), "Try again later.")
}

fn tls_failed(authority: &Authority, what: &str) -> Refusal {
    Refusal::new(
        Code::UpstreamTls,
        format!("{} cannot be trusted: {what}", authority.host),
        "Nothing was sent. For a private certificate authority set AUTHSOME_UPSTREAM_CA to its PEM file.",
    )
}
