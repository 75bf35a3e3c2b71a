//! Questions to a person. They go to `/dev/tty`, so that stdin and stdout stay free for data.
//!
//! However a question ends, by Enter, by Ctrl-C or by a signal, the terminal is as it was.

mod keys;

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{getpgrp, tcgetpgrp};

pub(super) use self::keys::{Keyboard, Pressed};
use super::output::printable;
use crate::error::{AuthsomeError, Result};
use crate::limits::SECRET_BYTES;
use crate::secret::{Secret, SecretBuffer};

/// A visible answer of a person: the longest line that the kernel's line editing gives.
const LINE_BYTES: usize = 4096;

/// Whether a person is there to answer: stdin and stderr are a terminal, and it can be opened.
pub(super) fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal() && open().is_ok()
}

/// Whether a person sees what we say and can type now, whatever stdin is: the keys are not for a job in the background,
/// which would be stopped if it reached for them.
pub(super) fn has_keyboard() -> bool {
    io::stderr().is_terminal() && open().is_ok_and(is_in_front)
}

/// Whether we are the job in the foreground of `terminal`.
pub(super) fn is_in_front(terminal: impl AsFd) -> bool {
    tcgetpgrp(terminal).is_ok_and(|group| group == getpgrp())
}

/// Asks a yes-or-no question. Enter alone means `default`.
///
/// # Errors
/// `InputCancelled` at the end of input.
pub(super) fn confirm(operation: &'static str, question: &str, default: bool) -> Result<bool> {
    let choices = if default { "[Y/n]" } else { "[y/N]" };
    loop {
        let answer = ask(operation, &format!("{question} {choices}"), None)?;
        match answer.to_ascii_lowercase().as_str() {
            "" => return Ok(default),
            "y" | "yes" => return Ok(true),
            "n" | "no" => return Ok(false),
            _ => {}
        }
    }
}

/// Asks for a visible value. Enter alone means `default`.
///
/// # Errors
/// `InputCancelled` at Ctrl-C or the end of input.
pub(super) fn ask(operation: &'static str, question: &str, default: Option<&str>) -> Result<String> {
    let mut terminal = open()?;
    let shown = default.map(|default| format!(" [{}]", printable(default))).unwrap_or_default();
    write!(terminal, "{}{shown} ", printable(question))?;
    let caught = Caught::new()?;
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        if let Some(signal) = caught.before(&terminal)? {
            writeln!(terminal)?;
            return Err(ended_by(signal, operation)?);
        }
        let mut piece = [0; LINE_BYTES];
        let count = terminal.read(&mut piece)?;
        if count == 0 || line.len() >= LINE_BYTES {
            return Err(AuthsomeError::InputCancelled { operation });
        }
        line.extend_from_slice(&piece[..count]);
    }
    let line = String::from_utf8_lossy(&line);
    let line = line.trim();
    Ok(if line.is_empty() { default.unwrap_or_default().to_owned() } else { line.to_owned() })
}

/// Asks for a secret: nothing of it is shown.
///
/// # Errors
/// `InputCancelled` at Ctrl-C, Ctrl-D on an empty line, or the end of input.
pub(super) fn ask_secret(operation: &'static str, question: &str) -> Result<Secret> {
    let mut terminal = open()?;
    let question = format!("{} (input is hidden): ", printable(question));
    terminal.write_all(question.as_bytes())?;
    let caught = Caught::new()?;
    let keyboard = Keyboard::new(terminal.try_clone()?)?;
    let read = read_hidden(keyboard, &caught, || terminal.write_all(question.as_bytes()));
    writeln!(terminal)?;
    match read? {
        Ended::Entered(secret) => Ok(secret),
        Ended::Cancelled => Err(AuthsomeError::InputCancelled { operation }),
        Ended::Signal(signal) => Err(ended_by(signal, operation)?),
    }
}

/// The keys of the terminal, for whoever waits for something else as well.
///
/// # Errors
/// There is no terminal.
pub(super) fn keyboard() -> Result<Keyboard> {
    Keyboard::new(open()?)
}

/// Reads a secret from stdin, without the line end after it.
///
/// # Errors
/// `InvalidInput` when it is too long or not UTF-8.
pub(super) fn secret_from_stdin() -> Result<Secret> {
    let invalid = |reason: String| AuthsomeError::InvalidInput { what: "key", reason };
    let bytes = read_stdin(SECRET_BYTES)?.ok_or_else(|| invalid(format!("it is longer than {SECRET_BYTES} bytes")))?;
    let text = std::str::from_utf8(bytes.expose_bytes()).map_err(|_| invalid("it is not UTF-8".to_owned()))?;
    Ok(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// All of stdin, around the buffer that the standard library would leave a copy in; `None` when it is over `limit`.
///
/// # Errors
/// What the system says.
pub(super) fn read_stdin(limit: usize) -> Result<Option<SecretBuffer>> {
    let mut bytes = SecretBuffer::new();
    let mut piece = zeroize::Zeroizing::new(vec![0; 8192]);
    loop {
        match nix::unistd::read(io::stdin(), &mut piece) {
            Ok(0) => return Ok(Some(bytes)),
            Ok(count) => bytes.write_all(&piece[..count])?,
            Err(nix::errno::Errno::EINTR) => {}
            Err(error) => {
                let error = io::Error::from(error);
                return Err(io::Error::new(error.kind(), format!("cannot read stdin: {error}")).into());
            }
        }
        if bytes.expose_bytes().len() > limit {
            return Ok(None);
        }
    }
}

fn open() -> Result<File> {
    let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty");
    terminal.map_err(|error| io::Error::new(error.kind(), format!("cannot open /dev/tty: {error}")).into())
}

enum Ended {
    Entered(Secret),
    Cancelled,
    Signal(Signal),
}

/// Reads a line that is not shown. The terminal is restored before anything is answered.
fn read_hidden(
    mut keyboard: Keyboard,
    caught: &Caught,
    mut ask_again: impl FnMut() -> io::Result<()>,
) -> Result<Ended> {
    loop {
        if let Some(signal) = caught.before(&keyboard)? {
            return Ok(Ended::Signal(signal));
        }
        match keyboard.read()? {
            Pressed::Line(secret) => return Ok(Ended::Entered(secret)),
            Pressed::Cancelled => return Ok(Ended::Cancelled),
            Pressed::Continued => ask_again()?,
            Pressed::Unfinished => {}
        }
    }
}

/// What a signal means for a question: the key cancels, any other ends us now, as it would have without the question.
fn ended_by(signal: Signal, operation: &'static str) -> Result<AuthsomeError> {
    if signal != Signal::SIGINT {
        raise(signal).map_err(io::Error::from)?;
    }
    Ok(AuthsomeError::InputCancelled { operation })
}

/// The signals that would end us, waiting in a descriptor. They are let through when this is dropped.
struct Caught {
    set: SigSet,
    signals: SignalFd,
}

impl Caught {
    fn new() -> Result<Self> {
        let set: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT].into_iter().collect();
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&set, flags).map_err(io::Error::from)?;
        set.thread_block().map_err(io::Error::from)?;
        Ok(Self { set, signals })
    }

    /// Waits until `source` can be read; the signal, when one comes first.
    fn before(&self, source: &impl AsFd) -> Result<Option<Signal>> {
        loop {
            let mut waiting =
                [PollFd::new(source.as_fd(), PollFlags::POLLIN), PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
            match poll(&mut waiting, PollTimeout::NONE) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(io::Error::from(error).into()),
            }
            if let Ok(Some(caught)) = self.signals.read_signal() {
                let number = i32::try_from(caught.ssi_signo).ok();
                let signal = number.and_then(|number| Signal::try_from(number).ok());
                return Ok(Some(signal.unwrap_or(Signal::SIGTERM)));
            }
            if waiting[0].any() == Some(true) {
                return Ok(None);
            }
        }
    }
}

impl Drop for Caught {
    fn drop(&mut self) {
        let _ = self.set.thread_unblock();
    }
}
