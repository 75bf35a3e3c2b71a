//! Other ways to the same files: a file system may be mounted in several places, whole or in part.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// A line of `/proc/self/mountinfo` (`proc_pid_mountinfo(5)`).
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    /// Number of the file system.
    device: Vec<u8>,
    /// What of it is mounted.
    root: PathBuf,
    /// Where.
    point: PathBuf,
}

/// Where else `paths`, or parts of them, can be seen.
///
/// # Errors
/// There is no table of mounts.
pub(super) fn aliases(paths: &[PathBuf]) -> io::Result<Vec<PathBuf>> {
    let table = fs::read("/proc/self/mountinfo")?;
    let mounts: Vec<Mount> = table.split(|byte| *byte == b'\n').filter_map(Mount::parse).collect();
    let found = paths.iter().flat_map(|path| pairs(&mounts, path));
    // What somebody may not look at is not there for the child either; and another mount may cover one of the two.
    Ok(found.filter(|(path, other)| path != other && is_same(path, other)).map(|(_, other)| other).collect())
}

/// What is at or below `path`, and the name that it would have in some mount.
fn pairs(mounts: &[Mount], path: &Path) -> Vec<(PathBuf, PathBuf)> {
    // `max_by_key` takes the last of equals: the one on top.
    let around = mounts.iter().filter(|mount| path.starts_with(&mount.point));
    let around = around.max_by_key(|mount| mount.point.components().count());
    let whole = around.map(|mount| (mount, moved(path, &mount.point, &mount.root), path.to_owned()));
    let below = mounts.iter().filter(|mount| mount.point != path && mount.point.starts_with(path));
    let below = below.map(|mount| (mount, Some(mount.root.clone()), mount.point.clone()));
    let mut found = Vec::new();
    for (source, inner, path) in whole.into_iter().chain(below) {
        let Some(inner) = inner else { continue };
        for mount in mounts.iter().filter(|mount| mount.device == source.device) {
            if let Some(other) = moved(&inner, &mount.root, &mount.point) {
                found.push((path.clone(), other));
            } else if let Some(part) = moved(&mount.root, &inner, &path) {
                found.push((part, mount.point.clone()));
            }
        }
    }
    found
}

/// `path` with `to` in place of `from` at its beginning.
fn moved(path: &Path, from: &Path, to: &Path) -> Option<PathBuf> {
    let rest = path.strip_prefix(from).ok()?;
    Some(if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) })
}

fn is_same(one: &Path, other: &Path) -> bool {
    let identity = |path| fs::metadata(path).map(|found| (found.dev(), found.ino())).ok();
    identity(one).is_some_and(|one| identity(other) == Some(one))
}

impl Mount {
    fn parse(line: &[u8]) -> Option<Self> {
        let mut words = line.split(|byte| *byte == b' ').skip(2);
        let device = words.next()?.to_vec();
        Some(Self { device, root: unescaped(words.next()?), point: unescaped(words.next()?) })
    }
}

/// White space and backslashes stand there as a backslash and three octal digits.
fn unescaped(mut word: &[u8]) -> PathBuf {
    let mut out = Vec::with_capacity(word.len());
    while let Some((first, rest)) = word.split_first() {
        let digits = rest.first_chunk::<3>().filter(|_| *first == b'\\');
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            out.push(byte);
            word = &rest[3..];
        } else {
            out.push(*first);
            word = rest;
        }
    }
    OsString::from_vec(out).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(table: &str, path: &str) -> Vec<String> {
        let mounts: Vec<Mount> = table.lines().filter_map(|line| Mount::parse(line.as_bytes())).collect();
        let pairs = pairs(&mounts, Path::new(path));
        pairs.iter().map(|(path, other)| format!("{} {}", path.display(), other.display())).collect()
    }

    #[test]
    fn the_same_files_are_found_in_every_mount_that_shows_them() {
        let table = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n\
                     2 1 8:2 / /persist rw - ext4 /dev/sda2 rw\n\
                     3 1 8:2 /home /home rw - ext4 /dev/sda2 rw\n\
                     4 1 8:2 /home/u/.authsome/server /srv/a\\040b rw - ext4 /dev/sda2 rw\n\
                     5 1 8:2 /log /var/log rw - ext4 /dev/sda2 rw\n";
        let home = "/home/u/.authsome";
        assert_eq!(
            names(table, home),
            [format!("{home} /persist{home}"), format!("{home} {home}"), format!("{home}/server /srv/a b"),]
        );
        assert_eq!(names(table, "/etc/key"), ["/etc/key /etc/key"]);
    }

    #[test]
    fn what_is_mounted_below_is_followed_too() {
        let table = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n\
                     2 1 8:2 /vault /h/server rw - ext4 /dev/sda2 rw\n\
                     3 1 8:2 / /media/disk rw - ext4 /dev/sda2 rw\n";
        assert_eq!(names(table, "/h"), ["/h /h", "/h/server /h/server", "/h/server /media/disk/vault"]);
    }

    #[test]
    fn names_are_unescaped() {
        for (word, path) in [("/a\\040b\\134", "/a b\\"), ("/a\\", "/a\\"), ("/\\12", "/\\12"), ("/ü", "/ü")] {
            assert_eq!(unescaped(word.as_bytes()), Path::new(path), "{word}");
        }
    }
}
