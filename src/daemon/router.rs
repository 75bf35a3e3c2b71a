//! The one table of routes: who may call what, and what answers (`contract/http.md` section 3).

use super::api::{
    accounts, audit, claims, connections, credentials, description, health, identities, providers, sessions, signin,
};
use super::auth::Access::{self, Admin, AdminPage, Open, Page, Proof, ProofOrBrowser, Registered};
use super::context::Context;
use super::dashboard::providers::define;
use super::dashboard::{self, agents, overview, people, settings};
use super::message::Outcome;
use super::openapi::{Doc, doc, resource};
use super::pages::{SCRIPT_PATH, STYLE_PATH};
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
    /// What it takes and answers, for `/openapi.json`.
    pub(super) doc: &'static Doc,
}

impl Route {
    const fn new(
        method: &'static str,
        pattern: &'static str,
        access: Access,
        handler: Handler,
        doc: &'static Doc,
    ) -> Self {
        Self { method, pattern, access, handler, doc }
    }

    /// The names of its parameters.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.pattern.split('/').filter_map(parameter)
    }

    /// Whether a browser shows its answers.
    pub(super) fn is_page(&self) -> bool {
        is_page(self.pattern)
    }

    /// What it is about, for its description.
    pub(super) fn resource(&self) -> &'static str {
        resource(self.pattern)
    }
}

const fn get(pattern: &'static str, access: Access, handler: Handler, doc: &'static Doc) -> Route {
    Route::new("GET", pattern, access, handler, doc)
}

const fn post(pattern: &'static str, access: Access, handler: Handler, doc: &'static Doc) -> Route {
    Route::new("POST", pattern, access, handler, doc)
}

const fn put(pattern: &'static str, access: Access, handler: Handler, doc: &'static Doc) -> Route {
    Route::new("PUT", pattern, access, handler, doc)
}

const fn delete(pattern: &'static str, access: Access, handler: Handler, doc: &'static Doc) -> Route {
    Route::new("DELETE", pattern, access, handler, doc)
}

/// A page of the dashboard. All of them are documented alike.
const fn page(pattern: &'static str, access: Access, handler: Handler) -> Route {
    get(pattern, access, handler, &doc::PAGE)
}

/// A form of the dashboard. All of them are documented alike.
const fn form(pattern: &'static str, access: Access, handler: Handler) -> Route {
    post(pattern, access, handler, &doc::FORM)
}

/// Every route.
pub(super) static ROUTES: &[Route] = &[
    get("/health", Open, health::health, &doc::HEALTH),
    get("/api/health", Open, health::health, &doc::HEALTH),
    get("/openapi.json", Open, description::openapi, &doc::OPENAPI),
    get("/docs", Open, description::docs, &doc::DOCS),
    get("/api/ready", Proof, health::ready, &doc::READY),
    get("/api/whoami", ProofOrBrowser, health::whoami, &doc::WHOAMI),
    post("/api/identities/register", Open, identities::register, &doc::REGISTER_IDENTITY),
    get("/api/identities", ProofOrBrowser, identities::list, &doc::IDENTITIES),
    get("/api/identities/", ProofOrBrowser, identities::list, &doc::IDENTITIES),
    get("/api/identities/by-did/{did}", Open, identities::by_did, &doc::IDENTITY_BY_DID),
    get("/api/identities/{handle}", Open, identities::get, &doc::IDENTITY),
    delete("/api/identities/{handle}", ProofOrBrowser, identities::forget, &doc::FORGET_IDENTITY),
    get("/api/identities/{handle}/detail", ProofOrBrowser, identities::detail, &doc::IDENTITY_DETAIL),
    post("/api/identities/{handle}/claim", Registered, identities::claim, &doc::CLAIM_LOCALLY),
    put("/api/identities/{handle}/grants", ProofOrBrowser, identities::grants, &doc::GRANTS),
    get("/api/principals", Admin, identities::principals, &doc::PRINCIPALS),
    get("/api/principals/", Admin, identities::principals, &doc::PRINCIPALS),
    post("/api/auth/sessions", Proof, sessions::start, &doc::START_LOGIN),
    get("/api/auth/sessions/{id}", Proof, sessions::get, &doc::LOGIN),
    delete("/api/auth/sessions/{id}", Proof, sessions::cancel, &doc::CANCEL_LOGIN),
    post("/api/auth/sessions/{id}/resume", Proof, sessions::resume, &doc::RESUME_LOGIN),
    get("/api/auth/sessions/{id}/input", Open, sessions::input_json, &doc::LOGIN_INPUT),
    post("/api/auth/sessions/{id}/input", Open, sessions::input_form, &doc::SUBMIT_INPUT),
    get("/api/auth/sessions/{id}/device", Open, sessions::device_json, &doc::LOGIN_DEVICE),
    get("/api/auth/sessions/{id}/status", Open, sessions::status_json, &doc::LOGIN_STATUS),
    get("/api/connections", ProofOrBrowser, connections::list, &doc::CONNECTIONS),
    get("/api/connections/{provider}/{connection}", Proof, connections::record, &doc::CONNECTION),
    get("/api/connections/{provider}/{connection}/detail", ProofOrBrowser, connections::detail, &doc::CONNECTION_FACTS),
    post("/api/connections/{provider}/{connection}/logout", ProofOrBrowser, connections::logout, &doc::DISCONNECT),
    post("/api/connections/{provider}/{connection}/default", ProofOrBrowser, connections::set_default, &doc::DEFAULT),
    post("/api/connections/{provider}/{connection}/global", Admin, connections::set_global, &doc::SET_GLOBAL),
    post("/api/connections/{provider}/{connection}/rebind", ProofOrBrowser, connections::rebind, &doc::REBIND),
    delete("/api/connections/{provider}/global", Admin, connections::unset_global, &doc::UNSET_GLOBAL),
    post("/api/connections/{provider}/revoke", Admin, connections::revoke, &doc::REVOKE),
    post("/api/credentials/resolve", Proof, credentials::resolve, &doc::RESOLVE),
    post("/api/credentials/export", Proof, credentials::export, &doc::EXPORT),
    post("/api/run", Proof, credentials::run, &doc::RUN),
    get("/api/proxy/routes", Proof, credentials::routes, &doc::PROXY_ROUTES),
    get("/api/providers", Proof, providers::list, &doc::PROVIDERS),
    post("/api/providers", Admin, providers::register, &doc::REGISTER_PROVIDER),
    get("/api/providers/{provider}", Proof, providers::definition, &doc::PROVIDER),
    put("/api/providers/{provider}", Admin, providers::replace, &doc::REPLACE_PROVIDER),
    delete("/api/providers/{provider}", Admin, providers::remove, &doc::REMOVE_PROVIDER),
    get("/api/providers/{provider}/detail", ProofOrBrowser, providers::detail, &doc::PROVIDER_DETAIL),
    put("/api/providers/{provider}/configuration", Admin, providers::configure, &doc::CONFIGURE),
    get("/api/audit/events", ProofOrBrowser, audit::list, &doc::AUDIT),
    post("/api/audit/events", Proof, audit::write, &doc::WRITE_AUDIT),
    post("/api/auth/register", Open, accounts::register, &doc::REGISTER_ACCOUNT),
    post("/api/auth/login", Open, accounts::login, &doc::SIGN_IN),
    post("/api/auth/password", Open, accounts::password, &doc::CHANGE_PASSWORD),
    post("/api/logout", Open, accounts::logout, &doc::SIGN_OUT),
    post("/api/session", Proof, signin::link, &doc::SIGN_IN_LINK),
    delete("/api/session", ProofOrBrowser, signin::end, &doc::END_SESSIONS),
    post("/api/invitations", Admin, accounts::invite, &doc::INVITE),
    get("/api/claim/{token}", Open, claims::get, &doc::CLAIM),
    post("/api/claim/{token}/confirm", Open, claims::confirm, &doc::CONFIRM_CLAIM),
    post("/api/auth/providers/{provider}/connect", ProofOrBrowser, sessions::connect_form, &doc::CONNECT),
    get("/login", Open, accounts::login_page, &doc::LOGIN_PAGE),
    get("/signin", Open, signin::page, &doc::SIGN_IN_PAGE),
    post("/signin", Open, signin::confirm, &doc::CONFIRM_SIGN_IN),
    get("/claim", Open, claims::page, &doc::CLAIM_PAGE),
    get("/claim/{token}", Open, claims::short, &doc::CLAIM_LINK),
    get("/auth/input", Open, sessions::input_page, &doc::INPUT_PAGE),
    post("/auth/input", Open, sessions::input_page_form, &doc::SUBMIT_PAGE),
    get("/auth/device", Open, sessions::device_page, &doc::DEVICE_PAGE),
    get("/api/auth/callback/oauth", Open, sessions::callback, &doc::CALLBACK),
    get("/auth/callback/oauth", Open, sessions::callback, &doc::CALLBACK),
    get("/auth/success", Open, sessions::success_page, &doc::SUCCESS_PAGE),
    page("/", Page, overview::page),
    get("/connections/{provider}/{connection}", Page, dashboard::connections::page, &doc::CONNECTION_PAGE),
    form("/connections/{provider}/{connection}/default", Page, dashboard::connections::set_default),
    post(
        "/connections/{provider}/{connection}/global",
        AdminPage,
        dashboard::connections::set_global,
        &doc::CONNECTION_FORM,
    ),
    form("/connections/{provider}/{connection}/rebind", Page, dashboard::connections::rebind),
    post("/connections/{provider}/{connection}/logout", Page, dashboard::connections::logout, &doc::CONNECTION_FORM),
    post("/connections/{provider}/{connection}/reveal", Page, dashboard::connections::reveal, &doc::REVEAL),
    page("/providers", Page, dashboard::providers::list),
    page("/providers/{provider}", Page, dashboard::providers::page),
    page("/agents", Page, agents::list),
    page("/agents/{handle}", Page, agents::page),
    page("/audit", Page, dashboard::audit::page),
    page("/people", AdminPage, people::page),
    page("/settings", Page, settings::page),
    form("/agents/{handle}/grants", Page, agents::grants),
    form("/agents/{handle}/forget", Page, agents::forget),
    form("/people/invite", AdminPage, people::invite),
    form("/settings/sign-out-others", Page, settings::sign_out_others),
    form("/providers/{provider}/client", AdminPage, dashboard::providers::client::configure),
    form("/providers/{provider}/revoke", AdminPage, dashboard::providers::revoke),
    form("/providers/{provider}/delete", AdminPage, dashboard::providers::delete),
    page("/providers/{provider}/edit", AdminPage, define::edit_page),
    form("/providers/{provider}/edit", AdminPage, define::edit),
    page("/new-provider", AdminPage, define::page),
    form("/new-provider", AdminPage, define::create),
    post("/new-provider/check", AdminPage, define::check, &doc::CHECK_PROVIDER),
    get(STYLE_PATH, Open, accounts::style, &doc::STYLE),
    get(SCRIPT_PATH, Open, dashboard::script, &doc::SCRIPT),
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

/// The methods that `path` takes, for `Allow`.
pub(super) fn allowed(path: &str) -> String {
    let mut methods: Vec<&str> =
        ROUTES.iter().filter(|route| params(route.pattern, path).is_some()).map(|route| route.method).collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.join(", ")
}

/// The values of the parameters of `pattern` in `path`; `None` when it does not match. A parameter is one segment,
/// decoded after the path was split, so that `%2F` cannot move a border.
fn params(pattern: &'static str, path: &str) -> Option<Vec<(&'static str, String)>> {
    let (mut expected, mut given) = (pattern.split('/'), path.split('/'));
    let mut params = Vec::new();
    loop {
        match (expected.next(), given.next()) {
            (None, None) => return Some(params),
            (Some(expected), Some(given)) => match parameter(expected) {
                Some(name) if !given.is_empty() => params.push((name, decode_text(given.as_bytes(), Plus::Plus))),
                None if expected == given => {}
                _ => return None,
            },
            _ => return None,
        }
    }
}

/// The name of the parameter that a segment of a pattern is.
fn parameter(segment: &'static str) -> Option<&'static str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

/// Whether a browser shows what is at `path`, that of a request or the pattern of a route: pages, and under `/api` the
/// callback, to which providers lead people, and what forms of ours are sent to.
pub(super) fn is_page(path: &str) -> bool {
    const FOR_BROWSERS: [&str; 7] = [
        "/api/auth/callback/",
        "/api/auth/providers/",
        "/api/auth/register",
        "/api/auth/login",
        "/api/auth/password",
        "/api/claim/",
        "/api/logout",
    ];
    !path.starts_with("/api/") || FOR_BROWSERS.iter().any(|start| path.starts_with(start))
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
        assert_eq!(allowed("/api/identities/calm-fox"), "GET, DELETE, HEAD");
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
