//! Questions to a person. They go to `/dev/tty`, so that stdin and stdout stay free for data.
//!
//! A secret is read without echo and outside the kernel's line editing, whose lines end at 4096 bytes. However the
//! reading ends, by Enter, by Ctrl-C or by a signal, the terminal is as it was.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, IsTerminal as _, Read as _, Write as _};
use std::os::fd::AsFd as _;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr};

use super::output::printable;
use crate::error::{AuthsomeError, Result};
use crate::limits::SECRET_BYTES;
use crate::secret::{Secret, SecretBuffer};

/// A visible answer of a person.
const LINE_BYTES: u64 = 4096;
const CTRL_C: u8 = 0x03;
const CTRL_D: u8 = 0x04;
const CTRL_U: u8 = 0x15;
const BACKSPACE: u8 = 0x08;
const DELETE: u8 = 0x7f;

/// Whether a person is there to answer: stdin and stderr are a terminal, and it can be opened.
pub(super) fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal() && open().is_ok()
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
/// `InputCancelled` at the end of input.
pub(super) fn ask(operation: &'static str, question: &str, default: Option<&str>) -> Result<String> {
    let mut terminal = open()?;
    let shown = default.map(|default| format!(" [{}]", printable(default))).unwrap_or_default();
    write!(terminal, "{}{shown} ", printable(question))?;
    let mut line = String::new();
    let read = BufReader::new(terminal.take(LINE_BYTES)).read_line(&mut line)?;
    if read == 0 {
        return Err(AuthsomeError::InputCancelled { operation });
    }
    let line = line.trim();
    Ok(if line.is_empty() { default.unwrap_or_default().to_owned() } else { line.to_owned() })
}

/// Asks for a secret: nothing of it is shown.
///
/// # Errors
/// `InputCancelled` at Ctrl-C, Ctrl-D on an empty line, or the end of input.
pub(super) fn ask_secret(operation: &'static str, question: &str) -> Result<Secret> {
    let mut terminal = open()?;
    write!(terminal, "{} (input is hidden): ", printable(question))?;
    let quiet = Quiet::new(&terminal)?;
    let typed = read_hidden(&terminal, &quiet.signals);
    drop(quiet);
    writeln!(terminal)?;
    match typed? {
        Ended::Entered(secret) => Ok(secret),
        Ended::Cancelled => Err(AuthsomeError::InputCancelled { operation }),
        Ended::Signal(signal) => {
            // The signal ends us now, as it would have without the prompt.
            raise(signal).map_err(io::Error::from)?;
            Err(AuthsomeError::InputCancelled { operation })
        }
    }
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

/// Signals that wait until this is dropped.
struct Blocked(SigSet);

impl Blocked {
    fn new(signals: [Signal; 4]) -> Result<Self> {
        let set: SigSet = signals.into_iter().collect();
        set.thread_block().map_err(io::Error::from)?;
        Ok(Self(set))
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        let _ = self.0.thread_unblock();
    }
}

/// A terminal without echo, line editing and signal keys; the signals that would end us wait in a descriptor. Dropping
/// it restores the terminal, then lets the signals through.
struct Quiet<'a> {
    terminal: &'a File,
    before: Termios,
    signals: SignalFd,
    _blocked: Blocked,
}

impl<'a> Quiet<'a> {
    fn new(terminal: &'a File) -> Result<Self> {
        let blocked = Blocked::new([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT])?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&blocked.0, flags).map_err(io::Error::from)?;
        let before = tcgetattr(terminal.as_fd()).map_err(io::Error::from)?;
        let mut quiet = before.clone();
        quiet.local_flags.remove(LocalFlags::ECHO | LocalFlags::ECHONL | LocalFlags::ICANON | LocalFlags::ISIG);
        quiet.control_chars[SpecialCharacterIndices::VMIN as usize] = 1;
        quiet.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
        // What was typed before the question was seen is dropped with the change.
        tcsetattr(terminal.as_fd(), SetArg::TCSAFLUSH, &quiet).map_err(io::Error::from)?;
        Ok(Self { terminal, before, signals, _blocked: blocked })
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal.as_fd(), SetArg::TCSAFLUSH, &self.before);
    }
}

fn read_hidden(terminal: &File, signals: &SignalFd) -> Result<Ended> {
    let mut typed = Typed::default();
    loop {
        let mut waiting =
            [PollFd::new(terminal.as_fd(), PollFlags::POLLIN), PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        match poll(&mut waiting, PollTimeout::NONE) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(io::Error::from(error).into()),
        }
        if let Ok(Some(caught)) = signals.read_signal() {
            let number = i32::try_from(caught.ssi_signo).ok();
            return Ok(Ended::Signal(
                number.and_then(|number| Signal::try_from(number).ok()).unwrap_or(Signal::SIGTERM),
            ));
        }
        if waiting[0].any() != Some(true) {
            continue;
        }
        let mut bytes = zeroize::Zeroizing::new([0_u8; 256]);
        let count = (&mut &*terminal).read(&mut *bytes)?;
        if count == 0 {
            return Ok(Ended::Cancelled);
        }
        for byte in &bytes[..count] {
            if let Some(ended) = typed.key(*byte)? {
                return Ok(ended);
            }
        }
    }
}

/// What was typed so far.
#[derive(Default)]
struct Typed(zeroize::Zeroizing<Vec<u8>>);

impl Typed {
    /// Takes one byte; the result, when it ends the input.
    fn key(&mut self, byte: u8) -> Result<Option<Ended>> {
        match byte {
            b'\r' | b'\n' => return self.finish().map(Some),
            CTRL_C => return Ok(Some(Ended::Cancelled)),
            CTRL_D if self.0.is_empty() => return Ok(Some(Ended::Cancelled)),
            CTRL_D => {}
            CTRL_U => self.0.clear(),
            BACKSPACE | DELETE => self.erase(),
            byte if self.0.len() < SECRET_BYTES => self.push(byte),
            _ => {
                return Err(AuthsomeError::InvalidInput {
                    what: "key",
                    reason: format!("it is longer than {SECRET_BYTES} bytes"),
                });
            }
        }
        Ok(None)
    }

    fn push(&mut self, byte: u8) {
        if self.0.capacity() == 0 {
            // Once, so that no shorter copy is left behind by growing.
            self.0.reserve_exact(SECRET_BYTES);
        }
        self.0.push(byte);
    }

    /// Removes the last character, all its bytes.
    fn erase(&mut self) {
        while self.0.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
    }

    fn finish(&mut self) -> Result<Ended> {
        let text = String::from_utf8(std::mem::take(&mut *self.0))
            .map_err(|_| AuthsomeError::InvalidInput { what: "key", reason: "it is not UTF-8".to_owned() })?;
        Ok(Ended::Entered(Secret::new(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn type_keys(keys: &[u8]) -> Result<Option<String>> {
        let mut typed = Typed::default();
        for key in keys {
            match typed.key(*key)? {
                Some(Ended::Entered(secret)) => return Ok(Some(secret.expose().to_owned())),
                Some(_) => return Ok(None),
                None => {}
            }
        }
        panic!("the input has not ended");
    }

    #[test]
    fn keys_edit_and_end_the_input() {
        for (keys, expected) in [
            (&b"sk-1\r"[..], Some("sk-1")),
            (b"sk-x\x7f1\n", Some("sk-1")),
            (b"wrong\x15right\n", Some("right")),
            ("aé\u{8}b\n".as_bytes(), Some("ab")),
            (b"\x7f\x7fa\n", Some("a")),
            (b"\n", Some("")),
            (b"abc\x03", None),
            (b"\x04", None),
            (b"a\x04b\n", Some("ab")),
        ] {
            assert_eq!(type_keys(keys).expect("UTF-8").as_deref(), expected, "{keys:?}");
        }
        assert!(type_keys(b"\xff\n").is_err());
    }

    #[test]
    fn a_key_may_be_longer_than_a_line_of_the_kernel_but_not_endless() {
        let long = [vec![b'k'; 10_000], vec![b'\n']].concat();
        assert_eq!(type_keys(&long).expect("fits").map(|key| key.len()), Some(10_000));
        assert!(type_keys(&vec![b'k'; SECRET_BYTES + 1]).is_err());
    }
}
