//! A stream with a read buffer, and reads that end at a set time.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use zeroize::Zeroize;

/// Sockets whose blocking reads and writes can be given a limit.
pub trait SetTimeouts {
    /// Ends each read after `timeout`; `None`: never.
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;
    /// Ends each write after `timeout`; `None`: never.
    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;
}

impl SetTimeouts for TcpStream {
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        Self::set_read_timeout(self, timeout)
    }
    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        Self::set_write_timeout(self, timeout)
    }
}

impl SetTimeouts for UnixStream {
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        Self::set_read_timeout(self, timeout)
    }
    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        Self::set_write_timeout(self, timeout)
    }
}

/// A reader whose reads, taken together, end at a set time: a peer that sends one byte a second gains nothing.
pub struct Deadline<'a, S> {
    stream: &'a S,
    until: Instant,
}

impl<'a, S> Deadline<'a, S> {
    /// Reads from `stream` until `until`.
    pub fn new(stream: &'a S, until: Instant) -> Self {
        Self { stream, until }
    }
}

impl<S: SetTimeouts> Read for Deadline<'_, S>
where
    for<'b> &'b S: Read,
{
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))?;
        match (&mut &*self.stream).read(buffer) {
            // Linux reports a passed SO_RCVTIMEO as EAGAIN.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(io::ErrorKind::TimedOut.into()),
            other => other,
        }
    }
}

impl<S> Write for Deadline<'_, S>
where
    for<'b> &'b S: Write,
{
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        (&mut &*self.stream).write(data)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes that were read from a stream and not used yet.
#[derive(Debug, Default)]
pub struct Buffered {
    bytes: Vec<u8>,
    start: usize,
}

impl Buffered {
    /// An empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// What was read and not used.
    pub fn unread(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Marks `count` bytes as used.
    ///
    /// # Panics
    /// When fewer are there: a bug of the caller.
    pub fn consume(&mut self, count: usize) {
        assert!(count <= self.bytes.len() - self.start, "more used than was read");
        self.start += count;
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
        }
    }

    /// Reads once, at most `limit` bytes, and keeps them. 0 at the end of the stream.
    pub fn fill(&mut self, reader: &mut impl Read, limit: usize) -> io::Result<usize> {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        let old = self.bytes.len();
        self.bytes.resize(old + limit, 0);
        let result = loop {
            match reader.read(&mut self.bytes[old..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.bytes.truncate(old + *result.as_ref().unwrap_or(&0));
        result
    }

    /// Takes over bytes that somebody else has read.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Forgets everything, and overwrites it: what went through may have been secret. Gives memory back that a large
    /// message needed.
    pub fn wipe(&mut self) {
        /// What a buffer may keep; ordinary heads fit.
        const KEPT: usize = 8 * 1024;
        self.bytes.zeroize();
        self.start = 0;
        if self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
        }
    }

    /// Gives memory back when the buffer grew for a large head.
    pub fn shrink(&mut self) {
        if self.bytes.is_empty() {
            self.bytes = Vec::new();
        }
    }
}
