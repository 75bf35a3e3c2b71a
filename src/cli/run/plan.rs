//! What a run may reach: one call to the daemon, or several to one of 0.7.2.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::client::{Client, segment};
use crate::error::{AuthsomeError, ErrorName, Result};
use crate::model::{AuthEndpoint, HostMatch, ProviderDefinition, RunPlan, RunRoute};
use crate::paths::hex;
use crate::provider::{Destination, Filling, auth_endpoints, export_names};
use crate::secret::random_bytes;

/// What is asked for.
#[derive(Debug, Serialize)]
pub(super) struct PlanRequest {
    /// `connected` or `configured`.
    pub(super) scope: &'static str,
    /// Only these; none: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) providers: Option<Vec<String>>,
    /// Connections in place of the default ones.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) connections: BTreeMap<String, String>,
}

/// Asks for the plan.
///
/// # Errors
/// What the daemon says, as a provider or a connection that is not there.
pub(super) fn fetch(client: &Client, request: &PlanRequest) -> Result<RunPlan> {
    let body = crate::secret::SecretBuffer::from_json(request).expect("names are JSON");
    let answer = client.call("POST", "/api/run", Some(body.expose_bytes()))?;
    // 0.7.2 serves pages under every path, so it knows this one with other methods.
    let unknown_route =
        answer.status() == 405 || (answer.status() == 404 && answer.detail().as_deref() == Some("Not Found"));
    if unknown_route {
        return older(client, request);
    }
    answer.into_success()?.parse()
}

#[derive(Deserialize)]
struct Routes {
    routes: Vec<OlderRoute>,
}

#[derive(Deserialize)]
struct OlderRoute {
    provider: String,
    #[serde(default)]
    connection: Option<String>,
    api_url: String,
    #[serde(default)]
    auth_endpoint_paths: Vec<String>,
}

#[derive(Deserialize)]
struct Definitions {
    #[serde(default)]
    bundled: Vec<ProviderDefinition>,
    #[serde(default)]
    custom: Vec<ProviderDefinition>,
}

/// What a definition says that an older daemon's routes do not.
#[derive(Clone, Default)]
struct Known {
    exports: Vec<String>,
    login: Vec<AuthEndpoint>,
}

impl Known {
    fn of(definition: &ProviderDefinition) -> Self {
        Self {
            exports: export_names(definition).into_iter().map(|name| name.env).collect(),
            login: auth_endpoints(definition, &Filling::nothing()),
        }
    }
}

/// The same from a daemon that has only routes: values are resolved when they are needed.
fn older(client: &Client, request: &PlanRequest) -> Result<RunPlan> {
    let Routes { routes } = client.get(&format!("/api/proxy/routes?scope={}", request.scope))?.parse()?;
    let definitions: Definitions = client.get("/api/providers")?.parse()?;
    let known: BTreeMap<String, Known> =
        definitions.bundled.iter().chain(&definitions.custom).map(|one| (one.name.clone(), Known::of(one))).collect();
    check_wanted(request, &routes)?;
    for (provider, connection) in &request.connections {
        client.get(&format!("/api/connections/{}/{}", segment(provider), segment(connection)))?;
    }
    let is_wanted = |route: &OlderRoute| request.providers.as_ref().is_none_or(|names| names.contains(&route.provider));
    let routes = routes.into_iter().filter(is_wanted);
    // An entry that we do not take (plain http) leads nowhere, which is what it should.
    let routes = routes.filter_map(|route| from_older(route, &request.connections, &known));
    Ok(RunPlan { run_id: format!("run_{}", hex(&random_bytes::<16>())), routes: routes.collect() })
}

fn check_wanted(request: &PlanRequest, routes: &[OlderRoute]) -> Result<()> {
    let named = request.providers.iter().flatten().chain(request.connections.keys());
    for name in named {
        if routes.iter().all(|route| route.provider != *name) {
            return Err(AuthsomeError::Remote {
                name: ErrorName::ConnectionNotFound,
                status: 404,
                message: format!("[{name}] there is no connection to {name}"),
                provider: Some(name.clone()),
                operation: None,
                hint: None,
            });
        }
    }
    Ok(())
}

fn from_older(
    route: OlderRoute,
    chosen: &BTreeMap<String, String>,
    known: &BTreeMap<String, Known>,
) -> Option<RunRoute> {
    let destination = Destination::parse(&route.api_url).ok()?;
    let on_this_host = |path: String| AuthEndpoint { host: destination.host.clone(), path };
    let Known { exports, login } = known.get(&route.provider).cloned().unwrap_or_default();
    let mut auth_endpoints = login;
    // An endpoint has a host, and a pattern is none: there the definition has to say where the login is.
    if destination.host_match == HostMatch::Exact {
        auth_endpoints.extend(route.auth_endpoint_paths.into_iter().map(on_this_host));
    }
    let connection = chosen.get(&route.provider).cloned().or(route.connection).unwrap_or_default();
    Some(RunRoute {
        exports,
        provider: route.provider,
        connection,
        host: destination.host,
        host_match: destination.host_match,
        port: destination.port,
        path_prefix: destination.path_prefix,
        auth_endpoints,
        inject: None,
        strip: Vec::new(),
        default_headers: BTreeMap::new(),
        expires_at: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(text: &str) -> OlderRoute {
        serde_json::from_str(text).expect("parses")
    }

    #[test]
    fn routes_of_an_older_daemon_become_ours() {
        let login = AuthEndpoint { host: "id.demo.test".into(), path: "/token".into() };
        let demo = Known { exports: vec!["DEMO_KEY".to_owned()], login: vec![login.clone()] };
        let known = BTreeMap::from([("demo".to_owned(), demo)]);
        let chosen = BTreeMap::from([("demo".to_owned(), "work".to_owned())]);
        let text = r#"{"provider":"demo","connection":"default","api_url":"https://API.demo.test:8443/v1/",
            "auth_endpoint_paths":["/oauth/token"]}"#;
        let ours = from_older(route(text), &chosen, &known).expect("a destination");
        assert_eq!((ours.host.as_str(), ours.port, ours.path_prefix.as_str()), ("api.demo.test", 8443, "/v1"));
        assert_eq!((ours.connection.as_str(), ours.exports.as_slice()), ("work", &["DEMO_KEY".to_owned()][..]));
        let on_this_host = AuthEndpoint { host: "api.demo.test".into(), path: "/oauth/token".into() };
        assert_eq!(ours.auth_endpoints, [login.clone(), on_this_host]);
        let pattern = r#"{"provider":"demo","api_url":"regex:.*\\.demo\\.test","auth_endpoint_paths":["/token"]}"#;
        let ours = from_older(route(pattern), &chosen, &known).expect("a destination");
        assert_eq!(ours.auth_endpoints, [login], "a pattern's login is where the definition says");
        let plain = r#"{"provider":"demo","api_url":"http://api.demo.test"}"#;
        assert!(from_older(route(plain), &chosen, &known).is_none());
    }

    #[test]
    fn a_name_without_a_route_is_an_error() {
        let request = |name: &str| PlanRequest {
            scope: "connected",
            providers: Some(vec![name.to_owned()]),
            connections: BTreeMap::new(),
        };
        let routes = [route(r#"{"provider":"demo","api_url":"api.demo.test"}"#)];
        assert!(check_wanted(&request("demo"), &routes).is_ok());
        assert_eq!(check_wanted(&request("other"), &routes).expect_err("not there").exit_code(), 3);
    }
}
