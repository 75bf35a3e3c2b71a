//! A connection after `101 Switching Protocols`: bytes both ways between two links, as they come. Nothing is looked at,
//! added or masked.

use std::io::{self, IoSlice};
use std::time::Instant;

use super::link::{Ending, Link, Received, Wait, Watch, wait_for};
use crate::limits::TUNNEL_IDLE_DEADLINE;

/// Relays until both directions have ended in order, either side has gone, or nothing has moved for
/// [`TUNNEL_IDLE_DEADLINE`]. What either link holds already goes first. Returns the bytes moved.
pub(super) fn duplex(child: &mut Link, upstream: &mut Link) -> u64 {
    let (mut up, mut down) = (Direction::new(), Direction::new());
    // An error on either side ends both: what one peer will not get need not be read from the other.
    let _ = relay(child, upstream, &mut up, &mut down);
    up.moved + down.moved
}

fn relay(child: &mut Link, upstream: &mut Link, up: &mut Direction, down: &mut Direction) -> io::Result<()> {
    while !(up.is_over() && down.is_over()) {
        if up.turn(child, upstream)? | down.turn(upstream, child)? {
            continue;
        }
        let mut watches = [
            Watch { read: up.wants_read(upstream), write: child.wants_write(), ..Watch::new(child.socket()) },
            Watch { read: down.wants_read(child), write: upstream.wants_write(), ..Watch::new(upstream.socket()) },
        ];
        if !wait_for(&mut watches, Instant::now() + TUNNEL_IDLE_DEADLINE)? {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let [child, upstream] = watches.map(|watch| watch.is_ready);
        (up.is_readable, down.is_readable) = (up.is_readable | child, down.is_readable | upstream);
    }
    Ok(())
}

/// One direction.
struct Direction {
    moved: u64,
    /// Whether the sender's socket may have something.
    is_readable: bool,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// The sender has ended; what is queued is still to be written.
    Ended,
    /// And the receiver was told.
    Over,
}

impl Direction {
    fn new() -> Self {
        Self { moved: 0, is_readable: true, state: State::Open }
    }

    fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// One piece at a time: the next is read when the last has gone.
    fn wants_read(&self, to: &Link) -> bool {
        self.state == State::Open && !to.wants_write()
    }

    /// Moves what can be moved now. Whether anything did.
    fn turn(&mut self, from: &mut Link, to: &mut Link) -> io::Result<bool> {
        if to.wants_write() {
            return to.flush(Wait::Never);
        }
        match self.state {
            State::Open => self.read(from, to),
            // A peer that vanished is not one that has said all: the other must not take it for that.
            State::Ended if from.ending() == Some(Ending::Cut) => Err(io::ErrorKind::UnexpectedEof.into()),
            State::Ended => {
                to.finish();
                self.state = State::Over;
                Ok(true)
            }
            State::Over => Ok(false),
        }
    }

    fn read(&mut self, from: &mut Link, to: &mut Link) -> io::Result<bool> {
        let piece = from.peek();
        let count = piece.len();
        if count > 0 {
            to.queue(&[IoSlice::new(piece)])?;
            from.consume(count);
            self.moved += count as u64;
            return to.flush(Wait::Never).map(|_| true);
        }
        if !self.is_readable && !from.has_raw() {
            return Ok(false);
        }
        match from.receive(Wait::Never)? {
            Received::Data => Ok(true),
            Received::Nothing => {
                self.is_readable = false;
                Ok(false)
            }
            Received::End => {
                self.state = State::Ended;
                Ok(true)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::sync::Arc;
    use std::thread;

    use super::*;
    use crate::http1::Buffered;

    /// A socket, and the link at its other end.
    fn linked(early: &[u8]) -> (TcpStream, Link) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let one = TcpStream::connect(listener.local_addr().expect("bound")).expect("connects");
        let mut input = Buffered::new();
        input.extend(early);
        (one, Link::plain(Arc::new(listener.accept().expect("accepts").0), input).expect("links"))
    }

    /// Writes all of `data` before it reads anything.
    fn talk(mut socket: &TcpStream, data: &[u8]) -> Vec<u8> {
        let mut got = Vec::new();
        socket.write_all(data).expect("writes");
        socket.shutdown(Shutdown::Write).expect("half-closes");
        socket.read_to_end(&mut got).expect("reads");
        got
    }

    #[test]
    fn both_directions_pass_whole_when_both_are_full() {
        let ((client, mut child), (server, mut upstream)) = (linked(b"early"), linked(b"first"));
        let (up, down) = (vec![1; 3_000_000], vec![2; 2_500_000]);
        thread::scope(|scope| {
            let relay = scope.spawn(|| duplex(&mut child, &mut upstream));
            let far = scope.spawn(|| talk(&server, &down));
            assert!(talk(&client, &up) == [b"first", down.as_slice()].concat());
            assert!(far.join().expect("no panic") == [b"early", up.as_slice()].concat());
            assert_eq!(relay.join().expect("no panic"), (up.len() + down.len() + 10) as u64);
        });
    }
}
