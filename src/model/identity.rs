//! Identities (keys that sign), principals (people that own), and the claim that binds one to the other.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// A registered key: handle and DID.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityRecord {
    /// Human-readable name, unique on a server.
    pub handle: String,
    /// `did:key` of its public key.
    pub did: String,
    /// First registration.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
}

/// What an identity may do for its principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grants {
    /// Use connections through the proxy.
    pub r#use: bool,
    /// Read raw secrets.
    pub export: bool,
}

impl Default for Grants {
    fn default() -> Self {
        Self { r#use: true, export: true }
    }
}

/// Where an identity stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimStatus {
    /// Registered; nobody has claimed it.
    ClaimRequired,
    /// A claim waits for approval.
    Pending,
    /// It belongs to a principal.
    Claimed,
    /// A principal refused it.
    Rejected,
}

impl ClaimStatus {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClaimRequired => "claim_required",
            Self::Pending => "pending",
            Self::Claimed => "claimed",
            Self::Rejected => "rejected",
        }
    }
}

/// The binding of an identity to a principal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The identity's handle.
    pub handle: String,
    /// Its owner.
    pub principal_id: String,
    /// Claimed, pending or rejected.
    pub status: ClaimStatus,
    /// When it was claimed.
    pub claimed_at: Timestamp,
    /// What the identity may do.
    #[serde(default)]
    pub grants: Grants,
}

/// A person's rights on this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// May change what everybody uses.
    Admin,
    /// Owns a vault.
    User,
}

impl Role {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::User => "user",
        }
    }
}

/// A person: owner of identities and of one vault. `Debug` leaves the password's hash out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// `principal_` and 32 hex digits.
    pub principal_id: String,
    /// `vault_` and 32 hex digits.
    pub vault_id: String,
    /// Trimmed and lower-case.
    pub email: String,
    /// Rights.
    pub role: Role,
    /// Argon2id in PHC form; `None`: no password set, so no sign-in by form.
    #[serde(default)]
    pub password_hash: Option<String>,
    /// First seen.
    pub created_at: Timestamp,
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Principal")
            .field("principal_id", &self.principal_id)
            .field("vault_id", &self.vault_id)
            .field("email", &self.email)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}
