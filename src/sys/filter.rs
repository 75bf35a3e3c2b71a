//! A filter of system calls (`seccomp(2)`) for what namespaces leave open: kinds of sockets that belong to no network
//! namespace, as `AF_VSOCK` does, by which a virtual machine talks to its host.

use std::io;

use nix::errno::Errno;
use nix::libc::{self, sock_filter, sock_fprog};

/// The kinds of sockets that a network namespace or the wall's covers confine.
const FAMILIES: [libc::c_int; 4] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// `AUDIT_ARCH_*` of this processor, and `socket(2)` of the 32-bit programs that it may run as well.
#[cfg(target_arch = "x86_64")]
const PROCESSOR: Option<(u32, u32)> = Some((0xc000_003e, 359));
#[cfg(target_arch = "aarch64")]
const PROCESSOR: Option<(u32, u32)> = Some((0xc000_00b7, 281));
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const PROCESSOR: Option<(u32, u32)> = None;

/// x86-64 knows most calls a second time, from this number on (x32).
const SECOND_NUMBERS: u32 = 0x4000_0000;
/// `socketcall(2)` of 32-bit programs: its arguments are in memory, where a filter cannot look.
const SOCKETCALL: u32 = 102;
/// `io_uring_setup(2)` everywhere: a ring opens sockets without the call. Container engines refuse it as well.
const IO_URING_SETUP: u32 = 425;

/// Places in `struct seccomp_data`, of little-endian processors.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const FIRST_ARGUMENT: u32 = 16;

/// Where the parts of [`program`] begin.
const FOREIGN: u8 = 7;
const FAMILY: u8 = 12;
const ALLOWED: u8 = 17;
const NO_FAMILY: u8 = 18;
const NO_CALL: u8 = 19;

/// Refuses other kinds of sockets to this thread, and to every thread and program that it starts. For good. It needs
/// `no_new_privs`.
///
/// # Errors
/// The kernel has no filters, or this processor's calls are not known here.
pub(crate) fn limit_sockets() -> io::Result<()> {
    let (architecture, foreign_socket) = PROCESSOR.ok_or(io::ErrorKind::Unsupported)?;
    let mut program = program(architecture, foreign_socket);
    let length = u16::try_from(program.len()).map_err(io::Error::other)?;
    let program = sock_fprog { len: length, filter: program.as_mut_ptr() };
    // SAFETY: the program outlives the call, which copies it, and has the length that is said; the kernel checks it.
    let done = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    Errno::result(done)?;
    Ok(())
}

fn program(architecture: u32, foreign_socket: u32) -> [sock_filter; 20] {
    let [unix, inet, inet6, netlink] = FAMILIES.map(libc::c_int::cast_unsigned);
    let socket = u32::try_from(libc::SYS_socket).unwrap_or(u32::MAX);
    [
        load(ARCHITECTURE),
        unless(1, libc::BPF_JEQ, architecture, FOREIGN),
        load(NUMBER),
        when(3, libc::BPF_JGE, SECOND_NUMBERS, NO_CALL),
        when(4, libc::BPF_JEQ, socket, FAMILY),
        when(5, libc::BPF_JEQ, IO_URING_SETUP, NO_CALL),
        answer(libc::SECCOMP_RET_ALLOW),
        load(NUMBER), // FOREIGN
        when(8, libc::BPF_JEQ, SOCKETCALL, NO_CALL),
        when(9, libc::BPF_JEQ, foreign_socket, FAMILY),
        when(10, libc::BPF_JEQ, IO_URING_SETUP, NO_CALL),
        answer(libc::SECCOMP_RET_ALLOW),
        load(FIRST_ARGUMENT), // FAMILY
        when(13, libc::BPF_JEQ, unix, ALLOWED),
        when(14, libc::BPF_JEQ, inet, ALLOWED),
        when(15, libc::BPF_JEQ, inet6, ALLOWED),
        unless(16, libc::BPF_JEQ, netlink, NO_FAMILY),
        answer(libc::SECCOMP_RET_ALLOW),
        answer(refusal(Errno::EAFNOSUPPORT)),
        answer(refusal(Errno::ENOSYS)),
    ]
}

fn refusal(errno: Errno) -> u32 {
    libc::SECCOMP_RET_ERRNO | (errno as i32).cast_unsigned()
}

fn load(offset: u32) -> sock_filter {
    statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset)
}

/// At `place`: goes to `to` when what was loaded compares with `value`, else on.
fn when(place: u8, comparison: u32, value: u32, to: u8) -> sock_filter {
    statement(libc::BPF_JMP | comparison | libc::BPF_K, to - place - 1, 0, value)
}

/// At `place`: goes to `to` when it does not, else on.
fn unless(place: u8, comparison: u32, value: u32, to: u8) -> sock_filter {
    statement(libc::BPF_JMP | comparison | libc::BPF_K, 0, to - place - 1, value)
}

fn answer(what: u32) -> sock_filter {
    statement(libc::BPF_RET | libc::BPF_K, 0, 0, what)
}

fn statement(code: u32, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code: u16::try_from(code).unwrap_or(0), jt, jf, k }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the filter says to a call: the program, run as `seccomp(2)` describes its machine.
    fn verdict(architecture: u32, number: u32, argument: u32) -> u32 {
        let program = program(0xc000_003e, 359);
        let (mut at, mut loaded) = (0, 0);
        loop {
            let step = program[at];
            at += 1;
            let code = u32::from(step.code);
            let is_true = if code & 0xf0 == libc::BPF_JGE { loaded >= step.k } else { loaded == step.k };
            match code & 7 {
                libc::BPF_LD => {
                    loaded = match step.k {
                        NUMBER => number,
                        ARCHITECTURE => architecture,
                        _ => argument,
                    };
                }
                libc::BPF_JMP => at += usize::from(if is_true { step.jt } else { step.jf }),
                _ => return step.k,
            }
        }
    }

    #[test]
    fn only_confined_kinds_of_sockets_are_to_be_had() {
        let (native, foreign) = (0xc000_003e, 0x4000_0003);
        let socket = u32::try_from(libc::SYS_socket).expect("small");
        let (allow, no_family, no_call) =
            (libc::SECCOMP_RET_ALLOW, refusal(Errno::EAFNOSUPPORT), refusal(Errno::ENOSYS));
        for (architecture, number) in [(native, socket), (foreign, 359)] {
            for family in FAMILIES {
                assert_eq!(verdict(architecture, number, family.cast_unsigned()), allow);
            }
            for family in [libc::AF_VSOCK, libc::AF_PACKET, libc::AF_ALG, libc::AF_BLUETOOTH, 0, -1] {
                assert_eq!(verdict(architecture, number, family.cast_unsigned()), no_family, "{family}");
            }
            assert_eq!(verdict(architecture, IO_URING_SETUP, 0), no_call);
        }
        assert_eq!(verdict(native, SECOND_NUMBERS + socket, 40), no_call);
        assert_eq!(verdict(foreign, SOCKETCALL, 1), no_call);
        for number in [0, 1, 56, 231] {
            assert_eq!(verdict(native, number, 40), allow, "any other call");
            assert_eq!(verdict(foreign, number, 40), allow, "any other call");
        }
    }
}
