//! Export: raw secrets for tools that cannot use a proxy. The weak path, so it has its own permission and audit event.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use super::connections::DEFAULT;
use super::{Actor, Broker, Demand, event, with_fact};
use crate::error::{AuthsomeError, Result};
use crate::limits::{EXPORT_REFRESHES, REFRESH_WAIT_DEADLINE};
use crate::model::{ConnectionRecord, ProviderDefinition};
use crate::provider::{Entry, ExportName, ExportSource, env_word, export_names};
use crate::secret::{Secret, SecretBuffer};

/// How the values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// Plain `NAME=value` lines.
    Env,
    /// `export NAME='value'` lines for a POSIX shell.
    Shell,
    /// One JSON object.
    Json,
}

impl ExportFormat {
    /// Reads the name on the wire.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "env" => Some(Self::Env),
            "shell" => Some(Self::Shell),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

impl Broker {
    /// The values of one connection, or of all of them, under their environment names.
    ///
    /// # Errors
    /// `OperationNotAllowed`, `ConnectionNotFound`, `CredentialMissing`, `TokenExpired`, `RefreshFailed`,
    /// `StoreUnavailable`. Of all connections, those that do not work are left out.
    pub fn export(
        &self,
        actor: &Actor,
        provider: Option<&str>,
        connection: &str,
        format: ExportFormat,
    ) -> Result<SecretBuffer> {
        actor.check_export("export")?;
        let records = match provider {
            Some(provider) => vec![self.exportable(actor, provider, connection)?],
            None => self.all_exportable(actor)?,
        };
        let mut values = Values::default();
        for record in &records {
            let definition = self.entry(&record.provider)?.definition;
            for ExportName { env, source } in export_names(&definition) {
                if let Some(value) = value(&definition, record, &source) {
                    values.add(&env, record, value);
                }
            }
        }
        for record in &records {
            let noted = event("credentials.exported", &record.provider, Some(&record.connection_name));
            self.note(Some(actor), with_fact(noted, "all", provider.is_none()))?;
        }
        values.write(format)
    }

    /// One connection of the actor's own; a global one is never read.
    fn exportable(&self, actor: &Actor, provider: &str, connection: &str) -> Result<ConnectionRecord> {
        let name =
            if connection == DEFAULT { self.default_name(&actor.vault_id, provider)? } else { connection.to_owned() };
        let entry = self.entry(provider)?;
        let record = match self.find(&actor.vault_id, provider, &name)? {
            Some((record, _)) => record,
            None if self.global(provider)?.is_some() => return Err(only_through_the_proxy()),
            None => return Err(super::connections::missing(actor, provider, &name)),
        };
        self.ready(actor, &entry, record, Demand::Use)
    }

    /// Every connection that works now, the default ones first so that they get the plain names.
    fn all_exportable(&self, actor: &Actor) -> Result<Vec<ConnectionRecord>> {
        let mut found: Vec<(bool, Entry, ConnectionRecord)> = Vec::new();
        for of in self.own_connections(&actor.vault_id)? {
            let Some(entry) = self.registry.find(&of.provider) else { continue };
            for record in of.records {
                let is_default = of.default_connection.as_deref() == Some(&record.connection_name);
                found.push((!is_default, entry.clone(), record));
            }
        }
        found.sort_by_key(|(is_other, ..)| *is_other);
        Ok(self.all_ready(actor, found.into_iter().map(|(_, entry, record)| (entry, record)).collect()))
    }

    /// Those of `found` that work, in their order. Tokens that are due are refreshed side by side: a server that hangs
    /// takes nothing from the others.
    fn all_ready(&self, actor: &Actor, found: Vec<(Entry, ConnectionRecord)>) -> Vec<ConnectionRecord> {
        let started = Instant::now();
        let due = found.iter().filter(|(_, record)| !self.is_fresh(record)).count();
        let (queue, ready) = (Mutex::new(found.into_iter().enumerate()), Mutex::new(Vec::new()));
        let take = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        let work = || {
            while let Some((index, (entry, record))) = take() {
                let outcome = if started.elapsed() < REFRESH_WAIT_DEADLINE {
                    self.ready(actor, &entry, record, Demand::Use)
                } else {
                    self.as_it_is(&entry, record) // the caller does not wait for a second round of servers that hang
                };
                if let Ok(record) = outcome {
                    ready.lock().unwrap_or_else(PoisonError::into_inner).push((index, record));
                }
            }
        };
        thread::scope(|scope| {
            for _ in 1..due.min(EXPORT_REFRESHES) {
                // Without a thread it takes longer.
                let _ = thread::Builder::new().name("export".to_owned()).spawn_scoped(scope, work);
            }
            work();
        });
        let mut ready = ready.into_inner().unwrap_or_else(PoisonError::into_inner);
        ready.sort_by_key(|(index, _)| *index);
        ready.into_iter().map(|(_, record)| record).collect()
    }
}

fn only_through_the_proxy() -> AuthsomeError {
    AuthsomeError::OperationNotAllowed {
        operation: "export",
        reason: "this connection is shared by an administrator: it can be used but not read".to_owned(),
        hint: Some("use it through `authsome run`"),
    }
}

/// What an exported variable holds; `None` when the connection has no such thing.
pub(super) fn value(
    definition: &ProviderDefinition,
    record: &ConnectionRecord,
    source: &ExportSource,
) -> Option<Secret> {
    let plain = |text: Option<&str>| text.map(|text| Secret::new(text.to_owned()));
    let default_base = definition.oauth.as_ref().and_then(|oauth| oauth.base_url.as_deref());
    let first_url = definition.api_url.as_slice().first().map(String::as_str);
    match source {
        ExportSource::AccessToken => record.access_token.as_ref().map(Secret::duplicate),
        ExportSource::RefreshToken => record.refresh_token.as_ref().map(Secret::duplicate),
        // `API_TOKEN` of an OAuth provider is its access token, as in 0.7.2.
        ExportSource::ApiKey => record.api_key.as_ref().or(record.access_token.as_ref()).map(Secret::duplicate),
        ExportSource::BaseUrl => plain(record.base_url.as_deref().or(default_base)),
        ExportSource::ApiUrl => plain(record.api_url.as_deref().or(first_url)),
        ExportSource::Field(name) => record.credentials.get(name).map(Secret::duplicate),
    }
}

/// Names and values in order, each name once.
#[derive(Default)]
struct Values {
    names: BTreeMap<String, usize>,
    list: Vec<(String, Secret)>,
}

impl Values {
    /// Adds a value; a name that is taken becomes `NAME_PROVIDER_CONNECTION`, then `.._2`.
    fn add(&mut self, name: &str, record: &ConnectionRecord, value: Secret) {
        let mut free = name.to_owned();
        if self.names.contains_key(&free) {
            free = env_word(&format!("{name}_{}_{}", record.provider, record.connection_name));
        }
        let stem = free.clone();
        let mut number = 2;
        while self.names.contains_key(&free) {
            free = format!("{stem}_{number}");
            number += 1;
        }
        self.names.insert(free.clone(), self.list.len());
        self.list.push((free, value));
    }

    fn write(&self, format: ExportFormat) -> Result<SecretBuffer> {
        if format == ExportFormat::Json {
            let object: BTreeMap<&str, &str> =
                self.list.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
            return Ok(SecretBuffer::from_json(&object).expect("a map with string keys"));
        }
        let mut out = SecretBuffer::new();
        for (index, (name, value)) in self.list.iter().enumerate() {
            let end = if index + 1 == self.list.len() { "" } else { "\n" };
            match format {
                ExportFormat::Shell => write!(out, "export {name}={}{end}", quote(value).expose())?,
                ExportFormat::Env | ExportFormat::Json => write!(out, "{name}={}{end}", value.expose())?,
            }
        }
        Ok(out)
    }
}

/// The value in single quotes, so that a POSIX shell takes every byte for itself.
fn quote(value: &Secret) -> Secret {
    Secret::new(format!("'{}'", value.expose().replace('\'', r"'\''")))
}
