//! Threads that serve connections, one each, and wait for the next one when theirs has ended: starting a thread costs
//! more than a fifth of a short connection (measured).

use std::collections::VecDeque;
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::limits::{THREAD_STACK_BYTES, WORKER_IDLE};

/// What is done with a connection.
type Serve = dyn Fn(TcpStream) + Send + Sync;

/// A bounded set of threads.
#[derive(Clone)]
pub(super) struct Workers(Arc<Inner>);

struct Inner {
    serve: Box<Serve>,
    limit: usize,
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<TcpStream>,
    idle: usize,
    total: usize,
    is_closed: bool,
}

impl Workers {
    /// At most `limit` threads that `serve` connections.
    pub(super) fn new(limit: usize, serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner { serve: Box::new(serve), limit, state: Mutex::default(), work: Condvar::new() }))
    }

    /// Gives `connection` to a thread.
    ///
    /// # Errors
    /// Gives it back when all are busy, or when the system has no thread to give.
    pub(super) fn submit(&self, connection: TcpStream) -> Result<(), TcpStream> {
        let mut state = self.0.lock();
        if state.is_closed {
            return Err(connection);
        }
        if state.idle > state.waiting.len() {
            state.waiting.push_back(connection);
            self.0.work.notify_one();
            return Ok(());
        }
        if state.total >= self.0.limit {
            return Err(connection);
        }
        // The new thread takes the connection from the queue, so that it is still ours when there is no thread.
        let inner = Arc::clone(&self.0);
        let thread = thread::Builder::new().name("proxy".to_owned()).stack_size(THREAD_STACK_BYTES);
        if thread.spawn(move || inner.work()).is_err() {
            return Err(connection);
        }
        state.total += 1;
        state.idle += 1;
        state.waiting.push_back(connection);
        Ok(())
    }

    /// Lets idle threads end. Those with a connection end after it.
    pub(super) fn close(&self) {
        self.0.lock().is_closed = true;
        self.0.work.notify_all();
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock panics half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A thread's life. It counts as idle when this starts.
    fn work(&self) {
        while let Some(connection) = self.next() {
            // A bug that one connection meets must not take the others along; the panic hook has reported it.
            let _ = catch_unwind(AssertUnwindSafe(|| (self.serve)(connection)));
            self.lock().idle += 1;
        }
    }

    /// The next connection; `None`: the thread, counted out, is to end.
    fn next(&self) -> Option<TcpStream> {
        let mut state = self.lock();
        loop {
            if let Some(connection) = state.waiting.pop_front() {
                state.idle -= 1;
                return Some(connection);
            }
            let (again, timeout) = self.work.wait_timeout(state, WORKER_IDLE).unwrap_or_else(PoisonError::into_inner);
            state = again;
            if state.waiting.is_empty() && (timeout.timed_out() || state.is_closed) {
                state.idle -= 1;
                state.total -= 1;
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let one = TcpStream::connect(listener.local_addr().expect("bound")).expect("connects");
        (one, listener.accept().expect("accepts").0)
    }

    /// Echoes one byte; a zero makes it panic.
    fn echo(mut connection: TcpStream) {
        let mut byte = [0];
        connection.read_exact(&mut byte).expect("reads");
        assert_ne!(byte, [0], "a panic that a test asked for");
        connection.write_all(&byte).expect("writes");
    }

    fn ask(client: &mut TcpStream, byte: u8) -> Option<u8> {
        client.write_all(&[byte]).expect("writes");
        let mut answer = [0];
        client.read_exact(&mut answer).is_ok().then_some(answer[0])
    }

    #[test]
    fn threads_are_bounded_reused_and_survive_a_panic() {
        let workers = Workers::new(2, echo);
        let ((mut a, a_end), (mut b, b_end), (_c, c_end)) = (pair(), pair(), pair());
        workers.submit(a_end).expect("a thread");
        workers.submit(b_end).expect("a thread");
        let refused = workers.submit(c_end).expect_err("both are busy");
        assert_eq!(ask(&mut a, 0), None, "its thread panicked");
        assert_eq!(ask(&mut b, 7), Some(7));
        // Until the thread has come back, the connection is refused again: try as the acceptor's clients would.
        let mut refused = Some(refused);
        while let Some(connection) = refused.take() {
            thread::yield_now();
            refused = workers.submit(connection).err();
        }
        assert!(workers.0.lock().total <= 2);
        workers.close();
        assert!(workers.submit(pair().1).is_err());
    }
}
