//! The proxy that this machine's own way out goes through, as `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` name it.

use std::ffi::OsString;
use std::net::IpAddr;

use crate::error::{AuthsomeError, Result};
use crate::percent::{Plus, decode_strictly};
use crate::secret::Secret;

use super::settings::canonical;

/// How the proxy is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamProxyScheme {
    /// HTTP CONNECT over plain TCP.
    Http,
    /// HTTP CONNECT over TLS.
    Https,
}

/// A proxy of the environment. `Debug` shows no credentials.
#[derive(Debug)]
pub struct UpstreamProxy {
    /// How it is spoken to.
    pub scheme: UpstreamProxyScheme,
    /// Canonical host.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// `user:password`, percent-decoded, where the URL has them.
    pub credentials: Option<Secret>,
    exceptions: Vec<String>,
}

impl Clone for UpstreamProxy {
    fn clone(&self) -> Self {
        Self {
            scheme: self.scheme,
            host: self.host.clone(),
            port: self.port,
            credentials: self.credentials.as_ref().map(Secret::duplicate),
            exceptions: self.exceptions.clone(),
        }
    }
}

impl UpstreamProxy {
    /// Reads the variables in the order that curl does: lower case first.
    pub(super) fn from_lookup(lookup: &impl Fn(&str) -> Option<OsString>) -> Result<Option<Self>> {
        let first =
            |names: &[&str]| names.iter().find_map(|name| lookup(name)).and_then(|text| text.into_string().ok());
        let Some(url) = first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]) else { return Ok(None) };
        let exceptions = first(&["no_proxy", "NO_PROXY"]).unwrap_or_default();
        let exceptions = exceptions.split([',', ' ']).filter(|entry| !entry.is_empty());
        let proxy = Self::parse(&url).ok_or_else(|| AuthsomeError::InvalidInput {
            what: "HTTPS_PROXY",
            reason: "not an http:// or https:// URL with a host".to_owned(), // never the URL: it may hold a password
        })?;
        Ok(Some(Self { exceptions: exceptions.map(str::to_ascii_lowercase).collect(), ..proxy }))
    }

    /// Reads a URL; without a scheme it is `http://`. `None`: another scheme, no host, a bad port.
    pub fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = match url.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (UpstreamProxyScheme::Http, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (UpstreamProxyScheme::Https, rest),
            Some(_) => return None,
            None => (UpstreamProxyScheme::Http, url),
        };
        let authority = rest.split(['/', '?', '#']).next()?;
        let (credentials, place) = match authority.rsplit_once('@') {
            Some((credentials, place)) => (Some(Secret::new(decode_strictly(credentials, Plus::Plus)?)), place),
            None => (None, authority),
        };
        let default_port = if scheme == UpstreamProxyScheme::Http { 1080 } else { 443 };
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok().filter(|port| *port != 0)?),
            _ => (place, default_port),
        };
        let host = canonical(host);
        (!host.is_empty()).then_some(Self { scheme, host, port, credentials, exceptions: Vec::new() })
    }

    /// Whether a connection to `host` goes through this proxy (`NO_PROXY`: `*`, names, `.suffix`, addresses).
    pub fn applies_to(&self, host: &str) -> bool {
        let host = canonical(host);
        !self.exceptions.iter().any(|entry| {
            let entry = entry.as_str();
            if entry == "*" || canonical(entry) == host {
                return true;
            }
            // As curl: `corp.test`, `.corp.test` and `*.corp.test` all cover `a.corp.test`; addresses have no suffixes.
            let suffix = entry.trim_start_matches('*').trim_start_matches('.');
            host.parse::<IpAddr>().is_err()
                && !suffix.is_empty()
                && host.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(pairs: &[(&str, &str)]) -> Result<Option<UpstreamProxy>> {
        UpstreamProxy::from_lookup(&|name: &str| {
            pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn urls_are_read_with_their_credentials() {
        let proxy = from(&[("HTTPS_PROXY", "http://us%40er:p%3Aw@Proxy.Corp.test:3128/")]).expect("ok").expect("set");
        assert_eq!(
            (proxy.scheme, proxy.host.as_str(), proxy.port),
            (UpstreamProxyScheme::Http, "proxy.corp.test", 3128)
        );
        assert_eq!(proxy.credentials.as_ref().map(Secret::expose), Some("us@er:p:w"));
        assert!(!format!("{proxy:?}").contains("p:w"));
        let bare = from(&[("all_proxy", "[::1]:8080")]).expect("ok").expect("set");
        assert_eq!((bare.host.as_str(), bare.port), ("::1", 8080));
        assert!(from(&[]).expect("ok").is_none());
    }

    #[test]
    fn a_bad_url_is_an_error_that_does_not_quote_it() {
        for bad in ["socks5://user:hunter2@x:1", "http://user:hunter2@", "http://user:hunter2@x:notaport"] {
            let error = from(&[("https_proxy", bad)]).expect_err(bad).to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn exceptions_are_whole_names_or_whole_labels() {
        let proxy = from(&[("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", "corp.test, .x.test,*.y.test,10.0.0.1")]);
        let proxy = proxy.expect("ok").expect("set");
        for direct in ["corp.test", "a.corp.test", "a.x.test", "b.y.test", "10.0.0.1", "CORP.test."] {
            assert!(!proxy.applies_to(direct), "{direct}");
        }
        for through in ["evilcorp.test", "corp.test.evil", "210.0.0.1", "z.test"] {
            assert!(proxy.applies_to(through), "{through}");
        }
    }
}
