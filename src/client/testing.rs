//! What the tests of `client` and `cli` share.

use std::fs;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, getsockname, socket};

use crate::paths::{self, Home};
use crate::secret::random_bytes;

/// A home of its own under the temporary directory, removed at the end.
pub(crate) struct Scratch(pub(crate) Home);

impl Scratch {
    pub(crate) fn new() -> Self {
        let name = format!("authsome-test-{}", paths::hex(&random_bytes::<8>()));
        Self(Home::new(std::env::temp_dir().join(name)))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.0.dir());
    }
}

/// A loopback port that refuses connections as long as the socket lives: bound, so that nobody else gets it, and not
/// listening.
pub(crate) fn refusing_port() -> (OwnedFd, u16) {
    let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).expect("a socket");
    let any = SockaddrIn::from(std::net::SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));
    bind(socket.as_raw_fd(), &any).expect("binds");
    let port = getsockname::<SockaddrIn>(socket.as_raw_fd()).expect("bound").port();
    (socket, port)
}
