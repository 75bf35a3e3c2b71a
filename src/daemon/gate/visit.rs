//! One connection, from its first request to its last.

use std::io::{self, Read, Write as _};
use std::mem;
use std::net::{Shutdown, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use zeroize::Zeroizing;

use super::framing::{answer, body_length, origin_form, passed_on};
use super::places::{Place, may_wait};
use super::refusal::Refusal;
use super::seat::Seat;
use super::{House, Limits};
use crate::daemon::engine::Line;
use crate::daemon::message::{INTERNAL, Request, Response};
use crate::daemon::serve::log;
use crate::http1::{
    BodyDecoder, BodyLength, Buffered, Deadline, Fields, HeadError, Piece, RequestHead, Version, read_request,
};
use crate::limits::{DAEMON_LINGER, DAEMON_LINGER_BYTES};

/// How much one read takes of a request's body.
const READ_STEP: usize = 16 * 1024;
/// What a request gets that finds no place.
const BUSY: Refusal = Refusal::new(503, "The daemon is busy; try again");

/// Serves the client in `seat`, and whoever comes out of the engine in its place, until one leaves, breaks the rules, or
/// is asked to make room.
pub(super) fn serve(seat: Arc<Seat>, house: &House) {
    let mut visit = Visit::begin(seat, house.limits);
    while let Some(served) = visit {
        visit = served.turn(house);
    }
}

/// One connection, from its first request to its last. It gives its seat back when it is dropped.
pub(super) struct Visit {
    seat: Arc<Seat>,
    limits: Limits,
    buffer: Buffered,
    /// When the first head must be complete; `None` after it.
    first_head_due: Option<Instant>,
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.buffer.wipe(); // a body that broke off may hold a key
        self.seat.leave();
    }
}

/// Who waits while the engine has the line of a request.
pub(super) struct Guest {
    visit: Visit,
    fields: Fields,
    body: Zeroizing<Vec<u8>>,
    is_head: bool,
    wants_keep_alive: bool,
    version: Version,
    place: Option<Place>,
}

impl Guest {
    /// Answers the request. Returns the visit to go on with.
    fn respond(self, line: Line, house: &House) -> Option<Visit> {
        let Self { visit, fields, body, is_head, wants_keep_alive, version, place } = self;
        let Line { method, target } = line;
        let request = Request { method, target, fields, body, peer: Some(visit.seat.peer.ip()) };
        // `server::answer` catches what handlers throw; should it fail itself, it costs this request.
        let response = catch_unwind(AssertUnwindSafe(|| (house.handler)(request)));
        drop(place); // before the client takes its time to read
        let response = response.unwrap_or_else(|_| Response::json_with_status(500, &json!({"detail": INTERNAL})));
        let close = !wants_keep_alive || visit.seat.should_leave();
        let bytes = answer(response, is_head, close, version == Version::Http10);
        (visit.write(&bytes).is_ok() && !close).then_some(visit)
    }

    /// The engine has lost the line.
    fn give_up(self) -> Option<Visit> {
        log("a request was lost on its way through the engine"); // its target may hold a token
        self.visit.refuse(self.is_head, &Refusal::new(500, INTERNAL))
    }
}

/// A whole request.
struct Asked {
    line: Line,
    fields: Fields,
    body: Zeroizing<Vec<u8>>,
    place: Option<Place>,
}

impl Visit {
    fn begin(seat: Arc<Seat>, limits: Limits) -> Option<Self> {
        let first_head_due = Some(Instant::now() + limits.head);
        let visit = Self { seat, limits, buffer: Buffered::new(), first_head_due };
        visit.stream().set_nodelay(true).ok()?;
        visit.stream().set_write_timeout(Some(limits.write)).ok()?;
        Some(visit)
    }

    fn stream(&self) -> &TcpStream {
        &self.seat.stream
    }

    /// One request: read the head, limit, read the body, hand both in, and answer what comes out. Returns the visit to go
    /// on with.
    fn turn(mut self, house: &House) -> Option<Self> {
        let head = match self.read_head() {
            Ok(head) => head,
            Err(error) => return Refusal::of_head(&error).and_then(|refusal| self.refuse(false, &refusal)),
        };
        let (is_head, wants_keep_alive, version) = (head.method == "HEAD", head.wants_keep_alive(), head.version);
        let Asked { line, fields, body, place } = match self.read_rest(head, house) {
            Ok(asked) => asked,
            Err(refusal) => return self.refuse(is_head, &refusal),
        };
        let guest = Guest { visit: self, fields, body, is_head, wants_keep_alive, version, place };
        match house.engine.exchange(&line, guest) {
            Ok((line, guest)) => guest.respond(line, house),
            Err(guest) => guest.give_up(),
        }
    }

    fn read_rest(&mut self, mut head: RequestHead, house: &House) -> Result<Asked, Refusal> {
        let (target, authority) = origin_form(&head.method, mem::take(&mut head.target))?;
        let length = body_length(&head, self.limits.body_bytes)?;
        self.invite_body(&head, length)?;
        let body = self.read_body(length)?;
        let authority = authority.or_else(|| self.implied_authority(&head));
        let RequestHead { method, fields, .. } = head;
        let place = if may_wait(&method, &target) { Some(house.places.take().ok_or(BUSY)?) } else { None };
        Ok(Asked { line: Line { method, target }, fields: passed_on(fields, authority), body, place })
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
        let deadline = self.limits.head;
        let due = first_due.or_else(|| is_pipelined.then(|| Instant::now() + deadline));
        let mut reader = HeadReader { seat: &self.seat, deadline, due, has_set_timeout: false };
        let head = read_request(&mut self.buffer, &mut reader);
        if reader.has_set_timeout && head.is_ok() {
            self.stream().set_read_timeout(Some(self.limits.idle)).map_err(HeadError::Io)?;
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
        let limit = self.limits.body_bytes;
        let capacity = match length {
            BodyLength::None => return Ok(Zeroizing::default()),
            BodyLength::Exactly(length) => usize::try_from(length).unwrap_or(limit),
            // Reserved whole, so that no copy is left behind by growing. Untouched memory costs nothing.
            BodyLength::Chunked | BodyLength::UntilClose => limit,
        };
        let mut body = Zeroizing::new(Vec::with_capacity(capacity));
        let mut decoder = BodyDecoder::new(length);
        let until = Instant::now() + self.limits.body;
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
            let idle = Some(self.limits.idle);
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
        let limit = self.limits.write; // the socket has it already
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
    /// Ends the visit.
    fn refuse(self, is_head: bool, refusal: &Refusal) -> Option<Self> {
        if self.write(&refusal.to_bytes(is_head)).is_err() || self.stream().shutdown(Shutdown::Write).is_err() {
            return None;
        }
        let mut rest = Deadline::new(self.stream(), Instant::now() + DAEMON_LINGER);
        let mut scratch = [0; 4096];
        let mut dropped = 0;
        while dropped < DAEMON_LINGER_BYTES {
            match rest.read(&mut scratch) {
                Ok(count) if count > 0 => dropped += count,
                _ => break,
            }
        }
        None
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
