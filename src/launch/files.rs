//! The two files that a run gives to its child: the trust roots in force together with the run's certificate, and that
//! certificate alone. They hold nothing secret, but whoever could change them could read the child's traffic.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::unistd::geteuid;

use super::environment::{ADDING_BUNDLES, REPLACING_BUNDLES};
use crate::error::Result;
use crate::net::{Roots, copy_bundle};
use crate::paths::{hex, with_path};
use crate::secret::random_bytes;

const BUNDLE: &str = "bundle.pem";
const CERTIFICATE: &str = "ca.pem";
/// Between the making of a directory and its lock lie microseconds; nobody sweeps one that is younger than this.
const NEVER_SWEPT: Duration = Duration::from_secs(60);

/// The files of one run; removed when dropped.
#[derive(Debug)]
pub(super) struct RunFiles {
    dir: PathBuf,
    /// Held while the run lives: tells a later run which directories were left by killed ones.
    #[allow(dead_code)] // held, not read
    lock: File,
}

impl RunFiles {
    /// Writes the files. `lookup`: our environment, in which the user may have set bundles already.
    ///
    /// # Errors
    /// What the file system says, with the path.
    pub(super) fn create(certificate: &str, roots: &Roots, lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let shared = shared_dir(&base_dir(&lookup))?;
        sweep(&shared);
        let files = Self::create_in(&shared)?;
        let mut bundle = files.create_file(BUNDLE)?;
        roots.copy_pem(&mut bundle)?;
        for path in bundles_of_the_user(&REPLACING_BUNDLES, roots.platform_file(), &lookup) {
            copy_bundle(&path, &mut bundle)?;
        }
        files.write(&mut bundle, certificate)?;
        let mut own = files.create_file(CERTIFICATE)?;
        for path in bundles_of_the_user(&ADDING_BUNDLES, None, &lookup) {
            copy_bundle(&path, &mut own)?;
        }
        files.write(&mut own, certificate)?;
        Ok(files)
    }

    /// Trust roots and the run's certificate.
    pub(super) fn bundle(&self) -> PathBuf {
        self.dir.join(BUNDLE)
    }

    /// The run's certificate.
    pub(super) fn certificate(&self) -> PathBuf {
        self.dir.join(CERTIFICATE)
    }

    fn create_in(shared: &Path) -> io::Result<Self> {
        let dir = shared.join(format!("run-{}", hex(&random_bytes::<8>())));
        let failed = |error| with_path(&error, "create", &dir);
        DirBuilder::new().mode(0o700).create(&dir).map_err(failed)?;
        let lock = File::open(&dir).map_err(failed)?;
        lock.try_lock().map_err(|error| failed(error.into()))?;
        Ok(Self { dir, lock })
    }

    fn create_file(&self, name: &str) -> io::Result<File> {
        let path = self.dir.join(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        file.map_err(|error| with_path(&error, "create", &path))
    }

    fn write(&self, file: &mut File, text: &str) -> io::Result<()> {
        file.write_all(text.as_bytes()).map_err(|error| with_path(&error, "write to", &self.dir))
    }
}

impl Drop for RunFiles {
    fn drop(&mut self) {
        remove(&self.dir);
    }
}

/// Removes a run's directory. Only what we put there: should anything else be in it, it stays.
fn remove(dir: &Path) {
    let _ = fs::remove_file(dir.join(BUNDLE));
    let _ = fs::remove_file(dir.join(CERTIFICATE));
    let _ = fs::remove_dir(dir);
}

/// Memory rather than disk, where the system offers that to users.
fn base_dir(lookup: &impl Fn(&str) -> Option<OsString>) -> PathBuf {
    let runtime = lookup("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_absolute() && dir.is_dir());
    runtime.unwrap_or_else(std::env::temp_dir)
}

/// The directory of this user's runs under `base`, which may be shared with other users. One that is not ours alone
/// is not used: a name in `/tmp` is anybody's to take.
fn shared_dir(base: &Path) -> io::Result<PathBuf> {
    // An empty container has no `/tmp`.
    DirBuilder::new().recursive(true).mode(0o700).create(base).map_err(|error| with_path(&error, "create", base))?;
    let usual = base.join(format!("authsome-{}", geteuid()));
    match DirBuilder::new().mode(0o700).create(&usual) {
        Ok(()) => return Ok(usual),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && is_private(&usual) => return Ok(usual),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(with_path(&error, "create", &usual)),
    }
    let other = base.join(format!("authsome-{}-{}", geteuid(), hex(&random_bytes::<8>())));
    DirBuilder::new().mode(0o700).create(&other).map_err(|error| with_path(&error, "create", &other))?;
    Ok(other)
}

fn is_private(dir: &Path) -> bool {
    fs::symlink_metadata(dir)
        .is_ok_and(|found| found.is_dir() && found.uid() == geteuid().as_raw() && found.mode() & 0o7777 == 0o700)
}

/// Removes what killed runs have left. A living one holds the lock of its directory.
fn sweep(shared: &Path) {
    let Ok(entries) = fs::read_dir(shared) else { return };
    for entry in entries.flatten() {
        let is_old = |modified: SystemTime| modified.elapsed().is_ok_and(|age| age >= NEVER_SWEPT);
        let is_run = entry.file_name().as_encoded_bytes().starts_with(b"run-");
        if !is_run || !entry.metadata().and_then(|found| found.modified()).is_ok_and(is_old) {
            continue;
        }
        if File::open(entry.path()).is_ok_and(|dir| dir.try_lock().is_ok()) {
            remove(&entry.path());
        }
    }
}

/// The files that `variables` name, each once, without `known`. What is no readable file is left out: the program that
/// the variable is for could not use it either (some take directories, whose certificates the platform's bundle has).
fn bundles_of_the_user(
    variables: &[&str],
    known: Option<&Path>,
    lookup: impl Fn(&str) -> Option<OsString>,
) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for path in variables.iter().filter_map(|name| lookup(name)).filter(|value| value != OsStr::new("")) {
        let path = PathBuf::from(path);
        let is_known = known == Some(path.as_path()) || found.contains(&path);
        if !is_known && path.is_file() && File::open(&path).is_ok() {
            found.push(path);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::net::NetSettings;
    use crate::paths::test_only_scratch;

    fn roots(dir: &Path) -> Roots {
        fs::write(dir.join("platform.pem"), "PLATFORM\n").expect("writes");
        let mut settings = NetSettings::default();
        settings.platform_ca = Some(dir.join("platform.pem"));
        Roots::find(&settings)
    }

    #[test]
    fn the_files_are_private_complete_and_gone_at_the_end() {
        let dir = test_only_scratch("files");
        for name in ["corp", "node"] {
            fs::write(dir.join(name), format!("{}\n", name.to_uppercase())).expect("writes");
        }
        let lookup = |name: &str| match name {
            "XDG_RUNTIME_DIR" | "AWS_CA_BUNDLE" => Some(dir.clone().into_os_string()),
            "REQUESTS_CA_BUNDLE" | "CURL_CA_BUNDLE" => Some(dir.join("corp").into_os_string()),
            "SSL_CERT_FILE" => Some(dir.join("platform.pem").into_os_string()),
            "PIP_CERT" => Some(dir.join("missing").into_os_string()),
            "NODE_EXTRA_CA_CERTS" => Some(dir.join("node").into_os_string()),
            _ => None,
        };
        let files = RunFiles::create("OURS\n", &roots(&dir), lookup).expect("creates");
        let read = |path| fs::read_to_string(path).expect("reads");
        assert_eq!(read(files.bundle()), "PLATFORM\n\nCORP\n\nOURS\n");
        assert_eq!(read(files.certificate()), "NODE\n\nOURS\n");
        for path in [files.bundle(), files.certificate()] {
            assert_eq!(fs::metadata(path).expect("is there").permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::metadata(&files.dir).expect("is there").permissions().mode() & 0o777, 0o700);
        let gone = files.dir.clone();
        drop(files);
        assert!(!gone.exists());
        fs::remove_dir_all(dir).expect("cleans up");
    }

    #[test]
    fn what_killed_runs_left_is_swept_and_living_runs_are_not() {
        let dir = test_only_scratch("files");
        let shared = shared_dir(&dir).expect("makes");
        let (dead, alive) =
            (RunFiles::create_in(&shared).expect("makes"), RunFiles::create_in(&shared).expect("makes"));
        let young = shared.join("run-young");
        fs::create_dir(&young).expect("makes");
        let hour_ago = SystemTime::now() - Duration::from_secs(3600);
        for files in [&dead, &alive] {
            files.create_file(BUNDLE).expect("makes");
            File::open(&files.dir).and_then(|dir| dir.set_modified(hour_ago)).expect("changes");
        }
        let dead_dir = dead.dir.clone();
        dead.lock.unlock().expect("as a killed process does");
        sweep(&shared);
        assert!(!dead_dir.exists());
        assert!(alive.bundle().exists() && young.exists());
        drop((dead, alive));
        fs::remove_dir_all(dir).expect("cleans up");
    }

    #[test]
    fn a_directory_that_is_not_ours_alone_is_not_used() {
        let dir = test_only_scratch("files");
        let usual = dir.join(format!("authsome-{}", geteuid()));
        fs::create_dir(&usual).expect("makes");
        fs::set_permissions(&usual, fs::Permissions::from_mode(0o777)).expect("changes");
        assert_ne!(shared_dir(&dir).expect("makes another"), usual);
        fs::remove_dir(&usual).expect("removes");
        std::os::unix::fs::symlink("/", &usual).expect("links");
        assert_ne!(shared_dir(&dir).expect("makes another"), usual);
        fs::remove_dir_all(dir).expect("cleans up");
    }
}
