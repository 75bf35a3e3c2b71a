//! The gate and the engine together, over real sockets: what is served, and what becomes of bad clients and bad days.

mod faults;
mod serving;
mod shortage;

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{Gate, Handler, Limits};
use crate::daemon::message::{Request, Response};
use crate::http1::{BodyDecoder, Buffered, Piece, ResponseHead, read_response, response_body};

/// Far longer than anything here takes: it ends a test that would hang.
const PATIENCE: Duration = Duration::from_secs(30);

/// A gate on a free port whose handler tells what it got.
struct House {
    gate: Option<Gate>,
    address: SocketAddr,
}

impl House {
    fn open(limits: Limits) -> Self {
        Self::with_handler(limits, echo)
    }

    fn with_handler(limits: Limits, handler: impl Fn(Request) -> Response + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let handler: Arc<Handler> = Arc::new(handler);
        let gate = Gate::start(listener, &[std::env::temp_dir()], limits, &handler).expect("the gate opens");
        Self { gate: Some(gate), address }
    }

    fn visit(&self) -> Client {
        Client::connect(self.address).expect("the gate accepts")
    }

    fn seats(&self) -> &super::Seats {
        &self.gate.as_ref().expect("open").house.seats
    }

    /// The status of the answer to `bytes` on a connection of their own.
    fn status(&self, bytes: &[u8]) -> u16 {
        let mut client = self.visit();
        client.send(bytes);
        client.answer("GET").0.status
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(gate) = self.gate.take() {
            gate.stop(Duration::ZERO);
        }
    }
}

/// Answers with what a handler sees.
#[allow(clippy::needless_pass_by_value)] // as a handler does
fn echo(request: Request) -> Response {
    let fields: Vec<(String, String)> = request
        .fields
        .iter()
        .map(|(name, value)| (name.to_owned(), String::from_utf8_lossy(value).into_owned()))
        .collect();
    Response::json(&json!({
        "method": request.method,
        "target": request.target,
        "fields": fields,
        "body": String::from_utf8_lossy(&request.body),
        "peer": request.peer.map(|peer| peer.to_string()),
    }))
}

/// A client that reads answers strictly.
struct Client {
    stream: TcpStream,
    buffer: Buffered,
}

impl Client {
    fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, buffer: Buffered::new() })
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the gate reads");
    }

    /// The next answer, to a request with `method`.
    fn answer(&mut self, method: &str) -> (ResponseHead, Vec<u8>) {
        self.try_answer(method).expect("an answer")
    }

    fn try_answer(&mut self, method: &str) -> io::Result<(ResponseHead, Vec<u8>)> {
        let head = read_response(&mut self.buffer, &mut self.stream).map_err(io::Error::other)?;
        let mut decoder = BodyDecoder::new(response_body(&head, method).map_err(io::Error::other)?);
        let mut body = Vec::new();
        loop {
            match decoder.next(self.buffer.unread()).map_err(io::Error::other)? {
                Piece::Data { skip, data } => {
                    body.extend_from_slice(&self.buffer.unread()[skip..skip + data]);
                    self.buffer.consume(skip + data);
                }
                Piece::End { skip } => {
                    self.buffer.consume(skip);
                    return Ok((head, body));
                }
                Piece::NeedMore if self.buffer.fill(&mut self.stream, 4096)? == 0 => {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Piece::NeedMore => {}
            }
        }
    }

    /// Sends a request without a body; what the handler saw of it.
    fn get(&mut self, target: &str) -> Value {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
        self.echoed("GET")
    }

    fn echoed(&mut self, method: &str) -> Value {
        let (head, body) = self.answer(method);
        assert_eq!(head.status, 200, "{}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).expect("the handler answers JSON")
    }

    /// Waits until the gate has closed the connection. Resets count.
    fn is_closed(&mut self) -> bool {
        let mut scratch = [0; 1024];
        loop {
            match self.stream.read(&mut scratch) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() == io::ErrorKind::ConnectionReset,
            }
        }
    }
}

fn empty(status: u16) -> Response {
    Response { status, fields: crate::http1::Fields::new(), body: Zeroizing::default() }
}
