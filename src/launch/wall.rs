//! The wall around a child (`contract/proxy.md` section 7): Linux namespaces of its own, in which there is no home of
//! ours, no other process, and no network but a loopback on which the run's proxy listens.
//!
//! ```text
//! authsome run              the parent, outside: proxy, credentials, the terminal's foreground
//!   authsome --wall-inside    in the namespaces but for the processes': waits, hands the status out
//!     authsome --wall-inside    process 1 inside: reaps, delivers signals; when it ends, so does all
//!       the child                 a session and a process group of its own
//! ```
//!
//! The program starts itself a second time for that, before anything secret is in its memory: a fresh process has one
//! thread, which the kernel demands of who makes a user namespace, and nothing to hide from the child. Parent and
//! process 1 speak over one socket ([`message`]).

mod inside;
mod message;
mod sight;

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::TcpListener;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};

use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::{Pid, getegid, geteuid, getpid};

pub use self::inside::enter;
pub use self::sight::OutOfSight;
use super::process::pid_of;
use crate::limits::{SMALL_FILE_BYTES, WALL_DEADLINE};
use crate::sys::{ChildSetup, Notice, receive, spawn};

/// The first argument of the program when it is to make a wall.
const INSIDE: &str = "--wall-inside";

/// A wall without a child yet. When it is dropped, everything inside ends.
pub struct Wall {
    child: Child,
    socket: UnixStream,
    listener: TcpListener,
}

impl Wall {
    /// Builds a wall. Call it before anything secret is loaded, on the thread that stays to the end.
    ///
    /// # Errors
    /// What is missing here, as a part of a sentence.
    pub fn raise(out_of_sight: &OutOfSight) -> Result<Self, String> {
        out_of_sight.check(&env::current_dir().map_err(no_directory)?, &env::temp_dir())?;
        let (socket, theirs) = UnixStream::pair().map_err(no_process)?;
        socket.set_read_timeout(Some(WALL_DEADLINE)).map_err(no_process)?;
        let mut command = Command::new("/proc/self/exe");
        command
            .arg0("authsome")
            .arg(INSIDE)
            .arg(theirs.as_raw_fd().to_string())
            .args(out_of_sight.to_arguments())
            .env_clear();
        let mask = SigSet::thread_get_mask().map_err(|error| no_process(error.into()))?;
        let setup = ChildSetup { signals: &[], limits: Vec::new(), mask, kept: Some(theirs.as_raw_fd()) };
        let child = spawn(&mut command, setup).map_err(no_process)?;
        drop(theirs);
        match expect_ready(&socket, pid_of(&child)) {
            Ok(listener) => Ok(Self { child, socket, listener }),
            Err(missing) => {
                lower(child, socket);
                Err(missing)
            }
        }
    }

    /// Takes the wall down again.
    pub fn lower(self) {
        lower(self.child, self.socket);
    }

    /// The listener inside, to be served from outside.
    pub(super) fn listener(&self) -> io::Result<TcpListener> {
        self.listener.try_clone()
    }

    /// The process that ends with the status of the child.
    pub(super) fn pid(&self) -> Pid {
        pid_of(&self.child)
    }

    /// Starts the child. Inside the answer: why it did not start.
    pub(super) fn start(
        &mut self,
        command: &[OsString],
        environment: &BTreeMap<OsString, OsString>,
    ) -> io::Result<io::Result<()>> {
        self.socket.write_all(&message::encode(command, environment)?)?;
        let mut errno = [0; 4];
        self.socket.read_exact(&mut errno)?;
        Ok(match i32::from_le_bytes(errno) {
            0 => Ok(()),
            errno => Err(io::Error::from_raw_os_error(errno)),
        })
    }

    /// Passes a signal on. All that came: the child is in another session, so none reached it from the kernel.
    pub(super) fn signal(&self, notice: Notice) {
        if notice.signal == Signal::SIGCHLD {
            return;
        }
        let _ = (&self.socket).write_all(&[message::signal(notice)]); // it may have ended just now
        if notice.signal == Signal::SIGTSTP {
            // Everything inside is stopped; so are we, for the shell to get its terminal back.
            let _ = kill(getpid(), Signal::SIGSTOP);
        }
    }
}

/// Process 1 inside ends when nobody is left at the other end.
fn lower(mut child: Child, socket: UnixStream) {
    drop(socket);
    let _ = child.wait();
}

/// Gives the new user namespace its users, and takes the listener.
fn expect_ready(mut socket: &UnixStream, child: Pid) -> Result<TcpListener, String> {
    loop {
        match receive(socket).map_err(no_process)? {
            Some((message::NAMESPACES, _)) => {
                map_users(child).map_err(|error| format!("its users cannot be mapped ({error})"))?;
                socket.write_all(&[message::MAPPED]).map_err(no_process)?;
            }
            Some((message::READY, Some(listener))) => return Ok(listener.into()),
            Some((message::MISSING, _)) => {
                let mut text = String::new();
                socket.take(SMALL_FILE_BYTES as u64).read_to_string(&mut text).map_err(no_process)?;
                return Err(text);
            }
            _ => return Err("the process that builds it ended".to_owned()),
        }
    }
}

/// Users inside are the users outside: all of them for root, otherwise this one alone (`user_namespaces(7)`).
fn map_users(child: Pid) -> io::Result<()> {
    let write = |name: &str, text: &str| fs::write(format!("/proc/{child}/{name}"), text);
    let all = |name: &str| {
        let ours = fs::read_to_string(format!("/proc/self/{name}"))?;
        write(name, &every_id(&ours))
    };
    let is_root = geteuid().is_root();
    if !(is_root && all("uid_map").is_ok()) {
        write("uid_map", &format!("{0} {0} 1", geteuid()))?;
    }
    if !(is_root && all("gid_map").is_ok()) {
        write("setgroups", "deny")?;
        write("gid_map", &format!("{0} {0} 1", getegid()))?;
    }
    Ok(())
}

/// The map of a namespace that gives the one below it the same numbers.
fn every_id(map: &str) -> String {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let (first, count) = (words.next()?, words.nth(1)?);
        Some(format!("{first} {first} {count}\n"))
    };
    map.lines().filter_map(line).collect()
}

#[allow(clippy::needless_pass_by_value)] // for `map_err`
fn no_process(error: io::Error) -> String {
    format!("a process for it does not start ({error})")
}

#[allow(clippy::needless_pass_by_value)]
fn no_directory(error: io::Error) -> String {
    format!("the working directory is not there ({error})")
}

/// Whether this is the second start of the program, for [`enter`].
pub fn is_inside(arguments: &[OsString]) -> bool {
    arguments.first().is_some_and(|first| first == OsStr::new(INSIDE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_user_of_a_namespace_is_the_same_below_it() {
        assert_eq!(every_id("         0          0 4294967295\n"), "0 0 4294967295\n");
        assert_eq!(every_id("0 100000 1000\n1000 5000 1\n"), "0 0 1000\n1000 1000 1\n");
    }
}
