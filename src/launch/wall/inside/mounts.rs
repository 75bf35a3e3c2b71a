//! The mounts behind a wall.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::mount::{MsFlags, mount};

use super::super::sight::OutOfSight;
use super::Result;
use super::aliases::aliases;
use crate::sys::make_read_only;

/// With these root could rule the machine without a capability, by the mode of a file that belongs to it.
const KERNEL_SETTINGS: [&str; 6] = ["/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs", "/sys"];
/// Devices that programs need. Disks are not among them: the vault could be read from one.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// Directories of `/dev` that programs need.
const DEVICE_DIRS: [&str; 2] = ["pts", "shm"];

/// What is to be covered, found while it could be seen.
pub(super) struct Mounts<'a> {
    out_of_sight: &'a OutOfSight,
    /// Where else what is hidden can be seen.
    aliases: Vec<PathBuf>,
    /// Sockets in the file system on which somebody listens: file permissions guard them, not network namespaces.
    sockets: Vec<PathBuf>,
}

impl<'a> Mounts<'a> {
    /// Call it in the namespaces that are left behind.
    pub(super) fn find(out_of_sight: &'a OutOfSight) -> Result<Self> {
        let aliases = aliases(&out_of_sight.hidden).map_err(failed("read", Path::new("/proc/self/mountinfo")))?;
        let table = fs::read("/proc/self/net/unix").map_err(failed("read", Path::new("/proc/self/net/unix")))?;
        let sockets = table.split(|byte| *byte == b'\n').filter_map(bound_path).collect();
        Ok(Self { out_of_sight, aliases, sockets })
    }

    /// Covers what is out of sight. No mount made here is seen outside.
    pub(super) fn cover(&self) -> Result<()> {
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>)
            .map_err(|error| format!("mounts cannot be made private ({error})"))?;
        for path in self.out_of_sight.hidden.iter().chain(&self.aliases) {
            hide(path)?;
        }
        for path in &self.out_of_sight.emptied {
            empty(path).map_err(failed("covered", path))?;
        }
        // Those under the covers are gone already.
        for path in self.sockets.iter().filter(|path| is_socket(path)) {
            hide(path)?;
        }
        Ok(())
    }

    /// Makes the user's runtime directory again, if it was covered: programs expect theirs to be there.
    pub(super) fn runtime_dir(&self, environment: &BTreeMap<OsString, OsString>) {
        let Some(dir) = environment.get(OsStr::new("XDG_RUNTIME_DIR")).map(Path::new) else { return };
        if self.out_of_sight.emptied.iter().any(|cover| dir.starts_with(cover)) {
            let _ = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        }
    }
}

/// Mounts the `/proc` of this PID namespace over the other one.
pub(super) fn private_proc() -> Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), flags, None::<&str>)
        .map_err(|error| format!("a /proc of its own cannot be mounted ({error})"))
}

/// Pseudo terminals of its own. Those outside belong to the same user, who may be typing a password into one.
pub(super) fn private_terminals() -> Result<()> {
    let dir = Path::new("/dev/pts");
    if !dir.is_dir() {
        return Ok(()); // a system without
    }
    let options = Some("newinstance,ptmxmode=0666,mode=0620");
    mount(Some("devpts"), dir, Some("devpts"), MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC, options)
        .map_err(|error| format!("a {} of its own cannot be mounted ({error})", dir.display()))
}

/// Root inside is root outside to every file that belongs to root: kernel settings become read-only, and devices
/// are the ordinary ones.
pub(super) fn keep_root_off_the_machine() -> Result<()> {
    for path in KERNEL_SETTINGS.map(Path::new).into_iter().filter(|path| path.exists()) {
        bind(path, path).and_then(|()| make_read_only(path)).map_err(failed("protected", path))?;
    }
    private_dev().map_err(failed("covered", Path::new("/dev")))
}

/// The path of a line of `/proc/net/unix`. Abstract names have an `@` in its place.
fn bound_path(line: &[u8]) -> Option<PathBuf> {
    let at = line.windows(2).position(|pair| pair == b" /")?;
    Some(OsStr::from_bytes(&line[at + 1..]).into())
}

fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

/// Covers `path` with nothing. Nobody inside can take that away; but the kernel does when somebody outside removes the
/// file, or puts another in its place.
fn hide(path: &Path) -> Result<()> {
    let covered = if path.is_dir() {
        let flags = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        mount(Some("tmpfs"), path, Some("tmpfs"), flags, Some("mode=0555,size=4k")).map_err(io::Error::from)
    } else {
        bind(Path::new("/dev/null"), path)
    };
    match covered {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()), // it has just gone
        other => other.map_err(failed("covered", path)),
    }
}

/// Covers `dir` with an empty directory that can be used. Links in it stay: some systems (NixOS) find their programs
/// through them.
fn empty(dir: &Path) -> io::Result<()> {
    let entries = fs::read_dir(dir)?.filter_map(io::Result::ok);
    let links: Vec<_> = entries.filter_map(|entry| Some((entry.path(), fs::read_link(entry.path()).ok()?))).collect();
    mount(Some("tmpfs"), dir, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some("mode=0755"))?;
    links.into_iter().try_for_each(|(link, target)| symlink(target, link))
}

/// A `/dev` with the ordinary devices only.
fn private_dev() -> io::Result<()> {
    let new = Path::new("/dev");
    let covered = File::options().read(true).custom_flags((OFlag::O_PATH | OFlag::O_DIRECTORY).bits()).open(new)?;
    let before = PathBuf::from(format!("/proc/self/fd/{}", covered.as_raw_fd()));
    mount(Some("tmpfs"), new, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC, Some("mode=0755"))?;
    for name in DEVICES.into_iter().chain(DEVICE_DIRS) {
        let (source, target) = (before.join(name), new.join(name));
        match fs::metadata(&source) {
            Ok(found) if found.is_dir() => fs::create_dir(&target)?,
            Ok(_) => drop(File::create(&target)?),
            Err(_) => continue, // it was not there before either
        }
        bind(&source, &target)?;
    }
    // Bound here, the device would look for its terminals where it came from.
    symlink("pts/ptmx", new.join("ptmx"))?;
    for (name, target) in [("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")] {
        symlink(format!("/proc/self/fd{target}"), new.join(name))?;
    }
    Ok(())
}

fn bind(source: &Path, target: &Path) -> io::Result<()> {
    mount(Some(source), target, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)?;
    Ok(())
}

fn failed(verb: &'static str, path: &Path) -> impl Fn(io::Error) -> String {
    move |error| format!("{} cannot be {verb} ({error})", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_in_the_file_system_are_told_from_abstract_ones() {
        let path = |line: &str| bound_path(line.as_bytes());
        let line = "ffff9a3b8f5ec000: 00000002 00000000 00010000 0001 01 20557 ";
        assert_eq!(path(&format!("{line}/run/docker.sock")), Some("/run/docker.sock".into()));
        assert_eq!(path(&format!("{line}/tmp/with a space")), Some("/tmp/with a space".into()));
        assert_eq!(path(&format!("{line}@/tmp/.X11-unix/X0")), None);
        assert_eq!(path(line.trim_end()), None);
    }
}
