//! The acceptor: takes connections for as long as the gate is open, whatever `accept` says.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{Backlog, listen};

use super::seat::{Seat, Seats};
use crate::daemon::crew::Crew;
use crate::daemon::serve::log;

/// Clients that may wait at the door.
const QUEUE: i32 = 4096;
/// The pauses after failures of `accept`: the first, and the longest.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How often the log hears of them.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10);

/// A listener with a way to stop who waits for it.
pub(super) struct Acceptor {
    listener: TcpListener,
    /// Hangs up when the other end is dropped.
    stopped: UnixStream,
}

impl Acceptor {
    /// Takes over `listener`. [`Acceptor::run`] ends when the stream that comes with it is dropped.
    pub(super) fn new(listener: TcpListener) -> io::Result<(Self, UnixStream)> {
        // So that a client that has gone between `poll` and `accept` does not hold us up.
        listener.set_nonblocking(true)?;
        // The standard library's queue of 128 makes a burst wait for retransmissions. The kernel caps the number.
        listen(&listener, Backlog::new(QUEUE).unwrap_or(Backlog::MAXCONN))?;
        let (stop, stopped) = UnixStream::pair()?;
        Ok((Self { listener, stopped }, stop))
    }

    /// Seats every client and hands it to the crew, until stopped; then nobody listens any more.
    #[allow(clippy::needless_pass_by_value)] // the listener and the crew end here
    pub(super) fn run(self, seats: &Seats, crew: Crew<Arc<Seat>>) {
        let mut pause = SHORTEST_PAUSE;
        let mut last_complaint = None::<Instant>;
        while self.wait_for_client() {
            if !seats.make_room() {
                continue;
            }
            match self.listener.accept().and_then(blocking) {
                Ok((stream, peer)) => {
                    pause = SHORTEST_PAUSE;
                    if !crew.hand_out(seats.take(stream, peer)) {
                        seats.give_back_one(); // no new thread: one that waits on an idle connection will do
                    }
                }
                Err(error) if is_about_one_client(&error) => {}
                Err(error) => {
                    if last_complaint.is_none_or(|last| last.elapsed() > COMPLAIN_EVERY) {
                        last_complaint = Some(Instant::now());
                        log(&format!("accepting connections fails for now: {error}"));
                    }
                    seats.give_back_one();
                    self.rest(pause);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// `true`: somebody is at the door; `false`: stop.
    fn wait_for_client(&self) -> bool {
        let mut watched = [
            PollFd::new(self.listener.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.stopped.as_fd(), PollFlags::POLLIN),
        ];
        loop {
            match poll(&mut watched, PollTimeout::NONE) {
                Ok(_) => break,
                Err(Errno::EINTR) => {}
                // Out of memory in the kernel: the descriptors are good, so it passes.
                Err(_) => self.rest(LONGEST_PAUSE),
            }
        }
        watched[1].revents().is_none_or(|events| events.is_empty())
    }

    /// Waits, but not through a stop.
    fn rest(&self, pause: Duration) {
        let mut watched = [PollFd::new(self.stopped.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(pause).unwrap_or(PollTimeout::MAX);
        if poll(&mut watched, timeout).is_err() {
            std::thread::sleep(SHORTEST_PAUSE);
        }
    }
}

/// Linux does not hand the listener's mode down to the connection, other systems do.
fn blocking((stream, peer): (TcpStream, SocketAddr)) -> io::Result<(TcpStream, SocketAddr)> {
    stream.set_nonblocking(false)?;
    Ok((stream, peer))
}

/// Failures of the connection that would have been accepted (`accept(2)`): the next may be fine.
fn is_about_one_client(error: &io::Error) -> bool {
    let Some(errno) = error.raw_os_error().map(Errno::from_raw) else { return true };
    matches!(
        errno,
        Errno::EAGAIN
            | Errno::EINTR
            | Errno::ECONNABORTED
            | Errno::EPROTO
            | Errno::EPERM
            | Errno::ENETDOWN
            | Errno::ENOPROTOOPT
            | Errno::EHOSTDOWN
            | Errno::ENONET
            | Errno::EHOSTUNREACH
            | Errno::EOPNOTSUPP
            | Errno::ENETUNREACH
    )
}
