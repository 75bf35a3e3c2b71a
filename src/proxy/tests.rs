//! The proxy as the child and the upstream see it.

mod connections;
mod injection;
mod refusals;
mod streaming;
