//! Where files are, and how they are made: directories 0700 and files 0600 *at creation*, whatever the umask.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::secret::random_bytes;

/// The directory that holds everything of one installation (`AUTHSOME_HOME`, default `~/.authsome`).
///
/// The layout is that of `authsome` 0.7.2, so that a home made by either program works with the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home(PathBuf);

impl Home {
    /// The home in `dir`. Nothing is created yet.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self(dir.into())
    }

    /// `AUTHSOME_HOME`, else `.authsome` in the user's home directory; `None` when neither is known.
    pub fn from_env() -> Option<Self> {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        match set("AUTHSOME_HOME") {
            Some(dir) => std::path::absolute(dir).ok().map(Self),
            None => set("HOME").map(|home| Self(PathBuf::from(home).join(".authsome"))),
        }
    }

    /// Whether this is the default home of the user, whose daemon listens on the default port.
    pub fn is_default(&self) -> bool {
        std::env::var_os("HOME").is_some_and(|home| self.0 == PathBuf::from(home).join(".authsome"))
    }

    /// The directory itself.
    pub fn dir(&self) -> &Path {
        &self.0
    }

    /// `client/`
    pub fn client(&self) -> PathBuf {
        self.0.join("client")
    }

    /// `client/config.json`
    pub fn config(&self) -> PathBuf {
        self.client().join("config.json")
    }

    /// `client/identities/`
    pub fn identities(&self) -> PathBuf {
        self.client().join("identities")
    }

    /// `client/logs/`
    pub fn client_logs(&self) -> PathBuf {
        self.client().join("logs")
    }

    /// `server/`
    pub fn server(&self) -> PathBuf {
        self.0.join("server")
    }

    /// `server/authsome.redb`: the embedded store.
    pub fn store(&self) -> PathBuf {
        self.server().join("authsome.redb")
    }

    /// `server/master.key`
    pub fn master_key(&self) -> PathBuf {
        self.server().join("master.key")
    }

    /// `server/ui_session_secret.key`
    pub fn ui_session_key(&self) -> PathBuf {
        self.server().join("ui_session_secret.key")
    }

    /// `server/bootstrap.token`: whoever can read it may claim identities for the local owner.
    pub fn bootstrap_token(&self) -> PathBuf {
        self.server().join("bootstrap.token")
    }

    /// `server/daemon/`
    pub fn daemon(&self) -> PathBuf {
        self.server().join("daemon")
    }

    /// `server/daemon/daemon.json`: where the running daemon listens.
    pub fn daemon_json(&self) -> PathBuf {
        self.daemon().join("daemon.json")
    }

    /// `server/daemon/daemon.pid`
    pub fn daemon_pid(&self) -> PathBuf {
        self.daemon().join("daemon.pid")
    }

    /// `server/daemon/daemon.port`: where a daemon that may take any port listened last.
    pub fn daemon_port(&self) -> PathBuf {
        self.daemon().join("daemon.port")
    }

    /// `server/daemon/daemon.lock`: held while somebody starts the daemon.
    pub fn daemon_lock(&self) -> PathBuf {
        self.daemon().join("daemon.lock")
    }

    /// `server/daemon/daemon.log`
    pub fn daemon_log(&self) -> PathBuf {
        self.daemon().join("daemon.log")
    }

    /// `providers/`: definitions that the user wrote.
    pub fn providers(&self) -> PathBuf {
        self.0.join("providers")
    }
}

/// Makes `dir` and its missing parents, each 0700 from the start. An existing directory is left as it is.
///
/// # Errors
/// What the file system says, with the path in the text.
pub fn create_private_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() || dir.as_os_str().is_empty() {
        return Ok(());
    }
    if let Some(parent) = dir.parent() {
        create_private_dir(parent)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        // A umask can only take bits away (0o300 would leave a directory that its owner cannot use).
        Ok(()) => fs::set_permissions(dir, fs::Permissions::from_mode(0o700)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
    .map_err(|error| with_path(&error, "create", dir))
}

/// Replaces `path` by `contents` as one step: a reader sees the old file or the new one, and after a crash one of
/// the two is there. The file is 0600 from its first byte.
///
/// # Errors
/// What the file system says, with the path in the text; the old file is then untouched.
pub fn write_private(path: &Path, contents: &[u8]) -> io::Result<()> {
    replace(path, contents, File::sync_all)
}

/// The same for what ends with this process: it does not wait for the disk, and after a crash of the machine the file may
/// be empty.
///
/// # Errors
/// Those of [`write_private`].
pub fn write_fleeting(path: &Path, contents: &[u8]) -> io::Result<()> {
    replace(path, contents, |_| Ok(()))
}

fn replace(path: &Path, contents: &[u8], keep: impl Fn(&File) -> io::Result<()>) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    create_private_dir(dir)?;
    let temporary = dir.join(format!(".{}.tmp", hex(&random_bytes::<8>())));
    let written = new_private_file(&temporary)
        .and_then(|mut file| file.write_all(contents).and_then(|()| keep(&file)))
        .and_then(|()| fs::rename(&temporary, path))
        .and_then(|()| keep(&File::open(dir)?));
    written.map_err(|error| {
        let _ = fs::remove_file(&temporary);
        with_path(&error, "write", path)
    })
}

/// Makes `path` with `contents`, 0600 from the start; fails with `AlreadyExists` when something is there.
/// The file appears complete or not at all: it is written beside its place and linked into it.
///
/// # Errors
/// What the file system says, with the path in the text.
pub fn create_private(path: &Path, contents: &[u8]) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    create_private_dir(dir)?;
    let temporary = dir.join(format!(".{}.tmp", hex(&random_bytes::<8>())));
    let made = new_private_file(&temporary)
        .and_then(|mut file| file.write_all(contents).and_then(|()| file.sync_all()))
        .and_then(|()| fs::hard_link(&temporary, path))
        .and_then(|()| File::open(dir)?.sync_all());
    let _ = fs::remove_file(&temporary);
    made.map_err(|error| with_path(&error, "create", path))
}

/// Reads a small file of at most `limit` bytes.
///
/// # Errors
/// What the file system says, with the path in the text; `InvalidData` when the file is longer.
pub fn read_limited(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let read = || {
        let file = File::open(path)?;
        let length = usize::try_from(file.metadata()?.len()).unwrap_or(limit).min(limit);
        // Room for all of it, so that no part of a secret stays behind in a smaller allocation.
        let mut contents = Vec::with_capacity(length + 1);
        io::Read::read_to_end(&mut io::Read::take(file, limit as u64 + 1), &mut contents)?;
        if contents.len() > limit {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("longer than {limit} bytes")));
        }
        Ok(contents)
    };
    read().map_err(|error| with_path(&error, "read", path))
}

/// Whether group or others may read or write `path`, for files that must be the owner's alone.
///
/// # Errors
/// What the file system says, with the path in the text.
pub fn is_exposed(path: &Path) -> io::Result<bool> {
    let metadata = fs::metadata(path).map_err(|error| with_path(&error, "inspect", path))?;
    Ok(metadata.permissions().mode() & 0o077 != 0)
}

/// The same error with what was done and to which path in its text.
pub fn with_path(error: &io::Error, action: &str, path: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("cannot {action} {}: {error}", path.display()))
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Makes an empty file, 0600 whatever the umask; fails with `AlreadyExists` when something is there.
///
/// # Errors
/// What the file system says, without the path.
pub fn new_private_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
    // A umask can only take bits away (0o277 would leave a file nobody can read again).
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    Ok(file)
}

/// A fresh private directory for a test, which removes it.
#[cfg(test)]
pub(crate) fn test_only_scratch(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("authsome-{name}-{}", hex(&random_bytes::<8>())));
    create_private_dir(&dir).expect("a scratch directory");
    dir
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch() -> PathBuf {
        test_only_scratch("paths")
    }

    #[test]
    fn private_files_are_private_and_replaced_whole() {
        let dir = scratch();
        let path = dir.join("deep/er/key");
        write_private(&path, b"one").expect("writes");
        write_private(&path, b"two").expect("replaces");
        assert_eq!(read_limited(&path, 3).expect("reads"), b"two");
        assert!(!is_exposed(&path).expect("exists"));
        assert!(!is_exposed(path.parent().expect("parent")).expect("exists"));
        assert_eq!(fs::read_dir(path.parent().expect("parent")).expect("lists").count(), 1, "no temporary file stays");
        fs::remove_dir_all(dir).expect("cleans up");
    }

    #[test]
    fn creating_never_overwrites() {
        let dir = scratch();
        let path = dir.join("key");
        create_private(&path, b"first").expect("creates");
        let error = create_private(&path, b"second").expect_err("refuses");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(read_limited(&path, 64).expect("reads"), b"first");
        fs::remove_dir_all(dir).expect("cleans up");
    }

    #[test]
    fn a_long_file_is_refused_and_errors_name_the_path() {
        let dir = scratch();
        let path = dir.join("big");
        write_private(&path, &[b'x'; 100]).expect("writes");
        let error = read_limited(&path, 99).expect_err("too long");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(error.to_string().contains("big"), "{error}");
        fs::remove_dir_all(dir).expect("cleans up");
    }
}
