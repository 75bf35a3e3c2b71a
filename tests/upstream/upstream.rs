//! An API on loopback that tests, the quick start and the benchmarks talk to: TLS with a certificate authority of its
//! own, several hosts told apart by SNI, every request byte recorded as it came, answers by path.
//!
//! It shares no code with `src/`, so that a mistake there cannot hide behind the same mistake here.
#![allow(dead_code, unreachable_pub, missing_docs)] // shared by three programs that each use a part of it

mod answers;
mod authority;
mod server;
mod wire;

#[allow(unused_imports)]
pub use self::authority::{Authority, client_config};
#[allow(unused_imports)]
pub use self::server::{Exchange, Next, Seen, Upstream};
#[allow(unused_imports)]
pub use self::wire::{Answer, Head, Stream, Wire};
