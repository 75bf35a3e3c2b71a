//! One refresh at a time for each connection in this process; others wait for it, or go on without it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::trouble::{Outcome, Trouble, share};
use crate::limits::{REFRESH_ALL_WAITERS, REFRESH_WAIT_DEADLINE, REFRESH_WAITERS};

/// The refreshes under way. Its lock is held for moments only, and never together with another one.
#[derive(Debug)]
pub(super) struct Flights {
    /// How long one caller waits.
    pub(super) patience: Duration,
    /// How many may wait for one flight at once: those of a hung endpoint must leave room for the others.
    pub(super) capacity: usize,
    /// How many may wait at once, over all flights.
    pub(super) all: usize,
    board: Mutex<Board>,
}

#[derive(Debug, Default)]
struct Board {
    flights: HashMap<String, Arc<Flight>>,
    waiting: usize,
}

/// A refresh under way.
#[derive(Debug, Default)]
pub(super) struct Flight {
    outcome: OnceLock<Outcome>,
    landed: Condvar,
    /// Changed under the lock of the board only.
    waiting: AtomicUsize,
}

/// What a caller finds.
pub(super) enum Seat<'a> {
    /// Nobody refreshes this connection: the caller does, and tells the others.
    Pilot(Pilot<'a>),
    /// Somebody does.
    Passenger(Arc<Flight>),
}

/// Whoever does the work of a flight. When it is dropped without [`Pilot::land`], those who wait are told that it broke
/// off.
pub(super) struct Pilot<'a> {
    flights: &'a Flights,
    key: String,
    flight: Arc<Flight>,
}

impl Default for Flights {
    fn default() -> Self {
        Self {
            patience: REFRESH_WAIT_DEADLINE,
            capacity: REFRESH_WAITERS,
            all: REFRESH_ALL_WAITERS,
            board: Mutex::default(),
        }
    }
}

impl Flights {
    /// The caller's seat in the flight of `key`.
    pub(super) fn board(&self, key: &str) -> Seat<'_> {
        let mut board = self.lock();
        if let Some(flight) = board.flights.get(key) {
            return Seat::Passenger(Arc::clone(flight));
        }
        let flight = Arc::<Flight>::default();
        board.flights.insert(key.to_owned(), Arc::clone(&flight));
        Seat::Pilot(Pilot { flights: self, key: key.to_owned(), flight })
    }

    /// Waits for the end of `flight`. `None`: it takes too long, or too many wait already.
    pub(super) fn wait(&self, flight: &Flight) -> Option<Outcome> {
        let is_up = |_: &mut Board| flight.outcome.get().is_none();
        let mut board = self.lock();
        let has_seat = board.waiting < self.all && flight.waiting.load(Ordering::Relaxed) < self.capacity;
        if has_seat && is_up(&mut board) {
            board.waiting += 1;
            flight.waiting.fetch_add(1, Ordering::Relaxed);
            let waited = flight.landed.wait_timeout_while(board, self.patience, is_up);
            let (mut board, _) = waited.unwrap_or_else(PoisonError::into_inner);
            flight.waiting.fetch_sub(1, Ordering::Relaxed);
            board.waiting -= 1;
        }
        flight.outcome.get().map(share)
    }

    /// Waits until no refresh is under way, at most for `patience`.
    pub(super) fn wait_for_all(&self, patience: Duration) {
        let until = Instant::now() + patience;
        loop {
            let board = self.lock();
            let Some(flight) = board.flights.values().next().map(Arc::clone) else { return };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let is_up = |_: &mut Board| flight.outcome.get().is_none();
            drop(flight.landed.wait_timeout_while(board, left, is_up));
        }
    }

    /// How many callers wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.lock().waiting
    }

    fn lock(&self) -> MutexGuard<'_, Board> {
        // Nothing panics half-way through a change of the board.
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pilot<'_> {
    /// Ends the flight with `outcome`, for all who wait.
    pub(super) fn land(self, outcome: Outcome) -> Outcome {
        let shared = share(&outcome);
        let _ = self.flight.outcome.set(shared); // only the pilot sets it, and lands once
        outcome
    }
}

impl Drop for Pilot<'_> {
    fn drop(&mut self) {
        let broken_off = || Err(Trouble::Failed("the refresh broke off; try again".to_owned()));
        let mut board = self.flights.lock();
        // Set under the lock: nobody falls asleep between a look at it and the wake-up call.
        self.flight.outcome.get_or_init(broken_off);
        board.flights.remove(&self.key);
        drop(board);
        self.flight.landed.notify_all();
    }
}
