//! The second start of the program: it builds the wall, and is process 1 behind it.

use std::ffi::OsString;
use std::io::{self, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, thread};

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::{set_dumpable, set_no_new_privs, set_pdeathsig};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, geteuid, setsid};

use self::mounts::Mounts;
use super::super::process::{SIGNALS, pid_of, start};
use super::message;
use super::sight::OutOfSight;
use crate::sys::{
    ChildSetup, fork, leave_session_keyring, limit_capabilities, limit_sockets, raise_loopback, receive,
    send_descriptor, take_descriptor,
};

mod aliases;
mod mounts;

/// What root keeps inside, of the capabilities over its own namespace (`capabilities(7)`): those over files and users
/// that package managers need. Not `CAP_SYS_ADMIN`, with which it could take covers away again, nor `CAP_SYS_PTRACE`.
const KEPT_CAPABILITIES: [u8; 11] = [
    0,  // CAP_CHOWN
    1,  // CAP_DAC_OVERRIDE
    3,  // CAP_FOWNER
    4,  // CAP_FSETID
    5,  // CAP_KILL
    6,  // CAP_SETGID
    7,  // CAP_SETUID
    8,  // CAP_SETPCAP
    10, // CAP_NET_BIND_SERVICE
    18, // CAP_SYS_CHROOT
    31, // CAP_SETFCAP
];

/// Every process inside but the first, to `kill(2)`.
const EVERYTHING: Pid = Pid::from_raw(-1);

/// The end of a process that could not build the wall. The parent has been told why.
const FAILED: u8 = 125;

/// What is missing, as a part of a sentence.
type Result<T> = std::result::Result<T, String>;

/// Builds a wall and stays in it until the child ends, whose status is the answer. `arguments`: those after the first.
pub fn enter(arguments: &[OsString]) -> ExitCode {
    let socket = arguments.first().and_then(|number| number.to_str()?.parse().ok());
    let Some(socket) = socket.and_then(|number| take_descriptor(number).ok()).map(UnixStream::from) else {
        return ExitCode::from(FAILED); // started by hand
    };
    let out_of_sight = OutOfSight::from_arguments(&arguments[1..]);
    match build(&socket, &out_of_sight) {
        Ok(status) => ExitCode::from(status),
        Err(missing) => {
            let _ = (&socket).write_all(&[&[message::MISSING], missing.as_bytes()].concat());
            ExitCode::from(FAILED)
        }
    }
}

/// Makes the namespaces, and process 1 in them.
fn build(socket: &UnixStream, out_of_sight: &OutOfSight) -> Result<u8> {
    let directory = env::current_dir().map_err(|error| format!("the working directory is not there ({error})"))?;
    // The terminal's keys reach this process as well. They are for the child, which gets them by way of the parent.
    let mask = SigSet::all().thread_swap_mask(SigmaskHow::SIG_BLOCK);
    let mask = mask.map_err(|error| format!("signals cannot be blocked ({error})"))?;
    set_no_new_privs().map_err(|error| format!("no_new_privs cannot be set ({error})"))?;
    let mounts = Mounts::find(out_of_sight)?;
    unshare(CloneFlags::CLONE_NEWUSER).map_err(|error| refused("user", error))?;
    tell(socket, message::NAMESPACES)?;
    if !matches!(receive(socket), Ok(Some((message::MAPPED, _)))) {
        return Err("its users could not be mapped".to_owned());
    }
    let others = [
        ("mount", CloneFlags::CLONE_NEWNS),
        ("network", CloneFlags::CLONE_NEWNET),
        ("IPC", CloneFlags::CLONE_NEWIPC),
        ("PID", CloneFlags::CLONE_NEWPID),
    ];
    for (name, flag) in others {
        unshare(flag).map_err(|error| refused(name, error))?;
    }
    let listener = listen().map_err(|error| format!("its loopback does not come up ({error})"))?;
    mounts.cover()?;
    match fork().map_err(|error| format!("a process for it does not start ({error})"))? {
        Some(first) => {
            drop(listener);
            Ok(status_of(first))
        }
        None => be_first(socket, listener.into(), &mounts, &directory, mask),
    }
}

/// Who it is that does not give namespaces of a kind: in words, for the numbers do not say it.
fn refused(kind: &str, error: Errno) -> String {
    let reason = match error {
        Errno::EPERM | Errno::EACCES => "this system or the container forbids them",
        Errno::ENOSPC => "the limit /proc/sys/user/max_*_namespaces is reached",
        Errno::EINVAL | Errno::ENOSYS => "this kernel has none",
        other => other.desc(),
    };
    format!("{kind} namespaces are not to be had: {reason}")
}

fn listen() -> io::Result<TcpListener> {
    raise_loopback()?;
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
}

fn tell(mut socket: &UnixStream, byte: u8) -> Result<()> {
    socket.write_all(&[byte]).map_err(|error| format!("the parent is gone ({error})"))
}

/// The rest is done by process 1: only it can mount the `/proc` of its namespace.
fn be_first(
    mut socket: &UnixStream,
    listener: OwnedFd,
    mounts: &Mounts,
    directory: &PathBuf,
    mask: SigSet,
) -> Result<u8> {
    // Without the process that waits for this one nobody would see the status.
    set_pdeathsig(Signal::SIGKILL).map_err(|error| format!("its end cannot be tied to ours ({error})"))?;
    // No way to the terminal's input queue (TIOCSTI), nor to the process group of the shell.
    setsid().map_err(|error| format!("a new session is not to be had ({error})"))?;
    mounts::private_proc()?;
    mounts::private_terminals()?;
    if geteuid().is_root() {
        mounts::keep_root_off_the_machine()?;
    }
    // By its name: what stood there before the covers would still be open.
    env::set_current_dir(directory).map_err(|_| "the working directory is in a place that it hides".to_owned())?;
    // Keys pass on to children, whatever namespace those are in.
    leave_session_keyring().map_err(|error| format!("a keyring of its own is not to be had ({error})"))?;
    limit_capabilities(&KEPT_CAPABILITIES).map_err(|error| format!("capabilities cannot be dropped ({error})"))?;
    limit_sockets().map_err(|error| format!("kinds of sockets cannot be refused ({error})"))?;
    set_dumpable(false).map_err(|error| format!("process 1 cannot be closed to others ({error})"))?;
    send_descriptor(socket, message::READY, &listener).map_err(|error| format!("the parent is gone ({error})"))?;
    drop(listener);
    let Ok((command, environment)) = message::decode(&mut socket) else {
        return Ok(FAILED); // the parent has changed its mind
    };
    mounts.runtime_dir(&environment);
    let setup = ChildSetup { signals: &SIGNALS, limits: Vec::new(), mask, kept: None };
    let started = start(&command, &environment, setup, true);
    drop(environment); // it holds the key to the proxy
    let errno = started.as_ref().map_or_else(|error| error.raw_os_error().unwrap_or(Errno::EINVAL as i32), |_| 0);
    let told = socket.write_all(&errno.to_le_bytes());
    match started {
        Ok(child) if told.is_ok() => supervise(pid_of(&child), socket),
        _ => Ok(FAILED),
    }
}

/// Delivers signals and reaps until `child` ends. Everything else inside ends with this process.
fn supervise(child: Pid, socket: &UnixStream) -> Result<u8> {
    let signals = socket.try_clone().map_err(|error| error.to_string())?;
    let deliver = move || {
        // At the end: the parent was killed, and its proxy with it. The child is told, as it would be without a wall.
        let bytes = BufReader::new(signals).bytes().map_while(io::Result::ok);
        bytes.for_each(|byte| deliver(child, byte));
        let _ = kill(child, Signal::SIGTERM);
        let _ = kill(EVERYTHING, Signal::SIGCONT); // it may have been stopped
    };
    thread::Builder::new().spawn(deliver).map_err(|error| error.to_string())?;
    loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, status)) if pid == child => {
                return Ok(u8::try_from(status & 0xff).unwrap_or(u8::MAX));
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => {
                return Ok(u8::try_from(128 + signal as i32).unwrap_or(u8::MAX));
            }
            Ok(_) | Err(Errno::EINTR) => {} // an orphan, reaped
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// Sends the child one signal. What comes from a key is for its whole group, as a terminal has it; to stop and to go
/// on is for everything inside, and not to be caught: nothing inside may read the terminal while the shell does.
fn deliver(child: Pid, byte: u8) {
    let group = Pid::from_raw(-child.as_raw());
    let Some(notice) = message::notice(byte) else { return };
    let _ = match notice.signal {
        Signal::SIGTSTP => kill(EVERYTHING, Signal::SIGSTOP),
        Signal::SIGCONT => kill(EVERYTHING, Signal::SIGCONT),
        signal if notice.is_from_kernel => kill(group, signal),
        signal => kill(child, signal),
    };
}

/// Waits for process 1, which has the child's status.
fn status_of(first: Pid) -> u8 {
    loop {
        match waitpid(first, None) {
            Ok(WaitStatus::Exited(_, status)) => return u8::try_from(status & 0xff).unwrap_or(u8::MAX),
            Ok(WaitStatus::Signaled(_, signal, _)) => return u8::try_from(128 + signal as i32).unwrap_or(u8::MAX),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return FAILED,
        }
    }
}
