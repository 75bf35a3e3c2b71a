//! The URL of an endpoint, taken apart and judged before anything is sent there.

use std::net::IpAddr;

use ureq::http::Uri;

use super::FlowError;

/// A URL that we may call or send a browser to: https, or http on this machine.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    text: String,
    uri: Uri,
    host: String,
    port: u16,
    secure: bool,
}

impl Endpoint {
    /// Reads `url`.
    ///
    /// # Errors
    /// What is wrong with it, to follow "The URL of x ".
    pub(super) fn parse(url: &str) -> Result<Self, &'static str> {
        if url.contains('#') {
            return Err("has a fragment"); // RFC 6749 sections 3.1 and 3.2; `Uri` would drop it
        }
        let uri = parse(url).ok_or("is not a URL")?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err("is not an https URL"),
        };
        let authority = uri.authority().ok_or("has no host")?.as_str();
        if authority.contains('@') {
            return Err("has a user name in it");
        }
        let host = uri.host().unwrap_or_default();
        let port_text = authority.get(host.len()..).unwrap_or_default();
        let port = match port_text.strip_prefix(':').unwrap_or(port_text) {
            "" if secure => 443,
            "" => 80,
            digits => {
                digits.parse().ok().filter(|port| *port != 0 && !digits.starts_with('+')).ok_or("has a bad port")?
            }
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        if host.is_empty() {
            return Err("has no host");
        }
        if !secure && !is_loopback(&host) {
            return Err("is not an https URL");
        }
        Ok(Self { text: url.to_owned(), uri, host, port, secure })
    }

    /// The endpoint that a definition or an answer calls `what`.
    ///
    /// # Errors
    /// `Unsupported`: there is none, or its URL is not one that may be called.
    pub(super) fn required(url: Option<&str>, what: &str) -> Result<Self, FlowError> {
        let url =
            url.ok_or_else(|| FlowError::Unsupported { reason: format!("the provider has no {what} endpoint") })?;
        let unsupported =
            |problem| FlowError::Unsupported { reason: format!("the URL of the {what} endpoint {problem}") };
        Self::parse(url).map_err(unsupported)
    }

    /// As it was written.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Scheme, host and port alone, without a slash at the end.
    pub(super) fn origin(&self) -> Self {
        let (scheme, authority) = (self.uri.scheme_str().unwrap_or_default(), self.uri.authority());
        let text = format!("{scheme}://{}", authority.map_or_else(String::new, ToString::to_string));
        Self::parse(&text).unwrap_or_else(|_| self.clone())
    }

    /// For the HTTP client.
    pub(super) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Lower case, without brackets.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// https.
    pub(super) fn is_secure(&self) -> bool {
        self.secure
    }

    /// Whether the URL itself names this machine. A name that only resolves to it does not.
    pub(super) fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }
}

/// Whether a person may be sent to `url`: http or https with a host, and no user name that hides it.
pub(super) fn is_web_url(url: &str) -> bool {
    let Some(uri) = parse(url) else { return false };
    let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
    is_web
        && uri.host().is_some_and(|host| !host.is_empty())
        && uri.authority().is_some_and(|it| !it.as_str().contains('@'))
}

/// RFC 3986 knows printable ASCII only. `Uri` also takes DEL and everything above it in a path: controls that a terminal
/// obeys, and characters that turn a text around.
fn parse(url: &str) -> Option<Uri> {
    url.parse().ok().filter(|_| url.bytes().all(|byte| byte.is_ascii_graphic()))
}

/// `localhost`, 127.0.0.0/8 and `::1`, written plainly.
fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let cases = [
            ("https://Auth.X.test/token?a=b", "auth.x.test", 443, true),
            ("https://auth.x.test:8443", "auth.x.test", 8443, true),
            ("https://auth.x.test:/token", "auth.x.test", 443, true),
            ("https://[2001:db8::1]:9/t", "2001:db8::1", 9, true),
            ("http://localhost/t", "localhost", 80, false),
            ("http://127.1.2.3:8080/t", "127.1.2.3", 8080, false),
            ("http://[::1]:1/t", "::1", 1, false),
        ];
        for (url, host, port, secure) in cases {
            let endpoint = Endpoint::parse(url).expect(url);
            assert_eq!((endpoint.host(), endpoint.port(), endpoint.is_secure()), (host, port, secure), "{url}");
        }
    }

    #[test]
    fn people_are_sent_to_web_addresses_only() {
        for good in ["https://x.test/device?code=A-B#top", "http://x.test", "http://127.0.0.1:1/device"] {
            assert!(is_web_url(good), "{good}");
        }
        for bad in ["", "x.test/device", "javascript:alert(1)", "file:///etc/passwd", "https://", "ftp://x.test/"] {
            assert!(!is_web_url(bad), "{bad}");
        }
        for bad in ["https://x.test/a b", "https://x.test/\n", "https://good.test@evil.test/", "data:text/html,x"] {
            assert!(!is_web_url(bad), "{bad:?}");
        }
        // A terminal obeys the first two, and the third turns the address around.
        for bad in
            ["https://x.test/\u{9b}2J", "https://x.test/\u{7f}", "https://x.test/\u{202e}moc.knab", "https://x.test/é"]
        {
            assert!(!is_web_url(bad), "{bad:?}");
        }
    }

    #[test]
    fn what_may_not_be_called_is_refused() {
        let cases = [
            ("", "is not a URL"),
            ("token", "is not an https URL"),
            ("/token", "is not an https URL"),
            ("ftp://x.test/", "is not an https URL"),
            ("javascript:alert(1)", "is not an https URL"),
            ("http://x.test/", "is not an https URL"),
            ("http://localhost.x.test/", "is not an https URL"),
            ("http://127.0.0.1.x.test/", "is not an https URL"),
            ("http://10.0.0.1/", "is not an https URL"),
            ("http://2130706433/", "is not an https URL"),
            ("https://user@x.test/", "has a user name in it"),
            ("https://user:pass@x.test/", "has a user name in it"),
            ("http://localhost:80@x.test/", "has a user name in it"),
            ("https://x.test/#top", "has a fragment"),
            ("https://x.test:0/", "has a bad port"),
            ("https://x.test:99999/", "has a bad port"),
            ("https://x.test/a b", "is not a URL"),
            ("https://x.test/a\r\nb: c", "is not a URL"),
            ("https:///token", "is not a URL"),
            ("https://x.test/\u{9b}2J", "is not a URL"),
            ("https://x.test/\u{202e}", "is not a URL"),
            ("https://x.test:+443/", "has a bad port"),
        ];
        for (url, problem) in cases {
            assert_eq!(Endpoint::parse(url).err(), Some(problem), "{url:?}");
        }
    }
}
