//! Another site: an HTTP server that has the same empty page everywhere. What an attacker's page would do there, a test
//! evaluates in it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

const PAGE: &str =
    "<!doctype html><html lang=\"en\"><title>Another site</title><link rel=\"icon\" href=\"data:,\"><p>Here.</p>";

/// A running server. It ends when dropped.
pub(crate) struct Site {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Site {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let is_over = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let is_over = Arc::clone(&is_over);
            move || {
                for stream in listener.incoming().filter_map(Result::ok) {
                    if is_over.load(Ordering::SeqCst) {
                        return;
                    }
                    thread::spawn(move || answer(stream));
                }
            }
        });
        Self { address, is_over, thread: Some(thread) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its address for a browser, under one of the names of this machine.
    pub(crate) fn url(&self, name: &str) -> String {
        format!("http://{name}:{}/", self.address.port())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address); // wakes it up
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One answer on each connection; a browser opens some that it does not use.
fn answer(mut stream: TcpStream) {
    let Ok(reading) = stream.try_clone() else { return };
    let lines = BufReader::new(reading).lines().map_while(Result::ok);
    if lines.take_while(|line| !line.is_empty()).count() > 0 {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nConnection: close";
        let _ = write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{PAGE}", PAGE.len());
    }
}
