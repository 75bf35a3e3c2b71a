//! Group commit: steps that arrive while another is being flushed share the next flush.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::{Expected, StoreError, Write};
use crate::clock::Timestamp;

/// Steps that wait for their turn.
#[derive(Default)]
pub(super) struct Batches {
    queue: Mutex<Queue>,
    turn_ended: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Arc<Job>>,
    /// Somebody commits, for all who waited when the turn began.
    busy: bool,
}

impl Batches {
    /// Has `writes` done as one step, together with the steps of other callers. `commit` gets a batch and answers for
    /// each of its steps; it is called by one thread at a time.
    pub(super) fn apply(
        &self,
        writes: &[Write<'_>],
        commit: impl FnOnce(&[&Job]) -> Result<Vec<bool>, StoreError>,
    ) -> Result<bool, StoreError> {
        let job = Arc::new(Job::new(writes));
        let turn = {
            let mut queue = lock(&self.queue);
            queue.waiting.push(job.clone());
            loop {
                if let Some(outcome) = job.take_outcome() {
                    return outcome; // whoever had the turn before took this step along
                }
                if !queue.busy {
                    break self.begin(&mut queue);
                }
                queue = self.turn_ended.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
        };
        match commit(&turn.batch.iter().map(AsRef::as_ref).collect::<Vec<_>>()) {
            Ok(done) => turn.batch.iter().zip(done).for_each(|(job, done)| job.finish(Ok(done))),
            Err(error) => turn.batch.iter().for_each(|job| job.finish(Err(duplicate(&error)))),
        }
        drop(turn);
        job.take_outcome().unwrap_or_else(|| Err(broken_off()))
    }

    /// Keeps commits away while `work` runs.
    pub(super) fn exclusively<T>(&self, work: impl FnOnce() -> T) -> T {
        let mut queue = lock(&self.queue);
        while queue.busy {
            queue = self.turn_ended.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.busy = true;
        drop(queue);
        let _turn = Turn { batches: self, batch: Vec::new() };
        work()
    }

    fn begin(&self, queue: &mut Queue) -> Turn<'_> {
        queue.busy = true;
        Turn { batches: self, batch: std::mem::take(&mut queue.waiting) }
    }
}

/// The right to commit. Its end lets the next one begin, also when a panic ends it.
struct Turn<'a> {
    batches: &'a Batches,
    batch: Vec<Arc<Job>>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.batch.iter().for_each(|job| job.finish_if_open());
        lock(&self.batches.queue).busy = false;
        self.batches.turn_ended.notify_all();
    }
}

/// One step: its own copy of the writes, because another thread may do them.
pub(super) struct Job {
    writes: Vec<OwnedWrite>,
    outcome: Mutex<Option<Result<bool, StoreError>>>,
}

impl Job {
    fn new(writes: &[Write<'_>]) -> Self {
        Self { writes: writes.iter().map(OwnedWrite::new).collect(), outcome: Mutex::new(None) }
    }

    /// What the step does.
    pub(super) fn writes(&self) -> impl Iterator<Item = Write<'_>> {
        self.writes.iter().map(OwnedWrite::borrow)
    }

    fn finish(&self, outcome: Result<bool, StoreError>) {
        *lock(&self.outcome) = Some(outcome);
    }

    /// Nobody waits for ever for a step whose turn was broken off.
    fn finish_if_open(&self) {
        lock(&self.outcome).get_or_insert_with(|| Err(broken_off()));
    }

    fn take_outcome(&self) -> Option<Result<bool, StoreError>> {
        lock(&self.outcome).take()
    }
}

struct OwnedWrite {
    key: String,
    value: Option<Vec<u8>>,
    expected: OwnedExpected,
    expires_at: Option<Timestamp>,
}

enum OwnedExpected {
    Anything,
    Absent,
    Value(Vec<u8>),
}

impl OwnedWrite {
    fn new(write: &Write<'_>) -> Self {
        Self {
            key: write.key.to_owned(),
            value: write.value.map(<[u8]>::to_vec),
            expected: match write.expected {
                Expected::Anything => OwnedExpected::Anything,
                Expected::Absent => OwnedExpected::Absent,
                Expected::Value(value) => OwnedExpected::Value(value.to_vec()),
            },
            expires_at: write.expires_at,
        }
    }

    fn borrow(&self) -> Write<'_> {
        Write {
            key: &self.key,
            value: self.value.as_deref(),
            expected: match &self.expected {
                OwnedExpected::Anything => Expected::Anything,
                OwnedExpected::Absent => Expected::Absent,
                OwnedExpected::Value(value) => Expected::Value(value),
            },
            expires_at: self.expires_at,
        }
    }
}

fn broken_off() -> StoreError {
    StoreError::Io(io::Error::other("a write was broken off"))
}

/// The same error for each step of a batch.
fn duplicate(error: &StoreError) -> StoreError {
    match error {
        StoreError::Locked => StoreError::Locked,
        StoreError::Corrupt(reason) => StoreError::Corrupt(reason.clone()),
        StoreError::NewerSchema { found, known } => StoreError::NewerSchema { found: *found, known: *known },
        StoreError::Full(reason) => StoreError::Full(reason.clone()),
        StoreError::BadKey => StoreError::BadKey,
        StoreError::Io(error) => StoreError::Io(io::Error::new(error.kind(), error.to_string())),
    }
}

/// Nothing that these locks guard is left half-changed by a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn write(key: &str) -> Write<'_> {
        Write { key, value: Some(b"v"), expected: Expected::Anything, expires_at: None }
    }

    fn waiting(batches: &Batches) -> usize {
        lock(&batches.queue).waiting.len()
    }

    #[test]
    fn steps_that_wait_go_together_and_each_gets_its_own_answer() {
        let (batches, commits) = (Batches::default(), AtomicUsize::new(0));
        let commit = |steps: &[&Job]| {
            commits.fetch_add(1, Ordering::SeqCst);
            Ok(steps.iter().map(|step| step.writes().all(|write| write.key == "good")).collect())
        };
        std::thread::scope(|scope| {
            let mut followers = Vec::new();
            let first = batches.apply(&[write("good")], |steps| {
                for key in ["good", "bad", "good", "bad"] {
                    let (batches, commit) = (&batches, &commit);
                    followers.push((key, scope.spawn(move || batches.apply(&[write(key)], commit))));
                }
                while waiting(&batches) < 4 {
                    std::thread::yield_now();
                }
                commit(steps)
            });
            assert!(first.expect("commits"));
            for (key, follower) in followers {
                assert_eq!(follower.join().expect("no panic").expect("commits"), key == "good");
            }
        });
        assert_eq!(commits.load(Ordering::SeqCst), 2, "one for the first, one for all who waited");
    }

    #[test]
    fn a_panic_neither_blocks_nor_answers_for_the_next() {
        let batches = Batches::default();
        let broken = std::thread::scope(|scope| {
            scope.spawn(|| batches.apply(&[write("a")], |_| panic!("on purpose"))).join().is_err()
        });
        assert!(broken);
        assert!(batches.apply(&[write("b")], |steps| Ok(vec![true; steps.len()])).expect("commits"));
        assert_eq!(batches.exclusively(|| 7), 7);
    }
}
