//! A program that a test talks to while it runs, through pipes or at a terminal of its own.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use nix::pty::openpty;
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{LocalFlags, tcgetattr};

use super::{Finished, PATIENCE, TestCommand, World, eventually, to_pid};

/// What was said so far.
#[derive(Default)]
struct Heard {
    stdout: Mutex<Vec<u8>>,
    stderr: Mutex<Vec<u8>>,
    more: Condvar,
}

/// A running program. It is killed when dropped.
pub(crate) struct Conversation {
    line: String,
    child: Child,
    heard: Arc<Heard>,
    readers: Vec<JoinHandle<()>>,
    stdin: Option<ChildStdin>,
    terminal: Option<File>,
}

impl Conversation {
    /// Starts `command` without a terminal. Its standard input stays open until [`Conversation::hang_up`].
    pub(crate) fn start(command: TestCommand) -> Self {
        let mut command = command.into_inner();
        let line = format!("{command:?}");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{line}: {error}"));
        let (stdin, stderr) = (child.stdin.take(), child.stderr.take().expect("piped"));
        Self::of(line, child, stderr, stdin, None)
    }

    /// `authsome ARGS...` at a terminal: standard input and error; standard output is apart.
    pub(crate) fn at_terminal(world: &World, args: &[&str]) -> Self {
        Self::at_terminal_with(world, args, |command| command)
    }

    /// The same, with a changed environment.
    pub(crate) fn at_terminal_with(
        world: &World,
        args: &[&str],
        change: impl FnOnce(TestCommand) -> TestCommand,
    ) -> Self {
        let on_terminal = world.command("setsid").args(["--ctty", "--wait"]);
        Self::on_terminal(change(on_terminal.arg(world.program()).args(args)))
    }

    /// A line of shell at a terminal; `$0` is authsome.
    pub(crate) fn shell_at_terminal(world: &World, line: &str) -> Self {
        let on_terminal = world.command("setsid").args(["--ctty", "--wait", "sh", "-c", line]);
        Self::on_terminal(on_terminal.arg(world.program()))
    }

    /// `setsid` makes the terminal the controlling one of a new session, then becomes the program.
    fn on_terminal(command: TestCommand) -> Self {
        let pair = openpty(None, None).expect("a pseudo terminal");
        let mut command = command.env("TERM", "xterm").env("LANG", "C.UTF-8").into_inner();
        let line = format!("{command:?}");
        command.stdin(pair.slave.try_clone().expect("a copy")).stdout(Stdio::piped()).stderr(pair.slave);
        let child = command.spawn().unwrap_or_else(|error| panic!("{line}: {error}"));
        drop(command); // with it, our handles of the terminal's other side
        let screen = File::from(pair.master.try_clone().expect("a copy"));
        Self::of(line, child, screen, None, Some(File::from(pair.master)))
    }

    fn of(
        line: String,
        mut child: Child,
        errors: impl Read + Send + 'static,
        stdin: Option<ChildStdin>,
        terminal: Option<File>,
    ) -> Self {
        let heard = Arc::new(Heard::default());
        let output = child.stdout.take().expect("piped");
        let readers = vec![
            thread::spawn({
                let heard = Arc::clone(&heard);
                move || listen(output, &heard, |heard| &heard.stdout)
            }),
            thread::spawn({
                let heard = Arc::clone(&heard);
                move || listen(errors, &heard, |heard| &heard.stderr)
            }),
        ];
        Self { line, child, heard, readers, stdin, terminal }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything on standard error, or on the terminal, so far.
    pub(crate) fn screen(&self) -> String {
        String::from_utf8_lossy(&lock(&self.heard.stderr)).into_owned()
    }

    /// Waits until standard error, or the terminal, shows `text`; what comes after it, to the end of the line.
    #[track_caller]
    pub(crate) fn after(&self, text: &str) -> String {
        let found = |bytes: &[u8]| {
            let said = String::from_utf8_lossy(bytes).into_owned();
            let rest = said.split_once(text)?.1.to_owned();
            rest.split_once('\n').map(|(line, _)| line.trim_end_matches('\r').to_owned())
        };
        let not_yet = |bytes: &mut Vec<u8>| found(bytes).is_none();
        let stderr = lock(&self.heard.stderr);
        let (stderr, timeout) =
            self.heard.more.wait_timeout_while(stderr, PATIENCE, not_yet).unwrap_or_else(PoisonError::into_inner);
        assert!(!timeout.timed_out(), "{}: never said {text:?}: {}", self.line, String::from_utf8_lossy(&stderr));
        found(&stderr).expect("just found")
    }

    /// Waits until standard error, or the terminal, shows `text`, in whatever line.
    #[track_caller]
    pub(crate) fn shows(&self, text: &str) -> &Self {
        let shown = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        let stderr = lock(&self.heard.stderr);
        let (stderr, timeout) = self
            .heard
            .more
            .wait_timeout_while(stderr, PATIENCE, |bytes| !shown(bytes))
            .unwrap_or_else(PoisonError::into_inner);
        assert!(!timeout.timed_out(), "{}: never showed {text:?}: {}", self.line, String::from_utf8_lossy(&stderr));
        self
    }

    /// Types at the terminal, or writes to standard input.
    pub(crate) fn types(&self, text: &str) -> &Self {
        let written = match (&self.terminal, &self.stdin) {
            (Some(terminal), _) => (&mut &*terminal).write_all(text.as_bytes()),
            (None, Some(stdin)) => (&mut &*stdin).write_all(text.as_bytes()),
            (None, None) => panic!("there is nothing to type at"),
        };
        written.expect("somebody reads");
        self
    }

    /// Waits until the terminal takes keys one by one and without echo, or line by line and with it.
    pub(crate) fn waits_until_keys_are_hidden(&self, hidden: bool) -> &Self {
        eventually("the mode of the terminal", || {
            let terminal = self.terminal.as_ref().expect("a terminal");
            let flags = tcgetattr(terminal).expect("a terminal").local_flags;
            (flags.contains(LocalFlags::ECHO | LocalFlags::ICANON) != hidden).then_some(())
        });
        self
    }

    /// Ends standard input.
    pub(crate) fn hang_up(&mut self) -> &mut Self {
        self.stdin = None;
        self
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(to_pid(self.child.id()), signal).expect("our child is there");
    }

    /// Waits for the end.
    pub(crate) fn end(mut self) -> Finished {
        self.hang_up();
        let status = eventually("the end of the program", || self.child.try_wait().expect("our child"));
        self.terminal = None;
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        let (stdout, stderr) = (lock(&self.heard.stdout).clone(), lock(&self.heard.stderr).clone());
        Finished { line: std::mem::take(&mut self.line), status, stdout, stderr }
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listen(mut from: impl Read, heard: &Heard, place: fn(&Heard) -> &Mutex<Vec<u8>>) {
    let mut piece = [0; 4096];
    // A terminal whose other side is closed says EIO.
    while let Ok(count @ 1..) = from.read(&mut piece) {
        lock(place(heard)).extend_from_slice(&piece[..count]);
        heard.more.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
