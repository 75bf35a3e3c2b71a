//! What parent and process 1 say to each other. In order: [`NAMESPACES`], [`MAPPED`], [`READY`] with the listener; then
//! the command, and whether it started as an `errno`; then signals. Or, in place of any of the first: [`MISSING`] and a
//! text.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use nix::sys::signal::Signal;

use crate::limits::COMMAND_BYTES;
use crate::sys::Notice;

/// From inside: the user namespace is there and has no users yet.
pub(super) const NAMESPACES: u8 = b'n';
/// To inside: it has.
pub(super) const MAPPED: u8 = b'm';
/// From inside: the wall is up; the listener comes with it.
pub(super) const READY: u8 = b'r';
/// From inside: it is not, for want of what follows.
pub(super) const MISSING: u8 = b'x';
/// A key on the terminal, or a change of it: for the whole process group of the child.
const FROM_KERNEL: u8 = 0x80;

/// A command with its environment: the length of all, the count of words, and each word and variable with a NUL
/// behind it, as neither can hold one.
pub(super) fn encode(command: &[OsString], environment: &BTreeMap<OsString, OsString>) -> io::Result<Vec<u8>> {
    let number = |count: usize| u32::try_from(count).map(u32::to_le_bytes).map_err(io::Error::other);
    let mut body = number(command.len())?.to_vec();
    for word in command {
        body.extend_from_slice(word.as_bytes());
        body.push(0);
    }
    for (name, value) in environment {
        for part in [name.as_bytes(), b"=", value.as_bytes(), b"\0"] {
            body.extend_from_slice(part);
        }
    }
    Ok([&number(body.len())?[..], &body].concat())
}

/// The command that [`encode`] wrote.
pub(super) fn decode(reader: &mut impl Read) -> io::Result<(Vec<OsString>, BTreeMap<OsString, OsString>)> {
    let mut next_number = |limit: usize| {
        let mut bytes = [0; 4];
        reader.read_exact(&mut bytes)?;
        let number = usize::try_from(u32::from_le_bytes(bytes)).map_err(io::Error::other)?;
        if number <= limit { Ok(number) } else { Err(io::Error::from(io::ErrorKind::ArgumentListTooLong)) }
    };
    let length = next_number(COMMAND_BYTES)?;
    let words = next_number(length)?;
    let mut body = vec![0; length.saturating_sub(4)];
    reader.read_exact(&mut body)?;
    let mut parts = body.split(|byte| *byte == 0);
    let command = parts.by_ref().take(words).map(|word| OsString::from_vec(word.to_vec())).collect();
    let variable = |part: &[u8]| {
        // A name may begin with the sign (`execve` takes anything), so the first byte does not separate.
        let at = part.iter().skip(1).position(|byte| *byte == b'=')? + 1;
        Some((OsString::from_vec(part[..at].to_vec()), OsString::from_vec(part[at + 1..].to_vec())))
    };
    Ok((command, parts.filter_map(variable).collect()))
}

/// A signal on its way in.
pub(super) fn signal(notice: Notice) -> u8 {
    let number = u8::try_from(notice.signal as i32).unwrap_or(0);
    if notice.is_from_kernel { number | FROM_KERNEL } else { number }
}

/// The signal that [`signal`] wrote.
pub(super) fn notice(byte: u8) -> Option<Notice> {
    let signal = Signal::try_from(i32::from(byte & !FROM_KERNEL)).ok()?;
    Some(Notice { signal, is_from_kernel: byte & FROM_KERNEL != 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_arrives_byte_for_byte() {
        let odd = OsString::from_vec(b"\xff \xfe'=\"$x\n".to_vec());
        for command in [vec!["true".into()], vec!["a".into(), OsString::new(), odd.clone()]] {
            let environment =
                BTreeMap::from([("A".into(), odd.clone()), ("B".into(), OsString::new()), ("=C".into(), "d=e".into())]);
            let bytes = encode(&command, &environment).expect("short");
            assert_eq!(decode(&mut bytes.as_slice()).expect("whole"), (command, environment));
        }
        assert!(decode(&mut [0xff; 12].as_slice()).is_err(), "longer than any command");
        assert!(decode(&mut [9, 0, 0, 0, 1, 0, 0, 0, b'a'].as_slice()).is_err(), "cut off");
    }

    #[test]
    fn a_signal_arrives_with_its_origin() {
        for is_from_kernel in [true, false] {
            let sent = Notice { signal: Signal::SIGINT, is_from_kernel };
            assert_eq!(notice(signal(sent)), Some(sent));
        }
        assert_eq!(notice(0), None);
    }
}
