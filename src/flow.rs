//! OAuth and API-key protocols as functions: provider and inputs to tokens. Outbound HTTP only; knows no store.
//!
//! Whatever a server answers is data from a stranger: capped, checked, and never quoted but for the two standard error
//! texts (`contract/oauth.md`).

mod account;
mod answer;
pub mod api_key;
mod call;
mod client;
mod device;
mod discovery;
mod document;
mod endpoint;
mod error;
mod outbound;
mod pkce;
mod registration;
mod revoke;
mod server;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod tokens;

pub use client::{AuthMethod, OAuthClient};
pub use device::{DeviceGrant, DevicePoll, poll_device, start_device};
pub use discovery::discover;
pub use error::FlowError;
pub use outbound::Outbound;
pub use pkce::{Authorization, Redemption, authorize, denial, redeem};
pub use registration::{ClientMetadata, register};
pub use revoke::{TokenKind, revoke};
pub use server::AuthServer;
pub use tokens::{Tokens, refresh};
