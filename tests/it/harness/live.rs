//! A run that stays alive while the test plays the child: it asks the real child for its proxy and its certificate
//! authorities, and then speaks to the proxy byte by byte.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::{PATIENCE, TestCommand, World, children, eventually};
use crate::upstream::{Answer, Wire, client_config};

/// `authsome run` around a child that waits.
pub(crate) struct LiveRun {
    child: Child,
    stdin: Option<ChildStdin>,
    pub(crate) proxy: SocketAddr,
    /// `user:password` of the proxy URL.
    pub(crate) credentials: String,
    pub(crate) bundle: PathBuf,
    tls: Arc<ClientConfig>,
}

/// A connection through the proxy: TLS with the run's own authority, or the bytes of a blind tunnel.
pub(crate) type Tunnel = Wire<StreamOwned<ClientConnection, TcpStream>>;

impl LiveRun {
    /// Starts `authsome run OPTIONS... -- sh`.
    pub(crate) fn start(world: &World, options: &[&str]) -> Self {
        Self::start_with(world, options, |command| command)
    }

    pub(crate) fn start_with(world: &World, options: &[&str], change: impl FnOnce(TestCommand) -> TestCommand) -> Self {
        let script = r#"printf '%s\n%s\n' "$HTTPS_PROXY" "$SSL_CERT_FILE"; exec cat >/dev/null"#;
        let command = world.authsome(["run"]).args(options).args(["--", "sh", "-c", script]);
        let mut command = change(command).into_inner();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("authsome starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let (Some(Ok(url)), Some(Ok(bundle))) = (lines.next(), lines.next()) else {
            panic!("the run did not start its child: {}", rest_of_stderr(&mut child));
        };
        Self::of(child, &url, bundle.into())
    }

    /// Around any child that waits, whose environment is read from the outside. `root`: where its paths begin.
    pub(crate) fn around(command: TestCommand, root: &Path) -> Self {
        let mut command = command.into_inner();
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("authsome starts");
        let environment = eventually("a child with a proxy", || {
            let ended = child.try_wait().expect("our child");
            assert!(ended.is_none(), "the run ended: {}", rest_of_stderr(&mut child));
            let inner = children(child.id()).into_iter().next()?;
            let environment = String::from_utf8(fs::read(format!("/proc/{inner}/environ")).ok()?).ok()?;
            environment.contains("AUTHSOME_PROXY_MODE=").then_some(environment)
        });
        let get = |name: &str| environment.split('\0').find_map(|one| one.strip_prefix(name)).expect("set by the run");
        let bundle = root.join(get("SSL_CERT_FILE=").trim_start_matches('/'));
        Self::of(child, get("HTTPS_PROXY="), bundle)
    }

    fn of(mut child: Child, url: &str, bundle: PathBuf) -> Self {
        let (credentials, address) = url
            .strip_prefix("http://")
            .and_then(|rest| rest.trim_end_matches('/').split_once('@'))
            .unwrap_or_else(|| panic!("not a proxy URL with credentials: {url}"));
        let certificates = CertificateDer::pem_file_iter(&bundle).expect("the bundle can be read");
        let tls = client_config(certificates.filter_map(Result::ok));
        let stdin = child.stdin.take();
        let proxy = address.parse().expect("an address");
        Self { child, stdin, proxy, credentials: credentials.to_owned(), bundle, tls }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A bare connection to the proxy.
    pub(crate) fn dial(&self) -> Wire<TcpStream> {
        let stream = TcpStream::connect(self.proxy).expect("the proxy listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        Wire::new(stream)
    }

    /// The value of `Proxy-Authorization`.
    pub(crate) fn authorization(&self) -> String {
        format!("Basic {}", STANDARD.encode(self.credentials.as_bytes()))
    }

    /// Sends CONNECT for `authority` and returns the proxy's answer beside the connection.
    pub(crate) fn connect(&self, authority: &str) -> (Answer, Wire<TcpStream>) {
        let mut wire = self.dial();
        let head = format!(
            "CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\nProxy-Authorization: {}\r\n\r\n",
            self.authorization()
        );
        wire.send(head).expect("the proxy reads");
        let answer = wire.any_answer("CONNECT").expect("an answer to CONNECT");
        (answer, wire)
    }

    /// A tunnel to `host:443` with TLS for `host` inside.
    pub(crate) fn tunnel(&self, host: &str) -> Tunnel {
        self.tunnel_as(&format!("{host}:443"), host).expect("a TLS handshake with the proxy")
    }

    /// A tunnel to `authority` whose TLS handshake names `sni`.
    pub(crate) fn tunnel_as(&self, authority: &str, sni: &str) -> io::Result<Tunnel> {
        let (answer, wire) = self.connect(authority);
        assert_eq!(answer.status, 200, "CONNECT {authority}: {answer:?}");
        let name = ServerName::try_from(sni.to_owned()).expect("a DNS name");
        let mut tls = ClientConnection::new(Arc::clone(&self.tls), name).map_err(io::Error::other)?;
        let mut stream = wire.stream;
        while tls.is_handshaking() {
            tls.complete_io(&mut stream)?;
        }
        Ok(Wire::new(StreamOwned::new(tls, stream)))
    }

    /// One GET on a fresh tunnel.
    pub(crate) fn get(&self, host: &str, path: &str) -> Answer {
        self.ask(host, "GET", format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
    }

    /// One GET on a fresh tunnel to another port than 443.
    pub(crate) fn get_port(&self, host: &str, port: u16, path: &str) -> Answer {
        let mut tunnel = self.tunnel_as(&format!("{host}:{port}"), host).expect("a TLS handshake with the proxy");
        tunnel.send(format!("GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n")).expect("the proxy reads");
        tunnel.answer("GET").expect("an answer")
    }

    /// One request, written as given, on a fresh tunnel.
    pub(crate) fn ask(&self, host: &str, method: &str, request: impl AsRef<[u8]>) -> Answer {
        let mut tunnel = self.tunnel(host);
        tunnel.send(request).expect("the proxy reads");
        tunnel.answer(method).expect("an answer")
    }

    /// Lets the child end, and the run with it; gives the run's exit code and what it said on stderr.
    pub(crate) fn finish(mut self) -> (Option<i32>, String) {
        self.stdin = None;
        let text = rest_of_stderr(&mut self.child);
        let status = eventually("the end of the run", || self.child.try_wait().expect("our child"));
        (status.code(), text)
    }

    /// Writes to the standard input of the child.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.stdin.as_mut().expect("still open").write_all(bytes).expect("the child reads");
    }
}

impl Drop for LiveRun {
    fn drop(&mut self) {
        self.stdin = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn rest_of_stderr(child: &mut Child) -> String {
    let mut text = String::new();
    let _ = child.stderr.take().expect("piped").read_to_string(&mut text);
    text
}
