//! A credential gateway: programs call APIs with your keys and never see them.

pub mod broker;
pub mod client;
pub mod clock;
pub mod daemon;
pub mod error;
pub mod flow;
pub mod http1;
pub mod identity;
pub mod launch;
pub mod limits;
pub mod model;
pub mod net;
pub mod paths;
pub mod provider;
pub mod proxy;
pub mod secret;
pub mod store;
mod sys;
pub mod vault;

pub use broker::ExportFormat;
pub use error::{AuthsomeError, ErrorName, Result};
pub use vault::Vault;
pub use secret::Secret;
