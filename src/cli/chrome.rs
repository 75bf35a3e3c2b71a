//! A browser of our own, in which a person signs in to a site, and which then tells us the site's cookies.
//!
//! It is the user's Chrome (or a relative of it) on a fresh private profile that is gone afterwards. Not the user's own
//! profile: since version 136 Chrome refuses to be debugged on that one, and its cookie file is encrypted for Chrome
//! alone. Nothing is typed or clicked for the person, and nothing is read but cookies, by the Chrome DevTools Protocol
//! over a pair of pipes, which no other process can reach (a debugging port could be used by anybody on this machine).
//! We do not hide that the browser is debugged: a site that will not have that can still be signed in to elsewhere, and
//! its cookies pasted.

mod find;
mod pipe;
mod profile;

use std::ffi::OsStr;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal, killpg};
use nix::unistd::Pid;
use serde::Deserialize;
use serde::de::IgnoredAny;

pub(super) use self::find::find;
use self::pipe::Pipe;
use self::profile::Profile;
use super::browser::KEYS;
use super::interrupts::Interrupts;
use crate::error::{AuthsomeError, Result};
use crate::limits::{BROWSER_ANSWER_DEADLINE, BROWSER_CLOSE_DEADLINE, BROWSER_START_DEADLINE};
use crate::paths::Home;
use crate::secret::Secret;
use crate::sys::{ChildSetup, spawn};

/// Gives the browser descriptors 3 and 4, where it looks for its pipes, and nothing to read or to say anywhere else.
const WITH_PIPES: &str = r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#;
/// What a browser needs besides its profile and a page. The keyring stays closed: what would be encrypted with it is
/// in a profile that is thrown away.
const OPTIONS: [&str; 7] = [
    "--remote-debugging-pipe",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-sync",
    "--disable-breakpad",
    "--password-store=basic",
    "--use-mock-keychain",
];
/// Signals with a handler of ours, which a child gets back as they were.
static HANDLED: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
/// Between two looks whether a killed browser is gone.
const PAUSE: Duration = Duration::from_millis(10);

/// A running browser. When dropped, it is gone, and its profile too.
pub(super) struct Chrome {
    child: Child,
    pipe: Pipe,
    /// Behind the browser: it goes last.
    #[allow(dead_code)] // held, not read
    profile: Profile,
}

/// A cookie as the browser tells it.
#[derive(Deserialize)]
pub(super) struct Cookie {
    pub(super) name: String,
    pub(super) value: Secret,
    /// With a dot before it when it is also for the hosts below.
    pub(super) domain: String,
    #[serde(default)]
    pub(super) path: String,
    /// Seconds since 1970; negative for one that ends with the browser.
    #[serde(default)]
    pub(super) expires: f64,
    /// There is one for cookies of a frame inside another site.
    #[serde(default, rename = "partitionKey")]
    partition: Option<IgnoredAny>,
}

impl Chrome {
    /// Starts `program` at `page`, and waits until it answers.
    ///
    /// # Errors
    /// `OperationNotAllowed` when it does not start or does not let itself be asked; `InputCancelled` at a signal.
    pub(super) fn start(program: &Path, home: &Home, page: &str, interrupts: Interrupts<'_>) -> Result<Self> {
        let profile = Profile::create(&home.client().join("browser"))?;
        let mut command = Command::new("/bin/sh");
        command
            .args([OsStr::new("-c"), OsStr::new(WITH_PIPES), program.as_os_str()])
            .args(OPTIONS)
            .arg(profile.option())
            .arg("--new-window")
            .arg(page)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Ctrl-C is for us, who then close the browser.
            .process_group(0);
        for name in KEYS {
            command.env_remove(name);
        }
        let setup = ChildSetup { signals: &HANDLED, limits: Vec::new(), mask: SigSet::empty(), kept: None };
        let mut child = spawn(&mut command, setup).map_err(|error| failed(&format!("it does not start: {error}")))?;
        let (to, from) = (child.stdin.take(), child.stdout.take());
        let pipe = Pipe::new(to.expect("piped").into(), from.expect("piped").into());
        let mut chrome = Self { child, pipe, profile };
        match chrome.pipe.call::<IgnoredAny>("Browser.getVersion", BROWSER_START_DEADLINE, interrupts) {
            Ok(_) => Ok(chrome),
            Err(AuthsomeError::AuthenticationFailed { .. }) => Err(failed("it ended at once")),
            Err(error) => Err(error),
        }
    }

    /// The cookies of every site, frames inside other sites apart.
    ///
    /// # Errors
    /// `AuthenticationFailed` when the browser was closed, `OperationNotAllowed` when it makes no sense,
    /// `InputCancelled` at a signal.
    pub(super) fn cookies(&mut self, interrupts: Interrupts<'_>) -> Result<Vec<Cookie>> {
        #[derive(Deserialize)]
        struct Answer {
            cookies: Vec<Cookie>,
        }
        let answer: Answer = self.pipe.call("Storage.getCookies", BROWSER_ANSWER_DEADLINE, interrupts)?;
        Ok(answer.cookies.into_iter().filter(|cookie| cookie.partition.is_none()).collect())
    }

    /// Waits for `patience`, or until the browser is closed.
    ///
    /// # Errors
    /// As [`Chrome::cookies`].
    pub(super) fn wait(&mut self, patience: Duration, interrupts: Interrupts<'_>) -> Result<()> {
        self.pipe.idle(patience, interrupts)
    }
}

impl Drop for Chrome {
    /// Asks it to close, waits a moment, and kills what is left of it.
    fn drop(&mut self) {
        self.pipe.hang_up("Browser.close");
        let until = Instant::now() + BROWSER_CLOSE_DEADLINE;
        // Its number is ours, and that of its group, until we have waited for it.
        while !has_ended(&self.child) && Instant::now() < until {
            thread::sleep(PAUSE);
        }
        if let Ok(pid) = i32::try_from(self.child.id()) {
            let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
        }
        let _ = self.child.wait();
    }
}

/// Whether `child` has ended, without taking its number away.
fn has_ended(child: &Child) -> bool {
    use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
    let Ok(pid) = i32::try_from(child.id()) else { return true };
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    !matches!(waitid(Id::Pid(Pid::from_raw(pid)), flags), Ok(WaitStatus::StillAlive))
}

/// There is no getting at the cookies with this browser.
fn failed(reason: &str) -> AuthsomeError {
    AuthsomeError::OperationNotAllowed {
        operation: "login",
        reason: format!("the browser is of no use: {reason}"),
        hint: Some("name another in CHROME, or paste the cookies: add --no-browser"),
    }
}

/// The person, or somebody else, has closed it.
fn closed() -> AuthsomeError {
    let reason = "the browser was closed before you were signed in".to_owned();
    AuthsomeError::AuthenticationFailed { provider: None, reason }
}
