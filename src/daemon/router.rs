//! The one table of routes: who may call what, and what answers (`contract/http.md` section 3).

use super::api::{accounts, audit, claims, connections, credentials, health, identities, providers, sessions, signin};
use super::auth::Access::{self, Admin, Open, Proof, ProofOrBrowser, Registered};
use super::context::Context;
use super::message::Outcome;
use super::pages::STYLE_PATH;
use crate::percent::{Plus, decode_text};

/// What answers a route.
pub(super) type Handler = fn(&Context<'_>) -> Outcome;

/// A row of the table.
pub(super) struct Route {
    pub(super) method: &'static str,
    /// Segments; `{name}` matches one of any text.
    pub(super) pattern: &'static str,
    pub(super) access: Access,
    pub(super) handler: Handler,
}

const fn route(method: &'static str, pattern: &'static str, access: Access, handler: Handler) -> Route {
    Route { method, pattern, access, handler }
}

/// Every route.
pub(super) static ROUTES: &[Route] = &[
    route("GET", "/health", Open, health::health),
    route("GET", "/api/health", Open, health::health),
    route("GET", "/api/ready", Proof, health::ready),
    route("GET", "/api/whoami", ProofOrBrowser, health::whoami),
    route("POST", "/api/identities/register", Open, identities::register),
    route("GET", "/api/identities", ProofOrBrowser, identities::list),
    route("GET", "/api/identities/", ProofOrBrowser, identities::list),
    route("GET", "/api/identities/by-did/{did}", Open, identities::by_did),
    route("GET", "/api/identities/{handle}", Open, identities::get),
    route("DELETE", "/api/identities/{handle}", ProofOrBrowser, identities::forget),
    route("GET", "/api/identities/{handle}/detail", ProofOrBrowser, identities::detail),
    route("POST", "/api/identities/{handle}/claim", Registered, identities::claim),
    route("PUT", "/api/identities/{handle}/grants", ProofOrBrowser, identities::grants),
    route("GET", "/api/principals", Admin, identities::principals),
    route("GET", "/api/principals/", Admin, identities::principals),
    route("POST", "/api/auth/sessions", Proof, sessions::start),
    route("GET", "/api/auth/sessions/{id}", Proof, sessions::get),
    route("DELETE", "/api/auth/sessions/{id}", Proof, sessions::cancel),
    route("POST", "/api/auth/sessions/{id}/resume", Proof, sessions::resume),
    route("GET", "/api/auth/sessions/{id}/input", Open, sessions::input_json),
    route("POST", "/api/auth/sessions/{id}/input", Open, sessions::input_form),
    route("GET", "/api/auth/sessions/{id}/device", Open, sessions::device_json),
    route("GET", "/api/auth/sessions/{id}/status", Open, sessions::status_json),
    route("GET", "/api/connections", ProofOrBrowser, connections::list),
    route("GET", "/api/connections/{provider}/{connection}", Proof, connections::record),
    route("GET", "/api/connections/{provider}/{connection}/detail", ProofOrBrowser, connections::detail),
    route("POST", "/api/connections/{provider}/{connection}/logout", ProofOrBrowser, connections::logout),
    route("POST", "/api/connections/{provider}/{connection}/default", ProofOrBrowser, connections::set_default),
    route("POST", "/api/connections/{provider}/{connection}/global", Admin, connections::set_global),
    route("POST", "/api/connections/{provider}/{connection}/rebind", ProofOrBrowser, connections::rebind),
    route("DELETE", "/api/connections/{provider}/global", Admin, connections::unset_global),
    route("POST", "/api/connections/{provider}/revoke", Admin, connections::revoke),
    route("POST", "/api/credentials/resolve", Proof, credentials::resolve),
    route("POST", "/api/credentials/export", Proof, credentials::export),
    route("POST", "/api/run", Proof, credentials::run),
    route("GET", "/api/proxy/routes", Proof, credentials::routes),
    route("GET", "/api/providers", Proof, providers::list),
    route("POST", "/api/providers", Admin, providers::register),
    route("GET", "/api/providers/{provider}", Proof, providers::definition),
    route("PUT", "/api/providers/{provider}", Admin, providers::replace),
    route("DELETE", "/api/providers/{provider}", Admin, providers::remove),
    route("GET", "/api/providers/{provider}/detail", ProofOrBrowser, providers::detail),
    route("PUT", "/api/providers/{provider}/configuration", Admin, providers::configure),
    route("GET", "/api/audit/events", ProofOrBrowser, audit::list),
    route("POST", "/api/audit/events", Proof, audit::write),
    route("POST", "/api/auth/register", Open, accounts::register),
    route("POST", "/api/auth/login", Open, accounts::login),
    route("POST", "/api/auth/password", Open, accounts::password),
    route("POST", "/api/logout", Open, accounts::logout),
    route("POST", "/api/session", Proof, signin::link),
    route("POST", "/api/invitations", Admin, accounts::invite),
    route("GET", "/api/claim/{token}", Open, claims::get),
    route("POST", "/api/claim/{token}/confirm", Open, claims::confirm),
    route("POST", "/api/auth/providers/{provider}/connect", ProofOrBrowser, sessions::connect_form),
    route("GET", "/", Open, accounts::home),
    route("GET", "/login", Open, accounts::login_page),
    route("GET", "/signin", Open, signin::page),
    route("POST", "/signin", Open, signin::confirm),
    route("GET", "/claim", Open, claims::page),
    route("GET", "/claim/{token}", Open, claims::short),
    route("GET", "/auth/input", Open, sessions::input_page),
    route("POST", "/auth/input", Open, sessions::input_page_form),
    route("GET", "/auth/device", Open, sessions::device_page),
    route("GET", "/api/auth/callback/oauth", Open, sessions::callback),
    route("GET", "/auth/callback/oauth", Open, sessions::callback),
    route("GET", "/auth/success", Open, sessions::success_page),
    route("GET", STYLE_PATH, Open, accounts::style),
];

/// What the table says of a request.
#[must_use]
pub(super) enum Match {
    /// This route, with its parameters.
    Found(&'static Route, Vec<(&'static str, String)>),
    /// The path is known, the method is not.
    WrongMethod,
    /// Nothing has this path.
    Unknown,
}

/// Finds the route of a request. The first row wins, so that literal segments stand before parameters.
pub(super) fn find(method: &str, path: &str) -> Match {
    let mut path_is_known = false;
    for route in ROUTES {
        let Some(params) = params(route.pattern, path) else { continue };
        if route.method == method || (method == "HEAD" && route.method == "GET") {
            return Match::Found(route, params);
        }
        path_is_known = true;
    }
    if path_is_known { Match::WrongMethod } else { Match::Unknown }
}

/// The values of the parameters of `pattern` in `path`; `None` when it does not match. A parameter is one segment,
/// decoded after the path was split, so that `%2F` cannot move a border.
fn params(pattern: &'static str, path: &str) -> Option<Vec<(&'static str, String)>> {
    let (mut expected, mut given) = (pattern.split('/'), path.split('/'));
    let mut params = Vec::new();
    loop {
        match (expected.next(), given.next()) {
            (None, None) => return Some(params),
            (Some(expected), Some(given)) => match expected.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
                Some(name) if !given.is_empty() => params.push((name, decode_text(given.as_bytes(), Plus::Plus))),
                None if expected == given => {}
                _ => return None,
            },
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: &str, path: &str) -> Option<(&'static str, Vec<String>)> {
        match find(method, path) {
            Match::Found(route, params) => Some((route.pattern, params.into_iter().map(|(_, value)| value).collect())),
            Match::WrongMethod | Match::Unknown => None,
        }
    }

    #[test]
    fn paths_find_their_rows() {
        let found = |method, path| found(method, path).expect("a route");
        assert_eq!(found("GET", "/api/identities/by-did/did:key:z1").0, "/api/identities/by-did/{did}");
        assert_eq!(found("GET", "/api/identities/calm-fox").1, ["calm-fox"]);
        assert_eq!(found("GET", "/api/connections/a%2Fb/c%20d").1, ["a/b", "c d"]);
        assert_eq!(found("HEAD", "/health").0, "/health");
    }

    #[test]
    fn the_rest_is_unknown_or_the_wrong_method() {
        for path in ["/nope", "/api", "/api/health/", "//health", "/api/connections/a/b/c/d", "/api/identities//detail"]
        {
            assert!(matches!(find("GET", path), Match::Unknown), "{path}");
        }
        assert!(matches!(find("POST", "/health"), Match::WrongMethod));
        assert!(matches!(find("DELETE", "/api/run"), Match::WrongMethod));
    }

    #[test]
    fn no_row_hides_another() {
        for route in ROUTES {
            let path = route.pattern.replace(['{', '}'], "x");
            let Match::Found(first, _) = find(route.method, &path) else { panic!("{} is not found", route.pattern) };
            assert_eq!(first.pattern, route.pattern);
        }
    }
}
