//! Seats: one for each connection that the gate serves at once.

use std::collections::HashMap;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often a full house looks again for a connection that idles.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

const BUSY: u64 = 0;
const FRESH: u64 = u64::MAX - 1;
const ASKED_TO_LEAVE: u64 = u64::MAX;

/// One connection.
pub(super) struct Seat {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    /// [`BUSY`] with a request; [`FRESH`]: waiting for its first one; [`ASKED_TO_LEAVE`]; else when it began to wait for
    /// its next one, in microseconds of the room.
    idle_since: AtomicU64,
    number: u64,
    room: Arc<Room>,
}

/// All seats of one gate.
pub(super) struct Seats {
    room: Arc<Room>,
}

struct Room {
    capacity: usize,
    opened: Instant,
    taken: Mutex<Taken>,
    freed: Condvar,
    /// Somebody waits at the door: the next connection that finishes a request should end.
    is_wanted: AtomicBool,
    is_closing: AtomicBool,
    /// There are more connections than threads.
    is_short: Arc<AtomicBool>,
}

#[derive(Default)]
struct Taken {
    next: u64,
    seats: HashMap<u64, Arc<Seat>>,
}

impl Seats {
    /// Seats for so many connections.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            room: Arc::new(Room {
                capacity,
                opened: Instant::now(),
                taken: Mutex::default(),
                freed: Condvar::new(),
                is_wanted: AtomicBool::new(false),
                is_closing: AtomicBool::new(false),
                is_short: Arc::default(),
            }),
        }
    }

    /// Set it while there are more connections than threads: none may idle then.
    pub(super) fn shortage(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.room.is_short)
    }

    /// Seats a client. Call [`Seats::make_room`] first.
    pub(super) fn take(&self, stream: TcpStream, peer: SocketAddr) -> Arc<Seat> {
        let mut taken = self.room.taken();
        taken.next += 1;
        let number = taken.next;
        let room = Arc::clone(&self.room);
        let seat = Arc::new(Seat { stream, peer, idle_since: AtomicU64::new(FRESH), number, room });
        taken.seats.insert(number, Arc::clone(&seat));
        seat
    }

    /// Waits a moment for a free seat, asking the connection that idles longest to leave. Whether there is one.
    pub(super) fn make_room(&self) -> bool {
        let taken = self.room.taken();
        if taken.seats.len() < self.room.capacity {
            self.room.is_wanted.store(false, Ordering::SeqCst);
            return true;
        }
        let left = self.room.leave_one(taken);
        let is_full = |taken: &mut Taken| taken.seats.len() >= self.room.capacity;
        let (left, _) =
            self.room.freed.wait_timeout_while(left, LOOK_AGAIN, is_full).unwrap_or_else(PoisonError::into_inner);
        left.seats.len() < self.room.capacity
    }

    /// The system is out of descriptors or threads: whoever idles longest gives theirs back.
    pub(super) fn give_back_one(&self) {
        drop(self.room.leave_one(self.room.taken()));
    }

    /// Ends every connection: idle ones now, the others after the request under way, at the latest after `grace`.
    pub(super) fn close(&self, grace: Duration) {
        self.room.is_closing.store(true, Ordering::SeqCst);
        let taken = self.room.taken();
        taken.seats.values().filter(|seat| seat.idle_since.load(Ordering::SeqCst) != BUSY).for_each(|seat| seat.shut());
        let is_taken = |taken: &mut Taken| !taken.seats.is_empty();
        let (taken, _) =
            self.room.freed.wait_timeout_while(taken, grace, is_taken).unwrap_or_else(PoisonError::into_inner);
        taken.seats.values().for_each(|seat| seat.shut());
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.room.taken().seats.len()
    }
}

impl Room {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shuts the connection that idles longest; where none does, the next one that finishes a request will end.
    fn leave_one<'a>(&self, taken: MutexGuard<'a, Taken>) -> MutexGuard<'a, Taken> {
        let idle = taken.seats.values().filter_map(|seat| Some((seat.idle_since()?, seat)));
        match idle.min_by_key(|(since, _)| *since) {
            Some((since, seat)) => {
                // Unless its next request has just come.
                let asked = seat.idle_since.compare_exchange(since, ASKED_TO_LEAVE, Ordering::SeqCst, Ordering::SeqCst);
                if asked.is_ok() {
                    seat.shut();
                }
            }
            None => self.is_wanted.store(true, Ordering::SeqCst),
        }
        taken
    }
}

impl Seat {
    /// The connection begins to wait for its next request. `false`: it may not, others need its seat.
    pub(super) fn rest(&self) -> bool {
        let since_opening = u64::try_from(self.room.opened.elapsed().as_micros()).unwrap_or(0);
        self.idle_since.store(since_opening.saturating_add(1).min(FRESH - 1), Ordering::SeqCst);
        // In this order: whoever looks for an idle connection either finds this one, or has left word before.
        !self.should_leave()
    }

    /// When it began to wait for its next request.
    fn idle_since(&self) -> Option<u64> {
        Some(self.idle_since.load(Ordering::SeqCst)).filter(|since| !matches!(*since, BUSY | FRESH | ASKED_TO_LEAVE))
    }

    /// The next request has begun. `false`: too late, the connection was asked to leave.
    pub(super) fn wake(&self) -> bool {
        self.idle_since.swap(BUSY, Ordering::SeqCst) != ASKED_TO_LEAVE
    }

    /// Whether the connection should end with the answer that is due: somebody waits for its seat or its thread, or the
    /// house closes.
    pub(super) fn should_leave(&self) -> bool {
        self.room.is_closing.load(Ordering::SeqCst)
            || self.room.is_short.load(Ordering::SeqCst)
            || (self.room.is_wanted.load(Ordering::SeqCst) && self.room.is_wanted.swap(false, Ordering::SeqCst))
    }

    /// Gives the seat back.
    pub(super) fn leave(&self) {
        self.room.taken().seats.remove(&self.number);
        self.room.freed.notify_all();
    }

    fn shut(&self) {
        // It fails only when the peer has gone already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}
