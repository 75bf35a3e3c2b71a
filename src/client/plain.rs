//! HTTP/1.1 without TLS over one kept connection, for daemons on this machine.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::answer::Answer;
use super::base_url::BaseUrl;
use crate::http1::{
    BodyDecoder, Buffered, Deadline, HeadError, Piece, RequestHead, ResponseHead, SetTimeouts, read_response,
    response_body,
};
use crate::limits::{CLIENT_BODY_BYTES, CLIENT_CONNECT_DEADLINE};
use crate::secret::SecretBuffer;

/// How much one read of a body asks for.
const READ_STEP: usize = 32 * 1024;
/// Interim answers before the final one; a daemon sends none.
const INTERIM_ANSWERS: usize = 8;

/// A connection that can be used again as long as [`Connection::is_reusable`] says so.
pub(super) struct Connection<S> {
    stream: S,
    buffer: Buffered,
    reusable: bool,
}

/// Why an exchange failed.
#[derive(Debug)]
pub(super) enum ExchangeError {
    /// The peer closed before it answered: a kept connection that had gone stale, or a daemon that died.
    Closed,
    /// Nothing, or not everything, came in time.
    TimedOut,
    /// What came is not HTTP as we read it, or it is too long.
    NotHttp(String),
    /// The socket failed.
    Io(io::Error),
}

impl Connection<TcpStream> {
    /// Connects to the first address of `base` that takes us.
    pub(super) fn open(base: &BaseUrl) -> io::Result<Self> {
        let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in (base.host(), base.port()).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, CLIENT_CONNECT_DEADLINE) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(Self::new(stream));
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Whether the connection was kept and the peer has neither closed it nor sent anything unasked.
    pub(super) fn is_reusable(&self) -> bool {
        if !self.reusable || !self.buffer.unread().is_empty() || self.stream.set_nonblocking(true).is_err() {
            return false;
        }
        let silent = matches!(self.stream.peek(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        silent && self.stream.set_nonblocking(false).is_ok()
    }
}

impl<S: SetTimeouts> Connection<S>
where
    for<'a> &'a S: Read + Write,
{
    pub(super) fn new(stream: S) -> Self {
        Self { stream, buffer: Buffered::new(), reusable: true }
    }

    /// Sends `head` and `body`, reads the answer. All reads together end at `until`.
    pub(super) fn exchange(
        &mut self,
        head: &RequestHead,
        body: &[u8],
        until: Instant,
    ) -> Result<Answer, ExchangeError> {
        self.reusable = false;
        self.send(head, body, until)?;
        let answer = self.final_head(until)?;
        let length = response_body(&answer, &head.method).map_err(|error| ExchangeError::NotHttp(error.to_string()))?;
        let mut decoder = BodyDecoder::new(length);
        let contents = self.read_body(&mut decoder, until)?;
        self.reusable = answer.keeps_alive() && decoder.is_done() && self.buffer.unread().is_empty();
        Ok(Answer::new(answer.status, contents))
    }

    fn send(&mut self, head: &RequestHead, body: &[u8], until: Instant) -> Result<(), ExchangeError> {
        let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        self.stream.set_write_timeout(Some(left)).map_err(ExchangeError::Io)?;
        // One write for both: the daemon then reads the request in one piece.
        let mut message = SecretBuffer::new();
        let written = message.write_all(&head.to_bytes()).and_then(|()| message.write_all(body));
        let sent = written.and_then(|()| (&self.stream).write_all(message.expose_bytes()));
        sent.map_err(from_io)
    }

    fn final_head(&mut self, until: Instant) -> Result<ResponseHead, ExchangeError> {
        for _ in 0..INTERIM_ANSWERS {
            let head = read_response(&mut self.buffer, &mut Deadline::new(&self.stream, until)).map_err(from_head)?;
            match head.status {
                101 => return Err(ExchangeError::NotHttp("an upgrade that nobody asked for".to_owned())),
                100..200 => {}
                _ => return Ok(head),
            }
        }
        Err(ExchangeError::NotHttp("interim answers without end".to_owned()))
    }

    fn read_body(&mut self, decoder: &mut BodyDecoder, until: Instant) -> Result<SecretBuffer, ExchangeError> {
        let mut contents = SecretBuffer::new();
        loop {
            match decoder.next(self.buffer.unread()).map_err(|error| ExchangeError::NotHttp(error.to_string()))? {
                Piece::End { skip } => {
                    self.buffer.consume(skip);
                    return Ok(contents);
                }
                Piece::Data { skip, data } => {
                    if contents.expose_bytes().len() + data > CLIENT_BODY_BYTES {
                        return Err(ExchangeError::NotHttp(format!(
                            "an answer of more than {CLIENT_BODY_BYTES} bytes"
                        )));
                    }
                    self.buffer.consume(skip);
                    contents.write_all(&self.buffer.unread()[..data]).map_err(ExchangeError::Io)?;
                    self.buffer.consume(data);
                }
                Piece::NeedMore => {
                    let read = self.buffer.fill(&mut Deadline::new(&self.stream, until), READ_STEP).map_err(from_io)?;
                    if read == 0 && decoder.ends_at_close() {
                        return Ok(contents);
                    } else if read == 0 {
                        return Err(ExchangeError::NotHttp("the connection was closed in the middle".to_owned()));
                    }
                }
            }
        }
    }
}

fn from_io(error: io::Error) -> ExchangeError {
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => ExchangeError::TimedOut,
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => {
            ExchangeError::Closed
        }
        _ => ExchangeError::Io(error),
    }
}

fn from_head(error: HeadError) -> ExchangeError {
    match error {
        HeadError::Closed => ExchangeError::Closed,
        HeadError::TimedOut { .. } => ExchangeError::TimedOut,
        HeadError::Io(error) => from_io(error),
        HeadError::Truncated | HeadError::TooLarge | HeadError::Malformed(_) | HeadError::Version => {
            ExchangeError::NotHttp(error.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::thread;

    use super::*;
    use crate::http1::{Fields, Version, read_request};

    fn get(path: &str) -> RequestHead {
        let mut fields = Fields::new();
        fields.push("Host", "127.0.0.1:1");
        RequestHead { method: "GET".into(), target: path.into(), version: Version::Http11, fields }
    }

    /// Answers each request on one end of a pair with the next of `answers`, then closes.
    fn served(answers: &'static [&'static [u8]]) -> (Connection<UnixStream>, thread::JoinHandle<Vec<String>>) {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let server = thread::spawn(move || {
            let mut buffer = Buffered::new();
            let mut seen = Vec::new();
            for answer in answers {
                seen.push(read_request(&mut buffer, &mut &theirs).expect("a request").target);
                (&theirs).write_all(answer).expect("writes");
            }
            seen
        });
        (Connection::new(ours), server)
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    #[test]
    fn one_connection_serves_several_requests() {
        let (mut connection, server) = served(&[
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n[\r\n1\r\n]\r\n0\r\n\r\n",
            b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
        ]);
        let first = connection.exchange(&get("/1"), b"", soon()).expect("first");
        assert_eq!((first.status(), first.expose_bytes()), (200, &b"{}"[..]));
        assert!(connection.reusable);
        let second = connection.exchange(&get("/2"), b"", soon()).expect("second");
        assert_eq!((second.status(), second.expose_bytes()), (404, &b"[]"[..]));
        assert!(connection.reusable);
        let third = connection.exchange(&get("/3"), b"", soon()).expect("third");
        assert_eq!(third.expose_bytes(), b"until the end");
        assert!(!connection.reusable);
        assert_eq!(server.join().expect("ends"), ["/1", "/2", "/3"]);
    }

    #[test]
    fn what_is_not_http_is_an_error_and_never_an_answer() {
        let cases: [(&'static [&'static [u8]], &str); 5] = [
            (&[b"SSH-2.0-OpenSSH_9.2\r\n\r\n"], "version"),
            (&[b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"], "middle"),
            (&[b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}"], "Content-Length"),
            (&[b"HTTP/1.1 101 Switching\r\n\r\n"], "upgrade"),
            (&[b"HTTP/1.1 200 OK\r\nContent-Len"], "head"),
        ];
        for (answers, expected) in cases {
            let (mut connection, server) = served(answers);
            match connection.exchange(&get("/"), b"", soon()) {
                Err(ExchangeError::NotHttp(text)) => assert!(text.contains(expected), "{text}"),
                other => panic!("{expected}: {:?}", other.map(|answer| answer.status())),
            }
            assert!(!connection.reusable);
            server.join().expect("ends");
        }
    }

    #[test]
    fn a_closed_connection_is_told_from_a_silent_one() {
        let (mut connection, server) = served(&[b""]);
        assert!(matches!(connection.exchange(&get("/"), b"", soon()), Err(ExchangeError::Closed)));
        server.join().expect("ends");
        let (ours, _silent) = UnixStream::pair().expect("a pair");
        let now = Instant::now();
        assert!(matches!(Connection::new(ours).exchange(&get("/"), b"", now), Err(ExchangeError::TimedOut)));
    }

    #[test]
    fn an_endless_answer_is_cut() {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let server = thread::spawn(move || {
            let mut buffer = Buffered::new();
            read_request(&mut buffer, &mut &theirs).expect("a request");
            (&theirs).write_all(b"HTTP/1.1 200 OK\r\n\r\n").expect("writes");
            while (&theirs).write_all(&[b'x'; 8 * 1024]).is_ok() {}
        });
        let mut connection = Connection::new(ours);
        assert!(matches!(connection.exchange(&get("/"), b"", soon()), Err(ExchangeError::NotHttp(_))));
        drop(connection);
        server.join().expect("ends");
    }
}
