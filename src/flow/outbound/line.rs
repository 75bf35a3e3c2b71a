//! One connection as ureq wants it: a stream whose every read and write ends in time, and buffers that are wiped.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustls::{ClientConnection, StreamOwned};
use ureq::unversioned::transport::{Buffers, LazyBuffers, NextTimeout, Transport};
use zeroize::Zeroize as _;

use crate::limits::{HEAD_BYTES, OAUTH_ANSWER_BYTES};

/// Holds the largest head (an incomplete one must fit), and a token request or answer in one piece.
const BUFFER_BYTES: usize = 2 * HEAD_BYTES;

/// A socket that gives up at a set time, however slowly its peer drips.
#[derive(Debug)]
pub(super) struct Timed {
    socket: TcpStream,
    until: Instant,
}

impl Timed {
    pub(super) fn new(socket: TcpStream, until: Instant) -> Self {
        Self { socket, until }
    }

    fn left(&self) -> io::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.socket.set_read_timeout(Some(self.left()?))?;
            match self.socket.read(buffer) {
                Err(error) if is_no_end(&error) => {}
                other => return other,
            }
        }
    }
}

impl Write for Timed {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        loop {
            self.socket.set_write_timeout(Some(self.left()?))?;
            match self.socket.write(data) {
                Err(error) if is_no_end(&error) => {}
                other => return other,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A signal, or a passed timeout (`EAGAIN` on Linux): whether time is up, [`Timed::left`] says.
fn is_no_end(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// What carries the bytes.
pub(super) enum Wire {
    /// To this machine only.
    Plain(Timed),
    /// The handshake is done, the certificate verified.
    Tls(Box<StreamOwned<ClientConnection, Timed>>),
}

/// A connection and its buffers.
pub(super) struct Line {
    wire: Wire,
    buffers: LazyBuffers,
    taken: usize,
}

impl Line {
    pub(super) fn new(wire: Wire) -> Self {
        Self { wire, buffers: LazyBuffers::new(BUFFER_BYTES, BUFFER_BYTES), taken: 0 }
    }
}

impl Transport for Line {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), ureq::Error> {
        let output = &self.buffers.output()[..amount];
        match &mut self.wire {
            Wire::Plain(stream) => stream.write_all(output)?,
            Wire::Tls(stream) => stream.write_all(output).and_then(|()| stream.flush())?,
        }
        Ok(())
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, ureq::Error> {
        let space = self.buffers.input_append_buf();
        let count = match &mut self.wire {
            Wire::Plain(stream) => stream.read(space)?,
            Wire::Tls(stream) => stream.read(space)?,
        };
        self.taken = self.taken.saturating_add(count);
        if self.taken > OAUTH_ANSWER_BYTES {
            return Err(ureq::Error::LargeResponseHeader(self.taken, OAUTH_ANSWER_BYTES));
        }
        self.buffers.input_appended(count);
        Ok(count > 0)
    }

    /// Never used a second time.
    fn is_open(&mut self) -> bool {
        false
    }

    fn is_tls(&self) -> bool {
        matches!(self.wire, Wire::Tls(_))
    }
}

/// Requests and answers went through these buffers in the clear.
impl Drop for Line {
    fn drop(&mut self) {
        self.buffers.output().zeroize();
        let unread = self.buffers.input().len();
        self.buffers.input_consume(unread);
        self.buffers.input_append_buf().zeroize();
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_tls() { "Line(TLS)" } else { "Line(plain)" })
    }
}
