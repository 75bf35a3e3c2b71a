//! The way out: which address a name stands for, which addresses may be dialled, whom to trust there.
//!
//! Whoever may name a destination (a program under `authsome run`, a provider definition) could name the daemon, the
//! cloud's metadata service or the router. So every outbound connection goes through [`connect`]: resolve once, check
//! every address, dial what was checked. A second resolution would be a second chance for a hostile name server.

mod connect;
mod guard;
mod roots;
mod settings;
mod tls_fault;
mod upstream_proxy;

pub use connect::{ConnectError, Policy, check_unresolved, connect, connect_to_proxy};
pub use guard::{AddressClass, classify};
pub use roots::{Roots, copy_bundle};
pub use settings::NetSettings;
pub use tls_fault::tls_fault;
pub use upstream_proxy::{UpstreamProxy, UpstreamProxyScheme};
