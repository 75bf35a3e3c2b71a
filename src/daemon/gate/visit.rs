//! One connection, from its first request to its last.

use std::io::{self, Read, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::House;
use super::framing::{answer, body_length, clean_request, origin_form};
use super::links::{Lane, LinkError};
use super::refusal::Refusal;
use super::seat::Seat;
use crate::daemon::serve::log;
use crate::http1::{BodyDecoder, BodyLength, Buffered, Deadline, HeadError, Piece, RequestHead, Version, read_request};
use crate::limits::{DAEMON_LINGER, DAEMON_LINGER_BYTES};

/// How much one read takes of a request's body.
const READ_STEP: usize = 16 * 1024;

/// Serves the client in `seat` until it leaves, breaks the rules, or is asked to make room.
pub(super) fn serve(seat: &Seat, house: &House) {
    let _leaving = Leaving(seat);
    let first_head_due = Some(Instant::now() + house.limits.head);
    let mut visit = Visit { seat, house, buffer: Buffered::new(), first_head_due };
    if visit.prepare().is_err() {
        return;
    }
    loop {
        match visit.turn() {
            Turn::Another => {}
            Turn::Last => return,
            Turn::Refused(method, refusal) => return visit.refuse(&method, &refusal),
        }
    }
}

/// Gives the seat back however the visit ends.
struct Leaving<'a>(&'a Seat);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

struct Visit<'a> {
    seat: &'a Seat,
    house: &'a House,
    buffer: Buffered,
    /// When the first head must be complete; `None` after it.
    first_head_due: Option<Instant>,
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.buffer.wipe(); // a body that broke off may hold a key
    }
}

/// How a request ended.
enum Turn {
    /// The connection serves another.
    Another,
    /// It was the last one, or none came.
    Last,
    /// The gate refuses it. With its method, as far as that is known.
    Refused(String, Refusal),
}

impl Visit<'_> {
    fn stream(&self) -> &TcpStream {
        &self.seat.stream
    }

    fn prepare(&self) -> io::Result<()> {
        self.stream().set_nodelay(true)?;
        self.stream().set_write_timeout(Some(self.house.limits.write))
    }

    /// One request: read the head, limit, read the body, pass it on, answer.
    fn turn(&mut self) -> Turn {
        let head = match self.read_head() {
            Ok(head) => head,
            Err(error) => {
                return match Refusal::of_head(&error) {
                    Some(refusal) => Turn::Refused(String::new(), refusal),
                    None => Turn::Last,
                };
            }
        };
        match self.respond(&head) {
            Ok(turn) => turn,
            Err(refusal) => Turn::Refused(head.method, refusal),
        }
    }

    fn respond(&mut self, head: &RequestHead) -> Result<Turn, Refusal> {
        let (target, authority) = origin_form(head)?;
        let length = body_length(head, self.house.limits.body_bytes)?;
        self.invite_body(head, length)?;
        let body = self.read_body(length)?;
        let authority = authority.or_else(|| self.implied_authority(head));
        let request = clean_request(head, &target, authority.as_deref(), self.seat.peer, &body);
        let path = target.split('?').next().unwrap_or_default();
        let reply = self.house.links.exchange(Lane::of(&head.method, path), &request, &head.method);
        let reply = reply.map_err(|error| {
            if let LinkError::Broken(how) = error {
                log(&format!("a {} request was lost: {how}", head.method)); // its path may hold a token
            }
            Refusal::of_link(&error)
        })?;
        let close = !head.wants_keep_alive() || self.seat.should_leave();
        let bytes = answer(reply.head, &reply.body, close, head.version == Version::Http10);
        if self.write(&bytes).is_err() || close {
            return Ok(Turn::Last);
        }
        Ok(Turn::Another)
    }

    /// What a client of HTTP/1.0 without `Host` means: the address that it connected to (RFC 9110 section 7.1). No browser
    /// is such a client, so this opens no door for a foreign name.
    fn implied_authority(&self, head: &RequestHead) -> Option<String> {
        let is_silent = head.version == Version::Http10 && !head.fields.contains("host");
        is_silent.then(|| self.stream().local_addr().ok()).flatten().map(|address| address.to_string())
    }

    /// Reads a head. Its deadline runs from the accept for the first one, else from its first byte; while none comes, the
    /// connection idles.
    fn read_head(&mut self) -> Result<RequestHead, HeadError> {
        let is_pipelined = !self.buffer.unread().is_empty();
        let first_due = self.first_head_due.take();
        if first_due.is_none() && !is_pipelined && !self.seat.rest() {
            return Err(HeadError::Closed);
        }
        let deadline = self.house.limits.head;
        let due = first_due.or_else(|| is_pipelined.then(|| Instant::now() + deadline));
        let mut reader = HeadReader { seat: self.seat, deadline, due, has_set_timeout: false };
        let head = read_request(&mut self.buffer, &mut reader);
        if reader.has_set_timeout && head.is_ok() {
            self.stream().set_read_timeout(Some(self.house.limits.idle)).map_err(HeadError::Io)?;
        }
        head
    }

    /// RFC 9110 section 10.1.1. Whoever sends a body at once needs no invitation.
    fn invite_body(&self, head: &RequestHead, length: BodyLength) -> Result<(), Refusal> {
        let Some(expected) = head.fields.first("expect") else { return Ok(()) };
        if !expected.eq_ignore_ascii_case(b"100-continue") {
            return Err(Refusal::new(417, "Expectation Failed"));
        }
        if length == BodyLength::None || head.version == Version::Http10 || !self.buffer.unread().is_empty() {
            return Ok(());
        }
        self.write(b"HTTP/1.1 100 Continue\r\n\r\n").map_err(|_| Refusal::new(408, "The client does not read"))
    }

    fn read_body(&mut self, length: BodyLength) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        let limit = self.house.limits.body_bytes;
        let capacity = match length {
            BodyLength::None => return Ok(Zeroizing::default()),
            BodyLength::Exactly(length) => usize::try_from(length).unwrap_or(limit),
            // Reserved whole, so that no copy is left behind by growing. Untouched memory costs nothing.
            BodyLength::Chunked | BodyLength::UntilClose => limit,
        };
        let mut body = Zeroizing::new(Vec::with_capacity(capacity));
        let mut decoder = BodyDecoder::new(length);
        let until = Instant::now() + self.house.limits.body;
        let mut waited = false;
        loop {
            match decoder.next(self.buffer.unread())? {
                Piece::Data { skip, data } => {
                    if body.len() + data > limit {
                        return Err(Refusal::new(413, "Request body too large"));
                    }
                    body.extend_from_slice(&self.buffer.unread()[skip..skip + data]);
                    self.buffer.consume(skip + data);
                }
                Piece::End { skip } => {
                    self.buffer.consume(skip);
                    break;
                }
                Piece::NeedMore => {
                    waited = true;
                    self.read_more(until)?;
                }
            }
        }
        if self.buffer.unread().is_empty() {
            self.buffer.wipe();
        }
        if waited {
            let idle = Some(self.house.limits.idle);
            self.stream().set_read_timeout(idle).map_err(|_| Refusal::new(500, "Internal Server Error"))?;
        }
        Ok(body)
    }

    fn read_more(&mut self, until: Instant) -> Result<(), Refusal> {
        match self.buffer.fill(&mut Deadline::new(&self.seat.stream, until), READ_STEP) {
            Ok(0) => Err(Refusal::new(400, "The request body broke off")),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                Err(Refusal::new(408, "The request body did not come in time"))
            }
            Err(_) => Err(Refusal::new(400, "The request body broke off")),
        }
    }

    /// Writes all of `bytes` within the deadline, however slowly the client takes them.
    fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        let limit = self.house.limits.write; // the socket has it already
        let until = Instant::now() + limit;
        let mut stream = self.stream();
        let mut was_split = false;
        loop {
            match stream.write(bytes) {
                Ok(count) if count == bytes.len() => break,
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            stream.set_write_timeout(Some(left))?;
            was_split = true;
        }
        if was_split { stream.set_write_timeout(Some(limit)) } else { Ok(()) }
    }

    /// Says why, then reads what still comes: closing with unread bytes would reset the connection under the answer.
    fn refuse(&mut self, method: &str, refusal: &Refusal) {
        if self.write(&refusal.to_bytes(method)).is_err() || self.stream().shutdown(Shutdown::Write).is_err() {
            return;
        }
        let mut rest = Deadline::new(self.stream(), Instant::now() + DAEMON_LINGER);
        let mut scratch = [0; 4096];
        let mut dropped = 0;
        while dropped < DAEMON_LINGER_BYTES {
            match rest.read(&mut scratch) {
                Ok(count) if count > 0 => dropped += count,
                _ => return,
            }
        }
    }
}

/// Reads of a head: without a due time the first may wait as long as the connection may idle, and sets one.
struct HeadReader<'a> {
    seat: &'a Seat,
    deadline: Duration,
    due: Option<Instant>,
    has_set_timeout: bool,
}

impl Read for HeadReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match self.due {
            Some(due) => {
                self.has_set_timeout = true;
                Deadline::new(&self.seat.stream, due).read(buffer)?
            }
            None => (&self.seat.stream).read(buffer)?,
        };
        if count > 0 && !self.seat.wake() {
            return Ok(0); // the connection was asked to leave a moment ago
        }
        self.due.get_or_insert_with(|| Instant::now() + self.deadline);
        Ok(count)
    }
}
