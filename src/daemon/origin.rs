//! Which names a request may use for us, and which pages may make a browser send one: the defence against DNS
//! rebinding and cross-site requests.

use super::message::{Refusal, Request};
use super::settings::{Settings, authority, is_loopback_name, without_port};

/// Checks `Host`, and `Origin` and `Sec-Fetch-Site` of requests that change something.
pub(super) fn check(settings: &Settings, request: &Request) -> Result<(), Refusal> {
    let mut hosts = request.fields.all("host");
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(Refusal::new(400, "Exactly one Host header is required"));
    };
    let host = std::str::from_utf8(host).unwrap_or_default();
    if !is_own_host(settings, host) {
        return Err(Refusal::new(421, "This daemon does not serve that host; see AUTHSOME_ALLOWED_HOSTS"));
    }
    if matches!(request.method.as_str(), "GET" | "HEAD") {
        return Ok(());
    }
    let cross_site = Refusal::new(403, "Cross-site request refused");
    let site = request.fields.first_str("sec-fetch-site");
    if site.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return Err(cross_site);
    }
    match request.fields.first_str("origin") {
        Some(origin) if !is_own_origin(settings, host, origin) => Err(cross_site),
        _ => Ok(()),
    }
}

fn is_own_host(settings: &Settings, host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let name = without_port(&host);
    is_loopback_name(name)
        || authority(&settings.base_url).is_some_and(|own| own.eq_ignore_ascii_case(&host) || without_port(own) == name)
        || settings.allowed_hosts.iter().any(|allowed| *allowed == host || allowed == name)
}

/// A page's origin is ours when it is the base URL's, scheme included, or the host that the request itself names.
fn is_own_origin(settings: &Settings, host: &str, origin: &str) -> bool {
    let Some(page) = authority(origin) else { return false };
    if authority(&settings.base_url).is_some_and(|own| own.eq_ignore_ascii_case(page)) {
        return origin.starts_with("https://") == settings.is_https();
    }
    page.eq_ignore_ascii_case(host)
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::http1::Fields;

    fn settings() -> Settings {
        Settings {
            base_url: "https://auth.example.com".to_owned(),
            port: 7998,
            allowed_hosts: vec!["other.example.com".to_owned()],
            is_local: false,
            open_registration: false,
            compat: false,
            export_by_default: true,
        }
    }

    fn verdict(method: &str, fields: &[(&str, &str)]) -> u16 {
        let mut all = Fields::new();
        for (name, value) in fields {
            all.push(*name, *value);
        }
        let request = Request {
            method: method.to_owned(),
            target: "/".to_owned(),
            fields: all,
            body: Zeroizing::default(),
            peer: None,
        };
        check(&settings(), &request).map_or_else(|refusal| refusal.status(), |()| 200)
    }

    #[test]
    fn only_our_own_names_are_served() {
        for host in [
            "127.0.0.1:7998",
            "127.0.0.1",
            "localhost:1",
            "LOCALHOST",
            "[::1]:7998",
            "auth.example.com",
            "AUTH.example.com:443",
            "other.example.com",
        ] {
            assert_eq!(verdict("GET", &[("Host", host)]), 200, "{host}");
        }
        for host in ["evil.test", "auth.example.com.evil.test", "127.0.0.1.evil.test", "localhost.evil.test:7998", ""] {
            assert_eq!(verdict("GET", &[("Host", host)]), 421, "{host}");
        }
        assert_eq!(verdict("GET", &[]), 400);
        assert_eq!(verdict("GET", &[("Host", "localhost"), ("Host", "localhost")]), 400);
    }

    #[test]
    fn a_foreign_page_cannot_change_anything() {
        let post = |name, value| verdict("POST", &[("Host", "localhost:7998"), (name, value)]);
        assert_eq!(post("X-None", ""), 200, "curl sends neither");
        assert_eq!(post("Origin", "http://localhost:7998"), 200);
        assert_eq!(post("Origin", "https://auth.example.com"), 200);
        assert_eq!(post("Sec-Fetch-Site", "same-origin"), 200);
        assert_eq!(post("Origin", "http://auth.example.com"), 403, "without TLS anybody on the way can be that page");
        for origin in ["null", "https://evil.test", "http://localhost:9999", "https://auth.example.com.evil.test", ""] {
            assert_eq!(post("Origin", origin), 403, "{origin}");
        }
        for site in ["cross-site", "same-site"] {
            assert_eq!(post("Sec-Fetch-Site", site), 403, "{site}");
        }
        assert_eq!(
            verdict("GET", &[("Host", "localhost"), ("Origin", "https://evil.test")]),
            200,
            "a GET changes nothing"
        );
    }
}
