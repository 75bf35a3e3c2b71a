//! What `authsome run` needs: every destination with its values, in one answer.

use std::collections::BTreeMap;

use super::connections::{ProviderConnections, check_bound, filling, missing, providers_of};
use super::resolve::check_alive;
use super::{Actor, Broker, event, with_fact};
use crate::error::{AuthsomeError, Result};
use crate::model::{ConnectionRecord, HostMatch, ProviderDefinition, RunPlan, RunRoute};
use crate::paths::hex;
use crate::provider::{self, Destination, Entry, ExportSource, Filling};
use crate::secret::random_bytes;

/// Which providers a run or a route list covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those with a connection.
    Connected,
    /// All that have a definition.
    Configured,
}

impl Scope {
    /// Reads the name on the wire.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "connected" => Some(Self::Connected),
            "configured" => Some(Self::Configured),
            _ => None,
        }
    }
}

/// The question of `POST /api/run`.
#[derive(Debug)]
pub struct RunRequest {
    /// Which providers.
    pub scope: Scope,
    /// Only these; `None`: all.
    pub providers: Option<Vec<String>>,
    /// Connections to use in place of the default ones.
    pub connections: BTreeMap<String, String>,
}

/// A row of `GET /api/proxy/routes`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ProxyRoute {
    /// Provider name.
    pub provider: String,
    /// Connection name.
    pub connection: Option<String>,
    /// Host, URL or `regex:`.
    pub api_url: String,
    /// Paths of the provider's own login.
    pub auth_endpoint_paths: Vec<String>,
}

/// A provider of a run with the record that serves it, if any.
struct Chosen {
    entry: Entry,
    record: Option<ConnectionRecord>,
}

impl Broker {
    /// Every destination of a run with the values that are fresh now. Waits for no refresh.
    ///
    /// # Errors
    /// `OperationNotAllowed`, `ProviderNotFound` and `ConnectionNotFound` for names that were asked for,
    /// `StoreUnavailable`.
    pub fn run_plan(&self, actor: &Actor, request: &RunRequest) -> Result<RunPlan> {
        actor.check_use("run")?;
        let run_id = format!("run_{}", hex(&random_bytes::<16>()));
        let mut routes = Vec::new();
        for chosen in self.choose(actor, request)? {
            self.add_routes(&mut routes, &chosen);
        }
        self.note(Some(actor), run_started(&run_id, &routes))?;
        Ok(RunPlan { run_id, routes })
    }

    /// The routes in the form of 0.7.2: exact hosts before patterns.
    ///
    /// # Errors
    /// As [`Broker::run_plan`].
    pub fn proxy_routes(&self, actor: &Actor, scope: Scope) -> Result<Vec<ProxyRoute>> {
        actor.check_use("run")?;
        let request = RunRequest { scope, providers: None, connections: BTreeMap::new() };
        let mut routes = Vec::new();
        for chosen in self.choose(actor, &request)? {
            let endpoints = provider::auth_endpoints(&chosen.entry.definition, &chosen.filling());
            let paths: Vec<String> = endpoints.into_iter().map(|endpoint| endpoint.path).collect();
            for destination in chosen.destinations() {
                routes.push(ProxyRoute {
                    provider: chosen.entry.definition.name.clone(),
                    connection: chosen.record.as_ref().map(|record| record.connection_name.clone()),
                    api_url: to_api_url(&destination),
                    auth_endpoint_paths: paths.clone(),
                });
            }
        }
        routes.sort_by_key(|route| route.api_url.starts_with("regex:"));
        Ok(routes)
    }

    fn choose(&self, actor: &Actor, request: &RunRequest) -> Result<Vec<Chosen>> {
        let own = self.own_connections(&actor.vault_id)?;
        let mut chosen = BTreeMap::new();
        for (provider, name) in &request.connections {
            let entry = self.entry(provider)?;
            let (record, _) =
                self.find(&actor.vault_id, provider, name)?.ok_or_else(|| missing(actor, provider, name))?;
            chosen.insert(provider.clone(), Chosen { entry, record: Some(record) });
        }
        let globals = self.globals()?;
        let own_names: Vec<String> = providers_of(&own).into_iter().map(str::to_owned).collect();
        let defaults = own.into_iter().filter_map(default_record);
        let others = globals.into_iter().map(|global| global.record);
        let others = others.filter(|record| !own_names.contains(&record.provider));
        for record in defaults.chain(others) {
            // A connection whose definition is gone has no destination.
            let Some(entry) = self.registry.find(&record.provider) else { continue };
            chosen.entry(record.provider.clone()).or_insert(Chosen { entry, record: Some(record) });
        }
        if request.scope == Scope::Configured {
            for entry in self.registry.list() {
                chosen.entry(entry.definition.name.clone()).or_insert(Chosen { entry, record: None });
            }
        }
        self.only(actor, chosen, request)
    }

    /// Keeps the providers that were asked for; each of them must be there.
    fn only(&self, actor: &Actor, mut chosen: BTreeMap<String, Chosen>, request: &RunRequest) -> Result<Vec<Chosen>> {
        let Some(providers) = &request.providers else { return Ok(chosen.into_values().collect()) };
        let mut kept = Vec::new();
        for provider in providers {
            match chosen.remove(provider) {
                Some(found) => kept.push(found),
                None if self.registry.find(provider).is_none() => {
                    return Err(AuthsomeError::ProviderNotFound { provider: provider.clone() });
                }
                None => return Err(missing(actor, provider, super::connections::DEFAULT)),
            }
        }
        Ok(kept)
    }

    fn add_routes(&self, routes: &mut Vec<RunRoute>, chosen: &Chosen) {
        let definition = &chosen.entry.definition;
        let record = chosen.record.as_ref();
        let endpoints = provider::auth_endpoints(definition, &chosen.filling());
        let exports = placeholders(definition);
        for destination in chosen.destinations() {
            let fresh = record.filter(|record| self.is_ready(&chosen.entry, record));
            // What cannot be sent is told to whoever asks for it: it does not end the run of everything else.
            let inject = fresh.and_then(|record| provider::slots(definition, record).ok());
            routes.push(RunRoute {
                provider: definition.name.clone(),
                connection: record.map(|record| record.connection_name.clone()).unwrap_or_default(),
                host: destination.host,
                host_match: destination.host_match,
                port: destination.port,
                path_prefix: destination.path_prefix,
                auth_endpoints: endpoints.clone(),
                inject,
                strip: provider::strip_slots(definition),
                default_headers: definition.default_headers.clone(),
                exports: if record.is_some() { exports.clone() } else { Vec::new() },
                expires_at: record.and_then(|record| record.expires_at),
            });
        }
    }

    /// Whether the values can be handed out without asking anybody.
    fn is_ready(&self, entry: &Entry, record: &ConnectionRecord) -> bool {
        check_bound(entry, record).is_ok() && check_alive(record, self.clock.now()).is_ok() && self.is_fresh(record)
    }
}

impl Chosen {
    fn filling(&self) -> Filling<'_> {
        self.record.as_ref().map_or_else(Filling::default, filling)
    }

    /// Where its requests go. Nowhere, when a placeholder has no value: then there is nothing to compare a host with.
    fn destinations(&self) -> Vec<Destination> {
        provider::destinations(&self.entry.definition, &self.filling()).unwrap_or_default()
    }
}

/// The names that the child gets placeholders for: those of secrets. A program that knows a URL or a region from its
/// environment must not be told another.
fn placeholders(definition: &ProviderDefinition) -> Vec<String> {
    let is_plain = |name: &str| definition.fields.iter().any(|field| field.name == name && !field.secret);
    let is_secret = |source: &ExportSource| match source {
        ExportSource::AccessToken | ExportSource::RefreshToken | ExportSource::ApiKey => true,
        ExportSource::BaseUrl | ExportSource::ApiUrl => false,
        ExportSource::Field(name) => !is_plain(name),
    };
    let names = provider::export_names(definition).into_iter().filter(|export| is_secret(&export.source));
    names.map(|export| export.env).collect()
}

fn default_record(of: ProviderConnections) -> Option<ConnectionRecord> {
    let ProviderConnections { default_connection, mut records, .. } = of;
    let wanted = default_connection.as_deref().unwrap_or(super::connections::DEFAULT);
    let index =
        records.iter().position(|record| record.connection_name == wanted).or((records.len() == 1).then_some(0));
    Some(records.swap_remove(index?))
}

/// The form of an older client: a suffix becomes a pattern that starts at a label boundary.
fn to_api_url(destination: &Destination) -> String {
    let Destination { host, host_match, port, path_prefix } = destination;
    match host_match {
        HostMatch::Regex => format!("regex:{host}"),
        HostMatch::Suffix => format!("regex:^[a-z0-9.-]+\\.{}$", host.replace('.', "\\.")),
        HostMatch::Exact if *port == 443 && path_prefix.is_empty() => host.clone(),
        HostMatch::Exact if *port == 443 => format!("https://{host}{path_prefix}"),
        HostMatch::Exact => format!("https://{host}:{port}{path_prefix}"),
    }
}

fn run_started(run_id: &str, routes: &[RunRoute]) -> crate::model::AuditEvent {
    let mut names: Vec<&str> = routes.iter().map(|route| route.provider.as_str()).collect();
    names.dedup();
    let mut started = event("run.started", "", None);
    started.provider = None;
    with_fact(with_fact(started, "run_id", run_id), "providers", names.len())
}
