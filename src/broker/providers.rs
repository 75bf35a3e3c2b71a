//! Provider definitions that an administrator registers, and the end of a provider.

use std::sync::{MutexGuard, PoisonError};

use super::connections::would_move;
use super::servers::confidants;
use super::{Actor, Broker, event, keys, with_fact};
use crate::error::{AuthsomeError, Result};
use crate::model::{AuditEvent, ProviderDefinition};
use crate::provider::{Origin, ValidateOptions, parse_definition, validate};
use crate::secret::SecretBuffer;
use crate::vault::VaultWrite;

/// What `remove` did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// The registered definition is gone.
    Removed,
    /// A bundled definition stays; its connections were revoked.
    RevokedOnly,
}

impl Broker {
    /// Hands the stored definitions to the registry, checked as if they were new: rules grow. One that does not pass is
    /// left alone; returns what is wrong with those.
    pub(super) fn load_registered(&self) -> Result<Vec<String>> {
        let mut problems = Vec::new();
        for (key, value) in self.scan(keys::DEFINITIONS)? {
            let name = &key[keys::DEFINITIONS.len()..];
            match read_stored(name, &value) {
                Ok(definition) => self.registry.register(definition),
                Err(error) => problems.push(format!("stored definition '{name}': {}", error.message())),
            }
        }
        Ok(problems)
    }

    fn defining(&self) -> MutexGuard<'_, ()> {
        self.defining.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a definition.
    ///
    /// # Errors
    /// `InvalidProviderSchema` naming the field; without `force`: `ProviderAlreadyRegistered` when the name is taken,
    /// `OperationNotAllowed` when a stored secret would go to another place. With `force` such a secret does not go there:
    /// connections are not used until their owners agree, and a client is removed.
    pub fn register(
        &self,
        actor: &Actor,
        definition: ProviderDefinition,
        force: bool,
        options: ValidateOptions,
    ) -> Result<()> {
        validate(&definition, options)?;
        let _defining = self.defining();
        let name = definition.name.clone();
        if !force && self.registry.find(&name).is_some() {
            return Err(AuthsomeError::ProviderAlreadyRegistered { provider: name });
        }
        if !force {
            self.check_nothing_moves(&definition)?;
        }
        let removes_client = self.would_move_client(&definition)?;
        let noted = with_fact(event("provider.registered", &name, None), "force", force);
        let noted = if removes_client { with_fact(noted, "client_removed", true) } else { noted };
        self.store_definition(actor, definition, removes_client, noted)
    }

    /// Replaces a registered definition.
    ///
    /// # Errors
    /// As [`Broker::register`]; `ProviderNotFound`; `OperationNotAllowed` for a definition that is not registered.
    pub fn replace_definition(
        &self,
        actor: &Actor,
        name: &str,
        definition: ProviderDefinition,
        options: ValidateOptions,
    ) -> Result<()> {
        if definition.name != name {
            return Err(AuthsomeError::InvalidProviderSchema {
                provider: Some(name.to_owned()),
                field: "name".to_owned(),
                reason: "it must stay the same".to_owned(),
            });
        }
        let _defining = self.defining();
        if self.entry(name)?.origin != Origin::Registered {
            return Err(AuthsomeError::OperationNotAllowed {
                operation: "provider update",
                reason: format!("'{name}' is not a registered definition"),
                hint: Some("to replace a bundled one, register it with --force"),
            });
        }
        validate(&definition, options)?;
        self.check_nothing_moves(&definition)?;
        self.store_definition(actor, definition, false, event("provider.updated", name, None))
    }

    fn check_nothing_moves(&self, definition: &ProviderDefinition) -> Result<()> {
        let moved = self.all_connections(&definition.name)?.iter().any(|record| would_move(definition, record));
        if !moved && !self.would_move_client(definition)? {
            return Ok(());
        }
        Err(AuthsomeError::OperationNotAllowed {
            operation: "provider register",
            reason: format!("stored secrets of '{}' would be sent to another place", definition.name),
            hint: Some(
                "with --force the stored OAuth client is removed where it would be told to another server, and the \
                 connections stay unused until their owners run `authsome connections rebind`",
            ),
        })
    }

    /// Whether a definition would tell the secret of the stored client to others than the one of today.
    fn would_move_client(&self, definition: &ProviderDefinition) -> Result<bool> {
        let client = self.client(&definition.name)?.filter(|client| client.client_id.is_some());
        let Some(client) = client else { return Ok(false) };
        let Some(entry) = self.registry.find(&definition.name) else { return Ok(true) };
        let told = |definition| confidants(definition, client.base_url.as_deref(), client.api_url.as_deref());
        Ok(!matches!((told(definition), told(&entry.definition)), (Ok(then), Ok(today)) if then.is_subset(&today)))
    }

    fn store_definition(
        &self,
        actor: &Actor,
        definition: ProviderDefinition,
        removes_client: bool,
        noted: AuditEvent,
    ) -> Result<()> {
        let value = SecretBuffer::from_json(&definition).map_err(|_| AuthsomeError::InvalidProviderSchema {
            provider: Some(definition.name.clone()),
            field: "definition".to_owned(),
            reason: "not JSON".to_owned(),
        })?;
        let (key, client) = (keys::definition(&definition.name), keys::client(&definition.name));
        let remove = removes_client.then(|| VaultWrite::delete(&client));
        let writes: Vec<_> = remove.into_iter().chain([VaultWrite::put(&key, value.expose_bytes())]).collect();
        self.apply_noted(actor, noted, &writes)?;
        self.registry.register(definition);
        Ok(())
    }

    /// Revokes, then removes a registered definition.
    ///
    /// # Errors
    /// `ProviderNotFound`, `StoreUnavailable`; `OperationNotAllowed` for a file of the user, which is theirs to delete.
    pub fn remove_provider(&self, actor: &Actor, provider: &str) -> Result<Removal> {
        let _defining = self.defining();
        let entry = self.entry(provider)?;
        if let Origin::File(path) = &entry.origin {
            return Err(AuthsomeError::OperationNotAllowed {
                operation: "provider remove",
                reason: format!("the definition is the file {}; delete it there", path.display()),
                hint: None,
            });
        }
        self.revoke(actor, provider)?;
        if entry.origin != Origin::Registered {
            return Ok(Removal::RevokedOnly);
        }
        let key = keys::definition(provider);
        self.apply_noted(actor, event("provider.deleted", provider, None), &[VaultWrite::delete(&key)])?;
        self.registry.unregister(provider);
        Ok(Removal::Removed)
    }
}

/// Local addresses were allowed when it was registered, or it would not be there.
fn read_stored(name: &str, value: &[u8]) -> Result<ProviderDefinition> {
    let definition = parse_definition(value)?;
    validate(&definition, ValidateOptions { allow_local: true })?;
    if definition.name == name {
        return Ok(definition);
    }
    Err(AuthsomeError::InvalidProviderSchema {
        provider: Some(name.to_owned()),
        field: "name".to_owned(),
        reason: "is another one".to_owned(),
    })
}
