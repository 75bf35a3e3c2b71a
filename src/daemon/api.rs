//! One file a resource: from a checked request to an answer.

#![allow(clippy::unnecessary_wraps)] // all handlers have one type

pub(super) mod accounts;
pub(super) mod audit;
pub(super) mod claims;
pub(super) mod connections;
pub(super) mod credentials;
pub(super) mod description;
pub(super) mod health;
pub(super) mod identities;
pub(super) mod providers;
pub(super) mod sessions;
pub(super) mod shapes;
pub(super) mod signin;
