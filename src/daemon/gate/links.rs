//! Links: the connections from the gate to the engine, and how one request goes over one of them.

use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use zeroize::Zeroizing;

use crate::daemon::serve::log;
use crate::http1::{BodyLength, Buffered, ResponseHead, read_response, response_body};
use crate::limits::{ENGINE_ANSWER_BYTES, ENGINE_ANSWER_DEADLINE, ENGINE_WAIT_DEADLINE};

/// How much one read takes of an answer's body.
const READ_STEP: usize = 64 * 1024;

/// Which links a request may use. Requests that wait for a provider must not be able to block the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::daemon) enum Lane {
    /// Answered from memory and the store.
    Quick,
    /// May call a provider, or hash a password.
    Patient,
}

impl Lane {
    /// The lane of a request. What only reads is quick, but for the callback of a login, which redeems a code.
    pub(in crate::daemon) fn of(method: &str, path: &str) -> Self {
        match method {
            "GET" | "HEAD" if !path.ends_with("/callback/oauth") => Self::Quick,
            _ => Self::Patient,
        }
    }
}

/// The engine's answer.
pub(super) struct Answer {
    pub(super) head: ResponseHead,
    pub(super) body: Zeroizing<Vec<u8>>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum LinkError {
    /// All links of the lane were in use for too long.
    Busy,
    /// The link broke, or what came over it was not an answer. It is not used again.
    Broken(&'static str),
}

/// All links of one gate.
pub(super) struct Links {
    quick: Pool,
    patient: Pool,
}

impl Links {
    /// Takes over the streams to the engine.
    pub(super) fn new(streams: impl IntoIterator<Item = (Lane, UnixStream)>) -> io::Result<Self> {
        let (mut quick, mut patient) = (Vec::new(), Vec::new());
        for (lane, stream) in streams {
            stream.set_read_timeout(Some(ENGINE_ANSWER_DEADLINE))?;
            stream.set_write_timeout(Some(ENGINE_ANSWER_DEADLINE))?;
            let link = Link { stream, buffer: Buffered::new() };
            match lane {
                Lane::Quick => quick.push(link),
                Lane::Patient => patient.push(link),
            }
        }
        Ok(Self { quick: Pool::new(quick), patient: Pool::new(patient) })
    }

    /// Sends one whole request, the bytes of its head and body, and reads the answer to it.
    pub(super) fn exchange(&self, lane: Lane, request: &[u8], method: &str) -> Result<Answer, LinkError> {
        let pool = match lane {
            Lane::Quick => &self.quick,
            Lane::Patient => &self.patient,
        };
        let mut link = pool.take()?;
        let answer = link.exchange(request, method);
        // Where the next answer of a broken link starts is unknown.
        pool.put_back(answer.is_ok().then_some(link));
        answer
    }
}

/// The links of one lane; the one that was used last goes first, its memory is warm.
struct Pool {
    state: Mutex<PoolState>,
    changed: Condvar,
}

struct PoolState {
    free: Vec<Link>,
    /// Links that are not broken, in use or free.
    whole: usize,
}

impl Pool {
    fn new(free: Vec<Link>) -> Self {
        let whole = free.len();
        Self { state: Mutex::new(PoolState { free, whole }), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Result<Link, LinkError> {
        let mut state = self.state();
        if let Some(link) = state.free.pop() {
            return Ok(link);
        }
        let until = Instant::now() + ENGINE_WAIT_DEADLINE;
        loop {
            if state.whole == 0 {
                return Err(LinkError::Broken("no connection to the engine is left"));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(LinkError::Busy);
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            if let Some(link) = state.free.pop() {
                return Ok(link);
            }
        }
    }

    fn put_back(&self, link: Option<Link>) {
        let mut state = self.state();
        match link {
            Some(link) => state.free.push(link),
            None => state.whole -= 1,
        }
        let is_dead = state.whole == 0;
        drop(state);
        if is_dead {
            self.changed.notify_all();
            make_way();
        } else {
            self.changed.notify_one();
        }
    }
}

/// Links cannot be opened again. A daemon that cannot answer ends, so that one that can takes its place.
fn make_way() {
    log("no connection to the engine is left: stopping");
    // It fails only for a process that is not us.
    let _ = nix::sys::signal::kill(nix::unistd::getpid(), nix::sys::signal::Signal::SIGTERM);
}

struct Link {
    stream: UnixStream,
    buffer: Buffered,
}

impl Link {
    fn exchange(&mut self, request: &[u8], method: &str) -> Result<Answer, LinkError> {
        let mut stream = &self.stream;
        stream.write_all(request).map_err(|_| LinkError::Broken("the engine does not read"))?;
        let head = read_response(&mut self.buffer, &mut stream).map_err(|_| LinkError::Broken("no answer"))?;
        let body = match response_body(&head, method) {
            Ok(BodyLength::None) => Zeroizing::default(),
            Ok(BodyLength::Exactly(length)) => self.read_body(length)?,
            _ => return Err(LinkError::Broken("an answer without a length")),
        };
        if !self.buffer.unread().is_empty() {
            return Err(LinkError::Broken("an answer longer than it said"));
        }
        self.buffer.wipe();
        Ok(Answer { head, body })
    }

    fn read_body(&mut self, length: u64) -> Result<Zeroizing<Vec<u8>>, LinkError> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > ENGINE_ANSWER_BYTES {
            return Err(LinkError::Broken("an answer over the cap"));
        }
        // Reserved whole: growing would leave copies behind that nobody wipes.
        let mut body = Zeroizing::new(Vec::with_capacity(length));
        let mut stream = &self.stream;
        loop {
            let count = (length - body.len()).min(self.buffer.unread().len());
            body.extend_from_slice(&self.buffer.unread()[..count]);
            self.buffer.consume(count);
            if body.len() == length {
                return Ok(body);
            }
            match self.buffer.fill(&mut stream, READ_STEP.min(length - body.len())) {
                Ok(count) if count > 0 => {}
                _ => return Err(LinkError::Broken("an answer broke off")),
            }
        }
    }
}
