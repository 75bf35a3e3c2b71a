//! The file below the embedded engine: how it is made, locked, grown and flushed.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::StorageBackend;

use super::StoreError;
use crate::paths::{self, hex, with_path};
use crate::secret::random_bytes;

#[cfg(test)]
pub(super) use faults::Faults;

/// A file that only this process has open. Clones share it, and its lock ends with the last of them.
#[derive(Clone, Debug)]
pub(super) struct LockedFile {
    file: Arc<File>,
    path: Arc<Path>,
    #[cfg(test)]
    pub(super) faults: Faults,
}

impl LockedFile {
    /// Opens and locks `path`, which must exist.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let io = |action, error: &io::Error| StoreError::Io(with_path(error, action, path));
        if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(StoreError::Corrupt(format!("{} is not a file", path.display())));
        }
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(|error| io("open", &error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self::new(file, path)),
            Err(TryLockError::WouldBlock) => Err(StoreError::Locked),
            Err(TryLockError::Error(error)) => Err(io("lock", &error)),
        }
    }

    fn new(file: File, path: &Path) -> Self {
        Self {
            file: Arc::new(file),
            path: path.into(),
            #[cfg(test)]
            faults: Faults::default(),
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The length in bytes.
    pub(super) fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Fills `out` from `offset`.
    pub(super) fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }

    /// Lengthens the file with blocks that are really there: a write into a hole can fail for want of space in the
    /// middle of a commit, or when a damaged commit is rolled back. When there is no space now, nothing happened yet.
    #[cfg(target_os = "linux")]
    fn reserve(&self, from: u64, to: u64) -> io::Result<()> {
        use nix::errno::Errno;
        use nix::fcntl::{FallocateFlags, fallocate};
        let (Ok(offset), Ok(length)) = (from.try_into(), (to - from).try_into()) else {
            return Err(io::ErrorKind::FileTooLarge.into());
        };
        match fallocate(&*self.file, FallocateFlags::empty(), offset, length) {
            Ok(()) => Ok(()),
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => self.file.set_len(to),
            Err(error) => {
                // Some file systems keep what they reserved before they ran out.
                let _ = self.file.set_len(from);
                Err(error.into())
            }
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn reserve(&self, _from: u64, to: u64) -> io::Result<()> {
        self.file.set_len(to)
    }

    /// After a failed flush the kernel takes the unwritten pages for clean and would serve them as if they were on
    /// the disk. Dropping them shows what is really there.
    fn forget_unwritten_pages(&self) {
        #[cfg(target_os = "linux")]
        let _ = nix::fcntl::posix_fadvise(&*self.file, 0, 0, nix::fcntl::PosixFadviseAdvice::POSIX_FADV_DONTNEED);
    }
}

impl StorageBackend for LockedFile {
    fn len(&self) -> io::Result<u64> {
        self.length()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.read_at(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        #[cfg(test)]
        self.faults.may_fail()?;
        let now = self.length()?;
        if len > now { self.reserve(now, len) } else { self.file.set_len(len) }
    }

    fn sync_data(&self) -> io::Result<()> {
        #[cfg(test)]
        self.faults.may_fail()?;
        self.file.sync_data().inspect_err(|_| self.forget_unwritten_pages())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        #[cfg(test)]
        self.faults.may_fail()?;
        self.file.write_all_at(data, offset)
    }
}

/// Makes the file `path` by letting `build` work on a temporary one beside it, so that it appears complete or not at
/// all. Somebody else who is faster wins.
pub(super) fn create(path: &Path, build: impl FnOnce(LockedFile) -> Result<(), StoreError>) -> Result<(), StoreError> {
    let io = |error: &io::Error| StoreError::Io(with_path(error, "create", path));
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    paths::create_private_dir(dir).map_err(StoreError::Io)?;
    let temporary = Temporary(dir.join(format!(".{}.tmp", hex(&random_bytes::<8>()))));
    let file = paths::new_private_file(&temporary.0).map_err(|error| io(&error))?;
    build(LockedFile::new(file.try_clone().map_err(|error| io(&error))?, path))?;
    file.sync_all().map_err(|error| io(&error))?;
    match fs::hard_link(&temporary.0, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(io(&error)),
        _ => drop(temporary),
    }
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| io(&error))
}

/// Removes its file in the end.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod faults {
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    /// Lets writes, growth and flushes fail with `ENOSPC` after a number of them. Clones share the plan.
    #[derive(Clone, Debug)]
    pub(in crate::store) struct Faults(Arc<AtomicI64>);

    impl Default for Faults {
        fn default() -> Self {
            Self(Arc::new(AtomicI64::new(i64::MAX)))
        }
    }

    impl Faults {
        /// `count` more operations succeed, the rest fails until [`Faults::heal`].
        pub(in crate::store) fn fail_after(&self, count: i64) {
            self.0.store(count, Ordering::SeqCst);
        }

        pub(in crate::store) fn heal(&self) {
            self.fail_after(i64::MAX);
        }

        pub(super) fn may_fail(&self) -> io::Result<()> {
            if self.0.fetch_sub(1, Ordering::SeqCst) > 0 {
                return Ok(());
            }
            self.0.store(0, Ordering::SeqCst);
            Err(nix::errno::Errno::ENOSPC.into())
        }
    }
}
