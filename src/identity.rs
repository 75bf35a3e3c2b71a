//! Identities: Ed25519 keys, `did:key`, handles, and proof-of-possession JWTs (sign and verify). No I/O.
//!
//! The rules are those of `contract/identity.md`. A daemon checks a request in three steps, and the order matters:
//! [`Verifier::check`] judges the signature and every claim, the caller then looks up handle, DID and claim, and only
//! when all of that passed does [`Verifier::remember`] use up the proof's `jti`. A refused request burns nothing.

mod claims;
mod did;
mod handle;
mod key;
mod pop;
mod replay;
mod target;
#[cfg(test)]
mod tests;
mod words;

pub use did::is_valid_did;
pub use handle::{generate_handle, is_valid_handle};
pub use key::SigningKey;
pub use pop::{ClaimFault, PopError, Proof, SignedRequest, Verifier};
