//! The proxy as the child and the upstream see it.

mod connections;
mod injection;
mod limits;
mod redaction;
mod refusals;
mod renewal;
mod streaming;
mod upgrade;
