//! Small real servers on loopback for the tests of this room: each connection has its script, and what came in is kept
//! as it was on the wire.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{AuthServer, OAuthClient, Outbound};
use crate::model::OAuthSettings;
use crate::net::NetSettings;
use crate::paths;
use crate::secret::Secret;

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection of either kind.
pub(crate) trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

/// What a server does with a connection once it has read one request.
pub(crate) type Script = Box<dyn FnOnce(&mut dyn Stream) -> io::Result<()> + Send>;

/// A server that takes as many connections as it has scripts.
pub(crate) struct Server {
    pub(crate) port: u16,
    seen: Receiver<String>,
}

impl Server {
    /// Plain HTTP.
    pub(crate) fn plain(scripts: Vec<Script>) -> Self {
        Self::start(scripts, |socket, seen, script| converse(socket, seen, script))
    }

    /// Plain HTTP, with scripts that know the server's own address.
    pub(crate) fn aware(scripts: impl FnOnce(&str) -> Vec<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        Self::start_on(listener, scripts(&url), |socket, seen, script| converse(socket, seen, script))
    }

    /// A server that does not wait for a request.
    pub(crate) fn hasty(scripts: Vec<Script>) -> Self {
        Self::start(scripts, |mut socket, _, script| script(&mut socket))
    }

    /// TLS with the certificate of `identity`.
    pub(crate) fn tls(identity: &Identity, scripts: Vec<Script>) -> Self {
        let config = Arc::clone(&identity.config);
        Self::start(scripts, move |socket, seen, script| converse_tls(&config, socket, seen, script))
    }

    /// A proxy that grants every CONNECT and is the destination as well.
    pub(crate) fn proxy(identity: &Identity, scripts: Vec<Script>) -> Self {
        let config = Arc::clone(&identity.config);
        Self::start(scripts, move |mut socket, seen, script| {
            let request = read_request(&mut socket)?;
            seen(request);
            socket.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
            converse_tls(&config, socket, seen, script)
        })
    }

    fn start(
        scripts: Vec<Script>,
        serve: impl Fn(TcpStream, &dyn Fn(String), Script) -> io::Result<()> + Send + 'static,
    ) -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").expect("binds"), scripts, serve)
    }

    fn start_on(
        listener: TcpListener,
        scripts: Vec<Script>,
        serve: impl Fn(TcpStream, &dyn Fn(String), Script) -> io::Result<()> + Send + 'static,
    ) -> Self {
        let port = listener.local_addr().expect("bound").port();
        let (sender, seen) = mpsc::channel();
        thread::spawn(move || {
            for script in scripts {
                let Ok((socket, _)) = listener.accept() else { return };
                // A client that gives up is what some tests are about.
                let _ = serve(socket, &|request| sender.send(request).unwrap_or_default(), script);
            }
        });
        Self { port, seen }
    }

    /// The next request, as it was on the wire.
    pub(crate) fn request(&self) -> String {
        self.seen.recv_timeout(PATIENCE).expect("a request")
    }

    /// The body of the next request.
    pub(crate) fn body(&self) -> String {
        let request = self.request();
        request.split_once("\r\n\r\n").expect("a head").1.to_owned()
    }

    /// Whether no further request has come. To be called when nothing is under way any more.
    pub(crate) fn is_quiet(&self) -> bool {
        self.seen.try_recv().is_err()
    }

    /// Waits for the end of the last script; no further request may have come until then.
    pub(crate) fn assert_nothing_came(&self) {
        assert_eq!(self.seen.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected));
    }

    /// `path` on this server, over plain HTTP.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

fn converse(mut socket: impl Stream, seen: &dyn Fn(String), script: Script) -> io::Result<()> {
    let request = read_request(&mut socket)?;
    seen(request);
    script(&mut socket)?;
    socket.flush()
}

fn converse_tls(
    config: &Arc<ServerConfig>,
    socket: TcpStream,
    seen: &dyn Fn(String),
    script: Script,
) -> io::Result<()> {
    let session = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(session, socket);
    converse(&mut stream, seen, script)?;
    stream.conn.send_close_notify();
    stream.flush()
}

/// One request: its head, and as much body as it declares.
fn read_request(stream: &mut impl Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        bytes.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |it| it.parse().expect("a length"));
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    bytes.extend(body);
    String::from_utf8(bytes).map_err(io::Error::other)
}

/// These bytes, then the end of the connection.
pub(crate) fn raw(bytes: impl Into<Vec<u8>>) -> Script {
    let bytes = bytes.into();
    Box::new(move |stream| stream.write_all(&bytes))
}

/// A whole answer.
pub(crate) fn answer(status: &str, fields: &str, body: &str) -> Script {
    raw(format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len()))
}

/// JSON with status 200.
pub(crate) fn json(body: &str) -> Script {
    answer("200 OK", "Content-Type: application/json\r\n", body)
}

/// JSON with another status.
pub(crate) fn refusal(status: u16, body: &str) -> Script {
    answer(&format!("{status} No"), "Content-Type: application/json\r\n", body)
}

/// `first`, then `again` and `again`, a little every few milliseconds, until the client has gone or the guard is dropped.
pub(crate) fn drip(first: &str, again: &'static [u8]) -> (Script, Sender<()>) {
    let first = first.to_owned();
    let (guard, until) = mpsc::channel();
    let script: Script = Box::new(move |stream| {
        stream.write_all(first.as_bytes())?;
        while until.recv_timeout(Duration::from_millis(5)) == Err(RecvTimeoutError::Timeout) {
            stream.write_all(again)?;
            stream.flush()?;
        }
        Ok(())
    });
    (script, guard)
}

/// `first`, then `again` without an end or a pause, until the client has gone.
pub(crate) fn endless(first: &str, again: Vec<u8>) -> Script {
    let first = first.to_owned();
    Box::new(move |stream| {
        stream.write_all(first.as_bytes())?;
        loop {
            stream.write_all(&again)?;
        }
    })
}

/// A port that nobody should visit.
pub(crate) struct Unvisited(TcpListener);

impl Unvisited {
    pub(crate) fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").expect("binds"))
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.local_addr().expect("bound").port()
    }

    /// The kernel accepts connections by itself, so one that was made is found here.
    pub(crate) fn assert_unvisited(&self) {
        self.0.set_nonblocking(true).expect("a socket");
        assert_eq!(self.0.accept().expect_err("nobody came").kind(), io::ErrorKind::WouldBlock);
    }
}

/// A certificate, and the file that makes it trusted.
pub(crate) struct Identity {
    config: Arc<ServerConfig>,
    directory: PathBuf,
    /// A PEM file.
    pub(crate) roots: PathBuf,
}

impl Identity {
    /// A certificate for `name` that signs itself.
    pub(crate) fn of(name: &str) -> Self {
        let certified = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
        let certificate: CertificateDer<'static> = certified.cert.der().clone();
        let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("a pair");
        let directory = paths::test_only_scratch("flow");
        let roots = directory.join("roots.pem");
        fs::write(&roots, certified.cert.pem()).expect("writes");
        Self { config: Arc::new(config), directory, roots }
    }
}

impl Drop for Identity {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Settings that trust `identity` and lead `host`, port 443, to `port` on loopback.
pub(crate) fn leading(host: &str, port: u16, identity: &Identity) -> NetSettings {
    let mut settings = NetSettings::default();
    settings.upstream_ca = Some(identity.roots.clone());
    settings.add_overrides(&format!("{host}:443:127.0.0.1:{port}")).expect("an override");
    settings
}

/// Calls with default settings.
pub(crate) fn outbound() -> Outbound {
    Outbound::new(NetSettings::default())
}

/// A provider called `acme` whose token endpoint is `token_url`.
pub(crate) fn acme(token_url: &str) -> AuthServer {
    let settings = OAuthSettings { token_url: Some(token_url.to_owned()), ..OAuthSettings::default() };
    AuthServer { provider: "acme".to_owned(), settings, registration_endpoint: None, issuer: None }
}

/// A client with a secret.
pub(crate) fn confidential() -> OAuthClient {
    OAuthClient { secret: Some(secret("client-secret-1")), ..public() }
}

/// A client without one.
pub(crate) fn public() -> OAuthClient {
    OAuthClient { id: "my-client".to_owned(), ..OAuthClient::default() }
}

pub(crate) fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}
