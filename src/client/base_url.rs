//! Where a daemon is.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use crate::error::{AuthsomeError, Result};

/// Scheme, host and port of a daemon. No user, no path, no query: signed paths start at the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    secure: bool,
    host: String,
    port: u16,
}

impl BaseUrl {
    /// Reads `http://host[:port]` or `https://host[:port]`, one trailing slash allowed.
    ///
    /// # Errors
    /// `InvalidInput` with what is wrong; the text itself is not repeated, it may hold a password.
    pub fn parse(text: &str) -> Result<Self> {
        Self::read(text.trim()).map_err(|reason| AuthsomeError::InvalidInput {
            what: "daemon base URL",
            reason: format!("{reason}; expected http://HOST:PORT or https://HOST"),
        })
    }

    /// The address of a daemon on this machine, or one that a local daemon's file names.
    pub fn local(host: &str, port: u16) -> Self {
        let host = match host {
            "" | "0.0.0.0" => "127.0.0.1",
            "::" | "[::]" => "::1",
            named => named.trim_start_matches('[').trim_end_matches(']'),
        };
        Self { secure: false, host: host.to_owned(), port }
    }

    /// Refuses to send secrets in clear: `http://` is for this machine, unless the caller insists.
    ///
    /// # Errors
    /// `OperationNotAllowed` when the URL is `http://`, not on loopback, and not `allowed`.
    pub fn check_transport(&self, allowed: bool) -> Result<()> {
        if self.secure || allowed || self.is_loopback() {
            return Ok(());
        }
        Err(AuthsomeError::OperationNotAllowed {
            operation: "connect",
            reason: format!("{self} is not encrypted: keys and tokens would cross the network in clear"),
            hint: Some("use https://, or set AUTHSOME_ALLOW_HTTP=1 where the network itself is trusted"),
        })
    }

    /// Whether the connection is TLS.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Host name or address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the host is this machine by name or number.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// `host:port` as a `Host` field wants it.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    fn read(text: &str) -> Result<Self, &'static str> {
        let lower = text.to_ascii_lowercase();
        let (secure, rest) = match (lower.strip_prefix("https://"), lower.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err("it does not start with http:// or https://"),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            return Err("a path, query or fragment is not possible");
        }
        if authority.contains('@') {
            return Err("a user name is not possible");
        }
        let (host, port) = split_port(authority)?;
        let port = match port {
            Some(digits) => digits.parse().ok().filter(|port| *port != 0).ok_or("the port is not a number")?,
            None if secure => 443,
            None => 80,
        };
        Ok(Self { secure, host: host.to_owned(), port })
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<&str>), &'static str> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or("a bracket is open")?;
        host.parse::<Ipv6Addr>().map_err(|_| "what stands in brackets is not an IPv6 address")?;
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if after.is_empty() => Ok((host, None)),
            None => Err("something follows the bracket"),
        };
    }
    let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if host.is_empty() || !host.bytes().all(is_name) {
        return Err("the host is not a name or an address");
    }
    Ok((host, port))
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, default) = if self.secure { ("https", 443) } else { ("http", 80) };
        let authority = self.authority();
        let shown = authority.strip_suffix(&format!(":{default}")).unwrap_or(&authority);
        write!(f, "{scheme}://{shown}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_written() {
        for (text, shown, authority) in [
            ("http://127.0.0.1:7998", "http://127.0.0.1:7998", "127.0.0.1:7998"),
            ("HTTPS://Auth.Example.test/", "https://auth.example.test", "auth.example.test:443"),
            ("http://[::1]:80", "http://[::1]", "[::1]:80"),
            ("https://x.test:444", "https://x.test:444", "x.test:444"),
        ] {
            let url = BaseUrl::parse(text).expect(text);
            assert_eq!((url.to_string().as_str(), url.authority().as_str()), (shown, authority));
        }
    }

    #[test]
    fn what_cannot_be_signed_for_is_refused_without_repeating_it() {
        for text in [
            "",
            "127.0.0.1:7998",
            "ftp://x.test",
            "https://",
            "https://user:hunter2@x.test",
            "https://x.test/prefix",
            "https://x.test?a=hunter2",
            "https://x.test#a",
            "https://x.test:0",
            "https://x.test:hunter2",
            "https://x.test:99999",
            "https://[::1",
            "https://[hunter2]",
            "https://[::1]x",
            "https://a b",
            "https://x\r\ny",
        ] {
            let error = BaseUrl::parse(text).expect_err(text);
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn clear_text_stays_on_this_machine() {
        let check = |text: &str, allowed| BaseUrl::parse(text).expect(text).check_transport(allowed).is_ok();
        for text in ["http://localhost:1", "http://127.0.0.9:1", "http://[::1]:1", "https://x.test"] {
            assert!(check(text, false), "{text}");
        }
        for text in ["http://x.test", "http://10.0.0.1:7998", "http://localhost.x.test"] {
            assert!(!check(text, false), "{text}");
            assert!(check(text, true), "{text}");
        }
    }

    #[test]
    fn a_daemon_that_listens_everywhere_is_dialled_on_loopback() {
        assert_eq!(BaseUrl::local("0.0.0.0", 1).to_string(), "http://127.0.0.1:1");
        assert_eq!(BaseUrl::local("::", 1).to_string(), "http://[::1]:1");
        assert_eq!(BaseUrl::local("127.0.0.1", 1).to_string(), "http://127.0.0.1:1");
    }
}
