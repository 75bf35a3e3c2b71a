//! Agreement: CONNECT, TLS server name, `Host` and request target must name one destination (`contract/proxy.md`
//! sections 4 and 5). Pure. A disagreement is refused, never repaired: whoever sends it wants one of the two to be
//! checked and the other to be used.

use crate::http1::{RequestHead, Version};
use crate::provider::Host;

/// One destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Authority {
    /// Canonical host.
    pub(super) host: Host,
    /// TCP port.
    pub(super) port: u16,
}

impl Authority {
    /// Reads `host:port`; without a port, `default_port` where there is one.
    pub(super) fn parse(text: &str, default_port: Option<u16>) -> Option<Self> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') && (!host.contains(':') || host.ends_with(']')) => {
                (host, Some(port))
            }
            _ => (text, None),
        };
        let port = match port {
            // `parse` would take a sign.
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
            Some(_) => return None,
            None => default_port?,
        };
        (port != 0).then_some(())?;
        Some(Self { host: Host::parse(host).ok()?, port })
    }

    /// As the `Host` of a request: the port only where it is not the scheme's own.
    pub(super) fn to_host_field(&self, default_port: u16) -> String {
        let host = self.host.as_str();
        let bracketed = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        if self.port == default_port { bracketed } else { format!("{bracketed}:{}", self.port) }
    }
}

/// What does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Disagreement {
    /// A method that has no business inside a connection (405).
    Method,
    /// Two destinations are named; says by what (421).
    Misdirected(&'static str),
    /// It cannot be told what is meant (400).
    Unclear(&'static str),
}

/// Checks a request inside an intercepted connection to `authority`, whose TLS server name was `server_name`.
/// Returns path and query as they go upstream.
pub(super) fn agree<'a>(
    head: &'a RequestHead,
    authority: &Authority,
    server_name: Option<&str>,
) -> Result<&'a str, Disagreement> {
    if head.method.eq_ignore_ascii_case("CONNECT") || is_echo(&head.method) {
        return Err(Disagreement::Method);
    }
    if let Some(name) = server_name
        && Host::parse(name).ok().as_ref() != Some(&authority.host)
    {
        return Err(Disagreement::Misdirected("the TLS server name is not the CONNECT host"));
    }
    agree_on_host(head, authority, 443)?;
    match head.target.as_str() {
        target if target.contains('#') => Err(Disagreement::Unclear("a fragment in the request target")),
        target if target.starts_with('/') => Ok(target),
        "*" if head.method == "OPTIONS" => Ok("*"),
        target => match absolute(target, "https", 443) {
            Some((named, path)) if named == *authority => Ok(path),
            Some(_) => Err(Disagreement::Unclear("an absolute target for another authority")),
            None => Err(Disagreement::Unclear("a request target that is not a path")),
        },
    }
}

/// Whether a method makes servers send back what they got, credential included. Its case matters not to all of them.
pub(super) fn is_echo(method: &str) -> bool {
    ["TRACE", "TRACK"].iter().any(|known| method.eq_ignore_ascii_case(known))
}

/// `Host` must be there once (HTTP/1.0 may leave it out) and name `authority`.
pub(super) fn agree_on_host(head: &RequestHead, authority: &Authority, default_port: u16) -> Result<(), Disagreement> {
    let mut hosts = head.fields.all("host");
    let named = match (hosts.next(), hosts.next()) {
        (_, Some(_)) => return Err(Disagreement::Unclear("more than one Host")),
        (None, None) if head.version == Version::Http10 => return Ok(()),
        (None, None) => return Err(Disagreement::Unclear("no Host")),
        (Some(host), None) => {
            std::str::from_utf8(host).ok().and_then(|host| Authority::parse(host, Some(default_port)))
        }
    };
    match named {
        None => Err(Disagreement::Unclear("a Host that is not a host")),
        Some(named) if named == *authority => Ok(()),
        Some(_) => Err(Disagreement::Misdirected("Host is not the CONNECT host and port")),
    }
}

/// Takes an absolute-form target apart: its authority, and its path and query (at least `/`).
pub(super) fn absolute<'a>(target: &'a str, scheme: &str, default_port: u16) -> Option<(Authority, &'a str)> {
    let (named, rest) = target.split_once("://")?;
    if !named.eq_ignore_ascii_case(scheme) {
        return None;
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    // Without a path it is the root; a query without a path is refused with the rest.
    let path = if path.is_empty() { "/" } else { path };
    (path.starts_with('/') && !path.contains('#')).then_some(())?;
    Some((Authority::parse(authority, Some(default_port))?, path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::Fields;

    fn authority(text: &str) -> Authority {
        Authority::parse(text, None).expect(text)
    }

    fn request(method: &str, target: &str, hosts: &[&str]) -> RequestHead {
        let mut fields = Fields::new();
        for host in hosts {
            fields.push("Host", *host);
        }
        RequestHead { method: method.into(), target: target.into(), version: Version::Http11, fields }
    }

    #[test]
    fn authorities_have_a_host_and_a_port() {
        assert_eq!(authority("API.X.test.:443"), authority("api.x.test:443"));
        assert_eq!(authority("[::1]:8443").to_host_field(443), "[::1]:8443");
        assert_eq!(authority("x.test:443").to_host_field(443), "x.test");
        for bad in [
            "",
            ":443",
            "x.test",
            "x.test:",
            "x.test:0",
            "x.test:+443",
            "x.test:65536",
            "x.test:443:443",
            "::1:443",
            "a@x.test:443",
            "x.test:443/",
            "x y:443",
            "[::1:443",
            "x.test:4 43",
            "x\u{e9}.test:443",
            "x..test:443",
        ] {
            assert_eq!(Authority::parse(bad, None), None, "{bad}");
        }
    }

    #[test]
    fn one_destination_agrees() {
        let x = authority("api.x.test:443");
        for (target, hosts, name) in [
            ("/a?b", &["api.x.test"][..], Some("api.x.test")),
            ("/a?b", &["API.x.test.:443"], Some("Api.X.Test")),
            ("/a?b", &["api.x.test"], None),
            ("https://api.x.test/a?b", &["api.x.test"], None),
            ("HTTPS://API.X.TEST:443/a?b", &["api.x.test"], None),
        ] {
            assert_eq!(agree(&request("GET", target, hosts), &x, name), Ok("/a?b"), "{target} {hosts:?}");
        }
        assert_eq!(agree(&request("OPTIONS", "*", &["api.x.test"]), &x, None), Ok("*"));
        let old = RequestHead { version: Version::Http10, ..request("GET", "/", &[]) };
        assert_eq!(agree(&old, &x, None), Ok("/"));
        let odd = authority("api.x.test:8443");
        assert_eq!(agree(&request("GET", "/", &["api.x.test:8443"]), &odd, None), Ok("/"));
    }

    #[test]
    fn any_disagreement_is_refused() {
        use Disagreement::{Method, Misdirected, Unclear};
        let x = authority("api.x.test:443");
        let check = |method, target, hosts: &[&str], name| agree(&request(method, target, hosts), &x, name).map(drop);
        for (hosts, name) in [
            (&["evil.test"][..], None),
            (&["api.x.test:8443"], None),
            (&["api.x.test:80"], None),
            (&["x.test"], None),
            (&["api.x.test.evil.test"], None),
            (&["127.0.0.1"], None),
            (&["api.x.test"], Some("evil.test")),
            (&["api.x.test"], Some("x.test")),
        ] {
            assert!(matches!(check("GET", "/", hosts, name), Err(Misdirected(_))), "{hosts:?} {name:?}");
        }
        for hosts in [
            &[][..],
            &["api.x.test", "api.x.test"],
            &["api.x.test", "evil.test"],
            &["api.x.test,evil.test"],
            &[""],
            &["user@api.x.test"],
            &["api.x.test/"],
            &["api.x.test:"],
            &["api.x.test evil.test"],
        ] {
            assert!(matches!(check("GET", "/", hosts, None), Err(Unclear(_))), "{hosts:?}");
        }
        for target in [
            "*",
            "a",
            "",
            "https://evil.test/",
            "http://api.x.test/",
            "https://api.x.test:8443/",
            "https://api.x.test#a",
            "https://u:p@api.x.test/",
            "https://api.x.test@evil.test/",
            "//api.x.test/a#b",
            "/a#b",
            "api.x.test:443",
            "https:///a",
            "https://api.x.test?x=/",
        ] {
            assert!(matches!(check("GET", target, &["api.x.test"], None), Err(Unclear(_))), "{target}");
        }
        assert_eq!(check("CONNECT", "api.x.test:443", &["api.x.test"], None), Err(Method));
        // Some servers do not look at the case, and TRACK is TRACE by another name: they send the credential back.
        for method in ["TRACE", "trace", "Trace", "TRACK", "track", "connect", "Connect"] {
            assert_eq!(check(method, "/", &["api.x.test"], None), Err(Method), "{method}");
        }
    }
}
