//! The only unsafe code: wrappers around system calls that `nix` lacks. Each block carries its SAFETY note.
#![allow(unsafe_code)]

mod filter;
mod wall;

use std::io;
use std::os::fd::{IntoRawFd as _, OwnedFd, RawFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, PoisonError};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::resource::{Resource, rlim_t, setrlimit};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction};
use nix::unistd::{Pid, getpid, getppid, pipe2};

pub(crate) use filter::limit_sockets;
pub(crate) use wall::{
    fork, leave_session_keyring, limit_capabilities, make_read_only, raise_loopback, receive, send_descriptor,
    take_descriptor,
};

/// A signal that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    /// Which.
    pub(crate) signal: Signal,
    /// The kernel sent it (a key on the terminal, a child's end), not a process.
    pub(crate) is_from_kernel: bool,
}

/// Where the handler writes notices; -1: nowhere.
static NOTICES: AtomicI32 = AtomicI32::new(-1);

/// Reports `signals`, from now on and whichever thread gets them, as [`Notice`]s to be read from the answer. Those
/// that are ignored stay ignored (`nohup`), but for `SIGCHLD`, which would not come at all.
///
/// # Errors
/// No descriptors left.
pub(crate) fn report_signals(signals: &[Signal]) -> io::Result<&'static OwnedFd> {
    static READ_END: Mutex<Option<&'static OwnedFd>> = Mutex::new(None);
    let mut read_end = READ_END.lock().unwrap_or_else(PoisonError::into_inner);
    let notices: &'static OwnedFd = if let Some(notices) = *read_end {
        notices
    } else {
        let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
        fcntl(&write, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        NOTICES.store(write.into_raw_fd(), Ordering::SeqCst); // the handler's, as long as the process lives
        read_end.insert(Box::leak(Box::new(read)))
    };
    let action = SigAction::new(SigHandler::SigAction(notify), SaFlags::SA_RESTART, SigSet::empty());
    for signal in signals {
        // SAFETY: `notify` does nothing but an atomic load and a `write(2)`, both async-signal-safe, and keeps errno.
        let old = unsafe { sigaction(*signal, &action) }?;
        if matches!(old.handler(), SigHandler::SigIgn) && *signal != Signal::SIGCHLD {
            // SAFETY: restores what was in force before.
            unsafe { sigaction(*signal, &old) }?;
        }
    }
    Ok(notices)
}

extern "C" fn notify(signal: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    let errno = Errno::last_raw();
    // SAFETY: with SA_SIGINFO the kernel passes a valid siginfo, which outlives the handler.
    let code = unsafe { (*info).si_code };
    // Kernel codes are positive (`SI_KERNEL`, `CLD_EXITED`); those of `kill(2)` and its kin are zero or negative.
    let notice = [u8::try_from(signal).unwrap_or(0), u8::from(code > 0)];
    let descriptor = NOTICES.load(Ordering::SeqCst);
    // SAFETY: the buffer is valid for its length; the descriptor is the pipe that `report_signals` gave to us for
    // good. A full pipe (thousands of notices unread) loses this one, as signals themselves coalesce.
    unsafe { libc::write(descriptor, notice.as_ptr().cast(), notice.len()) };
    Errno::set_raw(errno);
}

/// Reads the next notice.
///
/// # Errors
/// What `read(2)` says, interruptions apart.
pub(crate) fn next_notice(notices: &OwnedFd) -> io::Result<Notice> {
    let mut bytes = [0; 2]; // written in one piece, so read in one piece (below PIPE_BUF)
    loop {
        match nix::unistd::read(notices, &mut bytes) {
            Ok(2) => {
                let Ok(signal) = Signal::try_from(i32::from(bytes[0])) else { continue };
                return Ok(Notice { signal, is_from_kernel: bytes[1] == 1 });
            }
            Ok(_) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// What a child gets besides its command.
#[derive(Clone)]
pub(crate) struct ChildSetup {
    /// Signals whose handlers are ours, to be set back to their defaults.
    pub(crate) signals: &'static [Signal],
    /// Resource limits to set: soft, hard.
    pub(crate) limits: Vec<(Resource, rlim_t, rlim_t)>,
    /// Blocked signals.
    pub(crate) mask: SigSet,
    /// A descriptor that it inherits under the same number.
    pub(crate) kept: Option<RawFd>,
}

/// Starts `command` so that it ends with this thread (SIGTERM), inherits no descriptor beyond 2 (but one that the
/// setup names), and has none of our signal handlers.
///
/// # Errors
/// As [`Command::spawn`].
pub(crate) fn spawn(command: &mut Command, setup: ChildSetup) -> io::Result<Child> {
    let parent = getpid();
    let handled: SigSet = setup.signals.iter().copied().collect();
    // A signal between fork and exec would run our handler in the child and be lost there: it waits until the child
    // has its defaults back.
    let ours = handled.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    // SAFETY: between fork and exec `prepare_child` makes system calls only: no allocation, no lock, no panic.
    unsafe { command.pre_exec(move || prepare_child(parent, &setup)) };
    let child = command.spawn();
    ours.thread_set_mask()?;
    child
}

/// What cannot be done here (a sandbox forbids it) is not worth the whole run, the signals apart.
fn prepare_child(parent: Pid, setup: &ChildSetup) -> io::Result<()> {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    for signal in setup.signals {
        // SAFETY: sets the default action, for which any state is fine.
        let old = unsafe { sigaction(*signal, &default) }?;
        if matches!(old.handler(), SigHandler::SigIgn) {
            // SAFETY: restores what was in force before.
            unsafe { sigaction(*signal, &old) }?;
        }
    }
    let _ = set_pdeathsig(Signal::SIGTERM);
    if getppid() != parent {
        return Err(io::ErrorKind::BrokenPipe.into()); // it died before it could be watched
    }
    for (resource, soft, hard) in &setup.limits {
        let _ = setrlimit(*resource, *soft, *hard);
    }
    close_on_exec_from(3);
    if let Some(kept) = setup.kept {
        // SAFETY: a flag of a descriptor.
        Errno::result(unsafe { libc::fcntl(kept, libc::F_SETFD, 0) })?;
    }
    setup.mask.thread_set_mask()?;
    Ok(())
}

/// Marks every descriptor from `first` on: what our own parent left open is not for a child either.
pub(crate) fn close_on_exec_from(first: libc::c_int) {
    const CLOSE_RANGE_CLOEXEC: libc::c_uint = 1 << 2;
    // SAFETY: three integers; the call changes flags of descriptors and nothing else.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, CLOSE_RANGE_CLOEXEC) };
    if done == 0 {
        return;
    }
    // Linux before 5.11. Higher numbers than these are not met in practice.
    for descriptor in first..1024 {
        // SAFETY: a flag of a descriptor; EBADF for those that are not open.
        unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}
