//! The child process: started so that it ends with us, given the signals that are meant for it, waited for.
//!
//! It stays in our process group, so that pipelines and shells' job control treat both as one. The terminal's keys
//! reach it from the kernel for that reason, and are not passed on a second time; what somebody sends to us alone is.
//! (A signal that a process sends to the whole group reaches the child twice: nothing tells it from the former.)

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command};

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpid};

use super::wall::Wall;
use crate::limits::DESCRIPTORS;
use crate::sys::{ChildSetup, Notice, next_notice, report_signals, spawn};

/// Signals that we have an opinion on while a child runs.
pub(super) static SIGNALS: [Signal; 10] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGWINCH,
    Signal::SIGTSTP,
    Signal::SIGCONT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGCHLD,
];

/// Status of a command that is not there, and of one that cannot be executed (POSIX `env`).
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

/// How a child ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// With this status; 128 + N when signal N ended it.
    Status(u8),
    /// It never started: the status that says so, and why.
    NotStarted(u8, io::Error),
}

/// This process, closed to others: no core dump, no `ptrace`, no `/proc/PID/mem` for the child.
///
/// Answers with the limits that the child is to have again.
pub(super) fn harden() -> io::Result<Vec<(Resource, rlim_t, rlim_t)>> {
    nix::sys::prctl::set_dumpable(false)?;
    let mut restore = Vec::new();
    let core = getrlimit(Resource::RLIMIT_CORE)?;
    setrlimit(Resource::RLIMIT_CORE, 0, core.1)?;
    restore.push((Resource::RLIMIT_CORE, core.0, core.1));
    let files = getrlimit(Resource::RLIMIT_NOFILE)?;
    // The soft limit protects programs that use select(2); we do not, and need two descriptors a connection.
    if files.0 < DESCRIPTORS && setrlimit(Resource::RLIMIT_NOFILE, files.1.min(DESCRIPTORS), files.1).is_ok() {
        restore.push((Resource::RLIMIT_NOFILE, files.0, files.1));
    }
    Ok(restore)
}

/// Runs `command` to its end, behind the wall if there is one. On this thread, whose end would end the child.
///
/// # Errors
/// Signals or the child cannot be watched.
pub(super) fn run(
    command: &[OsString],
    environment: &BTreeMap<OsString, OsString>,
    limits: Vec<(Resource, rlim_t, rlim_t)>,
    wall: Option<Wall>,
) -> io::Result<Ended> {
    let notices = report_signals(&SIGNALS)?;
    // Whoever started us may have blocked them; the child gets what we got.
    let mask = SigSet::thread_get_mask()?;
    SIGNALS.iter().copied().collect::<SigSet>().thread_unblock()?;
    if let Some(mut wall) = wall {
        return match wall.start(command, environment)? {
            Ok(()) => supervise(wall.pid(), notices, &|notice| wall.signal(notice)).map(Ended::Status),
            Err(error) => Ok(not_started(error)),
        };
    }
    match start(command, environment, ChildSetup { signals: &SIGNALS, limits, mask, kept: None }, false) {
        Ok(child) => {
            let child = pid_of(&child);
            let pass_on = |notice| {
                if is_passed_on(notice) {
                    let _ = kill(child, notice.signal); // it may have ended just now
                }
            };
            supervise(child, notices, &pass_on).map(Ended::Status)
        }
        Err(error) => Ok(not_started(error)),
    }
}

/// The status that says why a command did not start.
pub(super) fn not_started(error: io::Error) -> Ended {
    let status = if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE };
    Ended::NotStarted(status, error)
}

pub(super) fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX))
}

/// Starts `command`, as execvp(3) would, with `environment` and nothing else.
///
/// # Errors
/// Why it does not start.
pub(super) fn start(
    command: &[OsString],
    environment: &BTreeMap<OsString, OsString>,
    setup: ChildSetup,
    has_own_group: bool,
) -> io::Result<Child> {
    let start = |program: &OsStr, arguments: &[OsString], setup: ChildSetup| {
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(environment);
        if has_own_group {
            command.process_group(0);
        }
        spawn(&mut command, setup)
    };
    let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    match start(program, arguments, setup.clone()) {
        // A script without a `#!` line: for the shell, as execvp(3) and shells have it.
        Err(error) if error.raw_os_error() == Some(Errno::ENOEXEC as i32) => {
            let script = find(program, environment).unwrap_or_else(|| program.into());
            let arguments = [&[script.into_os_string()], arguments].concat();
            start(OsStr::new("/bin/sh"), &arguments, setup)
        }
        other => other,
    }
}

/// The file that `program` means, by the child's own `PATH`.
fn find(program: &OsStr, environment: &BTreeMap<OsString, OsString>) -> Option<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        return Some(program.into());
    }
    let path = environment.get(OsStr::new("PATH"))?;
    std::env::split_paths(path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// Waits for `child`, and lets `pass_on` see the signals that come meanwhile. Its status as a shell would give it.
fn supervise(child: Pid, notices: &OwnedFd, pass_on: &dyn Fn(Notice)) -> io::Result<u8> {
    loop {
        match waitpid(child, Some(WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED)) {
            Ok(WaitStatus::Exited(_, status)) => return Ok(u8::try_from(status & 0xff).unwrap_or(u8::MAX)),
            Ok(WaitStatus::Signaled(_, signal, _)) => {
                return Ok(u8::try_from(128 + signal as i32).unwrap_or(u8::MAX));
            }
            Ok(WaitStatus::Stopped(_, Signal::SIGTSTP | Signal::SIGTTIN | Signal::SIGTTOU)) => {
                // So that the shell, which waits for us, gets its terminal back. It wakes the group again.
                kill(getpid(), Signal::SIGSTOP)?;
                continue;
            }
            Ok(WaitStatus::StillAlive) => {}
            Ok(_) | Err(Errno::EINTR) => continue,
            Err(error) => return Err(error.into()),
        }
        pass_on(next_notice(notices)?);
    }
}

/// Whether a signal that came to us goes to the child.
fn is_passed_on(notice: Notice) -> bool {
    match notice.signal {
        Signal::SIGCHLD => false,
        // From the kernel: a key, or a window that changed. The child is in the group that got it.
        Signal::SIGINT | Signal::SIGQUIT | Signal::SIGTSTP | Signal::SIGWINCH => !notice.is_from_kernel,
        // Once more does no harm, and a hangup may have been told to the session's leader only.
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn keys_of_the_terminal_are_not_passed_on_twice() {
        let notice = |signal, is_from_kernel| is_passed_on(Notice { signal, is_from_kernel });
        for signal in [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTSTP, Signal::SIGWINCH] {
            assert!(!notice(signal, true), "{signal}");
            assert!(notice(signal, false), "{signal}");
        }
        for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGCONT, Signal::SIGUSR1] {
            assert!(notice(signal, true) && notice(signal, false), "{signal}");
        }
        assert!(!notice(Signal::SIGCHLD, true) && !notice(Signal::SIGCHLD, false));
    }

    #[test]
    fn programs_are_found_by_the_childs_own_path() {
        let environment = BTreeMap::from([(OsString::from("PATH"), OsString::from("/nowhere:/bin"))]);
        assert_eq!(find(OsStr::new("sh"), &environment).as_deref(), Some(Path::new("/bin/sh")));
        assert_eq!(find(OsStr::new("./sh"), &environment).as_deref(), Some(Path::new("./sh")));
        assert_eq!(find(OsStr::new("no-such-program"), &environment), None);
    }
}
