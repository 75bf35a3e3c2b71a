//! Connections to endpoints: through the address guard, or through the operator's proxy, and verified.

use std::fmt;
use std::io::{self, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use zeroize::Zeroizing;

use super::line::{Line, Timed, Wire};
use crate::flow::endpoint::Endpoint;
use crate::http1::{Buffered, Fields, RequestHead, Version, read_response};
use crate::net::{
    ConnectError, NetSettings, Policy, Roots, UpstreamProxy, UpstreamProxyScheme, check_unresolved, connect,
    connect_to_proxy, tls_fault,
};

/// Private networks are allowed: an authorization server on the premises is ordinary, and who defines providers may
/// reach it anyway.
const POLICY: Policy = Policy { refuse_private: false };

/// Opens connections. Keeps what TLS needs.
#[derive(Debug)]
pub(super) struct Dialler {
    settings: NetSettings,
    tls: Mutex<Option<Arc<ClientConfig>>>,
}

/// Why there is no connection, in words.
#[derive(Debug)]
pub(super) enum NoConnection {
    /// The deadline passed.
    TimedOut,
    /// Anything else.
    Failed(String),
}

impl NoConnection {
    pub(super) fn timed_out(&self) -> bool {
        matches!(self, Self::TimedOut)
    }
}

impl Dialler {
    pub(super) fn new(settings: NetSettings) -> Self {
        Self { settings, tls: Mutex::default() }
    }

    /// A connection to `endpoint`; one over TLS is verified. Nothing of a request was written yet.
    pub(super) fn open(&self, endpoint: &Endpoint, until: Instant) -> Result<Line, NoConnection> {
        if !endpoint.is_secure() {
            return Ok(Line::new(Wire::Plain(Timed::new(self.dial_loopback(endpoint, until)?, until))));
        }
        let config = self.client_config()?;
        let socket = match self.settings.proxy_for(endpoint.host(), endpoint.port()) {
            _ if endpoint.is_loopback() => Timed::new(self.dial_loopback(endpoint, until)?, until),
            Some(proxy) => {
                check_unresolved(&self.settings, endpoint.host(), POLICY)?;
                chain(proxy, endpoint, until)?
            }
            None => Timed::new(connect(&self.settings, endpoint.host(), endpoint.port(), POLICY, left(until))?, until),
        };
        secure(config, endpoint, socket)
    }

    /// The URL itself names this machine, so that nobody is led there by a name server.
    fn dial_loopback(&self, endpoint: &Endpoint, until: Instant) -> Result<TcpStream, NoConnection> {
        let mut settings = self.settings.clone();
        settings.allow("127.0.0.0/8,::1").map_err(|error| NoConnection::Failed(error.to_string()))?;
        let socket = connect(&settings, endpoint.host(), endpoint.port(), POLICY, left(until))?;
        // `localhost` is a name like any other to some resolvers.
        let is_here = socket.peer_addr().is_ok_and(|peer| peer.ip().to_canonical().is_loopback());
        if is_here { Ok(socket) } else { Err(failed("the address of a loopback name is not on this machine")) }
    }

    fn client_config(&self) -> Result<Arc<ClientConfig>, NoConnection> {
        let mut made = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = &*made {
            return Ok(Arc::clone(config));
        }
        let unreadable =
            |error: &dyn fmt::Display| NoConnection::Failed(format!("the trust roots cannot be read: {error}"));
        let roots = Roots::find(&self.settings).root_store().map_err(|error| unreadable(&error))?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| unreadable(&error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::clone(made.insert(Arc::new(config))))
    }
}

/// Does the handshake, so that nothing is written before the certificate is verified.
fn secure(config: Arc<ClientConfig>, endpoint: &Endpoint, mut socket: Timed) -> Result<Line, NoConnection> {
    let name = ServerName::try_from(endpoint.host().to_owned())
        .map_err(|_| failed("the host cannot stand in a certificate"))?;
    let mut session = ClientConnection::new(config, name).map_err(|error| NoConnection::Failed(error.to_string()))?;
    while session.is_handshaking() {
        session.complete_io(&mut socket).map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => NoConnection::TimedOut,
            io::ErrorKind::InvalidData => NoConnection::Failed(tls_fault(&error)),
            _ => failed("the connection was closed during the TLS handshake"),
        })?;
    }
    Ok(Line::new(Wire::Tls(Box::new(StreamOwned::new(session, socket)))))
}

/// Asks the operator's proxy for a connection to `endpoint` (RFC 9110 section 9.3.6).
fn chain(proxy: &UpstreamProxy, endpoint: &Endpoint, until: Instant) -> Result<Timed, NoConnection> {
    if proxy.scheme == UpstreamProxyScheme::Https {
        return Err(failed("the proxy of the environment is spoken to over TLS, which is not supported yet"));
    }
    let told = |what: &str| {
        NoConnection::Failed(format!("the proxy that HTTPS_PROXY or ALL_PROXY names did not connect: {what}"))
    };
    let socket = connect_to_proxy(proxy, left(until)).map_err(|error| told(&error.to_string()))?;
    let mut socket = Timed::new(socket, until);
    socket.write_all(&connect_request(proxy, endpoint)).map_err(|error| told(&error.to_string()))?;
    let mut early = Buffered::new();
    let head = read_response(&mut early, &mut socket).map_err(|error| told(&error.to_string()))?;
    if !(200..300).contains(&head.status) {
        return Err(told(&format!("it answered {}", head.status)));
    }
    // The server speaks second: bytes before our first are not its own.
    if early.unread().is_empty() { Ok(socket) } else { Err(told("it sent more than an answer")) }
}

fn connect_request(proxy: &UpstreamProxy, endpoint: &Endpoint) -> Zeroizing<Vec<u8>> {
    let (host, port) = (endpoint.host(), endpoint.port());
    let target = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let mut fields = Fields::new();
    fields.push("Host", target.as_str());
    if let Some(credentials) = &proxy.credentials {
        let encoded = Zeroizing::new(STANDARD.encode(credentials.expose()));
        fields.push("Proxy-Authorization", format!("Basic {}", *encoded));
    }
    let head = RequestHead { method: "CONNECT".to_owned(), target, version: Version::Http11, fields };
    Zeroizing::new(head.to_bytes())
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}

fn failed(what: &str) -> NoConnection {
    NoConnection::Failed(what.to_owned())
}

impl From<ConnectError> for NoConnection {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::TimedOut => Self::TimedOut,
            other @ (ConnectError::Blocked(_) | ConnectError::Unresolved | ConnectError::Unreachable(_)) => {
                Self::Failed(other.to_string())
            }
        }
    }
}

impl fmt::Display for NoConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TimedOut => "no connection in time",
            Self::Failed(what) => what,
        })
    }
}

impl std::error::Error for NoConnection {}
