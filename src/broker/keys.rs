//! Names of everything that the broker keeps in the vault. Parts never hold a colon (see [`check_name`]).

use crate::error::{AuthsomeError, Result};
use crate::limits::NAME_BYTES;

pub(super) fn vault_prefix(vault_id: &str) -> String {
    format!("vault:{vault_id}:")
}

pub(super) fn connection(vault_id: &str, provider: &str, name: &str) -> String {
    format!("vault:{vault_id}:{provider}:connection:{name}")
}

pub(super) fn connections(vault_id: &str, provider: &str) -> String {
    format!("vault:{vault_id}:{provider}:connection:")
}

pub(super) fn metadata(vault_id: &str, provider: &str) -> String {
    format!("vault:{vault_id}:{provider}:metadata")
}

pub(super) fn definition(provider: &str) -> String {
    format!("server:definition:{provider}")
}

pub(super) const DEFINITIONS: &str = "server:definition:";

pub(super) fn client(provider: &str) -> String {
    format!("server:provider:{provider}:client")
}

pub(super) fn global(provider: &str) -> String {
    format!("server:global:{provider}")
}

pub(super) const GLOBALS: &str = "server:global:";

pub(super) const VAULTS: &str = "vault:";

pub(super) fn session(id: &str) -> String {
    format!("session:{id}")
}

/// Logins that a principal has begun lately, and that have not ended.
pub(super) fn begun(principal_id: &str) -> String {
    format!("begun:{principal_id}:")
}

/// The right to spend the refresh token of a connection.
pub(super) fn refresh_lease(vault_id: &str, provider: &str, name: &str) -> String {
    format!("lease:refresh:{vault_id}:{provider}:{name}")
}

pub(super) const REFRESH_LEASES: &str = "lease:refresh:";

pub(super) const SESSIONS: &str = "session:";

/// What a login in progress keeps secret.
pub(super) fn pending(session_id: &str) -> String {
    format!("login:{session_id}")
}

/// Which session a `state` belongs to, by its hash: who can list keys cannot answer for a provider.
pub(super) fn state(hash: &str) -> String {
    format!("state:{hash}")
}

/// What a vault key names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum VaultKey<'a> {
    Connection { vault_id: &'a str, provider: &'a str, name: &'a str },
    Metadata { provider: &'a str },
    Other,
}

pub(super) fn parse(key: &str) -> VaultKey<'_> {
    let mut parts = key.splitn(5, ':');
    match (parts.next(), parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("vault"), Some(vault_id), Some(provider), Some("connection"), Some(name)) => {
            VaultKey::Connection { vault_id, provider, name }
        }
        (Some("vault"), Some(_), Some(provider), Some("metadata"), None) => VaultKey::Metadata { provider },
        _ => VaultKey::Other,
    }
}

/// Refuses a connection name that could not be a part of a key or would not survive a shell: letters, digits and
/// `. _ @ + -`, at most [`NAME_BYTES`], starting with a letter or digit.
///
/// # Errors
/// `InvalidInput`, saying the rule.
pub fn check_name(name: &str) -> Result<()> {
    let starts_well = name.starts_with(|first: char| first.is_ascii_alphanumeric());
    let fits = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._@+-".contains(&byte));
    if starts_well && fits && name.len() <= NAME_BYTES {
        return Ok(());
    }
    Err(AuthsomeError::InvalidInput {
        what: "connection name",
        reason: format!("letters, digits and . _ @ + - only, at most {NAME_BYTES}, starting with a letter or digit"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_parse_to_what_made_them() {
        let key = connection("v1", "github", "me@work");
        assert_eq!(parse(&key), VaultKey::Connection { vault_id: "v1", provider: "github", name: "me@work" });
        assert_eq!(parse(&metadata("v1", "github")), VaultKey::Metadata { provider: "github" });
        assert_eq!(parse("server:global:github"), VaultKey::Other);
        assert_eq!(parse("vault:v1:github:state"), VaultKey::Other);
    }

    #[test]
    fn names_cannot_reach_outside_their_key() {
        for good in ["default", "a", "Work.2", "me@example.com", "a+b-c_d"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "-x", ".x", "a:b", "a b", "a\nb", "ä", &"x".repeat(65)] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }
}
