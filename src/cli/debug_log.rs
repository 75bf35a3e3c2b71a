//! The client's debug log: what was called and how it went, never a query, a body, a header or an argument's value.
//! Lines are kept until the command ends, then appended in one write; a log that cannot be written stops nothing.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::output::printable;
use crate::client::CallReport;
use crate::clock::Clock;
use crate::paths::{self, Home};

/// A log longer than this is put aside, so that two of this size are the most that stays.
const LOG_BYTES: u64 = 1024 * 1024;

/// Lines of one command.
#[derive(Debug)]
pub(super) struct DebugLog {
    path: PathBuf,
    verbose: bool,
    lines: Mutex<Vec<String>>,
}

impl DebugLog {
    /// A log in `chosen` (empty: none), else in the home. `verbose`: on stderr as well, as it happens.
    pub(super) fn new(home: &Home, chosen: Option<PathBuf>, verbose: bool) -> Self {
        let path = chosen.unwrap_or_else(|| home.client_logs().join("authsome.log"));
        Self { path, verbose, lines: Mutex::new(Vec::new()) }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Notes a call to the daemon.
    pub(super) fn call(&self, call: &CallReport<'_>) {
        let status = call.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
        self.line(&format!("{} {} {status} {} ms", call.method, call.path, call.took.as_millis()));
    }

    /// Notes anything else.
    pub(super) fn line(&self, text: &str) {
        let text = printable(text);
        if self.verbose {
            let _ = writeln!(io::stderr(), "authsome: debug: {text}");
        }
        let line = format!("{} {} {text}\n", Clock::system().now(), std::process::id());
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    /// Appends what was noted.
    ///
    /// # Errors
    /// What the file system says, with the path.
    pub(super) fn write(&self) -> io::Result<()> {
        let text = std::mem::take(&mut *self.lines.lock().unwrap_or_else(PoisonError::into_inner)).concat();
        if text.is_empty() || self.path.as_os_str().is_empty() {
            return Ok(());
        }
        if let Some(dir) = self.path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            paths::create_private_dir(dir)?;
        }
        if fs::metadata(&self.path).is_ok_and(|metadata| metadata.is_file() && metadata.len() > LOG_BYTES) {
            let _ = fs::rename(&self.path, self.path.with_extension("log.1"));
        }
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path);
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| paths::with_path(&error, "write", &self.path))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::client::testing::Scratch;

    #[test]
    fn calls_are_appended_privately_and_nothing_makes_no_file() {
        let scratch = Scratch::new();
        let log = DebugLog::new(&scratch.0, None, false);
        log.write().expect("nothing to write");
        assert!(!scratch.0.dir().exists());
        log.call(&CallReport { method: "GET", path: "/api/whoami", status: Some(200), took: Duration::from_millis(3) });
        log.write().expect("writes");
        log.call(&CallReport { method: "GET", path: "/x", status: None, took: Duration::ZERO });
        log.write().expect("writes");
        let text = fs::read_to_string(log.path()).expect("reads");
        assert_eq!(text.lines().count(), 2);
        assert!(text.contains("GET /api/whoami 200 3 ms\n") && text.contains("GET /x no answer 0 ms\n"), "{text}");
        assert!(!paths::is_exposed(log.path()).expect("exists"));
    }
}
