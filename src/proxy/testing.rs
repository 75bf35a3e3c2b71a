//! What the tests of this room share: a real TLS upstream, a daemon that answers from memory, a child.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, ServerConnection, SignatureScheme,
    StreamOwned,
};

use super::tls::crypto_provider;
use super::{CredentialSource, Limits, Mode, Proxy, ProxySettings, RunCa};
use crate::error::AuthsomeError;
use crate::http1::{
    BodyDecoder, Buffered, Piece, RequestHead, ResponseHead, read_request, read_response, request_body,
};
use crate::http1::{HeadError, response_body};
use crate::model::{AuditEvent, Fingerprint, HostMatch, Place, Resolved, RunPlan};
use crate::net::{NetSettings, UpstreamProxy};
use crate::provider::Host;
use crate::secret::Secret;

pub(crate) const TOKEN: &str = "run-token-of-a-test";
pub(crate) const HOST: &str = "api.x.test";
/// Nothing in these tests takes long; what hangs fails instead.
const PATIENCE: Duration = Duration::from_secs(20);

/// Both ends of a byte stream.
pub(crate) trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// A stream with what was read from it and not used.
pub(crate) struct Peer {
    pub(crate) stream: Box<dyn Stream>,
    pub(crate) buffer: Buffered,
    /// Without TLS: the socket itself.
    socket: Option<TcpStream>,
}

impl Peer {
    pub(crate) fn new(stream: impl Stream + 'static) -> Self {
        Self { stream: Box::new(stream), buffer: Buffered::new(), socket: None }
    }

    fn plain(socket: TcpStream) -> Self {
        Self { socket: socket.try_clone().ok(), ..Self::new(socket) }
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.send_bytes(text.as_bytes());
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).and_then(|()| self.stream.flush()).expect("the peer takes it");
    }

    /// Becomes a relay to `address`, until either side ends.
    pub(crate) fn splice_to(self, address: SocketAddr) {
        let near = self.socket.expect("a connection without TLS");
        let far = TcpStream::connect(address).expect("connects");
        super::tunnel::tunnel(&near, &far, self.buffer.unread(), &[]);
    }

    pub(crate) fn read_request(&mut self) -> Result<RequestHead, HeadError> {
        read_request(&mut self.buffer, &mut self.stream)
    }

    /// A request with its body, as this end saw it.
    pub(crate) fn request(&mut self) -> (RequestHead, Vec<u8>) {
        let head = self.read_request().expect("a request");
        let body = self.body(BodyDecoder::new(request_body(&head).expect("framed")));
        (head, body)
    }

    /// An answer with its body.
    pub(crate) fn response(&mut self, method: &str) -> (ResponseHead, Vec<u8>) {
        let head = self.response_head();
        let body = self.body(BodyDecoder::new(response_body(&head, method).expect("framed")));
        (head, body)
    }

    pub(crate) fn response_head(&mut self) -> ResponseHead {
        read_response(&mut self.buffer, &mut self.stream).expect("a response")
    }

    pub(crate) fn body(&mut self, mut decoder: BodyDecoder) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            match decoder.next(self.buffer.unread()).expect("well framed") {
                Piece::Data { skip, data } => {
                    body.extend_from_slice(&self.buffer.unread()[skip..skip + data]);
                    self.buffer.consume(skip + data);
                }
                Piece::End { skip } => {
                    self.buffer.consume(skip);
                    return body;
                }
                Piece::NeedMore => match self.buffer.fill(&mut self.stream, 64 * 1024) {
                    Ok(0) => {
                        assert!(decoder.ends_at_close(), "cut off after {} bytes", body.len());
                        return body;
                    }
                    Ok(_) => {}
                    Err(error) => panic!("cut off after {} bytes: {error}", body.len()),
                },
            }
        }
    }

    /// The rest until the other end closes.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        self.body(BodyDecoder::new(crate::http1::BodyLength::UntilClose))
    }

    /// Sends a GET and reads its answer.
    pub(crate) fn get(&mut self, path: &str) -> (ResponseHead, Vec<u8>) {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
        self.response("GET")
    }

    /// Whether the other end closed, and nothing more came.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.buffer.unread().is_empty() && matches!(self.buffer.fill(&mut self.stream, 1), Ok(0) | Err(_))
    }
}

/// An upstream on loopback with a certificate of its own authority.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    accepted: Arc<AtomicUsize>,
}

/// One authority for all upstreams of a test.
pub(crate) struct World {
    authority: Arc<RunCa>,
    dir: PathBuf,
    overrides: Vec<String>,
    upstream_proxy: Option<UpstreamProxy>,
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = crate::paths::test_only_scratch("proxy");
        let authority = Arc::new(RunCa::new().expect("makes"));
        std::fs::write(dir.join("ca.pem"), authority.certificate_pem()).expect("writes");
        Self { authority, dir, overrides: Vec::new(), upstream_proxy: None }
    }

    /// An upstream that is `host` with a certificate for `certified`.
    pub(crate) fn upstream_as(
        &mut self,
        host: &str,
        port: u16,
        certified: &str,
        serve: impl Fn(Peer) + Send + Sync + 'static,
    ) -> Upstream {
        let config = self.authority.server_config(certified).expect("a name");
        let upstream = listen(move |socket| {
            let tls = ServerConnection::new(Arc::clone(&config)).expect("a configuration");
            serve(Peer::new(StreamOwned::new(tls, socket)));
        });
        self.name(host, port, &upstream);
        upstream
    }

    /// The upstream of [`HOST`].
    pub(crate) fn upstream(&mut self, serve: impl Fn(Peer) + Send + Sync + 'static) -> Upstream {
        self.upstream_as(HOST, 443, HOST, serve)
    }

    /// An upstream without TLS.
    pub(crate) fn plain_upstream(
        &mut self,
        host: &str,
        port: u16,
        serve: impl Fn(Peer) + Send + Sync + 'static,
    ) -> Upstream {
        let upstream = listen(move |socket| serve(Peer::plain(socket)));
        self.name(host, port, &upstream);
        upstream
    }

    fn name(&mut self, host: &str, port: u16, upstream: &Upstream) {
        self.overrides.push(format!("{host}:{port}:{}", upstream.address));
    }

    pub(crate) fn net(&self) -> NetSettings {
        let ca = Some(self.dir.join("ca.pem"));
        let mut net = NetSettings::default();
        (net.platform_ca, net.upstream_ca) = (ca.clone(), ca);
        net.upstream_proxy.clone_from(&self.upstream_proxy);
        net.add_overrides(&self.overrides.join(",")).expect("parses");
        net
    }

    /// Sends what has no override through a proxy.
    pub(crate) fn chain(&mut self, proxy: &Upstream, credentials: &str) {
        self.upstream_proxy =
            Some(UpstreamProxy::parse(&format!("http://{credentials}{}", proxy.address)).expect("a URL"));
    }

    /// More entries of `AUTHSOME_RESOLVE`.
    pub(crate) fn add_override(&mut self, entry: &str) {
        self.overrides.push(entry.to_owned());
    }

    /// A proxy with `routes` (JSON of the run's plan) in `mode`.
    pub(crate) fn run(&self, mode: Mode, routes: &str, daemon: Daemon) -> TestRun {
        self.start(mode, routes, daemon, &[], true, Limits::default())
    }

    /// The same with `--no-redact`.
    pub(crate) fn run_unmasked(&self, routes: &str) -> TestRun {
        self.start(Mode::ConnectedAllow, routes, Daemon::default(), &[], false, Limits::default())
    }

    /// The same with `--allow-host`.
    pub(crate) fn run_allowing(&self, mode: Mode, routes: &str, allowed: &[&str]) -> TestRun {
        self.start(mode, routes, Daemon::default(), allowed, true, Limits::default())
    }

    /// [`World::run_with_key`] with limits.
    pub(crate) fn run_limited(&self, limits: Limits) -> TestRun {
        self.start(Mode::ConnectedAllow, &route_with(&bearer("real-key")), Daemon::default(), &[], true, limits)
    }

    fn start(
        &self,
        mode: Mode,
        routes: &str,
        daemon: Daemon,
        allowed: &[&str],
        redact: bool,
        limits: Limits,
    ) -> TestRun {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("binds");
        let ca = RunCa::new().expect("makes");
        let ca_pem = ca.certificate_pem().to_owned();
        let plan: RunPlan =
            serde_json::from_str(&format!(r#"{{"run_id":"run_1","routes":{routes}}}"#)).expect("a plan");
        let daemon = Arc::new(daemon);
        let settings = ProxySettings {
            mode,
            allow_hosts: allowed.iter().map(|host| Host::parse(host).expect("a host")).collect(),
            limits,
            redact,
            is_isolated: false,
            net: self.net(),
            token: Secret::new(TOKEN.to_owned()),
        };
        let proxy = Proxy::start(listener, ca, plan, daemon.clone(), settings).expect("starts");
        TestRun { address: proxy.local_addr(), proxy: Some(proxy), ca_pem, daemon }
    }

    /// The certificate of the upstreams' authority.
    pub(crate) fn authority_pem(&self) -> &str {
        self.authority.certificate_pem()
    }

    /// The most common case: [`HOST`] is routed, with a bearer credential.
    pub(crate) fn run_with_key(&self) -> TestRun {
        self.run(Mode::ConnectedAllow, &route_with(&bearer("real-key")), Daemon::default())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl Upstream {
    /// How many connections were accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

fn listen(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Upstream {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("binds");
    let address = listener.local_addr().expect("bound");
    let accepted = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&accepted);
    let serve: Arc<dyn Fn(TcpStream) + Send + Sync> = Arc::new(serve);
    thread::spawn(move || {
        for socket in listener.incoming() {
            let Ok(socket) = socket else { return };
            counter.fetch_add(1, Ordering::SeqCst);
            socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
            socket.set_nodelay(true).expect("a socket");
            let serve = Arc::clone(&serve);
            thread::spawn(move || serve(socket));
        }
    });
    Upstream { address, accepted }
}

/// The code of a refusal, checked to be the same in head and body.
pub(crate) fn code(answer: &(ResponseHead, Vec<u8>)) -> String {
    let (head, body) = answer;
    let body: serde_json::Value = serde_json::from_slice(body).expect("JSON");
    let code = head.fields.first_str("x-authsome-error").expect("a code").to_owned();
    assert_eq!(body["error"], code.as_str());
    assert!(body["message"].is_string() && body["hint"].is_string() && body.get("provider").is_some(), "{body}");
    code
}

/// One route to [`HOST`] whose credential is `inject` (JSON of slots, or `null`).
pub(crate) fn route_with(inject: &str) -> String {
    format!(
        r#"[{{"provider":"x","connection":"default","host":"{HOST}","match":"exact","port":443,"inject":{inject}}}]"#
    )
}

/// A bearer credential in slots.
pub(crate) fn bearer(value: &str) -> String {
    format!(r#"[{{"in":"header","name":"Authorization","value":"Bearer {value}","secrets":["{value}"]}}]"#)
}

/// A daemon in memory.
#[derive(Default)]
pub(crate) struct Daemon {
    /// Header values by provider; a provider that is not here has no credential.
    pub(crate) values: BTreeMap<&'static str, &'static str>,
    /// The same for who was refused the last ones.
    pub(crate) successors: BTreeMap<&'static str, &'static str>,
    /// The host that it says they may go to.
    pub(crate) leads_to: Option<&'static str>,
    pub(crate) asked: Mutex<usize>,
    pub(crate) events: Mutex<Vec<AuditEvent>>,
}

impl CredentialSource for Daemon {
    fn resolve(&self, provider: &str, connection: &str, refused: Option<Fingerprint>) -> crate::Result<Resolved> {
        *self.asked.lock().expect("not poisoned") += 1;
        let missing = || AuthsomeError::CredentialMissing { provider: provider.into(), reason: "Not connected".into() };
        let values = if refused.is_some() { &self.successors } else { &self.values };
        let value = values.get(provider).ok_or_else(missing)?;
        Ok(Resolved {
            provider: provider.into(),
            connection: connection.into(),
            headers: BTreeMap::from([("Authorization".to_owned(), Secret::new((*value).to_owned()))]),
            inject: Vec::new(),
            destinations: self.leads_to.map(|host| {
                vec![Place { host: host.into(), host_match: HostMatch::Exact, port: 443, path_prefix: String::new() }]
            }),
            expires_at: None,
            source: "local".into(),
        })
    }

    fn record(&self, event: AuditEvent) {
        self.events.lock().expect("not poisoned").push(event);
    }
}

/// A running proxy.
pub(crate) struct TestRun {
    pub(crate) address: SocketAddr,
    pub(crate) proxy: Option<Proxy>,
    pub(crate) ca_pem: String,
    pub(crate) daemon: Arc<Daemon>,
}

impl TestRun {
    /// A connection of the child to the proxy.
    pub(crate) fn dial(&self) -> TcpStream {
        let socket = TcpStream::connect(self.address).expect("the proxy listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
        socket.set_nodelay(true).expect("a socket");
        socket
    }

    /// A CONNECT that was answered with success.
    pub(crate) fn connect(&self, authority: &str) -> TcpStream {
        let mut socket = self.dial();
        write!(socket, "CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{}\r\n\r\n", authorization())
            .expect("sends");
        // Byte by byte: what follows belongs to the tunnel.
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            assert_eq!(socket.read(&mut byte).expect("answers"), 1, "{:?}", String::from_utf8_lossy(&answer));
            answer.push(byte[0]);
        }
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        socket
    }

    /// A TLS connection through the proxy to `host`, whose certificate is checked against the run's authority for
    /// `server_name`.
    pub(crate) fn open_as(&self, host: &str, server_name: &str) -> Peer {
        let socket = self.connect(&format!("{host}:443"));
        Peer::new(tls_client(socket, &self.ca_pem, server_name).expect("the child trusts the run"))
    }

    /// The same for a child that verifies nothing.
    pub(crate) fn open_unverified(&self, host: &str, server_name: &str) -> Peer {
        let config = ClientConfig::builder_with_provider(crypto_provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Credulous))
            .with_no_client_auth();
        let name = ServerName::try_from(server_name.to_owned()).expect("a name");
        let tls = ClientConnection::new(Arc::new(config), name).expect("a configuration");
        Peer::new(StreamOwned::new(tls, self.connect(&format!("{host}:443"))))
    }

    /// A TLS connection through the proxy to [`HOST`].
    pub(crate) fn open(&self) -> Peer {
        self.open_as(HOST, HOST)
    }

    /// Stops the proxy. What it recorded, as `event status`, and its report.
    pub(crate) fn stop(mut self) -> (Vec<AuditEvent>, super::RunReport) {
        let report = self.proxy.take().expect("runs").stop();
        (std::mem::take(&mut *self.daemon.events.lock().expect("not poisoned")), report)
    }
}

/// Completes a TLS handshake as a client that trusts `authority` alone.
pub(crate) fn tls_client(
    mut socket: TcpStream,
    authority: &str,
    server_name: &str,
) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).expect("PEM")).expect("a certificate");
    let mut config = ClientConfig::builder_with_provider(crypto_provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let name = ServerName::try_from(server_name.to_owned()).expect("a name");
    let mut tls = ClientConnection::new(Arc::new(config), name).expect("a configuration");
    while tls.is_handshaking() {
        tls.complete_io(&mut socket)?;
    }
    assert_ne!(tls.alpn_protocol(), Some(&b"h2"[..]), "nothing but HTTP/1.1 is offered");
    Ok(StreamOwned::new(tls, socket))
}

/// The child's proxy credentials.
pub(crate) fn authorization() -> String {
    format!("Proxy-Authorization: Basic {}", STANDARD.encode(format!("authsome:{TOKEN}")))
}

/// Believes every certificate.
#[derive(Debug)]
struct Credulous;

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        crypto_provider().signature_verification_algorithms.supported_schemes()
    }
}
