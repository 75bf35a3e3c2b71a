//! The credential lifecycle: connect, resolve, refresh, export, revoke, default and global connections. The only room
//! where flows, vault and audit meet.

mod audit;
mod clients;
mod connect;
mod connections;
mod export;
mod given;
mod glance;
mod keys;
mod login;
mod pointers;
mod providers;
mod refresh;
mod resolve;
mod revoke;
mod run;
mod servers;
mod sessions;

use std::sync::{Arc, Mutex};

use serde_json::{Map, Value};

use audit::Prepared;
pub use audit::{AuditLog, AuditQuery, Cursor, Glance, MAX_PAGE};
pub use clients::ClientSettings;
pub use connect::{ApiKeyLogin, CookieLogin};
pub use connections::{GlobalConnection, Listing, ProviderConnections};
pub use export::ExportFormat;
pub use glance::Binding;
pub use keys::check_name;
pub use login::{CallbackAnswer, DeviceLogin, DeviceStep};
pub use providers::Removal;
use refresh::Refresher;
pub use refresh::{Demand, RefreshFailure};
pub use run::{ProxyRoute, RunRequest, Scope};
pub use sessions::{Input, InputPage, SessionRequest, StoredSession, redirect_uri};

use crate::clock::Clock;
use crate::error::{AuthsomeError, Result};
use crate::flow::Outbound;
use crate::limits::NEAR_EXPIRY_SECONDS;
use crate::model::{AuditEvent, AuditSource, Grants, Principal, Role};
use crate::net::NetSettings;
use crate::provider::Registry;
use crate::store::Range;
use crate::vault::{Vault, VaultWrite, Version};

/// Who asks: an identity for its principal, or the principal in a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The identity's handle; `None` in a browser.
    pub identity: Option<String>,
    /// The person.
    pub principal_id: String,
    /// The person's vault.
    pub vault_id: String,
    /// The person's role.
    pub role: Role,
    /// What the identity may do; everything in a browser.
    pub grants: Grants,
}

impl Actor {
    /// The person themselves, in a browser.
    pub fn person(principal: &Principal) -> Self {
        Self {
            identity: None,
            principal_id: principal.principal_id.clone(),
            vault_id: principal.vault_id.clone(),
            role: principal.role,
            grants: Grants::default(),
        }
    }

    /// Whether this is an administrator.
    pub fn is_admin(&self) -> bool {
        self.role == Role::Admin
    }

    /// The name for messages: the identity's handle, else the principal.
    pub fn label(&self) -> &str {
        self.identity.as_deref().unwrap_or(&self.principal_id)
    }

    /// Refuses an identity that may not use connections.
    ///
    /// # Errors
    /// `OperationNotAllowed`.
    pub fn check_use(&self, operation: &'static str) -> Result<()> {
        if self.grants.r#use {
            return Ok(());
        }
        Err(AuthsomeError::OperationNotAllowed {
            operation,
            reason: format!("'{}' may not use connections", self.label()),
            hint: Some("its owner can allow it: authsome agent grant HANDLE --use"),
        })
    }

    /// Refuses an identity that may not see raw secrets.
    ///
    /// # Errors
    /// `OperationNotAllowed`.
    pub fn check_export(&self, operation: &'static str) -> Result<()> {
        if self.grants.export {
            return Ok(());
        }
        Err(AuthsomeError::OperationNotAllowed {
            operation,
            reason: format!("'{}' may not read raw secrets", self.label()),
            hint: Some("use `authsome run`, or let its owner allow it: authsome agent grant HANDLE --export"),
        })
    }
}

/// What the operator decides about the lifecycle of credentials.
#[derive(Clone, Debug)]
pub struct BrokerOptions {
    /// How OAuth endpoints are reached.
    pub net: NetSettings,
    /// A token is refreshed when it has less than this left, in seconds.
    pub near_expiry_seconds: i64,
}

impl Default for BrokerOptions {
    fn default() -> Self {
        Self { net: NetSettings::default(), near_expiry_seconds: NEAR_EXPIRY_SECONDS }
    }
}

/// The lifecycle of credentials on one daemon.
#[derive(Debug)]
pub struct Broker {
    vault: Arc<Vault>,
    registry: Arc<Registry>,
    audit: AuditLog,
    clock: Clock,
    outbound: Outbound,
    near_expiry_seconds: i64,
    refresher: Refresher,
    /// One change of definitions at a time: the registry must not run ahead of the store.
    defining: Mutex<()>,
    problems: Vec<String>,
}

impl Broker {
    /// A broker over an open vault. Loads the registered definitions into `registry`.
    ///
    /// # Errors
    /// `StoreUnavailable`, `EncryptionUnavailable`.
    pub fn new(vault: Arc<Vault>, registry: Arc<Registry>, clock: Clock, options: BrokerOptions) -> Result<Self> {
        let audit = AuditLog::new(Arc::clone(&vault), clock.clone());
        let refresher = Refresher::new(&vault)?;
        let mut broker = Self {
            vault,
            registry,
            audit,
            clock,
            outbound: Outbound::new(options.net),
            near_expiry_seconds: options.near_expiry_seconds,
            refresher,
            defining: Mutex::default(),
            problems: Vec::new(),
        };
        broker.problems = broker.load_registered()?;
        Ok(broker)
    }

    /// The audit log.
    pub fn audit(&self) -> &AuditLog {
        &self.audit
    }

    /// The providers.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// What is wrong with stored definitions that are not used.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// Writes one event of our own.
    ///
    /// # Errors
    /// `StoreUnavailable`.
    pub fn note(&self, actor: Option<&Actor>, event: AuditEvent) -> Result<()> {
        self.audit.record(AuditSource::Internal, actor, vec![event]).map(|_| ())
    }

    /// `event` as writes for the step in which it happens.
    fn noted(&self, actor: &Actor, event: AuditEvent) -> Prepared {
        self.audit.prepare(AuditSource::Internal, Some(actor), vec![event])
    }

    /// Writes, and what is noted of it, as one step; `false`: what the writes expect does not hold.
    fn apply_noted(&self, actor: &Actor, event: AuditEvent, writes: &[VaultWrite<'_>]) -> Result<bool> {
        let noted = self.noted(actor, event);
        self.vault.apply(&writes.iter().copied().chain(noted.writes()).collect::<Vec<_>>())
    }

    /// All values under `prefix`, in order.
    fn scan(&self, prefix: &str) -> Result<Vec<(String, zeroize::Zeroizing<Vec<u8>>)>> {
        const STEP: usize = 500;
        let mut all = Vec::new();
        loop {
            let after = all.last().map(|(key, _): &(String, _)| key.clone());
            let range = Range { prefix, after: after.as_deref(), reverse: false, limit: STEP };
            let found = self.vault.scan(&range)?;
            let is_last = found.len() < STEP;
            all.extend(found);
            if is_last {
                return Ok(all);
            }
        }
    }

    /// Reads the JSON at `key`; `None` when nothing is there.
    fn read<T: serde::de::DeserializeOwned>(&self, key: &str) -> Result<Option<(T, Version)>> {
        let Some((bytes, version)) = self.vault.get_versioned(key)? else { return Ok(None) };
        Ok(Some((decode(&bytes)?, version)))
    }
}

/// Parses what we sealed ourselves. A failure means another version wrote it; its text would quote secrets.
fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes)
        .map_err(|_| AuthsomeError::StoreUnavailable { reason: "a stored record is not readable".to_owned() })
}

/// An event about a connection.
fn event(name: &str, provider: &str, connection: Option<&str>) -> AuditEvent {
    AuditEvent {
        event: name.to_owned(),
        provider: Some(provider.to_owned()),
        connection: connection.map(str::to_owned),
        status: Some("success".to_owned()),
        metadata: Map::new(),
    }
}

/// The same with one more fact.
fn with_fact(mut event: AuditEvent, name: &str, value: impl Into<Value>) -> AuditEvent {
    event.metadata.insert(name.to_owned(), value.into());
    event
}

#[cfg(test)]
mod tests;
