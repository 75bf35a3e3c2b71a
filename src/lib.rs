//! A credential gateway for programs that nobody wants to hand a key to: agents, CI jobs, scripts.
//!
//! A person connects a provider once. The secret goes, sealed, into a vault that a small local daemon owns.
//! `authsome run -- CMD` then starts `CMD` behind a private proxy that adds the real credential to requests for that
//! provider's own host, and to nothing else; `CMD` sees placeholders. `authsome export` serves tools that cannot use a
//! proxy, and the daemon's HTTP API serves everything else.
//!
//! This page is the map of the code. It is kept true: a change that moves a wall changes this page too.
//!
//! # The promise
//!
//! * **P1** No byte sequence equal to a stored secret, or to a reversible encoding of it, reaches the child; not from an
//!   API that echoes it either. (Which encodings are looked for in answers, and what is withheld because it cannot be
//!   looked into: [`proxy`]. Nothing is under `--no-redact`.)
//! * **P2** A stored secret is written only to a TLS connection whose certificate was verified for a host that the
//!   provider's definition names, and whose HTTP authority is that same host.
//! * **P3** Nothing the child does during a run widens P1 or P2 for a later run.
//! * **P4** Nothing that was acknowledged is lost: not by `kill -9`, not by a full disk, not by two processes that
//!   refresh at once.
//!
//! Environment variables are cooperation, not confinement: a process of the same user can read what the user can
//! read. P1 is about what we hand to the child, not about what a hostile child of the same user can take.
//!
//! # How data flows
//!
//! ```text
//!  person ── browser ──► daemon pages ─┐
//!  argv ──► cli ──► client ══HTTP+PoP══► daemon ──► broker ──► vault ──► store
//!                     ▲                     │          │
//!  child ─HTTPS─► proxy ┘                   │          └──► flow ──► the provider's OAuth endpoints
//!                  │                        └── audit
//!                  └──────────TLS──────────────────────────────────► the provider's API
//! ```
//!
//! One request through `authsome run` is one function in [`proxy`]: accept, authenticate the child, read the head,
//! route, agree (CONNECT = SNI = Host = certificate), decide, resolve the credential, edit the head, stream, record.
//! What streams back is masked: a search for every form of every injected secret, in constant memory.
//!
//! One request to the daemon is one function in [`daemon`]: read, limit, match the route, authenticate the caller
//! (proof of possession or browser session), authorize, act, answer, record.
//!
//! One login is a session: a sealed record that the command line, the pages and the provider's callback move on, each by
//! compare-and-swap. Its secrets (`state`, verifier, device code, a client that is not stored yet) stand in a record beside
//! it. At its end the connection, the client and the session's last state are written in one step, or not at all.
//!
//! One refresh is: due? take the lock (in this process, then a lease in the store), read again, call the token endpoint
//! once, write the new tokens and give the lease back in one step, and only then hand the token out.
//!
//! # The rooms
//!
//! A room imports only rooms that stand above it here; a test reads the `use` lines and holds these arrows.
//!
//! | room | what lives there | may import |
//! |---|---|---|
//! | [`error`] | [`AuthsomeError`]: name, message, status, exit code and hint, each from one `match` without a wildcard | nothing of ours |
//! | [`secret`] | [`Secret`]: wiped on drop, one way out | nothing of ours |
//! | [`paths`], [`limits`], [`clock`], [`net`], `percent` | where files are; every deadline and cap with its reason; time that tests can move; outbound connections, address guard and trust roots; percent-encoding | leaves |
//! | [`model`] | plain data: definitions, records, sessions, audit entries. Serde only, no I/O | leaves |
//! | [`identity`] | Ed25519 keys, `did:key`, handles, proof-of-possession JWTs | leaves, model |
//! | [`provider`] | the registry, validation, templates, and the pure router from host and path to a route | leaves, model |
//! | [`store`] | the [`store::Store`] trait and its embedded engine | leaves |
//! | [`vault`] | master key, key wrapping, sealing; [`Vault`] | leaves, store |
//! | [`http1`] | strict HTTP/1.1 heads and body framing over any stream; used by the daemon's gate and by the proxy | leaves |
//! | [`flow`] | OAuth and API keys as functions from a provider and inputs to tokens; the way out to OAuth endpoints; knows no store | leaves, model, http1 |
//! | [`broker`] | the credential lifecycle: log in, resolve, refresh, export, revoke, defaults. The only place where flows, vault and audit meet | everything above |
//! | [`daemon`] | the HTTP surface: gate, engine, routes, authentication, pages, device pollers | everything above |
//! | [`client`] | signed requests to a daemon; finding, starting and stopping the local one | leaves, model, identity, http1 |
//! | [`proxy`] | CONNECT, interception, the CA of the run, relay, injection, redaction, policy | leaves, model, http1, the router of provider |
//! | [`launch`] | the child: environment, CA bundle, signals, exit status | leaves, model, proxy |
//! | [`cli`] | one file a command | everything; of `daemon` only the entrance |
//!
//! `proxy` and `launch` never see a vault, a store or a daemon module: they get credentials through one trait with two
//! methods, [`proxy::CredentialSource`]. `daemon` never sees `proxy`.
//!
//! # As a library
//!
//! The crate re-exports the types of the Python package `authsome`; [`Vault`] shows its own use.
//!
//! ```
//! use authsome::{AuthType, AuthsomeError, ConnectionRecord, ConnectionStatus, ExportFormat};
//! use authsome::{FlowType, ProviderDefinition, ProviderType, Sensitive};
//!
//! let text = r#"{"name": "acme", "auth_type": "api_key", "flow": "api_key", "api_url": "api.acme.test"}"#;
//! let acme: ProviderDefinition = serde_json::from_str(text)?;
//! assert_eq!((acme.provider_type, acme.auth_type, acme.flow), (ProviderType::App, AuthType::ApiKey, FlowType::ApiKey));
//!
//! let mut record = ConnectionRecord::new("acme", "default", AuthType::ApiKey);
//! assert_eq!(record.status, ConnectionStatus::NotConnected);
//! record.api_key = Some(Sensitive::new("ak_123".to_owned()));
//! assert_eq!(record.to_json()["api_key"], "***REDACTED***");
//!
//! assert_eq!(ExportFormat::parse("shell"), Some(ExportFormat::Shell));
//! let error = AuthsomeError::ProviderNotFound { provider: "acme".to_owned() };
//! assert_eq!((error.http_status(), error.exit_code()), (404, 4));
//! # Ok::<(), serde_json::Error>(())
//! ```
//!
//! # Invariants
//!
//! * A credential is a [`Secret`] from the socket to the seal; [`Secret::expose`] is the only way out.
//! * Everything in the store but the layout's version and the wrapped data key is sealed, with its full key as
//!   associated data: a record that is moved to another key does not open.
//! * Every read from a peer has a deadline and a byte cap, both named in [`limits`].
//! * Decisions (routing, policy, injection, proof of possession) are pure functions that return `#[must_use]` enums.
//! * Errors say what happened and what to do, and never quote a body, a header or a file.
//! * Directories are 0700 and files 0600 at creation.
//! * No async runtime, and no unsafe code outside one module that wraps system calls.

pub mod broker;
pub mod cli;
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
mod percent;
pub mod provider;
pub mod proxy;
pub mod secret;
pub mod store;
mod sys;
pub mod vault;

pub use broker::ExportFormat;
pub use error::{AuthsomeError, ErrorName, Result};
pub use model::{AuthType, ConnectionRecord, ConnectionStatus, FlowType, ProviderDefinition, ProviderType};
pub use secret::Secret;
/// The name that the Python package gave to [`Secret`].
pub use secret::Secret as Sensitive;
pub use vault::Vault;
