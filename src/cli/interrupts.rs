//! Ctrl-C and its kin while a command waits: caught, so that what was begun at the daemon can be ended there too.
//!
//! The signals come in through a descriptor ([`report_signals`]), beside whatever else is waited for. Nothing here is
//! blocked for children: a handler is gone after exec.

use std::io::{self, PipeReader};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};

use crate::error::Result;
use crate::sys::{next_notice, report_signals};

/// What ends a login: the key, a polite kill, a terminal that was closed. SIGQUIT stays as the way out of the rest.
static SIGNALS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// A wait that has no end of its own, cut into pieces that clocks can add.
const LONG: Duration = Duration::from_secs(3600);

/// The signals that would have ended this process.
#[derive(Clone, Copy)]
pub(super) struct Interrupts<'a>(&'a OwnedFd);

/// Why a wait is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Woken {
    /// A signal came.
    Interrupted,
    /// This source has something to say; the first of several.
    Ready(usize),
    /// Nothing happened.
    TimedOut,
}

impl Interrupts<'static> {
    /// Catches the signals from now on, to the end of the process. Those that are ignored stay ignored.
    ///
    /// # Errors
    /// No descriptors left.
    pub(super) fn watch() -> Result<Self> {
        let notices = report_signals(&SIGNALS)?;
        // Whoever started us may have blocked them.
        SIGNALS.iter().copied().collect::<SigSet>().thread_unblock().map_err(io::Error::from)?;
        Ok(Self(notices))
    }
}

impl Interrupts<'_> {
    /// Notices from a pipe, without signals.
    #[cfg(test)]
    pub(super) fn test_only_from(notices: &OwnedFd) -> Interrupts<'_> {
        Interrupts(notices)
    }

    /// Waits for a signal, for one of `sources` to be readable or at its end, or for `patience`.
    ///
    /// # Errors
    /// What `poll(2)` says.
    pub(super) fn wait(self, sources: &[BorrowedFd<'_>], patience: Duration) -> Result<Woken> {
        let until = Instant::now() + patience;
        let all = [self.0.as_fd()].into_iter().chain(sources.iter().copied());
        let mut waiting: Vec<PollFd<'_>> = all.map(|source| PollFd::new(source, PollFlags::POLLIN)).collect();
        loop {
            // Rounded up: a wait that ends early would be followed by another of no length.
            let left = until.saturating_duration_since(Instant::now()) + Duration::from_micros(999);
            match poll(&mut waiting, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
                Ok(0) if Instant::now() < until => {}
                Ok(0) => return Ok(Woken::TimedOut),
                Ok(_) => break,
                Err(Errno::EINTR) => {}
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
        match waiting.iter().position(|source| source.any() == Some(true)) {
            Some(0) => {
                next_notice(self.0)?;
                Ok(Woken::Interrupted)
            }
            first => Ok(Woken::Ready(first.map_or(0, |first| first - 1))),
        }
    }

    /// The result of `call`; `None` when a signal came first.
    ///
    /// # Errors
    /// What the call says.
    pub(super) fn finish<T>(self, call: &Call<T>) -> Result<Option<T>> {
        loop {
            if let Some(result) = call.result() {
                return result.map(Some);
            }
            if self.wait(&[call.as_fd()], LONG)? == Woken::Interrupted {
                return Ok(None);
            }
        }
    }
}

/// Work on a thread of its own, so that signals, keys and the clock are seen to meanwhile. Whoever drops it does not
/// wait for its end; its deadlines are those of the work.
pub(super) struct Call<T> {
    ended: PipeReader,
    result: Receiver<Result<T>>,
}

impl<T: Send + 'static> Call<T> {
    /// Starts `work`.
    ///
    /// # Errors
    /// No threads or descriptors left.
    pub(super) fn start(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<Self> {
        let (ended, running) = io::pipe()?;
        let (sender, result) = channel();
        thread::Builder::new().name("call".to_owned()).spawn(move || {
            let _ = sender.send(work()); // nobody may be waiting any more
            drop(sender);
            drop(running);
        })?;
        Ok(Self { ended, result })
    }
}

impl<T> Call<T> {
    /// The result, once it is there.
    pub(super) fn result(&self) -> Option<Result<T>> {
        match self.result.try_recv() {
            Ok(result) => Some(result),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(io::Error::other("a thread panicked").into())),
        }
    }

    /// Waits for the end, at most for `patience`. Signals do not shorten it.
    pub(super) fn wait_at_most(&self, patience: Duration) {
        let _ = self.result.recv_timeout(patience);
    }
}

impl<T> AsFd for Call<T> {
    /// At its end when there is a result.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ended.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::error::AuthsomeError;

    fn notices() -> (OwnedFd, io::PipeWriter) {
        let (reader, writer) = io::pipe().expect("a pipe");
        (reader.into(), writer)
    }

    #[test]
    fn a_signal_comes_before_whatever_else_is_there() {
        let (signals, mut signal) = notices();
        let interrupts = Interrupts::test_only_from(&signals);
        let (source, mut other) = io::pipe().expect("a pipe");
        let wait = |patience| interrupts.wait(&[source.as_fd()], Duration::from_millis(patience)).expect("polls");
        assert_eq!(wait(1), Woken::TimedOut);
        other.write_all(b"x").expect("writes");
        assert_eq!(wait(60_000), Woken::Ready(0));
        signal.write_all(&[2, 1]).expect("writes");
        assert_eq!(wait(60_000), Woken::Interrupted);
        assert_eq!(wait(60_000), Woken::Ready(0), "one notice is one interruption");
    }

    #[test]
    fn a_call_is_waited_for_or_left_alone() {
        let (signals, mut signal) = notices();
        let interrupts = Interrupts::test_only_from(&signals);
        let call = Call::start(|| Ok(7)).expect("starts");
        assert_eq!(interrupts.finish(&call).expect("works"), Some(7));
        let failing = Call::<()>::start(|| Err(AuthsomeError::NoIdentity)).expect("starts");
        assert!(interrupts.finish(&failing).is_err());

        let (open, gate) = channel::<()>();
        let stuck = Call::start(move || {
            let _ = gate.recv();
            Ok(())
        })
        .expect("starts");
        signal.write_all(&[2, 1]).expect("writes");
        assert_eq!(interrupts.finish(&stuck).expect("polls"), None);
        drop(open);
        assert_eq!(interrupts.finish(&stuck).expect("works"), Some(()));
    }
}
