//! A directory that goes away with its owner.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// A fresh private directory under the system's temporary one.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        let name = authsome::paths::hex(&authsome::secret::random_bytes::<6>());
        let dir = std::env::temp_dir().join(format!("authsome-it-{name}"));
        fs::create_dir(&dir).expect("a scratch directory");
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).expect("our own directory");
        Self(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// A directory inside; made if need be.
    pub(crate) fn dir(&self, name: &str) -> PathBuf {
        let dir = self.0.join(name);
        fs::create_dir_all(&dir).expect("a scratch directory");
        dir
    }

    /// A file inside, with these contents.
    pub(crate) fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, contents).expect("a scratch file");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::env::var_os("AUTHSOME_TEST_KEEP").is_some() || std::thread::panicking() {
            return; // what is left of a failed test is evidence
        }
        let _ = fs::remove_dir_all(&self.0);
    }
}
