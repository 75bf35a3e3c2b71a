//! The loop that accepts the child's connections. Nothing that a connection does can end it.

use std::io::{self, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit};

use super::link::Link;
use super::refusal::{Code, Refusal};
use super::workers::Workers;
use crate::http1::Buffered;
use crate::limits::{
    ACCEPT_PAUSE_MILLISECONDS, OVERLOAD_DEADLINE, OVERLOAD_QUEUE, PROXY_CONNECTIONS, THREAD_STACK_BYTES,
};

/// Descriptors that are not for connections: standard streams, listener, roots, the daemon's connection, files.
const RESERVED_DESCRIPTORS: u64 = 64;
/// One of the child and one of the upstream, and the kernel's pipes of busy tunnels.
const DESCRIPTORS_PER_CONNECTION: u64 = 3;

/// A running accept loop.
pub(super) struct Acceptor {
    wake: UnixStream,
    thread: JoinHandle<()>,
}

impl Acceptor {
    /// Accepts from `listener` and gives connections to `workers`.
    pub(super) fn start(listener: TcpListener, workers: Workers) -> io::Result<Self> {
        let (wake, woken) = UnixStream::pair()?;
        listener.set_nonblocking(true)?;
        let overload = start_overload_thread()?;
        let thread = thread::Builder::new()
            .name("accept".to_owned())
            .stack_size(THREAD_STACK_BYTES)
            .spawn(move || accept_all(&listener, &woken, &workers, &overload))?;
        Ok(Self { wake, thread })
    }

    /// Closes the listener.
    pub(super) fn stop(self) {
        let _ = (&self.wake).write_all(&[0]);
        let _ = self.thread.join();
    }
}

/// How many connections fit into the process's descriptors, [`PROXY_CONNECTIONS`] at most.
pub(super) fn connection_limit() -> usize {
    let soft = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
    let fitting = soft.saturating_sub(RESERVED_DESCRIPTORS) / DESCRIPTORS_PER_CONNECTION;
    usize::try_from(fitting).unwrap_or(usize::MAX).clamp(8, PROXY_CONNECTIONS)
}

fn accept_all(listener: &TcpListener, woken: &UnixStream, workers: &Workers, overload: &SyncSender<TcpStream>) {
    loop {
        let mut descriptors =
            [PollFd::new(listener.as_fd(), PollFlags::POLLIN), PollFd::new(woken.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut descriptors, PollTimeout::NONE);
        if descriptors[1].any() != Some(false) {
            return;
        }
        match listener.accept() {
            Ok((connection, _)) => {
                if let Err(connection) = workers.submit(connection) {
                    let _ = overload.try_send(connection); // or it is closed: there are too many even to refuse
                }
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            // Out of descriptors or memory, or a connection that died in the queue. Some end all the time: try again,
            // but not in a spin, and let a stop interrupt the pause.
            Err(_) => {
                let mut stop = [PollFd::new(woken.as_fd(), PollFlags::POLLIN)];
                let _ = poll(&mut stop, PollTimeout::from(ACCEPT_PAUSE_MILLISECONDS));
            }
        }
    }
}

/// Refuses what no worker is free for, one by one.
fn start_overload_thread() -> io::Result<SyncSender<TcpStream>> {
    let (sender, receiver) = sync_channel(OVERLOAD_QUEUE);
    let thread = thread::Builder::new().name("overload".to_owned()).stack_size(THREAD_STACK_BYTES);
    thread.spawn(move || refuse_all(&receiver))?;
    Ok(sender)
}

fn refuse_all(connections: &Receiver<TcpStream>) {
    let refusal = Refusal::new(
        Code::Policy,
        "The proxy of this run serves as many connections as it can",
        "Close some and try again, or raise the limit of open files.",
    )
    .with_status(503)
    .to_bytes("", true);
    for connection in connections {
        let Ok(mut link) = Link::plain(connection.into(), Buffered::new()) else { continue };
        let until = Instant::now() + OVERLOAD_DEADLINE;
        // Its request is read first: a connection that is closed with unread bytes loses the answer.
        let _ = link.read_request(until, OVERLOAD_DEADLINE);
        if link.queue(&[io::IoSlice::new(&refusal)]).is_ok() {
            link.finish(); // no lingering: others wait
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::sync::mpsc::channel;

    use super::*;
    use crate::http1::read_response;

    #[test]
    fn what_is_too_much_is_refused_and_a_stop_ends_the_loop() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let address = listener.local_addr().expect("bound");
        let (serving, is_serving) = channel();
        let workers = Workers::new(1, move |mut connection: TcpStream| {
            serving.send(()).expect("the test waits");
            let _ = connection.read(&mut [0]); // until the child hangs up
        });
        let acceptor = Acceptor::start(listener, workers.clone()).expect("starts");
        let first = TcpStream::connect(address).expect("connects");
        is_serving.recv().expect("the only thread is busy");
        for _ in 0..3 {
            let mut child = TcpStream::connect(address).expect("connects");
            child.write_all(b"CONNECT a.test:443 HTTP/1.1\r\n\r\n").expect("sends");
            let mut buffer = Buffered::new();
            let head = read_response(&mut buffer, &mut child).expect("an answer");
            assert_eq!((head.status, head.fields.first_str("x-authsome-error")), (503, Some("policy")));
        }
        drop(first);
        acceptor.stop();
        workers.close();
        assert!(TcpStream::connect(address).is_err(), "the listener is closed");
    }

    #[test]
    fn the_connection_limit_follows_the_descriptors() {
        let limit = connection_limit();
        assert!((8..=PROXY_CONNECTIONS).contains(&limit), "{limit}");
    }

    #[test]
    fn refusing_survives_connections_that_say_nothing() {
        let overload = start_overload_thread().expect("starts");
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let mut child = TcpStream::connect(listener.local_addr().expect("bound")).expect("connects");
        let (connection, _) = listener.accept().expect("accepts");
        overload.try_send(connection).expect("queues");
        let mut answer = Vec::new();
        child.read_to_end(&mut answer).expect("reads");
        assert!(answer.starts_with(b"HTTP/1.1 503 "), "{}", String::from_utf8_lossy(&answer));
    }
}
