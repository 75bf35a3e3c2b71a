//! The Chrome DevTools Protocol over two pipes: JSON messages, each ended by a NUL. One question at a time.

use std::io::Write as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::{closed, failed};
use crate::cli::interrupts::{Interrupts, Woken};
use crate::error::{AuthsomeError, Result};
use crate::limits::BROWSER_MESSAGE_BYTES;
use crate::secret::SecretBuffer;

/// What one read takes.
const PIECE_BYTES: usize = 64 * 1024;

/// Both directions.
pub(super) struct Pipe {
    to: Option<std::fs::File>,
    from: OwnedFd,
    /// What has come of the next message.
    ahead: SecretBuffer,
    last_id: u32,
}

/// What every message of the browser has; events have no `id`.
#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    id: Option<u32>,
}

/// The message that answers; without a result it is an error.
#[derive(Deserialize)]
struct Answer<T> {
    result: Option<T>,
}

impl Pipe {
    pub(super) fn new(to: OwnedFd, from: OwnedFd) -> Self {
        Self { to: Some(to.into()), from, ahead: SecretBuffer::new(), last_id: 0 }
    }

    /// Calls `method` without parameters; its result.
    ///
    /// # Errors
    /// No answer within `patience`, or one that makes no sense; `InputCancelled` at a signal.
    pub(super) fn call<T: DeserializeOwned>(
        &mut self,
        method: &str,
        patience: Duration,
        interrupts: Interrupts<'_>,
    ) -> Result<T> {
        let until = Instant::now() + patience;
        self.last_id += 1;
        self.send(method)?;
        loop {
            let message = self.message(until, interrupts)?;
            let text = message.expose_bytes();
            let envelope: Envelope =
                serde_json::from_slice(text).map_err(|_| failed("what it says is not understood"))?;
            if envelope.id != Some(self.last_id) {
                continue;
            }
            // serde's own text quotes values.
            let answer: Answer<T> = serde_json::from_slice(text).map_err(|_| failed("its answer is not understood"))?;
            return answer.result.ok_or_else(|| failed("it does not tell cookies"));
        }
    }

    /// Waits for `patience`. What the browser says meanwhile is dropped; its end is an error.
    ///
    /// # Errors
    /// As [`Pipe::call`].
    pub(super) fn idle(&mut self, patience: Duration, interrupts: Interrupts<'_>) -> Result<()> {
        let until = Instant::now() + patience;
        while self.fill(until, interrupts)? {
            while self.take_message().is_some() {}
        }
        Ok(())
    }

    /// Says a last word. The browser ends itself when its pipe is closed.
    pub(super) fn hang_up(&mut self, method: &str) {
        self.last_id += 1;
        let _ = self.send(method);
        self.to = None;
    }

    fn send(&mut self, method: &str) -> Result<()> {
        let message = format!("{{\"id\":{},\"method\":\"{method}\"}}\0", self.last_id);
        let to = self.to.as_mut().ok_or_else(closed)?;
        // Far less than a pipe holds, and nothing else is on its way.
        to.write_all(message.as_bytes()).map_err(|_| closed())
    }

    /// The next message.
    fn message(&mut self, until: Instant, interrupts: Interrupts<'_>) -> Result<SecretBuffer> {
        loop {
            if let Some(message) = self.take_message() {
                return Ok(message);
            }
            if !self.fill(until, interrupts)? {
                return Err(failed("it does not answer"));
            }
        }
    }

    fn take_message(&mut self) -> Option<SecretBuffer> {
        let bytes = self.ahead.expose_bytes();
        let end = memchr::memchr(0, bytes)?;
        let (mut message, mut rest) = (SecretBuffer::new(), SecretBuffer::new());
        message.write_all(&bytes[..end]).ok()?;
        rest.write_all(&bytes[end + 1..]).ok()?;
        self.ahead = rest;
        Some(message)
    }

    /// Reads once; whether anything came in time.
    fn fill(&mut self, until: Instant, interrupts: Interrupts<'_>) -> Result<bool> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false); // also when it talks without end
        }
        match interrupts.wait(&[self.from.as_fd()], left)? {
            Woken::Interrupted => return Err(AuthsomeError::InputCancelled { operation: "login" }),
            Woken::TimedOut => return Ok(false),
            Woken::Ready(_) => {}
        }
        let mut piece = Zeroizing::new(vec![0; PIECE_BYTES]);
        let count = match nix::unistd::read(&self.from, &mut piece) {
            Ok(0) => return Err(closed()),
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(failed(&error.to_string())),
        };
        if self.ahead.expose_bytes().len() + count > BROWSER_MESSAGE_BYTES {
            return Err(failed("it says too much at once"));
        }
        self.ahead.write_all(&piece[..count])?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, BufRead as _, BufReader, PipeReader, PipeWriter};
    use std::thread;

    use super::*;
    use crate::error::ErrorName;

    /// A pipe whose other ends are ours.
    fn pipes() -> (Pipe, BufReader<PipeReader>, PipeWriter) {
        let (questions, to) = io::pipe().expect("a pipe");
        let (from, answers) = io::pipe().expect("a pipe");
        (Pipe::new(to.into(), from.into()), BufReader::new(questions), answers)
    }

    fn quiet() -> (OwnedFd, PipeWriter) {
        let (signals, signal) = io::pipe().expect("a pipe");
        (signals.into(), signal)
    }

    #[derive(Deserialize)]
    struct Number {
        n: u32,
    }

    #[test]
    fn an_answer_is_found_among_events_and_in_pieces() {
        let (mut pipe, mut questions, mut answers) = pipes();
        let (signals, _signal) = quiet();
        let browser = thread::spawn(move || {
            let mut question = Vec::new();
            questions.read_until(0, &mut question).expect("a question");
            let said = b"{\"method\":\"Target.event\",\"params\":{\"id\":1}}\0{\"id\":7,\"error\":{}}\0{\"id\":1,\"res";
            answers.write_all(said).expect("writes");
            answers.write_all(b"ult\":{\"n\":42}}\0{\"id\":2,\"result\":{\"n\":43}}\0").expect("writes");
            (question, questions, answers)
        });
        let interrupts = Interrupts::test_only_from(&signals);
        let mut ask = |method| pipe.call::<Number>(method, Duration::from_secs(60), interrupts).expect("answers").n;
        assert_eq!((ask("Browser.getVersion"), ask("Storage.getCookies")), (42, 43));
        let (question, _questions, _answers) = browser.join().expect("no panic");
        assert_eq!(question, b"{\"id\":1,\"method\":\"Browser.getVersion\"}\0");
    }

    #[test]
    fn silence_nonsense_endless_talk_an_end_and_a_signal_are_told_apart() {
        let (signals, mut signal) = quiet();
        let interrupts = Interrupts::test_only_from(&signals);
        let ask = |said: &[u8], patience: u64| {
            let (mut pipe, _questions, mut answers) = pipes();
            answers.write_all(said).expect("fits into a pipe");
            pipe.call::<Number>("X.y", Duration::from_millis(patience), interrupts).map(|_| ()).expect_err("fails")
        };
        for (said, patience, reason) in [
            (&b""[..], 1, "does not answer"),
            (b"{\"id\":1", 1, "does not answer"),
            (b"hunter2\0", 60_000, "not understood"),
            (b"{\"id\":1,\"result\":{\"n\":\"hunter2\"}}\0", 60_000, "not understood"),
            (b"{\"id\":1,\"error\":{\"message\":\"hunter2\"}}\0", 60_000, "does not tell"),
        ] {
            let error = ask(said, patience).to_string();
            assert!(error.contains(reason) && !error.contains("hunter2"), "{error}");
        }

        let (mut pipe, _questions, mut answers) = pipes();
        let talk = vec![b'x'; PIECE_BYTES];
        let talker = thread::spawn(move || while answers.write_all(&talk).is_ok() {});
        let error = pipe.call::<Number>("X.y", Duration::from_secs(60), interrupts).map(|_| ()).expect_err("endless");
        assert!(error.to_string().contains("too much"), "{error}");
        drop(pipe);
        talker.join().expect("ends");

        let (mut ended, questions, answers) = pipes();
        drop(answers);
        let error = ended.call::<Number>("X.y", Duration::from_secs(60), interrupts).map(|_| ()).expect_err("gone");
        assert!(error.to_string().contains("was closed"), "{error}");
        drop(questions);
        assert!(ended.send("X.y").is_err(), "and there is nobody to write to");

        signal.write_all(&[2, 1]).expect("signals");
        assert_eq!(ask(b"", 60_000).name(), ErrorName::InputCancelled);
    }
}
