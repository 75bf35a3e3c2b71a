//! The HTTP surface of the daemon: gate, engine, router, authentication, one file a resource, pages.
//!
//! One request is one function, [`server`]: read, limit, match the route, authenticate the caller, authorize, act,
//! answer, record.

mod api;
mod auth;
mod context;
mod crew;
mod dashboard;
mod engine;
mod form;
mod gate;
mod message;
mod openapi;
mod origin;
mod pages;
mod people;
mod pollers;
mod router;
mod serve;
mod server;
mod settings;

use context::Context;
use message::{Failure, Outcome, Refusal, Response};

pub use serve::{ServeOptions, serve};

#[cfg(test)]
mod tests;
