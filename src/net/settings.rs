//! What the operator decided about the network, read once from the environment.

use std::env;
use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::upstream_proxy::UpstreamProxy;
use crate::error::{AuthsomeError, Result};

/// The operator's network settings. The default: no overrides, no exemptions, the platform's trust roots.
#[derive(Clone, Debug, Default)]
pub struct NetSettings {
    overrides: Vec<Override>,
    allowed: Vec<Allowed>,
    /// PEM file whose certificates are trusted besides the platform's (`AUTHSOME_UPSTREAM_CA`).
    pub upstream_ca: Option<PathBuf>,
    /// PEM file that takes the place of the platform's (`SSL_CERT_FILE`).
    pub platform_ca: Option<PathBuf>,
    /// Proxy that our own connections go through (`HTTPS_PROXY`, `ALL_PROXY`).
    pub upstream_proxy: Option<UpstreamProxy>,
}

/// One entry of `AUTHSOME_RESOLVE`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Override {
    host: String,
    port: u16,
    address: SocketAddr,
}

/// One entry of `AUTHSOME_ALLOW_PRIVATE`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Allowed {
    Host(String),
    Network(IpAddr, u32),
}

impl NetSettings {
    /// Reads `AUTHSOME_RESOLVE`, `AUTHSOME_ALLOW_PRIVATE`, `AUTHSOME_UPSTREAM_CA`, `SSL_CERT_FILE` and the variables
    /// that name a proxy.
    ///
    /// # Errors
    /// An entry that cannot be read; the text names the variable and the entry.
    pub fn from_env() -> Result<Self> {
        Self::from_lookup(|name| env::var_os(name).filter(|value| !value.is_empty()))
    }

    fn from_lookup(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let text = |name: &'static str| match lookup(name).map(OsString::into_string) {
            None => Ok(String::new()),
            Some(Ok(text)) => Ok(text),
            Some(Err(_)) => Err(invalid(name, "not UTF-8")),
        };
        let mut settings = Self {
            upstream_ca: lookup("AUTHSOME_UPSTREAM_CA").map(PathBuf::from),
            platform_ca: lookup("SSL_CERT_FILE").map(PathBuf::from),
            upstream_proxy: UpstreamProxy::from_lookup(&lookup)?,
            ..Self::default()
        };
        settings.add_overrides(&text("AUTHSOME_RESOLVE")?)?;
        settings.allow(&text("AUTHSOME_ALLOW_PRIVATE")?)?;
        Ok(settings)
    }

    /// Adds entries of the form `host:port:address[:port][,...]`; IPv6 addresses in brackets.
    ///
    /// # Errors
    /// An entry of another form.
    pub fn add_overrides(&mut self, entries: &str) -> Result<()> {
        for entry in entries.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let parsed = parse_override(entry)
                .ok_or_else(|| invalid("AUTHSOME_RESOLVE", &format!("'{entry}' is not host:port:address[:port]")))?;
            self.overrides.push(parsed);
        }
        Ok(())
    }

    /// Exempts hosts, addresses and networks (`10.0.0.0/8`), separated by commas, from the address guard.
    ///
    /// # Errors
    /// An entry that is none of these.
    pub fn allow(&mut self, entries: &str) -> Result<()> {
        for entry in entries.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let parsed = parse_allowed(entry).ok_or_else(|| {
                invalid("AUTHSOME_ALLOW_PRIVATE", &format!("'{entry}' is not a host, an address or a network"))
            })?;
            self.allowed.push(parsed);
        }
        Ok(())
    }

    /// The addresses that the operator chose for this destination, in order; none: ask the resolver.
    pub(super) fn overridden(&self, host: &str, port: u16) -> Vec<SocketAddr> {
        let host = canonical(host);
        let chosen = self.overrides.iter().filter(|entry| entry.host == host && entry.port == port);
        chosen.map(|entry| entry.address).collect()
    }

    /// The proxy that connections to `host` go through. `None`: straight, which is also where the operator chose the
    /// address.
    pub fn proxy_for(&self, host: &str, port: u16) -> Option<&UpstreamProxy> {
        let proxy = self.upstream_proxy.as_ref().filter(|proxy| proxy.applies_to(host))?;
        self.overridden(host, port).is_empty().then_some(proxy)
    }

    /// Whether the operator exempted this destination from the address guard.
    pub(super) fn allows(&self, host: &str, address: IpAddr) -> bool {
        let (host, address) = (canonical(host), address.to_canonical());
        self.allowed.iter().any(|entry| match entry {
            Allowed::Host(allowed) => *allowed == host,
            Allowed::Network(network, prefix) => contains(*network, *prefix, address),
        })
    }
}

fn invalid(variable: &'static str, reason: &str) -> AuthsomeError {
    AuthsomeError::InvalidInput { what: variable, reason: reason.to_owned() }
}

/// Lower case, without brackets and without one trailing dot.
pub(super) fn canonical(host: &str) -> String {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.strip_suffix('.').unwrap_or(bare).to_ascii_lowercase()
}

fn parse_override(entry: &str) -> Option<Override> {
    let (host, rest) = match entry.strip_prefix('[') {
        Some(rest) => rest.split_once("]:")?,
        None => entry.split_once(':')?,
    };
    let (port, address) = rest.split_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    let address = match address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(bare) => SocketAddr::new(IpAddr::V6(bare.parse().ok()?), port),
        None => match address.parse::<IpAddr>() {
            Ok(bare) => SocketAddr::new(bare, port),
            Err(_) => address.parse().ok()?,
        },
    };
    (!host.is_empty()).then(|| Override { host: canonical(host), port, address })
}

fn parse_allowed(entry: &str) -> Option<Allowed> {
    if let Some((network, prefix)) = entry.split_once('/') {
        let network: IpAddr = network.parse().ok()?;
        let prefix: u32 = prefix.parse().ok()?;
        let longest = if network.is_ipv4() { 32 } else { 128 };
        return (prefix <= longest).then_some(Allowed::Network(network, prefix));
    }
    let host = canonical(entry);
    if let Ok(address) = host.parse::<IpAddr>() {
        return Some(Allowed::Network(address, if address.is_ipv4() { 32 } else { 128 }));
    }
    let is_name = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    (is_name && !host.is_empty()).then_some(Allowed::Host(host))
}

fn contains(network: IpAddr, prefix: u32, address: IpAddr) -> bool {
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let ignored = 32 - prefix;
            (u64::from(u32::from(network)) >> ignored) == (u64::from(u32::from(address)) >> ignored)
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let difference = u128::from(network) ^ u128::from(address);
            difference.leading_zeros() >= prefix
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(resolve: &str, allow: &str) -> Result<NetSettings> {
        NetSettings::from_lookup(|name| match name {
            "AUTHSOME_RESOLVE" => Some(resolve.into()),
            "AUTHSOME_ALLOW_PRIVATE" => Some(allow.into()),
            _ => None,
        })
    }

    #[test]
    fn overrides_name_a_host_a_port_and_an_address() {
        let settings = with(
            "api.X.test.:443:127.0.0.1:8443, api.x.test:443:[::1]:9,b.test:80:192.0.2.1,c.test:443:[2001:db8::1],[::1]:443:127.0.0.2",
            "",
        )
        .expect("parses");
        let at = |host: &str, port| -> Vec<String> {
            settings.overridden(host, port).iter().map(ToString::to_string).collect()
        };
        assert_eq!(at("API.x.test", 443), ["127.0.0.1:8443", "[::1]:9"]);
        assert_eq!(at("b.test", 80), ["192.0.2.1:80"]);
        assert_eq!(at("c.test", 443), ["[2001:db8::1]:443"]);
        assert_eq!(at("[::1]", 443), ["127.0.0.2:443"]);
        assert!(at("b.test", 443).is_empty() && at("x.test", 443).is_empty());
    }

    #[test]
    fn exemptions_are_hosts_addresses_and_networks() {
        let settings = with("", "intra.corp, 10.1.0.0/16,192.0.2.7, fd00::/8 ,0.0.0.0/0").expect("parses");
        let only = with("", "10.1.0.0/16,fd00::/8,intra.corp,[fd01::1]").expect("parses");
        let allows = |settings: &NetSettings, host, address: &str| settings.allows(host, address.parse().expect("ip"));
        assert!(allows(&settings, "anything", "203.0.113.1"));
        assert!(allows(&only, "Intra.Corp.", "127.0.0.1"));
        assert!(allows(&only, "x", "10.1.255.1") && allows(&only, "x", "::ffff:10.1.0.1"));
        assert!(allows(&only, "x", "fd12::1"));
        assert!(!allows(&only, "x", "10.2.0.1"), "outside the network");
        assert!(!allows(&only, "notintra.corp", "10.2.0.1") && !allows(&only, "a.intra.corp", "10.2.0.1"));
    }

    #[test]
    fn bad_entries_are_named() {
        for bad in ["x.test", "x.test:443", "x.test:0:1.2.3.4", "x.test:443:name", "x.test:443:::1:1:", ":443:1.2.3.4"]
        {
            let error = with(bad, "").expect_err(bad).to_string();
            assert!(error.contains("AUTHSOME_RESOLVE") && error.contains(bad), "{error}");
        }
        for bad in ["10.0.0.0/33", "fd00::/129", "10.0.0/8", "a b", "*.corp", "http://x"] {
            let error = with("", bad).expect_err(bad).to_string();
            assert!(error.contains("AUTHSOME_ALLOW_PRIVATE"), "{error}");
        }
    }
}
