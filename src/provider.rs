//! Providers: definitions (bundled, user files, registered), their validation, what they send where, and the pure
//! router from host and path to a route.
//!
//! Nothing here talks to a network or knows a store. Only the registry reads files, those of the user.

mod bundled;
#[cfg(test)]
mod bundled_tests;
mod destinations;
mod domain;
mod endpoints;
mod exports;
mod fields;
mod files;
mod host;
mod keys;
mod names;
mod parse;
mod path;
mod pattern;
mod registry;
mod router;
mod slots;
mod target;
mod template;
mod validate;

pub use destinations::{Destination, destinations, destinations_fingerprint};
pub use endpoints::{auth_endpoints, fill_url};
pub use exports::{ExportName, ExportSource, env_word, export_names, is_env_name};
pub use fields::Filling;
pub use host::{Host, HostError};
pub use keys::key_warning;
pub use parse::parse_definition;
pub use path::{PathFault, plain_segments};
pub use registry::{Entry, FileProblem, Origin, Registry};
pub use router::{Decision, Router};
pub use slots::{headers, slots, strip_slots};
pub use validate::{ValidateOptions, is_provider_name, validate};
