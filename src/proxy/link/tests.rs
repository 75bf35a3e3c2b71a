//! Deadlines hold against peers that send a little now and then.

use std::net::TcpListener;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConnection};

use super::*;
use crate::proxy::RunCa;
use crate::proxy::tls::client_config;

const LIMIT: Duration = Duration::from_millis(200);

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let one = TcpStream::connect(listener.local_addr().expect("bound")).expect("connects");
    one.set_nodelay(true).expect("a socket");
    (one, listener.accept().expect("accepts").0)
}

/// Sends `bytes` one by one, a millisecond apart, until the answer is dropped.
fn trickle(mut socket: TcpStream, bytes: Vec<u8>) -> Sender<()> {
    let (stop, stopped) = channel::<()>();
    thread::spawn(move || {
        for byte in bytes {
            if stopped.recv_timeout(Duration::from_millis(1)) == Err(std::sync::mpsc::RecvTimeoutError::Disconnected)
                || socket.write_all(&[byte]).is_err()
            {
                return;
            }
        }
    });
    stop
}

fn long_head() -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(8000)).into_bytes()
}

fn far() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// What the records of a TLS client look like to whom `config` is the server.
fn secured(link: TcpStream, peer: &mut TcpStream) -> (Link, ClientConnection) {
    let ca = RunCa::new().expect("makes");
    let mut roots = RootCertStore::empty();
    let pem = ca.certificate_pem().as_bytes().to_vec();
    roots.add(rustls::pki_types::pem::PemObject::from_pem_slice(&pem).expect("PEM")).expect("a certificate");
    let config: Arc<ClientConfig> = client_config(roots).expect("a configuration");
    let mut client = ClientConnection::new(config, "api.x.test".try_into().expect("a name")).expect("a client");
    let server = ServerConnection::new(ca.server_config("api.x.test").expect("a leaf")).expect("a server");
    thread::scope(|scope| {
        let link = scope.spawn(|| Link::secure(Arc::new(link), &[], server, far()).expect("handshakes"));
        while client.is_handshaking() || client.wants_write() {
            client.complete_io(peer).expect("handshakes");
        }
        (link.join().expect("no panic"), client)
    })
}

#[test]
fn a_head_that_comes_in_drops_ends_at_its_deadline() {
    let (child, socket) = pair();
    let mut link = Link::plain(Arc::new(socket), Buffered::new()).expect("links");
    let _stop = trickle(child, long_head());
    assert!(matches!(link.read_request(far(), LIMIT), Err(HeadError::TimedOut { started: true })));
}

#[test]
fn a_record_that_comes_in_drops_ends_at_its_deadline() {
    let (mut child, socket) = pair();
    let (mut link, mut client) = secured(socket, &mut child);
    client.writer().write_all(&long_head()).expect("queues");
    let mut records = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut records).expect("writes");
    }
    let _stop = trickle(child, records);
    let until = Instant::now() + LIMIT;
    assert!(matches!(link.read_request(until, LIMIT), Err(HeadError::TimedOut { started: false })));
}

#[test]
fn an_answer_that_comes_in_drops_does_not_hold_whoever_looks_for_it() {
    let (upstream, socket) = pair();
    let mut link = Link::plain(Arc::new(socket), Buffered::new()).expect("links");
    let bytes = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(8000)).into_bytes();
    let _stop = trickle(upstream, bytes);
    assert!(matches!(link.read_response(Wait::Briefly), Err(HeadError::TimedOut { .. })), "one wait");
}
