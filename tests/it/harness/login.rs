//! `authsome login` at a terminal that waits while a person is at the browser.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};

use super::{Finished, TestCommand, World, eventually};

/// A login that waits for its end.
pub(crate) struct CliLogin {
    child: Child,
    line: String,
    /// The page that it shows.
    pub(crate) url: String,
    said: Vec<u8>,
    stderr: BufReader<std::process::ChildStderr>,
}

impl CliLogin {
    /// Starts `authsome ARGS...` and waits until it shows a page.
    pub(crate) fn start(world: &World, args: &[&str]) -> Self {
        Self::start_with(world.authsome(args))
    }

    pub(crate) fn start_with(command: TestCommand) -> Self {
        let mut command = command.into_inner();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let line = format!("{command:?}");
        let mut child = command.spawn().expect("authsome starts");
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        let mut login = Self { child, line, url: String::new(), said: Vec::new(), stderr };
        while login.url.is_empty() {
            let start = login.said.len();
            let count = login.stderr.read_until(b'\n', &mut login.said).expect("a pipe");
            let text = String::from_utf8_lossy(&login.said[start..]).into_owned();
            assert!(count > 0, "{} showed no page: {}", login.line, String::from_utf8_lossy(&login.said));
            let url = text.split_whitespace().find(|word| word.starts_with("http"));
            url.unwrap_or_default().clone_into(&mut login.url);
        }
        login
    }

    /// Waits for the end of the command.
    pub(crate) fn finish(mut self) -> Finished {
        let status = eventually("the end of a login", || self.child.try_wait().expect("our child"));
        let mut stdout = Vec::new();
        self.child.stdout.take().expect("piped").read_to_end(&mut stdout).expect("a pipe");
        self.stderr.read_to_end(&mut self.said).expect("a pipe");
        Finished { line: std::mem::take(&mut self.line), status, stdout, stderr: std::mem::take(&mut self.said) }
    }
}

impl Drop for CliLogin {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
