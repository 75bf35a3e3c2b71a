//! Blind tunnels: bytes both ways, unseen, each direction ended on its own. Nothing is ever added to them.
//!
//! One thread polls both sockets. A direction that has moved much lets the kernel move the rest (`splice`), which
//! halves the cost of bulk and gains nothing for small messages.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice};
use nix::unistd::pipe2;

use super::link::{Watch, wait_for};
use crate::limits::{
    RELAY_BUFFER_BYTES, SPLICE_AFTER_BYTES, SPLICE_PIPE_BYTES, SPLICED_DIRECTIONS, TUNNEL_IDLE_DEADLINE,
};

/// Relays between `child` and `upstream` until both directions have ended, one has failed, or nothing has moved for
/// [`TUNNEL_IDLE_DEADLINE`]. `early` and `early_answer`: what either has sent already. Returns the bytes moved.
pub(super) fn tunnel(child: &TcpStream, upstream: &TcpStream, early: &[u8], early_answer: &[u8]) -> u64 {
    let mut up = Direction { pending: early.to_vec(), ..Direction::new(child, upstream) };
    let mut down = Direction { pending: early_answer.to_vec(), ..Direction::new(upstream, child) };
    // An error on either side ends both: what one peer will not get need not be read from the other.
    let _ = relay(&mut up, &mut down);
    up.moved + down.moved
}

fn relay(up: &mut Direction<'_>, down: &mut Direction<'_>) -> io::Result<()> {
    up.from.set_nonblocking(true)?;
    up.to.set_nonblocking(true)?;
    while !(up.is_over() && down.is_over()) {
        let has_moved = up.turn()? | down.turn()?;
        if has_moved {
            continue;
        }
        let mut watches = [
            Watch { read: up.wants_read(), write: down.wants_write(), ..Watch::new(up.from) },
            Watch { read: down.wants_read(), write: up.wants_write(), ..Watch::new(down.from) },
        ];
        if !wait_for(&mut watches, Instant::now() + TUNNEL_IDLE_DEADLINE)? {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let [child, upstream] = watches.map(|watch| watch.is_ready);
        (up.is_readable, down.is_readable) = (up.is_readable | child, down.is_readable | upstream);
    }
    Ok(())
}

/// One direction of a tunnel.
struct Direction<'a> {
    from: &'a TcpStream,
    to: &'a TcpStream,
    /// Read and not yet written, in memory.
    pending: Vec<u8>,
    /// Memory to read into; none before it is needed.
    buffer: Vec<u8>,
    pipe: Option<Pipe>,
    moved: u64,
    is_readable: bool,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// The sender has ended; what is pending is still to be written.
    Ended,
    /// And the receiver was told.
    Over,
}

/// Bytes on their way inside the kernel.
struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    held: usize,
}

impl<'a> Direction<'a> {
    fn new(from: &'a TcpStream, to: &'a TcpStream) -> Self {
        Self {
            from,
            to,
            pending: Vec::new(),
            buffer: Vec::new(),
            pipe: None,
            moved: 0,
            is_readable: true,
            state: State::Open,
        }
    }

    fn is_over(&self) -> bool {
        self.state == State::Over
    }

    fn wants_write(&self) -> bool {
        !self.pending.is_empty() || self.pipe.as_ref().is_some_and(|pipe| pipe.held > 0)
    }

    /// One piece at a time: the next is read when the last has gone.
    fn wants_read(&self) -> bool {
        self.state == State::Open && !self.wants_write()
    }

    /// Moves what can be moved now. Whether anything did.
    fn turn(&mut self) -> io::Result<bool> {
        if self.wants_write() {
            return self.write();
        }
        match self.state {
            State::Open if self.is_readable => self.read(),
            State::Ended => {
                self.state = State::Over;
                self.pipe = None;
                match self.to.shutdown(Shutdown::Write) {
                    Err(error) if error.kind() != io::ErrorKind::NotConnected => Err(error),
                    _ => Ok(true),
                }
            }
            State::Open | State::Over => Ok(false),
        }
    }

    fn read(&mut self) -> io::Result<bool> {
        if self.moved >= SPLICE_AFTER_BYTES && self.pipe.is_none() {
            self.pipe = Pipe::open();
        }
        let read = if let Some(pipe) = &mut self.pipe {
            pipe.fill(self.from)
        } else {
            self.buffer.resize(RELAY_BUFFER_BYTES, 0);
            (&mut &*self.from).read(&mut self.buffer)
        };
        match read {
            Ok(0) => {
                self.state = State::Ended;
                Ok(true)
            }
            Ok(count) if self.pipe.is_some() => {
                self.moved += count as u64;
                self.write().map(|_| true)
            }
            Ok(count) => {
                self.moved += count as u64;
                self.write_through(count).map(|()| true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.is_readable = false;
                self.buffer = Vec::new(); // an idle tunnel holds no memory
                Ok(false)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Writes `count` bytes of the buffer; what does not go stays pending.
    fn write_through(&mut self, count: usize) -> io::Result<()> {
        let written = match (&mut &*self.to).write(&self.buffer[..count]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            other => other?,
        };
        self.pending.extend_from_slice(&self.buffer[written..count]);
        Ok(())
    }

    fn write(&mut self) -> io::Result<bool> {
        let written = match &mut self.pipe {
            Some(pipe) if self.pending.is_empty() => pipe.drain(self.to),
            _ => (&mut &*self.to).write(&self.pending).inspect(|count| drop(self.pending.drain(..*count))),
        };
        match written {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Directions that have a pipe: each takes two descriptors, of which there may be few.
static PIPES: AtomicUsize = AtomicUsize::new(0);

impl Pipe {
    /// A pipe, unless there are many already or the system has none to give.
    fn open() -> Option<Self> {
        if PIPES.fetch_add(1, Ordering::Relaxed) >= SPLICED_DIRECTIONS {
            PIPES.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let Ok((read, write)) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK) else {
            PIPES.fetch_sub(1, Ordering::Relaxed);
            return None;
        };
        // Refused above the user's share of pipe memory: the default size works too.
        let _ = fcntl(&write, FcntlArg::F_SETPIPE_SZ(SPLICE_PIPE_BYTES));
        Some(Self { read, write, held: 0 })
    }

    fn fill(&mut self, from: &TcpStream) -> io::Result<usize> {
        let most = usize::try_from(SPLICE_PIPE_BYTES).unwrap_or(usize::MAX);
        let count = retry(|| splice(from, None, &self.write, None, most, flags()))?;
        self.held += count;
        Ok(count)
    }

    fn drain(&mut self, to: &TcpStream) -> io::Result<usize> {
        let count = retry(|| splice(&self.read, None, to, None, self.held, flags()))?;
        self.held -= count;
        Ok(count)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        PIPES.fetch_sub(1, Ordering::Relaxed);
    }
}

fn flags() -> SpliceFFlags {
    SpliceFFlags::SPLICE_F_MOVE | SpliceFFlags::SPLICE_F_NONBLOCK
}

fn retry(mut call: impl FnMut() -> nix::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            other => return other.map_err(io::Error::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let one = TcpStream::connect(listener.local_addr().expect("bound")).expect("connects");
        (one, listener.accept().expect("accepts").0)
    }

    fn pattern(length: usize) -> Vec<u8> {
        (0..length).map(|at| u8::try_from((at * 31 + at / 251) % 256).expect("a byte")).collect()
    }

    #[test]
    fn both_directions_pass_whole_beyond_the_switch_to_splice() {
        let ((client, child), (upstream, server)) = (pair(), pair());
        let (up, down) = (pattern(3_000_000), pattern(2_500_000));
        thread::scope(|scope| {
            let relay = scope.spawn(|| tunnel(&child, &upstream, b"early", b"first"));
            let echo = scope.spawn(|| {
                let mut got = Vec::new();
                // Writes all before it reads anything: both directions are full at once.
                (&server).write_all(&down).expect("writes");
                server.shutdown(Shutdown::Write).expect("half-closes");
                (&server).read_to_end(&mut got).expect("reads");
                got
            });
            let sender = scope.spawn(|| {
                (&client).write_all(&up).expect("writes");
                client.shutdown(Shutdown::Write).expect("half-closes");
            });
            let mut got = Vec::new();
            (&client).read_to_end(&mut got).expect("reads");
            assert!(got == [b"first", down.as_slice()].concat(), "the child got {} bytes", got.len());
            sender.join().expect("no panic");
            assert!(echo.join().expect("no panic") == [b"early", up.as_slice()].concat());
            assert_eq!(relay.join().expect("no panic"), (up.len() + down.len()) as u64);
        });
    }

    #[test]
    fn one_direction_may_end_long_before_the_other() {
        let ((client, child), (upstream, server)) = (pair(), pair());
        thread::scope(|scope| {
            scope.spawn(|| tunnel(&child, &upstream, b"", b""));
            client.shutdown(Shutdown::Write).expect("half-closes");
            let mut got = Vec::new();
            (&server).read_to_end(&mut got).expect("sees the end");
            (&server).write_all(b"still here").expect("writes");
            server.shutdown(Shutdown::Both).expect("closes");
            (&client).read_to_end(&mut got).expect("reads");
            assert_eq!(got, b"still here");
        });
    }

    #[test]
    fn a_dead_side_ends_the_tunnel() {
        let ((client, child), (upstream, server)) = (pair(), pair());
        thread::scope(|scope| {
            let relay = scope.spawn(move || tunnel(&child, &upstream, b"", b""));
            (&server).write_all(b"x").expect("writes");
            drop((client, server)); // unread data: the kernel resets
            relay.join().expect("ends");
        });
    }
}
