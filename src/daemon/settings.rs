//! What the daemon's environment says (`contract/http.md` section 4).

use crate::error::{AuthsomeError, Result};

/// Settings that do not change while the daemon runs.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)] // independent switches of the environment
pub(super) struct Settings {
    /// The public URL for links and callbacks, without a slash at its end.
    pub(super) base_url: String,
    /// The port that the gate listens on.
    pub(super) port: u16,
    /// Further names that `Host` may hold.
    pub(super) allowed_hosts: Vec<String>,
    /// Everybody on this machine may be trusted with a file as proof: bound to loopback, no public URL.
    pub(super) is_local: bool,
    /// Anybody may make an account.
    pub(super) open_registration: bool,
    /// Claim links and first accounts as in 0.7.2.
    pub(super) compat: bool,
    /// Whether a claimed identity may read raw secrets when nothing else is said.
    pub(super) export_by_default: bool,
}

impl Settings {
    /// Reads the environment for a daemon that listens on `host` and `port`.
    ///
    /// # Errors
    /// `Usage` for a base URL that is none.
    pub(super) fn from_env(host: &str, port: u16) -> Result<Self> {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let is_on = |name: &str| set(name).is_some_and(|value| is_yes(&value));
        let own_url =
            format!("http://{}:{port}", if host.contains(':') { format!("[{host}]") } else { host.to_owned() });
        let base_url = match set("AUTHSOME_BASE_URL") {
            Some(url) => check_base_url(&url)?,
            None => own_url,
        };
        let url_is_local = base_host(&base_url).is_some_and(is_loopback_name);
        Ok(Self {
            port,
            is_local: is_loopback_name(host) && url_is_local,
            base_url,
            allowed_hosts: set("AUTHSOME_ALLOWED_HOSTS")
                .map(|list| {
                    list.split(',')
                        .map(|host| host.trim().to_ascii_lowercase())
                        .filter(|host| !host.is_empty())
                        .collect()
                })
                .unwrap_or_default(),
            open_registration: is_on("AUTHSOME_OPEN_REGISTRATION"),
            compat: set("AUTHSOME_COMPAT").is_some_and(|version| version == "0.7" || version.starts_with("0.7.")),
            export_by_default: set("AUTHSOME_DEFAULT_EXPORT").is_none_or(|value| is_yes(&value)),
        })
    }

    /// Whether cookies must be sent over TLS only.
    pub(super) fn is_https(&self) -> bool {
        self.base_url.starts_with("https://")
    }
}

/// Whether a switch is on. Whatever else stands there, it is off: every switch opens something.
fn is_yes(value: &str) -> bool {
    ["1", "true", "yes", "on"].iter().any(|yes| value.trim().eq_ignore_ascii_case(yes))
}

fn check_base_url(url: &str) -> Result<String> {
    let url = url.trim_end_matches('/');
    let good = (url.starts_with("https://") || url.starts_with("http://"))
        && base_host(url).is_some_and(|host| !host.is_empty())
        && !url.contains(['?', '#', '@', ' ']);
    if good {
        return Ok(url.to_owned());
    }
    Err(AuthsomeError::Usage {
        reason: "AUTHSOME_BASE_URL is not an http or https URL".to_owned(),
        hint: Some("it is the address that browsers use, such as https://auth.example.com".to_owned()),
    })
}

/// The host and port of a URL.
pub(super) fn authority(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    Some(rest.split_once('/').map_or(rest, |(authority, _)| authority))
}

/// The host of a URL, without port and brackets.
pub(super) fn base_host(url: &str) -> Option<&str> {
    authority(url).map(without_port)
}

/// `host` of `host`, `host:port`, `[v6]` and `[v6]:port`.
pub(super) fn without_port(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split_once(']').map_or(rest, |(host, _)| host);
    }
    match authority.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') && port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// Whether `host` can only be this machine.
pub(super) fn is_loopback_name(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_is_on_only_when_it_says_so() {
        for yes in ["1", "true", "True", "yes", "ON", " on "] {
            assert!(is_yes(yes), "{yes}");
        }
        for no in ["off", "Off", "0", "false", "no", "none", "-"] {
            assert!(!is_yes(no), "{no}");
        }
    }
}
