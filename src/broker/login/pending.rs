//! What a login in progress must remember and nobody may see.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::broker::clients::Discovered;
use crate::flow::{AuthMethod, OAuthClient};
use crate::paths::hex;
use crate::secret::{Secret, SecretBuffer};

/// The secret part of a session: sealed beside it, gone with it.
#[derive(Debug, Default, Deserialize)]
pub(in crate::broker) struct Pending {
    pub(super) client_id: String,
    pub(super) client_secret: Option<Secret>,
    pub(super) method: Option<AuthMethod>,
    pub(super) secret_expires_at: Option<i64>,
    /// Whether the client is to be stored when the login succeeds.
    pub(super) is_new_client: bool,
    /// What was asked for: granted, when the answer does not say otherwise (RFC 6749 section 5.1).
    pub(super) scopes: Option<Vec<String>>,
    /// Where the connection's secrets were to go when the login began.
    pub(super) destinations: String,
    /// What discovery found.
    pub(super) discovered: Option<Discovered>,
    /// Where the provider sends the browser back to.
    pub(super) redirect_uri: Option<String>,
    pub(super) state: Option<Secret>,
    pub(super) verifier: Option<Secret>,
    pub(super) device_code: Option<Secret>,
    /// Seconds between two polls of a device login.
    pub(super) interval_seconds: i64,
}

impl Pending {
    pub(super) fn of(client: &OAuthClient, is_new_client: bool) -> Self {
        Self {
            client_id: client.id.clone(),
            client_secret: client.secret.as_ref().map(Secret::duplicate),
            method: client.method,
            secret_expires_at: client.secret_expires_at,
            is_new_client,
            ..Self::default()
        }
    }

    pub(super) fn client(&self) -> OAuthClient {
        OAuthClient {
            id: self.client_id.clone(),
            secret: self.client_secret.as_ref().map(Secret::duplicate),
            method: self.method,
            secret_expires_at: self.secret_expires_at,
        }
    }

    pub(super) fn to_sealable_json(&self) -> SecretBuffer {
        #[derive(Serialize)]
        struct View<'a> {
            client_id: &'a str,
            client_secret: Option<&'a str>,
            method: Option<AuthMethod>,
            secret_expires_at: Option<i64>,
            is_new_client: bool,
            scopes: Option<&'a [String]>,
            destinations: &'a str,
            discovered: Option<&'a Discovered>,
            redirect_uri: Option<&'a str>,
            state: Option<&'a str>,
            verifier: Option<&'a str>,
            device_code: Option<&'a str>,
            interval_seconds: i64,
        }
        let view = View {
            client_id: &self.client_id,
            client_secret: self.client_secret.as_ref().map(Secret::expose),
            method: self.method,
            secret_expires_at: self.secret_expires_at,
            is_new_client: self.is_new_client,
            scopes: self.scopes.as_deref(),
            destinations: &self.destinations,
            discovered: self.discovered.as_ref(),
            redirect_uri: self.redirect_uri.as_deref(),
            state: self.state.as_ref().map(Secret::expose),
            verifier: self.verifier.as_ref().map(Secret::expose),
            device_code: self.device_code.as_ref().map(Secret::expose),
            interval_seconds: self.interval_seconds,
        };
        SecretBuffer::from_json(&view).expect("a map with string keys")
    }
}

/// The name of a `state` in the store.
pub(super) fn state_hash(state: &str) -> String {
    hex(&Sha256::digest(state.as_bytes()))
}
