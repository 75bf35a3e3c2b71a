//! Keys without echo and outside the kernel's line editing, whose lines end at 4096 bytes.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{Signal, killpg};
use nix::sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr};
use nix::unistd::getpgrp;
use zeroize::Zeroizing;

use crate::error::{AuthsomeError, Result};
use crate::limits::SECRET_BYTES;
use crate::secret::Secret;

const CTRL_C: u8 = 0x03;
const CTRL_D: u8 = 0x04;
const CTRL_U: u8 = 0x15;
const CTRL_Z: u8 = 0x1a;
const CTRL_BACKSLASH: u8 = 0x1c;
const BACKSPACE: u8 = 0x08;
/// Around what is pasted, where a program before us has left xterm's bracketed paste on.
const PASTE_MARKS: [&[u8]; 2] = [b"\x1b[200~", b"\x1b[201~"];
const DELETE: u8 = 0x7f;

/// What came of the keys so far.
#[derive(Debug)]
pub(in crate::cli) enum Pressed {
    /// A line was finished.
    Line(Secret),
    /// Ctrl-C, Ctrl-\, Ctrl-D on an empty line, or the end of input.
    Cancelled,
    /// Ctrl-Z stopped us, and somebody has gone on with us since: what was asked has to be asked again.
    Continued,
    /// Nothing yet.
    Unfinished,
}

/// The keys of a terminal, taken line by line and not shown. Dropping it restores the terminal.
pub(in crate::cli) struct Keyboard {
    terminal: File,
    before: Option<Termios>,
    /// Read and not looked at yet: what came behind the end of a line.
    ahead: Zeroizing<Vec<u8>>,
    typed: Typed,
}

impl Keyboard {
    /// Takes echo, line editing and signal keys from `terminal`.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn new(terminal: File) -> Result<Self> {
        let before = tcgetattr(terminal.as_fd()).map_err(io::Error::from)?;
        hide(&terminal, &before)?;
        Ok(Self { terminal, before: Some(before), ahead: Zeroizing::default(), typed: Typed::default() })
    }

    /// Keys from a pipe.
    #[cfg(test)]
    pub(in crate::cli) fn test_only_from(keys: impl Into<std::os::fd::OwnedFd>) -> Self {
        Self { terminal: File::from(keys.into()), before: None, ahead: Zeroizing::default(), typed: Typed::default() }
    }

    /// Takes what was typed, up to the end of a line. Waits for a key when nothing is there.
    ///
    /// # Errors
    /// `InvalidInput` for a line that is too long or not UTF-8; the next line starts afresh.
    pub(in crate::cli) fn read(&mut self) -> Result<Pressed> {
        if self.ahead.is_empty() {
            let mut bytes = Zeroizing::new([0_u8; 256]);
            let count = self.terminal.read(&mut *bytes)?;
            if count == 0 {
                return Ok(Pressed::Cancelled);
            }
            self.ahead.extend_from_slice(&bytes[..count]);
        }
        let mut taken = 0;
        let mut pressed = Ok(Pressed::Unfinished);
        while matches!(pressed, Ok(Pressed::Unfinished)) && taken < self.ahead.len() {
            pressed = match self.ahead[taken] {
                CTRL_Z => self.suspend().map(|()| Pressed::Continued),
                byte => self.typed.key(byte),
            };
            taken += 1;
        }
        self.ahead.drain(..taken);
        pressed
    }

    /// What the kernel would have done at Ctrl-Z: everything in the foreground stops, with the terminal as it was.
    fn suspend(&mut self) -> Result<()> {
        self.typed.0.clear();
        let Some(before) = &self.before else { return Ok(()) };
        tcsetattr(self.terminal.as_fd(), SetArg::TCSAFLUSH, before).map_err(io::Error::from)?;
        killpg(getpgrp(), Signal::SIGTSTP).map_err(io::Error::from)?;
        hide(&self.terminal, before)
    }

    /// Whether there are keys behind the last line already.
    pub(in crate::cli) fn has_more(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// Whether a line was begun and not finished.
    pub(in crate::cli) fn has_begun(&self) -> bool {
        !self.typed.0.is_empty()
    }
}

impl AsFd for Keyboard {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.terminal.as_fd()
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // Flushed: half of a pasted secret must not become a command of the shell.
            let _ = tcsetattr(self.terminal.as_fd(), SetArg::TCSAFLUSH, before);
        }
    }
}

/// Takes echo, line editing and signal keys from `terminal`. What was typed before is dropped: nobody saw a question.
fn hide(terminal: &File, before: &Termios) -> Result<()> {
    let mut quiet = before.clone();
    quiet.local_flags.remove(LocalFlags::ECHO | LocalFlags::ECHONL | LocalFlags::ICANON | LocalFlags::ISIG);
    quiet.control_chars[SpecialCharacterIndices::VMIN as usize] = 1;
    quiet.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
    Ok(tcsetattr(terminal.as_fd(), SetArg::TCSAFLUSH, &quiet).map_err(io::Error::from)?)
}

/// What was typed so far.
#[derive(Default)]
struct Typed(Zeroizing<Vec<u8>>);

impl Typed {
    /// Takes one byte.
    fn key(&mut self, byte: u8) -> Result<Pressed> {
        match byte {
            b'\r' | b'\n' => return self.finish().map(Pressed::Line),
            CTRL_C | CTRL_BACKSLASH => return Ok(Pressed::Cancelled),
            CTRL_D if self.0.is_empty() => return Ok(Pressed::Cancelled),
            CTRL_D => {}
            CTRL_U => self.0.clear(),
            BACKSPACE | DELETE => self.erase(),
            byte if self.0.len() < SECRET_BYTES => self.push(byte),
            _ => {
                self.0.clear();
                return Err(invalid(format!("it is longer than {SECRET_BYTES} bytes")));
            }
        }
        Ok(Pressed::Unfinished)
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

    fn finish(&mut self) -> Result<Secret> {
        for mark in PASTE_MARKS {
            if let Some(at) = memchr::memmem::find(&self.0, mark) {
                self.0.drain(at..at + mark.len());
            }
        }
        let text =
            String::from_utf8(std::mem::take(&mut *self.0)).map_err(|_| invalid("it is not UTF-8".to_owned()))?;
        Ok(Secret::new(text))
    }
}

fn invalid(reason: String) -> AuthsomeError {
    AuthsomeError::InvalidInput { what: "input", reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn type_keys(keys: &[u8]) -> Result<Option<String>> {
        let mut typed = Typed::default();
        for key in keys {
            match typed.key(*key)? {
                Pressed::Line(secret) => return Ok(Some(secret.expose().to_owned())),
                Pressed::Cancelled => return Ok(None),
                Pressed::Continued | Pressed::Unfinished => {}
            }
        }
        panic!("the input has not ended");
    }

    #[test]
    fn keys_edit_and_end_the_input() {
        for (keys, expected) in [
            (&b"sk-1\r"[..], Some("sk-1")),
            (b"sk-x\x7f1\n", Some("sk-1")),
            (b"\x1b[200~sk-1\x1b[201~\n", Some("sk-1")),
            (b"wrong\x15right\n", Some("right")),
            ("aé\u{8}b\n".as_bytes(), Some("ab")),
            (b"\x7f\x7fa\n", Some("a")),
            (b"\n", Some("")),
            (b"abc\x03", None),
            (b"abc\x1c", None),
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

    #[test]
    fn a_keyboard_gives_lines_and_its_own_end() {
        let (keys, mut typist) = io::pipe().expect("a pipe");
        let mut keyboard = Keyboard::test_only_from(keys);
        io::Write::write_all(&mut typist, b"half").expect("writes");
        assert!(matches!(keyboard.read(), Ok(Pressed::Unfinished)));
        assert!(keyboard.has_begun());
        io::Write::write_all(&mut typist, b" a line\nand\n").expect("writes");
        let Ok(Pressed::Line(line)) = keyboard.read() else { panic!("a line") };
        assert_eq!((line.expose(), keyboard.has_begun(), keyboard.has_more()), ("half a line", false, true));
        let Ok(Pressed::Line(line)) = keyboard.read() else { panic!("another line") };
        assert_eq!((line.expose(), keyboard.has_more()), ("and", false));
        drop(typist);
        assert!(matches!(keyboard.read(), Ok(Pressed::Cancelled)));
    }
}
