//! Starts a daemon that outlives us: its own session, no terminal, no descriptor of ours, a chosen environment.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use super::local::unavailable;
use super::settings::Settings;
use crate::error::{AuthsomeError, ErrorName, Result};
use crate::limits::SMALL_FILE_BYTES;
use crate::paths::{self, Home};
use crate::sys;

/// A log longer than this is put aside when a daemon starts.
const LOG_BYTES: u64 = 1024 * 1024;
/// Variables of the caller that a daemon gets besides `AUTHSOME_*`: where things are and how to get out. Whatever else
/// the caller's shell holds, keys among it, is none of its business.
const PASSED_ON: [&str; 13] = [
    "HOME",
    "PATH",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
    "RUST_BACKTRACE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];
/// The way out. Inside a run it leads to the run's own proxy, which ends before the daemon does.
const PROXIES: [&str; 8] =
    ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"];
/// Files that may be named relative to the caller's directory.
const FILES: [&str; 4] =
    ["AUTHSOME_MASTER_KEY_FILE", "AUTHSOME_UI_SESSION_KEY_FILE", "AUTHSOME_UPSTREAM_CA", "SSL_CERT_FILE"];

/// A daemon that was started and has not answered yet.
pub(super) struct Started {
    child: Child,
    log: PathBuf,
    log_start: u64,
}

/// Starts `authsome daemon serve` for `home`, detached, its words in `daemon.log`.
pub(super) fn spawn(home: &Home, settings: &Settings, port: u16) -> Result<Started> {
    let program = env::current_exe().map_err(|error| unavailable(format!("cannot find this program: {error}")))?;
    let log = home.daemon_log();
    let (output, log_start) = open_log(&log)?;
    let errors = output.try_clone().map_err(|error| paths::with_path(&error, "open", &log))?;
    // What our own caller left open (a build's job server, a pipe that somebody reads to its end) must not stay open
    // for as long as the daemon lives.
    sys::close_on_exec_from(3);
    let child = Command::new(&program)
        .args(["daemon", "serve", "--detached", "--port", &port.to_string()])
        .env_clear()
        .envs(environment(settings))
        .env("AUTHSOME_HOME", home.dir())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .spawn()
        .map_err(|error| paths::with_path(&error, "start", &program))?;
    Ok(Started { child, log, log_start })
}

impl Started {
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What went wrong, once it has ended.
    pub(super) fn failure(&mut self) -> Result<Option<AuthsomeError>> {
        let status =
            self.child.try_wait().map_err(|error| unavailable(format!("cannot wait for the daemon: {error}")))?;
        Ok(status.map(|status| self.explain(status)))
    }

    /// Ends it: a daemon that nobody waits for any more must not come up later.
    pub(super) fn give_up(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The daemon's own error, which `main` wrote as the last lines of the log.
    fn explain(&self, status: ExitStatus) -> AuthsomeError {
        let said = log_since(&self.log, self.log_start);
        let error = said.lines().rev().find_map(|line| line.strip_prefix("authsome: error: "));
        match (error, status.code()) {
            (Some(text), Some(11)) => AuthsomeError::Remote {
                name: if text.contains("key") { ErrorName::EncryptionUnavailable } else { ErrorName::StoreUnavailable },
                status: 0,
                message: format!("the daemon did not start: {text}"),
                provider: None,
                operation: None,
                hint: None,
            },
            (Some(text), _) => unavailable(format!("the daemon did not start: {text}")),
            (None, _) => unavailable(format!("the daemon did not start ({status})")),
        }
    }
}

fn open_log(path: &Path) -> Result<(File, u64)> {
    let dir = path.parent().unwrap_or(Path::new("."));
    paths::create_private_dir(dir)?;
    if fs::metadata(path).is_ok_and(|metadata| metadata.len() > LOG_BYTES) {
        let _ = fs::rename(path, path.with_extension("log.1"));
    }
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    let file = file.map_err(|error| paths::with_path(&error, "open", path))?;
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    Ok((file, length))
}

fn log_since(path: &Path, start: u64) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(SMALL_FILE_BYTES as u64).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_default()
}

fn environment(settings: &Settings) -> Vec<(OsString, OsString)> {
    env::vars_os()
        .filter_map(|(name, value)| Some((name.clone(), passed_on(&name, value, settings.inside_run)?)))
        .collect()
}

/// The value that a daemon gets for a variable of ours; `None`: it gets none.
fn passed_on(name: &OsStr, value: OsString, inside_run: bool) -> Option<OsString> {
    let name = name.to_str()?;
    let is_clients = name.starts_with("AUTHSOME_IDENTITY") || matches!(name, "AUTHSOME_PROXY_MODE" | "AUTHSOME_JSON");
    let is_ours = name.starts_with("AUTHSOME_") && !is_clients;
    let is_way_out = PROXIES.contains(&name) || name.starts_with("SSL_CERT_");
    if !(is_ours || PASSED_ON.contains(&name) || PROXIES.contains(&name)) || (inside_run && is_way_out) {
        return None;
    }
    if FILES.contains(&name) && !value.is_empty() {
        return Some(std::path::absolute(&value).map_or(value, PathBuf::into_os_string));
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::testing::Scratch;

    fn passes(name: &str, inside_run: bool) -> bool {
        passed_on(OsStr::new(name), "x".into(), inside_run).is_some()
    }

    #[test]
    fn a_daemon_gets_its_settings_and_nobodys_keys() {
        for name in ["AUTHSOME_MASTER_KEY", "AUTHSOME_PORT", "HOME", "HTTPS_PROXY", "no_proxy", "SSL_CERT_FILE"] {
            assert!(passes(name, false), "{name}");
        }
        for name in
            ["OPENAI_API_KEY", "AUTHSOME_IDENTITY_PRIVATE_KEY", "AUTHSOME_PROXY_MODE", "LD_PRELOAD", "SSH_AUTH_SOCK"]
        {
            assert!(!passes(name, false), "{name}");
        }
        for name in ["HTTPS_PROXY", "all_proxy", "SSL_CERT_FILE"] {
            assert!(!passes(name, true), "{name} belongs to the run");
        }
    }

    #[test]
    fn files_named_from_the_callers_directory_are_still_found() {
        let value = passed_on(OsStr::new("AUTHSOME_MASTER_KEY_FILE"), "keys/master".into(), false).expect("passes");
        assert!(Path::new(&value).is_absolute() && Path::new(&value).ends_with("keys/master"));
    }

    #[test]
    fn a_long_log_is_put_aside_and_only_new_lines_are_read() {
        let scratch = Scratch::new();
        let path = scratch.0.daemon_log();
        paths::write_private(&path, &vec![b'x'; usize::try_from(LOG_BYTES).expect("fits") + 1]).expect("writes");
        let (mut file, start) = open_log(&path).expect("opens");
        assert_eq!(start, 0);
        std::io::Write::write_all(&mut file, b"old\n").expect("writes");
        let (mut file, start) = open_log(&path).expect("opens");
        std::io::Write::write_all(&mut file, b"authsome: error: new\n").expect("writes");
        assert_eq!(log_since(&path, start), "authsome: error: new\n");
        assert!(!paths::is_exposed(&path).expect("exists"));
        assert!(path.with_extension("log.1").exists());
    }
}
