//! A profile for one sign-in: private, and gone afterwards, since it holds the person's session.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use crate::error::Result;
use crate::paths::{self, hex};
use crate::secret::random_bytes;

/// Between the making of a directory and its lock lie microseconds; nobody sweeps one that is younger than this.
const NEVER_SWEPT: Duration = Duration::from_secs(60);
/// The last processes of a killed browser may still be writing.
const ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// A directory that is removed when dropped.
pub(super) struct Profile {
    dir: PathBuf,
    /// Held while the browser runs: tells a later login which profiles were left by killed ones.
    #[allow(dead_code)] // held, not read
    lock: File,
}

impl Profile {
    /// An empty profile in `place`. Those that killed processes left there are removed.
    ///
    /// # Errors
    /// What the file system says, with the path.
    pub(super) fn create(place: &Path) -> Result<Self> {
        paths::create_private_dir(place)?;
        sweep(place, NEVER_SWEPT);
        let dir = place.join(hex(&random_bytes::<8>()));
        let failed = |error| paths::with_path(&error, "create", &dir);
        DirBuilder::new().mode(0o700).create(&dir).map_err(failed)?;
        let lock = File::open(&dir).map_err(failed)?;
        lock.try_lock().map_err(|error| failed(error.into()))?;
        Ok(Self { dir, lock })
    }

    /// How the browser is told.
    pub(super) fn option(&self) -> OsString {
        let mut option = OsString::from("--user-data-dir=");
        option.push(&self.dir);
        option
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        for _ in 0..ATTEMPTS {
            if fs::remove_dir_all(&self.dir).is_ok() || !self.dir.exists() {
                return;
            }
            thread::sleep(PAUSE);
        }
    }
}

/// Removes what nobody holds any more. A profile that cannot be removed is left for the next time.
fn sweep(place: &Path, never_swept: Duration) {
    for entry in fs::read_dir(place).into_iter().flatten().filter_map(std::result::Result::ok) {
        let made = entry.metadata().and_then(|metadata| metadata.modified());
        let age = made.ok().and_then(|made| SystemTime::now().duration_since(made).ok()).unwrap_or_default();
        let is_free = || File::open(entry.path()).is_ok_and(|dir| dir.try_lock().is_ok());
        if age >= never_swept && is_free() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::testing::Scratch;

    #[test]
    fn a_profile_is_private_and_goes_with_its_owner_or_with_the_next() {
        let scratch = Scratch::new();
        let place = scratch.0.client().join("browser");
        let profile = Profile::create(&place).expect("creates");
        let dir = profile.dir.clone();
        assert!(!paths::is_exposed(&dir).expect("exists") && !paths::is_exposed(&place).expect("exists"));
        fs::create_dir_all(dir.join("Default")).expect("a directory");
        fs::write(dir.join("Default/Cookies"), "a session").expect("writes");

        let left = place.join("left");
        fs::create_dir(&left).expect("a directory");
        sweep(&place, Duration::ZERO);
        assert!(dir.exists() && !left.exists(), "what is held stays, what was left goes");
        drop(profile);
        assert!(!dir.exists());
    }
}
