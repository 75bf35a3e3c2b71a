//! Sockets as [`super::Link`] uses them: each call says whether it may wait.

use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv, sendmsg};

/// How long a blocking call waits before it looks at its deadline and at the other side.
const QUIET: Duration = Duration::from_secs(1);

/// Whether a call may wait for the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// At most a second.
    Briefly,
    /// Not at all.
    Never,
}

impl Wait {
    fn flags(self) -> MsgFlags {
        match self {
            Self::Briefly => MsgFlags::empty(),
            Self::Never => MsgFlags::MSG_DONTWAIT,
        }
    }
}

/// Makes blocking calls on `socket` end after [`QUIET`].
pub(super) fn prepare(socket: &TcpStream) -> io::Result<()> {
    socket.set_read_timeout(Some(QUIET))?;
    socket.set_write_timeout(Some(QUIET))
}

/// Reads from a socket.
pub(super) struct SocketReader<'a> {
    pub(super) socket: &'a TcpStream,
    pub(super) wait: Wait,
}

impl Read for SocketReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        retry(|| recv(self.socket.as_raw_fd(), buffer, self.wait.flags()))
    }
}

/// Writes to a socket. A peer that is gone is an error, never a signal.
pub(super) struct SocketWriter<'a> {
    pub(super) socket: &'a TcpStream,
    pub(super) wait: Wait,
}

impl Write for SocketWriter<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(data)])
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let flags = self.wait.flags() | MsgFlags::MSG_NOSIGNAL;
        retry(|| sendmsg::<()>(self.socket.as_raw_fd(), parts, &[], flags, None))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn retry(mut call: impl FnMut() -> nix::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            other => return other.map_err(io::Error::from),
        }
    }
}

/// Whether an error only says that the socket was not ready in time.
pub(super) fn is_not_yet(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// What [`wait_for`] looks for on one socket, and what it found.
#[allow(clippy::struct_excessive_bools)] // independent questions to the kernel
pub(crate) struct Watch<'a> {
    pub(crate) socket: &'a TcpStream,
    pub(crate) read: bool,
    pub(crate) write: bool,
    /// Look out for the peer closing its direction (`POLLRDHUP`).
    pub(crate) hangup: bool,
    /// Something of the above, or an error, is there.
    pub(crate) is_ready: bool,
}

impl<'a> Watch<'a> {
    /// Looks for nothing yet (errors are always seen).
    pub(crate) fn new(socket: &'a TcpStream) -> Self {
        Self { socket, read: false, write: false, hangup: false, is_ready: false }
    }

    fn flags(&self) -> PollFlags {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::POLLIN, self.read);
        flags.set(PollFlags::POLLOUT, self.write);
        // nix has no name for it.
        flags.set(PollFlags::from_bits_retain(nix::libc::POLLRDHUP), self.hangup);
        flags
    }
}

/// Waits until one of `watches` is ready. `Ok(false)`: none was before `until`.
pub(crate) fn wait_for(watches: &mut [Watch<'_>], until: Instant) -> io::Result<bool> {
    // The kernel reports errors of every socket it is given, so one that nobody waits for would make this spin.
    let mut wanted: Vec<&mut Watch<'_>> = watches.iter_mut().filter(|watch| !watch.flags().is_empty()).collect();
    let mut descriptors: Vec<PollFd<'_>> =
        wanted.iter().map(|watch| PollFd::new(watch.socket.as_fd(), watch.flags())).collect();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        // Rounded up: a wait that ends too early would spin.
        let left = PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
        match poll(&mut descriptors, left) {
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
            Ok(0) if Instant::now() >= until => return Ok(false),
            Ok(0) => {} // longer than poll can count
            Ok(_) => break,
        }
    }
    for (watch, descriptor) in wanted.iter_mut().zip(&descriptors) {
        watch.is_ready = descriptor.any().unwrap_or(true);
    }
    Ok(true)
}
