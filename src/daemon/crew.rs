//! Threads that serve: they wait parked for work, come when there is more of it, and go when there is none.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::limits::DAEMON_THREAD_IDLE;

/// What the threads of a crew are like.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    /// For debuggers.
    pub(super) name: &'static str,
    /// In bytes.
    pub(super) stack: usize,
    /// Threads that stay when there is no work.
    pub(super) core: usize,
}

/// A crew of threads that all do one job, on one item after another.
pub(super) struct Crew<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    terms: Terms,
    queue: Mutex<Queue<T>>,
    work: Condvar,
    job: Box<dyn Fn(T) + Send + Sync>,
    is_short: Arc<AtomicBool>,
}

struct Queue<T> {
    waiting: VecDeque<T>,
    /// Threads, and those of them that have nothing to do.
    threads: usize,
    idle: usize,
    is_over: bool,
}

impl<T> Queue<T> {
    fn is_short(&self) -> bool {
        self.waiting.len() > self.idle
    }
}

impl<T: Send + 'static> Crew<T> {
    /// A crew that does `job`. While there is more work than hands, because the system gives no more threads, `is_short`
    /// is set.
    ///
    /// # Errors
    /// When the system gives not even one thread.
    pub(super) fn new(
        terms: Terms,
        job: impl Fn(T) + Send + Sync + 'static,
        is_short: Arc<AtomicBool>,
    ) -> io::Result<Self> {
        let queue = Queue { waiting: VecDeque::new(), threads: 0, idle: 0, is_over: false };
        let shared = Shared { terms, queue: Mutex::new(queue), work: Condvar::new(), job: Box::new(job), is_short };
        let crew = Self { shared: Arc::new(shared) };
        crew.hire()?;
        for _ in 1..terms.core {
            if crew.hire().is_err() {
                break; // one is enough to go on
            }
        }
        Ok(crew)
    }

    /// Hands out `item`. A thread is hired when nobody is free. `false`: the system gives none, so the item waits until
    /// somebody is.
    pub(super) fn hand_out(&self, item: T) -> bool {
        let mut queue = self.shared.queue();
        queue.waiting.push_back(item);
        let needs_another = queue.is_short();
        drop(queue);
        if !needs_another {
            self.shared.work.notify_one();
            return true;
        }
        self.hire().is_ok()
    }

    fn hire(&self) -> io::Result<()> {
        let mut queue = self.shared.queue();
        queue.threads += 1;
        queue.idle += 1;
        drop(queue);
        let shared = Arc::clone(&self.shared);
        let builder = thread::Builder::new().name(shared.terms.name.to_owned()).stack_size(shared.terms.stack);
        builder.spawn(move || shared.work_until_dismissed()).map(drop).inspect_err(|_| {
            let mut queue = self.shared.queue();
            queue.threads -= 1;
            queue.idle -= 1;
            self.shared.is_short.store(queue.is_short(), Ordering::SeqCst);
        })
    }
}

impl<T> Drop for Crew<T> {
    fn drop(&mut self) {
        self.shared.queue().is_over = true;
        self.shared.work.notify_all();
    }
}

impl<T> Shared<T> {
    fn queue(&self) -> MutexGuard<'_, Queue<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work_until_dismissed(&self) {
        while let Some(item) = self.next() {
            // A job that panics is a bug, but it must not cost a thread of the crew.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (self.job)(item)));
            self.queue().idle += 1;
        }
    }

    /// The next item; `None`: this thread is not needed any more. A thread that calls this counts as idle.
    fn next(&self) -> Option<T> {
        let mut queue = self.queue();
        loop {
            if let Some(item) = queue.waiting.pop_front() {
                queue.idle -= 1;
                self.is_short.store(queue.is_short(), Ordering::SeqCst);
                return Some(item);
            }
            if queue.is_over {
                queue.threads -= 1;
                queue.idle -= 1;
                return None;
            }
            if queue.threads <= self.terms.core {
                queue = self.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let waited = self.work.wait_timeout(queue, DAEMON_THREAD_IDLE).unwrap_or_else(PoisonError::into_inner);
            queue = waited.0;
            if waited.1.timed_out() && queue.waiting.is_empty() && queue.threads > self.terms.core {
                queue.threads -= 1;
                queue.idle -= 1;
                return None;
            }
        }
    }
}
