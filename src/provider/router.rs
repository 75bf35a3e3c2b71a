//! [`Router`]: which route, if any, a request belongs to. Pure: the same request always gets the same answer.
//!
//! Order (`contract/proxy.md` section 3): canonical host and port, then the path as it will be forwarded. Among
//! matches the longest path prefix wins, then exact host over suffix over pattern. What stays equal is refused.

use super::host::Host;
use super::path::{self, PathFault};
use super::pattern::HostPattern;
use super::target;
use crate::error::{AuthsomeError, Result};
use crate::model::{HostMatch, RunRoute};

/// The routes of one run, ready to be asked.
#[derive(Debug)]
pub struct Router {
    routes: Vec<RunRoute>,
    rules: Vec<Rule>,
}

/// What a request is to the routes.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// No route covers it.
    NoMatch,
    /// It goes to the provider's own login: never injected.
    AuthEndpoint {
        /// Index into [`Router::routes`].
        route: usize,
    },
    /// It gets this route's credential.
    Inject {
        /// Index into [`Router::routes`].
        route: usize,
    },
    /// Several connections claim it equally: none may have it.
    Ambiguous {
        /// Indices into [`Router::routes`], at least two.
        routes: Vec<usize>,
    },
    /// Its path cannot be compared safely with the prefixes of its host.
    UnsafePath {
        /// Index into [`Router::routes`]: the first route of this host, to name a provider.
        route: usize,
        /// What is wrong with it.
        fault: PathFault,
    },
}

/// The compared part of a route, parsed once.
#[derive(Debug)]
struct Rule {
    host: HostRule,
    port: u16,
    prefix: Vec<String>,
    /// Host and lenient path of the provider's own login.
    endpoints: Vec<(Host, Vec<String>)>,
}

#[derive(Debug)]
enum HostRule {
    Exact(Host),
    Suffix(Host),
    Pattern(HostPattern),
}

impl Router {
    /// Takes the routes of a run.
    ///
    /// # Errors
    /// `InvalidProviderSchema`, naming provider and field, when a host, pattern or path prefix is not one.
    pub fn new(routes: Vec<RunRoute>) -> Result<Self> {
        let rules = routes.iter().map(Rule::new).collect::<Result<_>>()?;
        Ok(Self { routes, rules })
    }

    /// The routes, as given.
    pub fn routes(&self) -> &[RunRoute] {
        &self.routes
    }

    /// Whether any route names this host and port, whatever the path: only then is a connection opened.
    pub fn covers(&self, host: &Host, port: u16) -> bool {
        self.on_host(host, port).next().is_some()
    }

    /// What to do with a request for `path_query` (origin form, as it will be forwarded) at `host` and `port`.
    pub fn decide(&self, host: &Host, port: u16, path_query: &str) -> Decision {
        let candidates: Vec<usize> = self.on_host(host, port).collect();
        let Some(&first) = candidates.first() else { return Decision::NoMatch };
        let path = path::path_of(path_query);
        let region = candidates.iter().map(|&index| self.rules[index].prefix.len()).max().unwrap_or_default();
        if let Err(fault) = path::judge(path, region) {
            return Decision::UnsafePath { route: first, fault };
        }
        let best = self.most_specific(&candidates, path);
        if let Some(&route) = best.iter().find(|&&index| self.rules[index].is_auth_endpoint(host, path)) {
            return Decision::AuthEndpoint { route };
        }
        // Dots are resolved before or after other things are decoded: servers differ in where such a path ends.
        if let Some(&route) = best.iter().find(|&&index| self.rules[index].has_login_at(host))
            && path::has_dots(path)
        {
            return Decision::UnsafePath { route, fault: PathFault::DotSegment };
        }
        match best[..] {
            [] => Decision::NoMatch,
            [route] => Decision::Inject { route },
            _ => Decision::Ambiguous { routes: best },
        }
    }

    /// Indices of the routes that name this host and port. A loopback name has none, whatever routes say.
    fn on_host<'a>(&'a self, host: &'a Host, port: u16) -> impl Iterator<Item = usize> + 'a {
        let rules = if host.is_loopback_name() { &[][..] } else { &self.rules[..] };
        rules.iter().enumerate().filter(move |(_, rule)| rule.names(host, port)).map(|(index, _)| index)
    }

    /// The routes among `candidates` that share the highest rank for `path`, one for each connection.
    fn most_specific(&self, candidates: &[usize], path: &str) -> Vec<usize> {
        let matching =
            || candidates.iter().copied().filter(|&index| path::starts_with(path, &self.rules[index].prefix));
        let Some(highest) = matching().map(|index| self.rules[index].rank()).max() else { return Vec::new() };
        let mut best: Vec<usize> = Vec::new();
        for index in matching().filter(|&index| self.rules[index].rank() == highest) {
            let is_known = |&known: &usize| self.is_same_connection(known, index);
            if !best.iter().any(is_known) {
                best.push(index);
            }
        }
        self.connected_first(best)
    }

    fn is_same_connection(&self, one: usize, other: usize) -> bool {
        let (one, other) = (&self.routes[one], &self.routes[other]);
        one.provider == other.provider && one.connection == other.connection
    }

    /// A provider that nobody is signed in to has no credential to confuse with another's.
    fn connected_first(&self, tied: Vec<usize>) -> Vec<usize> {
        let is_connected = |&index: &usize| !self.routes[index].connection.is_empty();
        if tied.iter().any(is_connected) { tied.into_iter().filter(is_connected).collect() } else { tied }
    }
}

impl Rule {
    fn new(route: &RunRoute) -> Result<Self> {
        let invalid = |field: &str, reason: String| AuthsomeError::InvalidProviderSchema {
            provider: Some(route.provider.clone()),
            field: field.to_owned(),
            reason,
        };
        let host = HostRule::new(route.host_match, &route.host).map_err(|reason| invalid("host", reason))?;
        let prefix = target::prefix_segments(&route.path_prefix).map_err(|error| invalid("path_prefix", error))?;
        let endpoint = |endpoint: &crate::model::AuthEndpoint| {
            let host = Host::parse(&endpoint.host).map_err(|error| invalid("auth_endpoints", error.to_string()))?;
            Ok((host, path::lenient_segments(&endpoint.path)))
        };
        let endpoints = route.auth_endpoints.iter().map(endpoint).collect::<Result<_>>()?;
        Ok(Self { host, port: route.port, prefix, endpoints })
    }

    fn names(&self, host: &Host, port: u16) -> bool {
        self.port == port
            && match &self.host {
                HostRule::Exact(own) => own == host,
                HostRule::Suffix(parent) => host.is_below(parent),
                HostRule::Pattern(pattern) => pattern.matches(host),
            }
    }

    /// Longer prefixes first, then the narrower kind of host.
    fn rank(&self) -> (usize, u8) {
        let kind = match self.host {
            HostRule::Exact(_) => 2,
            HostRule::Suffix(_) => 1,
            HostRule::Pattern(_) => 0,
        };
        (self.prefix.len(), kind)
    }

    fn has_login_at(&self, host: &Host) -> bool {
        self.endpoints.iter().any(|(own, _)| own == host)
    }

    fn is_auth_endpoint(&self, host: &Host, path: &str) -> bool {
        if !self.has_login_at(host) {
            return false;
        }
        let request = path::lenient_segments(path);
        let mut here = self.endpoints.iter().filter(|(own, _)| own == host);
        here.any(|(_, endpoint)| path::could_reach(&request, endpoint))
    }
}

impl HostRule {
    fn new(kind: HostMatch, text: &str) -> std::result::Result<Self, String> {
        let host = || Host::parse(text).map_err(|error| error.to_string());
        match kind {
            HostMatch::Exact => host().map(Self::Exact),
            HostMatch::Suffix => {
                let parent = host()?;
                super::domain::check_suffix(&parent).map_err(|error| error.to_string())?;
                Ok(Self::Suffix(parent))
            }
            HostMatch::Regex => HostPattern::parse(text).map(Self::Pattern).map_err(|error| error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::AuthEndpoint;
    use crate::provider::Destination;

    /// A route from `provider[/connection]` and an `api_url` entry.
    fn route(name: &str, entry: &str) -> RunRoute {
        let (provider, connection) = name.split_once('/').unwrap_or((name, "default"));
        let destination = Destination::parse(entry).expect("is a destination");
        RunRoute {
            provider: provider.to_owned(),
            connection: connection.to_owned(),
            host: destination.host,
            host_match: destination.host_match,
            port: destination.port,
            path_prefix: destination.path_prefix,
            auth_endpoints: Vec::new(),
            inject: None,
            strip: Vec::new(),
            default_headers: std::collections::BTreeMap::new(),
            exports: Vec::new(),
            expires_at: None,
        }
    }

    fn router(routes: &[(&str, &str)]) -> Router {
        Router::new(routes.iter().map(|(name, entry)| route(name, entry)).collect()).expect("routes are good")
    }

    fn decide(router: &Router, host: &str, path: &str) -> Decision {
        router.decide(&Host::parse(host).expect("is a host"), 443, path)
    }

    fn google() -> Router {
        router(&[
            ("google", "*.googleapis.com"),
            ("google-drive", "https://www.googleapis.com/drive/v3"),
            ("google-drive", "https://www.googleapis.com/upload/drive/v3"),
            ("google-calendar", "https://www.googleapis.com/calendar/v3"),
            ("google-docs", "https://docs.googleapis.com"),
        ])
    }

    #[test]
    fn the_most_specific_route_wins() {
        let router = google();
        for (host, path, route) in [
            ("www.googleapis.com", "/drive/v3/files?q=1", 1),
            ("www.googleapis.com", "/drive/v3", 1),
            ("WWW.GoogleAPIs.com.", "/drive/v3/", 1),
            ("www.googleapis.com", "/upload/drive/v3/files", 2),
            ("www.googleapis.com", "/calendar/v3/calendars/a%40b.test/events", 3),
            ("www.googleapis.com", "/drive/v30", 0),
            ("www.googleapis.com", "/oauth2/v3/userinfo", 0),
            ("docs.googleapis.com", "/v1/documents/a%2Fb", 4),
            ("storage.googleapis.com", "/b/..", 0),
            ("a.b.googleapis.com", "/", 0),
        ] {
            assert_eq!(decide(&router, host, path), Decision::Inject { route }, "{host}{path}");
        }
    }

    #[test]
    fn hostile_hosts_match_nothing() {
        let router = router(&[
            ("google", "*.googleapis.com"),
            ("github", "api.github.com"),
            ("raw", "raw.githubusercontent.com"),
            ("linear", r"regex:.*\.linear\.app"),
            ("local", "localhost"),
            ("loop", "127.0.0.1"),
            ("loop6", "https://[::1]"),
            ("any", "0.0.0.0"),
            ("mapped", "https://[::ffff:127.0.0.1]"),
        ]);
        for host in [
            "googleapis.com",
            "evilgoogleapis.com",
            "googleapis.com.evil.test",
            "x.googleapis.com.evil.test",
            "googleapis.evil.test",
            "xgoogleapis.com",
            "api.github.com.evil.test",
            "evil-api.github.com",
            "x.api.github.com",
            "github.com",
            "api-github.com",
            "evilgithubusercontent.com",
            "raw.githubusercontent.com.evil.test",
            "evilraw.githubusercontent.com",
            "linear.app",
            "evillinear.app",
            "api.linear.app.evil.test",
            "localhost",
            "LOCALHOST.",
            "x.localhost",
            "127.0.0.1",
            "::1",
            "0.0.0.0",
            "::ffff:127.0.0.1",
        ] {
            assert_eq!(decide(&router, host, "/"), Decision::NoMatch, "{host}");
            assert!(!router.covers(&Host::parse(host).expect("is a host"), 443), "{host}");
        }
    }

    #[test]
    fn ports_are_part_of_the_destination() {
        let router = router(&[("a", "api.acme.test"), ("b", "https://api.acme.test:8443")]);
        let host = Host::parse("api.acme.test").expect("is a host");
        assert_eq!(router.decide(&host, 443, "/"), Decision::Inject { route: 0 });
        assert_eq!(router.decide(&host, 8443, "/"), Decision::Inject { route: 1 });
        assert_eq!(router.decide(&host, 80, "/"), Decision::NoMatch);
        assert!(router.covers(&host, 8443) && !router.covers(&host, 80));
    }

    #[test]
    fn exact_beats_suffix_beats_pattern_only_at_equal_prefixes() {
        let pattern = r"regex:[a-z]+\.acme\.test";
        let all = router(&[("pattern", pattern), ("suffix", "*.acme.test"), ("exact", "api.acme.test")]);
        assert_eq!(decide(&all, "api.acme.test", "/"), Decision::Inject { route: 2 });
        assert_eq!(decide(&all, "web.acme.test", "/"), Decision::Inject { route: 1 });
        let prefixed = router(&[("exact", "api.acme.test"), ("suffix", "https://*.acme.test/v2")]);
        assert_eq!(decide(&prefixed, "api.acme.test", "/v2/x"), Decision::Inject { route: 1 });
        assert_eq!(decide(&prefixed, "api.acme.test", "/v1/x"), Decision::Inject { route: 0 });
        assert_eq!(decide(&prefixed, "web.acme.test", "/v1/x"), Decision::NoMatch);
    }

    #[test]
    fn ties_are_refused_unless_they_are_one_connection() {
        let tied = router(&[("klaviyo", "a.klaviyo.com"), ("klaviyo-oauth", "a.klaviyo.com")]);
        assert_eq!(decide(&tied, "a.klaviyo.com", "/"), Decision::Ambiguous { routes: vec![0, 1] });
        let suffixes = router(&[("a", "*.acme.test"), ("b", "*.api.acme.test")]);
        assert_eq!(decide(&suffixes, "x.api.acme.test", "/"), Decision::Ambiguous { routes: vec![0, 1] });
        let accounts = router(&[("a/work", "api.acme.test"), ("a/home", "api.acme.test")]);
        assert_eq!(decide(&accounts, "api.acme.test", "/"), Decision::Ambiguous { routes: vec![0, 1] });
        let same = router(&[("a", "api.acme.test"), ("a", "https://api.acme.test/")]);
        assert_eq!(decide(&same, "api.acme.test", "/"), Decision::Inject { route: 0 });
    }

    #[test]
    fn a_provider_without_a_connection_makes_no_tie() {
        let one = router(&[("a/", "api.acme.test"), ("b", "api.acme.test")]);
        assert_eq!(decide(&one, "api.acme.test", "/"), Decision::Inject { route: 1 });
        let none = router(&[("a/", "api.acme.test"), ("b/", "api.acme.test")]);
        assert_eq!(decide(&none, "api.acme.test", "/"), Decision::Ambiguous { routes: vec![0, 1] });
        // It is still the more specific one where it is.
        let specific = router(&[("a/", "https://api.acme.test/v1"), ("b", "api.acme.test")]);
        assert_eq!(decide(&specific, "api.acme.test", "/v1/x"), Decision::Inject { route: 0 });
    }

    #[test]
    fn unsafe_paths_are_refused_where_prefixes_matter() {
        let router = google();
        for (path, fault) in [
            ("/drive%2Fv3/files", PathFault::Encoded),
            ("/drive/v3/../../calendar/v3", PathFault::DotSegment),
            ("/drive/v3/..%2f..%2fcalendar", PathFault::DotSegment),
            ("//drive/v3", PathFault::EmptySegment),
            ("/drive;a/v3", PathFault::Parameter),
            ("/drive\\v3", PathFault::Backslash),
            ("*", PathFault::NotAbsolute),
        ] {
            let decision = decide(&router, "www.googleapis.com", path);
            assert_eq!(decision, Decision::UnsafePath { route: 0, fault }, "{path}");
        }
        // The query is no path, and a host without prefixes has nothing to compare.
        assert_eq!(
            decide(&router, "www.googleapis.com", "/drive/v3/files?x=../..//;%2e"),
            Decision::Inject { route: 1 }
        );
        assert_eq!(decide(&router, "docs.googleapis.com", "/v1/..%2f"), Decision::Inject { route: 4 });
    }

    #[test]
    fn the_providers_own_login_is_never_injected() {
        let mut hubspot = route("hubspot", "api.hubapi.com");
        let endpoint = |host: &str, path: &str| AuthEndpoint { host: host.to_owned(), path: path.to_owned() };
        hubspot.auth_endpoints =
            vec![endpoint("api.hubapi.com", "/oauth/2026-03/token"), endpoint("app.hubspot.com", "/oauth/authorize")];
        let mut tied = route("oauth", "a.klaviyo.com");
        tied.auth_endpoints = vec![endpoint("a.klaviyo.com", "/oauth/token")];
        let router = Router::new(vec![hubspot, route("key", "a.klaviyo.com"), tied]).expect("routes are good");
        for path in
            ["/oauth/2026-03/token", "/oauth/2026-03/token/", "/OAUTH/2026-03/%74oken?x", "/x/../oauth/2026-03/token"]
        {
            assert_eq!(decide(&router, "api.hubapi.com", path), Decision::AuthEndpoint { route: 0 }, "{path}");
        }
        assert_eq!(decide(&router, "api.hubapi.com", "/oauth/authorize"), Decision::Inject { route: 0 });
        assert_eq!(decide(&router, "a.klaviyo.com", "/oauth/token"), Decision::AuthEndpoint { route: 2 });
        assert_eq!(decide(&router, "a.klaviyo.com", "/api"), Decision::Ambiguous { routes: vec![1, 2] });
    }

    #[test]
    fn a_login_that_one_reader_would_see_behind_dots_is_not_injected() {
        let mut hubspot = route("hubspot", "api.hubapi.com");
        let endpoint = AuthEndpoint { host: "api.hubapi.com".to_owned(), path: "/oauth/v3/token".to_owned() };
        hubspot.auth_endpoints = vec![endpoint];
        let router = Router::new(vec![hubspot, route("plain", "plain.test")]).expect("routes are good");
        for path in [
            "/x%3f/../oauth/v3/token",         // decoded late: the query starts behind it
            "/x%23/../oauth/v3/token",         // the same with a fragment
            "/a%2fb/../oauth/v3/token",        // one segment or two
            "/a\\b/../oauth/v3/token",         // the same with a backslash
            "/oauth//../v3/token",             // an empty segment is one or none
            "/oauth/v3/x/%2e%2e//../token",    // the same, encoded
            "/%2525252525252e/oauth/v3/token", // encoded more often than we look
        ] {
            let decision = decide(&router, "api.hubapi.com", path);
            assert_eq!(decision, Decision::UnsafePath { route: 0, fault: PathFault::DotSegment }, "{path}");
        }
        assert_eq!(decide(&router, "api.hubapi.com", "/a%2fb/.x/..y"), Decision::Inject { route: 0 });
        assert_eq!(decide(&router, "plain.test", "/a/../b"), Decision::Inject { route: 1 }, "no login there");
    }

    #[test]
    fn bad_routes_are_refused_by_name() {
        for (host_match, host, prefix, field) in [
            (HostMatch::Exact, "api.acme.test:443", "", "host"),
            (HostMatch::Exact, "", "", "host"),
            (HostMatch::Suffix, "com", "", "host"),
            (HostMatch::Suffix, "*.acme.test", "", "host"),
            (HostMatch::Regex, ".*googleapis.*", "", "host"),
            (HostMatch::Regex, r".*githubusercontent\.com$", "", "host"),
            (HostMatch::Exact, "api.acme.test", "v1", "path_prefix"),
            (HostMatch::Exact, "api.acme.test", "/v1/../v2", "path_prefix"),
            (HostMatch::Exact, "api.acme.test", "/v1%2fx", "path_prefix"),
            (HostMatch::Exact, "api.acme.test", "//v1", "path_prefix"),
        ] {
            let mut bad = route("acme", "api.acme.test");
            (bad.host, bad.host_match, bad.path_prefix) = (host.to_owned(), host_match, prefix.to_owned());
            let error = Router::new(vec![bad]).expect_err("is refused").to_string();
            assert!(
                error.starts_with(&format!("[acme] Invalid provider schema: {field}: ")),
                "{host} {prefix}: {error}"
            );
        }
    }
}
