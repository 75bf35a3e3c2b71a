//! The embedded engine: redb in one file of ours.
//!
//! redb refuses all work after an I/O error, and may panic on a damaged file. So the database is a thing that can be
//! dropped and opened again while the file and its lock stay, and every call of it is guarded.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{PoisonError, RwLock};

use redb::backends::InMemoryBackend;
use redb::{Builder, Database, ReadableDatabase, StorageBackend};

use super::batch::{Batches, Job};
use super::file::{self, LockedFile};
use super::overlay::Overlay;
use super::{Range, Store, StoreError, Write, layout};
use crate::clock::Clock;
use crate::paths::with_path;

/// Pages kept in memory. The records that matter are few; the audit log is read in order.
const CACHE_BYTES: usize = 4 * 1024 * 1024;

/// See the module.
pub(super) struct Embedded {
    /// `None`: in memory.
    file: Option<LockedFile>,
    handle: RwLock<Handle>,
    batches: Batches,
    clock: Clock,
}

struct Handle {
    /// `None` while the file cannot be opened again.
    database: Option<Database>,
    /// Counts how often it was opened, so that of many who saw a failure one opens it again.
    generation: u64,
}

impl Embedded {
    pub(super) fn open(path: &Path, clock: Clock) -> Result<Self, StoreError> {
        if !path.try_exists().map_err(|error| StoreError::Io(with_path(&error, "inspect", path)))? {
            file::create(path, make_database)?;
        }
        let file = LockedFile::open(path)?;
        match open_database(&file) {
            Ok(database) => Ok(Self::new(Some(file), database, clock)),
            Err(StoreError::Corrupt(reason)) => Err(StoreError::Corrupt(format!("{}: {reason}", path.display()))),
            Err(error) => Err(error),
        }
    }

    pub(super) fn in_memory(clock: Clock) -> Result<Self, StoreError> {
        let database = build(InMemoryBackend::new(), false).and_then(|database| {
            layout::initialize(&database)?;
            Ok(database)
        });
        Ok(Self::new(None, database.map_err(|error| Failure::from(error).error)?, clock))
    }

    fn new(file: Option<LockedFile>, database: Database, clock: Clock) -> Self {
        let handle = RwLock::new(Handle { database: Some(database), generation: 0 });
        Self { file, handle, batches: Batches::default(), clock }
    }

    /// Runs `work`, which only reads or may be repeated. It gets a second try when another call had left the database
    /// unusable.
    fn run<T>(&self, mut work: impl FnMut(&Database) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        match self.attempt(&mut work) {
            Err(failure) if failure.stale => self.attempt(&mut work).map_err(|failure| failure.error),
            outcome => outcome.map_err(|failure| failure.error),
        }
    }

    /// Runs `work` once. After a failure the database is opened again, so that the next call finds it usable.
    fn attempt<T>(&self, work: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, Failure> {
        let (failure, generation) = {
            let handle = self.handle.read().unwrap_or_else(PoisonError::into_inner);
            let outcome = match &handle.database {
                Some(database) => guard(|| work(database)),
                None => Err(Failure::stale()),
            };
            match outcome {
                Ok(result) => return Ok(result),
                Err(failure) => (failure, handle.generation),
            }
        };
        match self.reopen(generation) {
            Err(error) if failure.stale => Err(Failure { error, stale: false }),
            _ => Err(failure.at(self.file.as_ref())),
        }
    }

    /// Commits `steps` in one transaction; for each, whether its conditions held.
    ///
    /// A commit that reports an error may have reached the disk all the same. So we look: nobody may be told that
    /// nothing happened when something did, or the other way round.
    fn commit(&self, steps: &[&Job]) -> Result<Vec<bool>, StoreError> {
        let mut may_retry = true;
        loop {
            let mut done = Vec::new();
            let now = self.clock.now();
            let Err(failure) = self.attempt(|database| layout::apply(database, steps, &mut done, now)) else {
                return Ok(done);
            };
            match self.run(|database| layout::holds(&database.begin_read()?, steps, &done)) {
                Ok(true) => return Ok(done),
                Ok(false) if failure.stale && may_retry => may_retry = false,
                Ok(false) => return Err(failure.error),
                Err(_) => return Err(failure.outcome_unknown()),
            }
        }
    }

    /// Opens the database again, unless somebody did since `generation`. The file stays locked.
    fn reopen(&self, generation: u64) -> Result<(), StoreError> {
        let mut handle = self.handle.write().unwrap_or_else(PoisonError::into_inner);
        let Some(file) = self.file.as_ref().filter(|_| handle.generation == generation) else { return Ok(()) };
        // To close it may panic as any other call.
        let old = handle.database.take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(old)));
        handle.database = Some(open_database(file)?);
        handle.generation += 1;
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn faults(&self) -> &file::Faults {
        &self.file.as_ref().expect("a file").faults
    }
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}

impl Store for Embedded {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        if !layout::is_key(key) {
            return Ok(None); // no store can hold it
        }
        self.run(|database| layout::get(&database.begin_read()?, key, self.clock.now()))
    }

    fn apply(&self, writes: &[Write<'_>]) -> Result<bool, StoreError> {
        if !writes.iter().all(|write| layout::is_key(write.key)) {
            return Err(StoreError::BadKey);
        }
        if writes.is_empty() {
            return Ok(true);
        }
        self.batches.apply(writes, |steps| self.commit(steps))
    }

    fn range(&self, range: &Range<'_>) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.run(|database| layout::range(&database.begin_read()?, range, self.clock.now()))
    }

    fn remove_expired(&self) -> Result<usize, StoreError> {
        let mut removed = 0;
        loop {
            let step = || self.run(|database| layout::remove_expired(database, self.clock.now()));
            match self.batches.exclusively(step)? {
                0 => return Ok(removed),
                some => removed += some,
            }
        }
    }

    fn is_exclusive(&self) -> bool {
        // What is in memory may have been made by somebody who still uses it.
        self.file.is_some()
    }

    fn describe(&self) -> String {
        let place = if self.file.is_some() { "one file" } else { "memory" };
        format!("embedded (redb in {place}, layout {})", layout::SCHEMA)
    }
}

/// Why redb did not do something.
struct Failure {
    error: StoreError,
    /// The reason is that redb had failed before: the next try gets a fresh one.
    stale: bool,
}

impl Failure {
    fn stale() -> Self {
        Self { error: StoreError::Io(io::Error::other("it failed before and cannot be opened again")), stale: true }
    }

    /// Its error with the path in the text.
    fn at(self, file: Option<&LockedFile>) -> Self {
        match (self.error, file) {
            (StoreError::Io(error), Some(file)) => {
                Self { error: StoreError::Io(with_path(&error, "use", file.path())), ..self }
            }
            (error, _) => Self { error, ..self },
        }
    }

    /// Its error, without the promise of [`StoreError::Full`] that nothing was changed.
    fn outcome_unknown(self) -> StoreError {
        match self.error {
            StoreError::Full(reason) => StoreError::Io(io::Error::other(reason)),
            error => error,
        }
    }
}

impl From<redb::Error> for Failure {
    fn from(error: redb::Error) -> Self {
        let error = match error {
            redb::Error::PreviousIo | redb::Error::DatabaseClosed | redb::Error::LockPoisoned(_) => {
                return Self::stale();
            }
            redb::Error::Io(error) if is_full(&error) => StoreError::Full(error.to_string()),
            redb::Error::Io(error) if is_damage(&error) => StoreError::Corrupt(error.to_string()),
            redb::Error::Io(error) => StoreError::Io(error),
            other => StoreError::Corrupt(other.to_string()),
        };
        Self { error, stale: false }
    }
}

/// The errors of a disk without space, a quota, a limit on file sizes, and a disk that became read-only.
fn is_full(error: &io::Error) -> bool {
    use nix::errno::Errno;
    error.raw_os_error().is_some_and(|number| {
        matches!(Errno::from_raw(number), Errno::ENOSPC | Errno::EDQUOT | Errno::EFBIG | Errno::EROFS)
    })
}

/// redb says `InvalidData` of a foreign file; a short one ends too early.
fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

/// Runs `work` and takes a panic for what it means in redb: the file is not what it wrote.
fn guard<T>(work: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(redb::Error::Corrupted("the engine stumbled over it".to_owned())))
        .map_err(Failure::from)
}

/// Opens the database in `file`, after a look at all of it that cannot write.
fn open_database(file: &LockedFile) -> Result<Database, StoreError> {
    if file.length().map_err(StoreError::Io)? == 0 {
        return Err(StoreError::Corrupt("the file is empty".to_owned())); // redb would take it for a new one
    }
    let overlay = Overlay::new(file.clone()).map_err(StoreError::Io)?;
    let named = |failure: Failure| failure.at(Some(file)).error;
    guard(|| layout::check_schema(&build(overlay, true)?)).map_err(named)??;
    guard(|| build(file.clone(), false)).map_err(named)
}

fn make_database(file: LockedFile) -> Result<(), StoreError> {
    guard(|| {
        let database = build(file, false)?;
        layout::initialize(&database)?;
        Ok(database.close()?)
    })
    .map_err(|failure| failure.error)
}

fn build(backend: impl StorageBackend, check_all: bool) -> Result<Database, redb::Error> {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(check_all);
    Ok(builder.create_with_backend(backend)?)
}
