//! What all connections of one run share.

use std::collections::HashMap;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::ca::RunCa;
use super::credentials::Credentials;
use super::limits::{Budget, Limits};
use super::policy::Mode;
use super::record::Recorder;
use super::redact::Redaction;
use super::upstream::Upstreams;
use crate::provider::{Host, Router};
use crate::secret::Secret;

/// The state of one run's proxy.
pub(super) struct Run {
    pub(super) router: Router,
    pub(super) mode: Mode,
    pub(super) allow_hosts: Vec<Host>,
    pub(super) limits: Limits,
    pub(super) budget: Budget,
    pub(super) ca: RunCa,
    pub(super) credentials: Credentials,
    /// What is masked in answers; `None`: nothing is to be.
    pub(super) redaction: Option<Arc<Redaction>>,
    pub(super) upstreams: Upstreams,
    pub(super) recorder: Recorder,
    /// `authsome:<run token>`, as the child sends it.
    pub(super) credentials_of_child: Secret,
    pub(super) live: Live,
}

impl Run {
    /// Whether `--allow-host` names the host.
    pub(super) fn is_allowed_host(&self, host: &Host) -> bool {
        self.allow_hosts.contains(host)
    }

    /// Makes `socket` end with the run. Until the answer is dropped.
    pub(super) fn register(&self, socket: &Arc<TcpStream>) -> Registered<'_> {
        self.live.register(socket)
    }
}

/// Connections and exchanges that are going on.
#[derive(Default)]
pub(super) struct Live {
    next: AtomicU64,
    sockets: Mutex<HashMap<u64, Weak<TcpStream>>>,
    exchanges: Mutex<Exchanges>,
    quiet: Condvar,
}

#[derive(Default)]
struct Exchanges {
    count: usize,
    /// Whether the end of the run waits: otherwise nobody has to be woken, which would cost a system call a request.
    is_awaited: bool,
}

/// Keeps a socket in the list of those that the end of the run shuts down.
pub(super) struct Registered<'a> {
    live: &'a Live,
    number: u64,
}

/// Keeps the end of the run waiting, for a moment, until a request is recorded.
pub(super) struct Busy<'a>(&'a Live);

impl Live {
    fn register(&self, socket: &Arc<TcpStream>) -> Registered<'_> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        lock(&self.sockets).insert(number, Arc::downgrade(socket));
        Registered { live: self, number }
    }

    /// Counts an exchange until the answer is dropped.
    pub(super) fn busy(&self) -> Busy<'_> {
        lock(&self.exchanges).count += 1;
        Busy(self)
    }

    /// Waits until no exchange is going on, at most `limit`.
    pub(super) fn wait_until_quiet(&self, limit: Duration) {
        let until = Instant::now() + limit;
        let mut exchanges = lock(&self.exchanges);
        exchanges.is_awaited = true;
        while exchanges.count > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            exchanges = self.quiet.wait_timeout(exchanges, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Ends all connections.
    pub(super) fn shut_down(&self) {
        for socket in lock(&self.sockets).values().filter_map(Weak::upgrade) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        lock(&self.live.sockets).remove(&self.number);
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let mut exchanges = lock(&self.0.exchanges);
        exchanges.count -= 1;
        if exchanges.is_awaited {
            self.0.quiet.notify_all();
        }
    }
}

/// Nothing under these locks panics half-way through a change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
