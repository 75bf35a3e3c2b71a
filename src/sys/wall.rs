//! System calls of the wall around a child (`contract/proxy.md` section 7).

use std::ffi::CString;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, sendmsg, socket,
};
use nix::unistd::{ForkResult, Pid};

/// Takes the descriptor that our parent left open for us under `number`.
///
/// # Errors
/// It is not open.
pub(crate) fn take_descriptor(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: asks for flags of a descriptor, and changes nothing.
    Errno::result(unsafe { libc::fcntl(number, libc::F_GETFD) })?;
    // SAFETY: it is open, and nothing in a process that has just begun owns a descriptor beyond the standard streams.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Splits this process, which must have one thread only. The child's number; `None` in the child.
///
/// # Errors
/// No processes left.
pub(crate) fn fork() -> io::Result<Option<Pid>> {
    // SAFETY: with one thread there is no lock that another one could hold.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(Some(child)),
        ForkResult::Child => Ok(None),
    }
}

/// Sends one byte, and a descriptor with it.
pub(crate) fn send_descriptor(stream: &UnixStream, byte: u8, descriptor: &OwnedFd) -> io::Result<()> {
    let descriptors = [descriptor.as_raw_fd()];
    let control = [ControlMessage::ScmRights(&descriptors)];
    sendmsg::<()>(stream.as_raw_fd(), &[IoSlice::new(&[byte])], &control, MsgFlags::MSG_NOSIGNAL, None)?;
    Ok(())
}

/// Receives one byte, and the descriptor that came with it; `None` at the end.
pub(crate) fn receive(stream: &UnixStream) -> io::Result<Option<(u8, Option<OwnedFd>)>> {
    let mut byte = [0];
    let mut parts = [IoSliceMut::new(&mut byte)];
    let mut space = nix::cmsg_space!(RawFd);
    let message = recvmsg::<()>(stream.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let is_end = message.bytes == 0;
    let mut came = None;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(descriptors) = control {
            // SAFETY: the kernel has just made these for us, so nothing else owns them.
            came = descriptors.into_iter().map(|number| unsafe { OwnedFd::from_raw_fd(number) }).next_back();
        }
    }
    Ok((!is_end).then_some((byte[0], came)))
}

// The type of its number differs between C libraries, which the macro knows.
nix::ioctl_write_ptr_bad!(set_interface_flags, libc::SIOCSIFFLAGS, libc::ifreq);

/// Brings up `lo` of this network namespace.
pub(crate) fn raise_loopback() -> io::Result<()> {
    let any = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    // SAFETY: integers, addresses and pointers, for which zero is a value.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(*b"lo") {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(libc::IFF_UP).map_err(io::Error::other)?;
    // SAFETY: the request outlives the call, which reads its name and its flags.
    unsafe { set_interface_flags(any.as_raw_fd(), &raw const request) }?;
    Ok(())
}

/// Makes the mount at `path`, and those below it, read-only. Linux 5.12.
pub(crate) fn make_read_only(path: &Path) -> io::Result<()> {
    const MOUNT_ATTR_RDONLY: u64 = 1;
    let path = CString::new(path.as_os_str().as_bytes())?;
    let attributes: [u64; 4] = [MOUNT_ATTR_RDONLY, 0, 0, 0]; // `struct mount_attr`: set, clear, propagation, user ns
    // SAFETY: the path ends with NUL, and the attributes are as long as is said.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::AT_RECURSIVE,
            attributes.as_ptr(),
            size_of_val(&attributes),
        )
    };
    Errno::result(done)?;
    Ok(())
}

/// Leaves the session keyring that was inherited, with all that can be found through it, for an empty one.
///
/// # Errors
/// No room for another. A kernel or a sandbox without keyrings has none for the child either, which is no error.
pub(crate) fn leave_session_keyring() -> io::Result<()> {
    const JOIN_SESSION_KEYRING: libc::c_int = 1; // KEYCTL_JOIN_SESSION_KEYRING; no name: a fresh one
    let name = std::ptr::null::<libc::c_char>();
    // SAFETY: an integer and a null pointer, which the call takes for no name.
    match Errno::result(unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, name) }) {
        Ok(_) | Err(Errno::ENOSYS | Errno::EPERM) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Takes all capabilities but `kept` from the programs that this process will execute, for good.
pub(crate) fn limit_capabilities(kept: &[u8]) -> io::Result<()> {
    for capability in (0..64).filter(|number| !kept.contains(number)) {
        // SAFETY: integers only.
        let done = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(capability), 0, 0, 0) };
        match Errno::result(done) {
            Ok(_) => {}
            Err(Errno::EINVAL) => break, // beyond the last one that this kernel knows
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
