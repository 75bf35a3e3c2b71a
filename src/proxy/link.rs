//! [`Link`]: one end of a relay, a TCP connection with or without TLS, seen as plaintext that comes and goes.
//!
//! Sockets stay in blocking mode, with a short kernel timeout: the ordinary request costs one `recv` and one `sendmsg`
//! a direction and nothing else. While both directions are busy ([`super::exchange`]) the same sockets are used with
//! `MSG_DONTWAIT`, so that neither side can block the other.

mod socket;
#[cfg(test)]
mod tests;

use std::io::{self, BufRead as _, IoSlice, Read, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::Connection;

use self::socket::{SocketReader, SocketWriter, is_not_yet, prepare};
pub(super) use self::socket::{Wait, Watch, wait_for};
use crate::http1::{Buffered, HeadError, RequestHead, ResponseHead, read_request, read_response};
use crate::limits::{RAW_BUFFER_BYTES, RELAY_BUFFER_BYTES};

/// How the peer ended its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It said that this was all: `close_notify`, or the end of a connection without TLS.
    Clean,
    /// The connection ended without that; what came may be cut short.
    Cut,
}

/// What a receive brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// There is plaintext to look at.
    Data,
    /// Nothing came (in time).
    Nothing,
    /// The peer's direction has ended; see [`Link::ending`].
    End,
}

/// One end of a relay.
pub(super) struct Link {
    io: LinkIo,
    /// Plaintext that was read and not used. While it is empty, TLS may lend some of its own.
    input: Buffered,
}

/// The part of a [`Link`] that moves bytes, apart from its plaintext so that a head can be read into that.
struct LinkIo {
    socket: Arc<TcpStream>,
    tls: Option<Box<Connection>>,
    /// Bytes of the socket that TLS has not taken.
    raw: Raw,
    /// Bytes for the socket, without TLS.
    output: Vec<u8>,
    ending: Option<Ending>,
    is_bulk: bool,
}

/// A large buffer in front of TLS, which would read 4 KiB at a time. Without memory until a body makes it worth it.
#[derive(Default)]
struct Raw {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Link {
    /// A link over `socket` without TLS. `input`: what was read from it already.
    pub(super) fn plain(socket: Arc<TcpStream>, input: Buffered) -> io::Result<Self> {
        prepare(&socket)?;
        let raw = Raw::default();
        let io = LinkIo { socket, tls: None, raw, output: Vec::new(), ending: None, is_bulk: false };
        Ok(Self { io, input })
    }

    /// A link over `socket` with TLS, its handshake completed before `until`. `early`: what was read already.
    ///
    /// # Errors
    /// `TimedOut`; `InvalidData` when the peers do not agree on TLS (after the alert was sent); the socket failing.
    pub(super) fn secure(
        socket: Arc<TcpStream>,
        early: &[u8],
        tls: impl Into<Connection>,
        until: Instant,
    ) -> io::Result<Self> {
        let mut link = Self::plain(socket, Buffered::new())?;
        let mut tls = Box::new(tls.into());
        tls.set_buffer_limit(None); // the relay bounds what it queues
        link.io.tls = Some(tls);
        link.io.raw = Raw { bytes: early.to_vec(), start: 0, end: early.len() };
        link.handshake(until)?;
        Ok(link)
    }

    fn handshake(&mut self, until: Instant) -> io::Result<()> {
        let is_handshaking = |link: &Self| link.tls().is_some_and(|tls| tls.is_handshaking());
        while is_handshaking(self) {
            self.flush_until(until)?;
            match self.io.receive(Wait::Briefly) {
                Ok(Received::End) if is_handshaking(self) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(Received::Nothing) if Instant::now() >= until => return Err(io::ErrorKind::TimedOut.into()),
                Ok(_) => {}
                Err(error) => {
                    let _ = self.flush(Wait::Never); // the alert that says why
                    return Err(error);
                }
            }
        }
        self.flush_until(until)
    }

    /// The socket, and what was read from it and not used. For links without TLS.
    pub(super) fn into_parts(self) -> (Arc<TcpStream>, Buffered) {
        (self.io.socket, self.input)
    }

    /// The TLS connection, where there is one.
    pub(super) fn tls(&self) -> Option<&Connection> {
        self.io.tls.as_deref()
    }

    /// The socket.
    pub(super) fn socket(&self) -> &TcpStream {
        &self.io.socket
    }

    /// How the peer's direction ended, once it has.
    pub(super) fn ending(&self) -> Option<Ending> {
        self.io.ending
    }

    /// Reads a request head. The first byte may take until `idle`; from there on the whole takes at most `limit`.
    pub(super) fn read_request(&mut self, idle: Instant, limit: Duration) -> Result<RequestHead, HeadError> {
        let started = !self.input.unread().is_empty();
        let until = if started { Instant::now() + limit } else { idle };
        let mut reader = HeadReader { io: &mut self.io, until, limit: (!started).then_some(limit) };
        read_request(&mut self.input, &mut reader)
    }

    /// Reads a response head if it is there, or comes while `wait` allows to wait once. `TimedOut`: call again.
    pub(super) fn read_response(&mut self, wait: Wait) -> Result<ResponseHead, HeadError> {
        read_response(&mut self.input, &mut OneTry { io: &mut self.io, wait })
    }

    /// Plaintext that is there now, or a part of it. Empty: nothing; see [`Link::receive`].
    pub(super) fn peek(&mut self) -> &[u8] {
        match &mut self.io.tls {
            Some(tls) if self.input.unread().is_empty() => tls.reader().into_first_chunk().unwrap_or_default(),
            _ => self.input.unread(),
        }
    }

    /// Marks `count` bytes of what [`Link::peek`] showed as used.
    pub(super) fn consume(&mut self, count: usize) {
        match &mut self.io.tls {
            _ if count == 0 => {}
            Some(tls) if self.input.unread().is_empty() => tls.reader().consume(count),
            _ => self.input.consume(count),
        }
    }

    /// Gets plaintext, unless there is some.
    pub(super) fn receive(&mut self, wait: Wait) -> io::Result<Received> {
        if self.peek().is_empty() { self.receive_more(wait) } else { Ok(Received::Data) }
    }

    /// Gets more plaintext, and shows it together with what [`Link::peek`] showed before, which did not suffice.
    pub(super) fn receive_more(&mut self, wait: Wait) -> io::Result<Received> {
        if self.io.tls.is_none() {
            return self.io.receive_plain(&mut self.input, wait);
        }
        let seen = self.peek().len();
        if seen == 0 {
            return self.io.receive(wait);
        }
        self.gather();
        if self.input.unread().len() > seen {
            return Ok(Received::Data);
        }
        let received = self.io.receive(wait)?;
        self.gather();
        Ok(received)
    }

    /// Moves what TLS lends into our own buffer, where it can grow.
    fn gather(&mut self) {
        let Some(tls) = &mut self.io.tls else { return };
        while let Ok(chunk) = tls.reader().into_first_chunk()
            && !chunk.is_empty()
        {
            let count = chunk.len();
            self.input.extend(chunk);
            tls.reader().consume(count);
        }
    }

    /// Whether bytes of the socket wait to be decrypted.
    pub(super) fn has_raw(&self) -> bool {
        self.io.raw.start < self.io.raw.end
    }

    /// Reads in large pieces from now on: a body is on its way.
    pub(super) fn expect_bulk(&mut self) {
        self.io.is_bulk = true;
    }

    /// Queues `parts` as one piece (one TLS record where it fits). [`Link::flush`] sends.
    pub(super) fn queue(&mut self, parts: &[IoSlice<'_>]) -> io::Result<()> {
        let Some(tls) = &mut self.io.tls else {
            for part in parts {
                self.io.output.extend_from_slice(part);
            }
            return Ok(());
        };
        let length: usize = parts.iter().map(|part| part.len()).sum();
        // Without a limit on its buffer, TLS takes everything.
        if tls.writer().write_vectored(parts)? == length { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    /// Whether something is queued that the socket has not taken.
    pub(super) fn wants_write(&self) -> bool {
        !self.io.output.is_empty() || self.tls().is_some_and(|tls| tls.wants_write())
    }

    /// Sends what is queued. `Ok(false)`: some of it is left, because the peer does not read.
    pub(super) fn flush(&mut self, wait: Wait) -> io::Result<bool> {
        self.io.flush(wait)
    }

    /// Sends all that is queued before `until`.
    ///
    /// # Errors
    /// `TimedOut`; the socket failing.
    pub(super) fn flush_until(&mut self, until: Instant) -> io::Result<()> {
        while !self.flush(Wait::Briefly)? {
            if Instant::now() >= until {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        Ok(())
    }

    /// Ends our direction in order, and sends what is queued as far as that goes without a long wait.
    pub(super) fn finish(&mut self) {
        if let Some(tls) = &mut self.io.tls {
            tls.send_close_notify();
        }
        let _ = self.flush(Wait::Briefly);
        let _ = self.io.socket.shutdown(Shutdown::Write);
    }

    /// [`Link::finish`], then drops what the peer still sends until it ends or `until` passes. To close at once would
    /// make the kernel reset the connection, and the peer could lose the answer that it has not read yet.
    pub(super) fn linger(&mut self, until: Instant) {
        self.finish();
        while Instant::now() < until {
            match self.receive(Wait::Briefly) {
                Ok(Received::Data) => self.drop_input(),
                Ok(Received::Nothing) => {}
                Ok(Received::End) | Err(_) => return,
            }
        }
    }

    fn drop_input(&mut self) {
        loop {
            let count = self.peek().len();
            if count == 0 {
                return;
            }
            self.consume(count);
        }
    }

    /// Whether an idle connection can be used again: the peer has sent nothing and has not closed.
    pub(super) fn is_idle_and_open(&mut self) -> bool {
        self.io.ending.is_none()
            && !self.wants_write()
            && self.peek().is_empty()
            && matches!(self.receive(Wait::Never), Ok(Received::Nothing))
    }

    /// Gives memory back that only bodies need.
    pub(super) fn shrink(&mut self) {
        self.input.shrink();
        if self.io.raw.start == self.io.raw.end {
            self.io.raw = Raw::default();
        }
        if self.io.output.is_empty() {
            self.io.output = Vec::new();
        }
        self.io.is_bulk = false;
    }
}

impl LinkIo {
    fn flush(&mut self, wait: Wait) -> io::Result<bool> {
        let mut writer = SocketWriter { socket: &self.socket, wait };
        while !self.output.is_empty() {
            match writer.write(&self.output) {
                Ok(count) => drop(self.output.drain(..count)),
                Err(error) if is_not_yet(&error) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        let Some(tls) = &mut self.tls else { return Ok(true) };
        while tls.wants_write() {
            match tls.write_tls(&mut writer) {
                Ok(_) => {}
                Err(error) if is_not_yet(&error) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn receive_plain(&mut self, input: &mut Buffered, wait: Wait) -> io::Result<Received> {
        if self.ending.is_some() {
            return Ok(Received::End);
        }
        match input.fill(&mut SocketReader { socket: &self.socket, wait }, RELAY_BUFFER_BYTES) {
            Ok(0) => {
                self.ending = Some(Ending::Clean);
                Ok(Received::End)
            }
            Ok(_) => Ok(Received::Data),
            Err(error) if is_not_yet(&error) => Ok(Received::Nothing),
            Err(error) => Err(error),
        }
    }

    /// Gets plaintext into TLS, unless there is some. Waits once: the rest of a record that comes in drops is not waited
    /// for here, or whoever sends it so would hold the caller. While the handshake lasts, every step of it returns
    /// `Nothing`.
    fn receive(&mut self, mut wait: Wait) -> io::Result<Received> {
        let Some(tls) = &mut self.tls else { return Err(io::ErrorKind::Unsupported.into()) };
        loop {
            if tls.reader().into_first_chunk().is_ok_and(|chunk| !chunk.is_empty()) {
                return Ok(Received::Data);
            }
            if self.ending.is_some() {
                return Ok(Received::End);
            }
            let was_handshaking = tls.is_handshaking();
            match self.raw.feed(tls, &mut SocketReader { socket: &self.socket, wait }, self.is_bulk) {
                Ok(0) => self.ending = Some(Ending::Cut),
                Ok(_) => wait = Wait::Never,
                Err(error) if is_not_yet(&error) => return Ok(Received::Nothing),
                Err(error) => return Err(error),
            }
            let state = tls.process_new_packets().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            if state.peer_has_closed() {
                self.ending = Some(Ending::Clean);
            }
            if was_handshaking && self.ending.is_none() {
                return Ok(Received::Nothing); // we may have to answer first
            }
        }
    }

    /// Reads plaintext of either kind. `None`: nothing came.
    fn read(&mut self, buffer: &mut [u8], wait: Wait) -> io::Result<Option<usize>> {
        let read = if self.tls.is_none() {
            SocketReader { socket: &self.socket, wait }.read(buffer)
        } else {
            match self.receive(wait) {
                Ok(Received::End) => Ok(0),
                Ok(Received::Nothing) => return Ok(None),
                Ok(Received::Data) => self.tls.as_mut().map_or(Ok(0), |tls| tls.reader().read(buffer)),
                Err(error) => Err(error),
            }
        };
        match read {
            Ok(0) if !buffer.is_empty() => {
                self.ending.get_or_insert(Ending::Clean);
                Ok(Some(0))
            }
            Ok(count) => Ok(Some(count)),
            Err(error) if is_not_yet(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Raw {
    /// Gives TLS more bytes of the socket, through this buffer when that is worth it. 0: the socket has ended.
    fn feed(&mut self, tls: &mut Connection, socket: &mut SocketReader<'_>, is_bulk: bool) -> io::Result<usize> {
        if self.start == self.end {
            if !is_bulk {
                return tls.read_tls(socket);
            }
            if self.bytes.len() < RAW_BUFFER_BYTES {
                self.bytes.resize(RAW_BUFFER_BYTES, 0);
            }
            (self.start, self.end) = (0, 0);
            self.end = socket.read(&mut self.bytes)?;
            if self.end == 0 {
                return Ok(0);
            }
        }
        let taken = tls.read_tls(&mut &self.bytes[self.start..self.end])?;
        self.start += taken;
        Ok(taken)
    }
}

/// Reads plaintext for a head and keeps its deadlines.
struct HeadReader<'a> {
    io: &'a mut LinkIo,
    until: Instant,
    /// What the deadline becomes with the first byte.
    limit: Option<Duration>,
}

impl Read for HeadReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            // Also while bytes keep coming: a peer that sends one of them now and then gains nothing.
            if Instant::now() >= self.until {
                return Err(io::ErrorKind::TimedOut.into());
            }
            if let Some(count) = self.io.read(buffer, Wait::Briefly)? {
                if let Some(limit) = self.limit.take() {
                    self.until = Instant::now() + limit;
                }
                return Ok(count);
            }
            let mut watch = [Watch { read: true, ..Watch::new(&self.io.socket) }];
            if !wait_for(&mut watch, self.until)? {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
    }
}

/// Reads plaintext for a head in at most one wait.
struct OneTry<'a> {
    io: &'a mut LinkIo,
    wait: Wait,
}

impl Read for OneTry<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wait = std::mem::replace(&mut self.wait, Wait::Never);
        let read = self.io.read(buffer, wait)?;
        read.ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }
}
