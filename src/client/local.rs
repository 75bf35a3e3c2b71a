//! The local daemon of a home: find it, start it once, replace it when it is of another version, stop it.
//!
//! `server/daemon/daemon.json` says where it listens. It is believed only together with the process or the port that
//! it names (see `process`), because it outlives a daemon that was killed.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use nix::fcntl::{Flock, FlockArg};
use serde::Deserialize;

use super::base_url::BaseUrl;
use super::probe::{Probe, probe};
use super::settings::Settings;
use super::{process, spawn};
use crate::error::{AuthsomeError, Result};
use crate::limits::{DAEMON_START_DEADLINE, DAEMON_STOP_DEADLINE, SMALL_FILE_BYTES};
use crate::paths::{self, Home};

/// The version that a daemon must have to be used.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Where the daemon of the default home listens (`contract/cli.md`). Other homes take a free port.
pub const DEFAULT_PORT: u16 = 7998;
/// Between two looks at something that another process does: a start takes a few of these.
const PAUSE: Duration = Duration::from_millis(2);
/// How long a daemon that does not answer may take to be gone before it counts as stuck.
const ENDING: Duration = Duration::from_secs(2);

/// What `daemon.json` says.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Record {
    /// Process; from `daemon.pid` where the file does not say.
    #[serde(default)]
    pub pid: u32,
    /// Address that it listens on.
    #[serde(default)]
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Version of the program.
    #[serde(default)]
    pub version: String,
}

impl Record {
    /// Where to reach it from this machine.
    pub fn base_url(&self) -> BaseUrl {
        BaseUrl::local(&self.host, self.port)
    }

    fn load(home: &Home) -> Option<Self> {
        let contents = paths::read_limited(&home.daemon_json(), SMALL_FILE_BYTES).ok()?;
        let mut record: Self = serde_json::from_slice(&contents).ok()?;
        if record.pid == 0 {
            let number = paths::read_limited(&home.daemon_pid(), SMALL_FILE_BYTES).ok()?;
            record.pid = std::str::from_utf8(&number).ok()?.trim().parse().ok()?;
        }
        Some(record)
    }
}

/// How the local daemon is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It answers and has our version.
    Running(Record),
    /// It answers and has another version.
    OtherVersion(Record),
    /// Its process is there and does not answer.
    Silent(Record),
    /// There is none.
    Stopped,
}

/// The daemon of one home.
#[derive(Clone, Copy, Debug)]
pub struct LocalDaemon<'a> {
    home: &'a Home,
    settings: &'a Settings,
}

impl<'a> LocalDaemon<'a> {
    /// The daemon of `home`, running or not.
    pub fn new(home: &'a Home, settings: &'a Settings) -> Self {
        Self { home, settings }
    }

    /// Makes sure that a daemon of our version runs. Many callers at once start exactly one.
    ///
    /// # Errors
    /// `DaemonUnavailable` when it does not start, does not answer, or its port is taken; the daemon's own error when
    /// it has one.
    pub fn ensure(self) -> Result<BaseUrl> {
        match self.find() {
            Some(found) => Ok(found),
            None => self.revive(),
        }
    }

    /// As [`LocalDaemon::ensure`], for a caller that has just found nobody at the recorded address.
    ///
    /// # Errors
    /// As [`LocalDaemon::ensure`].
    pub fn revive(self) -> Result<BaseUrl> {
        let _lock = self.lock()?;
        // Somebody may have started it while we waited for the lock.
        match self.state() {
            State::Running(record) => Ok(record.base_url()),
            State::Stopped => self.start(),
            State::OtherVersion(record) => {
                self.end(&record)?;
                self.start()
            }
            // One that is just ending neither answers nor is gone yet.
            State::Silent(record) if wait_for_end(record.pid, ENDING) => self.start(),
            State::Silent(record) => Err(silent(&record)),
        }
    }

    /// Ends the daemon and waits for that. Whether there was one.
    ///
    /// # Errors
    /// `OperationNotAllowed` when the process cannot be recognised, `DaemonUnavailable` when it does not end.
    pub fn stop(self) -> Result<bool> {
        let _lock = self.lock()?;
        match self.state() {
            State::Running(record) | State::OtherVersion(record) | State::Silent(record) => {
                self.end(&record).map(|()| true)
            }
            State::Stopped => {
                if Record::load(self.home).is_some_and(|left| !process::is_running(left.pid)) {
                    self.remove_files();
                }
                Ok(false)
            }
        }
    }

    /// Asks the daemon how it is. Takes as long as it takes to answer, at most a few seconds.
    pub fn state(self) -> State {
        let Some(record) = Record::load(self.home) else { return State::Stopped };
        let is_alive = process::is_our_daemon(record.pid);
        match probe(&record.base_url()) {
            Probe::Daemon { version } if self.owns(record.port) => {
                if version == VERSION {
                    State::Running(record)
                } else {
                    // 0.7.2's file does not say.
                    State::OtherVersion(Record { version, ..record })
                }
            }
            Probe::Refused | Probe::Silent if is_alive => State::Silent(record),
            Probe::Daemon { .. } | Probe::Other | Probe::Refused | Probe::Silent => State::Stopped,
        }
    }

    /// Whether the daemon of this home listens on `port`, did so when it was last seen, or would when started.
    pub(super) fn is_at(self, port: u16) -> bool {
        (self.home.is_default() && port == DEFAULT_PORT)
            || Record::load(self.home).is_some_and(|found| found.port == port)
    }

    /// Whether the daemon of this home runs, and listens on `port`.
    pub(super) fn runs_at(self, port: u16) -> bool {
        Record::load(self.home).is_some_and(|found| found.port == port && process::is_our_daemon(found.pid))
    }

    /// The daemon by its file and its process, without a word to it. This is the ordinary case and costs microseconds.
    fn find(self) -> Option<BaseUrl> {
        let record = Record::load(self.home)?;
        (record.version == VERSION && process::is_our_daemon(record.pid)).then(|| record.base_url())
    }

    fn owns(self, port: u16) -> bool {
        process::listener_is_ours(port, self.home.dir()).unwrap_or(true)
    }

    fn port(self) -> u16 {
        self.settings.port.unwrap_or(if self.home.is_default() { DEFAULT_PORT } else { 0 })
    }

    fn start(self) -> Result<BaseUrl> {
        let port = self.port();
        if port != 0 {
            check_free(port)?;
        }
        let mut started = spawn::spawn(self.home, self.settings, port)?;
        let until = Instant::now() + DAEMON_START_DEADLINE;
        loop {
            if let Some(found) = self.answers_as(started.pid()) {
                return Ok(found);
            }
            if let Some(failure) = started.failure()? {
                return Err(failure);
            }
            if Instant::now() >= until {
                started.give_up();
                return Err(unavailable(format!(
                    "the daemon did not come up in {} seconds",
                    DAEMON_START_DEADLINE.as_secs()
                )));
            }
            thread::sleep(PAUSE);
        }
    }

    fn answers_as(self, pid: u32) -> Option<BaseUrl> {
        let record = Record::load(self.home).filter(|record| record.pid == pid)?;
        matches!(probe(&record.base_url()), Probe::Daemon { .. }).then(|| record.base_url())
    }

    fn end(self, record: &Record) -> Result<()> {
        let recorded = fs::metadata(self.home.daemon_json())
            .and_then(|metadata| metadata.modified())
            .unwrap_or(SystemTime::UNIX_EPOCH); // nothing is older than that, so nothing is ended
        process::terminate(record.pid, recorded)?;
        if !wait_for_end(record.pid, DAEMON_STOP_DEADLINE) {
            return Err(unavailable(format!(
                "the daemon (process {}) does not end within {} seconds",
                record.pid,
                DAEMON_STOP_DEADLINE.as_secs()
            )));
        }
        // One that was killed, or of an older version, may leave its files.
        if Record::load(self.home).is_some_and(|left| left.pid == record.pid) {
            self.remove_files();
        }
        Ok(())
    }

    /// Takes back what a daemon that is gone has left. Only under the lock.
    fn remove_files(self) {
        for path in [self.home.daemon_json(), self.home.daemon_pid()] {
            let _ = fs::remove_file(path); // not there is as good
        }
    }

    /// Holds `daemon.lock` until dropped. Waits as long as the holder may take to start a daemon.
    fn lock(self) -> Result<Flock<File>> {
        paths::create_private_dir(&self.home.daemon())?;
        let path = self.home.daemon_lock();
        let failed = |error: io::Error| AuthsomeError::from(paths::with_path(&error, "lock", &path));
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(failed)?;
        let until = Instant::now() + DAEMON_START_DEADLINE + DAEMON_STOP_DEADLINE;
        loop {
            file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => return Ok(lock),
                Err((file, nix::errno::Errno::EWOULDBLOCK)) if Instant::now() < until => file,
                Err((_, nix::errno::Errno::EWOULDBLOCK)) => {
                    return Err(unavailable(
                        "another authsome is starting or stopping the daemon and does not finish".into(),
                    ));
                }
                Err((_, error)) => return Err(failed(error.into())),
            };
            thread::sleep(PAUSE);
        }
    }
}

/// Whether a daemon, anybody's, answers at `base`.
pub(super) fn answers(base: &BaseUrl) -> bool {
    matches!(probe(base), Probe::Daemon { .. })
}

/// Whether the process is gone before `patience` is.
fn wait_for_end(pid: u32, patience: Duration) -> bool {
    let until = Instant::now() + patience;
    while process::is_running(pid) {
        if Instant::now() >= until {
            return false;
        }
        thread::sleep(PAUSE);
    }
    true
}

/// Says clearly who has the port, before a daemon is started only to fail.
fn check_free(port: u16) -> Result<()> {
    let who = match probe(&BaseUrl::local("127.0.0.1", port)) {
        Probe::Refused => return Ok(()),
        Probe::Daemon { .. } => "an authsome daemon of another home or user",
        Probe::Other | Probe::Silent => "another program",
    };
    Err(unavailable(format!("port {port} is taken by {who}; set AUTHSOME_PORT to a free port, or to 0 for any")))
}

fn silent(record: &Record) -> AuthsomeError {
    unavailable(format!("the daemon (process {}) runs but does not answer; try: authsome daemon restart", record.pid))
}

pub(super) fn unavailable(reason: String) -> AuthsomeError {
    AuthsomeError::DaemonUnavailable { reason }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;
    use crate::client::testing::{Scratch, refusing_port};

    /// Answers one connection on a free port with `answer`.
    fn serve_once(answer: &'static str) -> (u16, thread::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let port = listener.local_addr().expect("bound").port();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let _ = stream.read(&mut [0; 1024]);
            stream.write_all(answer.as_bytes()).expect("writes");
        });
        (port, server)
    }

    fn record(home: &Home, pid: u32, port: u16, version: &str) {
        let text = format!(r#"{{"pid":{pid},"host":"127.0.0.1","port":{port},"version":"{version}","more":1}}"#);
        paths::write_private(&home.daemon_json(), text.as_bytes()).expect("writes");
    }

    const HEALTHY: &str =
        "HTTP/1.1 200 OK\r\nContent-Length: 34\r\nConnection: close\r\n\r\n{\"status\":\"ok\",\"version\":\"0.7.2\"}  ";

    #[test]
    fn a_file_without_its_daemon_means_stopped() {
        let scratch = Scratch::new();
        let settings = Settings::default();
        let daemon = LocalDaemon::new(&scratch.0, &settings);
        assert_eq!(daemon.state(), State::Stopped);
        // A number that some other program has by now, and a port where nobody listens.
        let (_socket, free) = refusing_port();
        record(&scratch.0, std::process::id(), free, VERSION);
        assert_eq!((daemon.state(), daemon.find()), (State::Stopped, None));
        assert!(!daemon.stop().expect("nothing to stop"));
        assert!(scratch.0.daemon_json().exists(), "the file of a process that runs stays");
        let ended = std::process::Command::new("true").spawn().and_then(|mut child| child.wait().map(|_| child.id()));
        record(&scratch.0, ended.expect("runs"), free, VERSION);
        assert!(!daemon.stop().expect("nothing to stop"));
        assert!(!scratch.0.daemon_json().exists(), "what a killed daemon left is gone");
    }

    #[test]
    fn a_port_that_another_program_took_means_stopped() {
        let scratch = Scratch::new();
        let settings = Settings::default();
        let (port, server) = serve_once("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
        record(&scratch.0, std::process::id(), port, VERSION);
        assert_eq!(LocalDaemon::new(&scratch.0, &settings).state(), State::Stopped);
        server.join().expect("ends");
    }

    #[test]
    fn another_version_is_recognised_and_this_test_is_never_killed_for_it() {
        let scratch = Scratch::new();
        let settings = Settings::default();
        let daemon = LocalDaemon::new(&scratch.0, &settings);
        let (port, server) = serve_once(HEALTHY);
        record(&scratch.0, 1, port, "");
        assert!(matches!(daemon.state(), State::OtherVersion(found) if found.version == "0.7.2"));
        server.join().expect("ends");
        let (port, server) = serve_once(HEALTHY);
        record(&scratch.0, 1, port, "0.7.2");
        assert!(matches!(daemon.stop(), Err(AuthsomeError::OperationNotAllowed { .. })));
        server.join().expect("ends");
    }

    #[test]
    fn a_taken_port_is_explained() {
        let (port, server) = serve_once("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        let error = check_free(port).expect_err("taken").to_string();
        assert!(error.contains(&port.to_string()) && error.contains("AUTHSOME_PORT"), "{error}");
        server.join().expect("ends");
        let (_socket, free) = refusing_port();
        assert!(check_free(free).is_ok());
    }
}
