//! Which domains one owner holds: what may be a destination at all, and what may stand behind `*.`.

use std::fmt;

use super::host::Host;

/// Why a name may not be a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DomainError {
    /// `localhost` and its like.
    Loopback,
    /// An IP literal.
    Address,
    /// A name without a dot.
    SingleLabel,
    /// A suffix under which anybody can register names.
    Public,
}

impl fmt::Display for DomainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "a host on this machine needs --allow-local",
            Self::Address => "an IP address needs --allow-local",
            Self::SingleLabel => "a name without a domain needs --allow-local, and a suffix needs at least two labels",
            Self::Public => "anybody can have a name under this suffix; name the exact host",
        })
    }
}

impl std::error::Error for DomainError {}

/// Whether `host` may be an exact destination without `--allow-local`.
pub(super) fn check_exact(host: &Host) -> Result<(), DomainError> {
    if host.is_loopback_name() {
        return Err(DomainError::Loopback);
    }
    if host.is_ip() {
        return Err(DomainError::Address);
    }
    if host.labels().count() < 2 {
        return Err(DomainError::SingleLabel);
    }
    Ok(())
}

/// Whether `domain` is somebody's, so that a name one label below it can be filled in without changing whose it is.
pub(super) fn check_owned(domain: &Host) -> Result<(), DomainError> {
    check_exact(domain)?;
    let labels: Vec<&str> = domain.labels().collect();
    match labels[..] {
        [second, top] if top.len() == 2 && REGISTRY_LABELS.contains(&second) => Err(DomainError::Public),
        _ => Ok(()),
    }
}

/// Whether every name under `suffix` may get a secret. Not the whole public suffix list: the shapes of country
/// domains, and the platforms on which strangers get names that answer under their control.
pub(super) fn check_suffix(suffix: &Host) -> Result<(), DomainError> {
    check_owned(suffix)?;
    let name = suffix.as_str();
    let is_deep =
        |platform: &&str| name.strip_suffix(platform).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    if SHARED_PLATFORMS.contains(&name) || DEEPLY_SHARED_PLATFORMS.iter().any(is_deep) {
        return Err(DomainError::Public);
    }
    Ok(())
}

/// Second-level labels that country registries sell names under, as in `co.uk` and `com.au`.
const REGISTRY_LABELS: [&str; 15] =
    ["ac", "co", "com", "edu", "go", "gob", "gouv", "gov", "id", "mil", "ne", "net", "nom", "or", "org"];

/// Platforms that hand out names at any depth.
const DEEPLY_SHARED_PLATFORMS: [&str; 4] = ["amazonaws.com", "cloudapp.azure.com", "on.aws", "windows.net"];

/// Platforms that hand out the names right below them to anybody, who then reads what is sent there.
const SHARED_PLATFORMS: [&str; 34] = [
    "amplifyapp.com",
    "appspot.com",
    "azure-api.net",
    "azurecontainerapps.io",
    "azureedge.net",
    "azurefd.net",
    "azurestaticapps.net",
    "azurewebsites.net",
    "blogspot.com",
    "cloudapp.net",
    "cloudfront.net",
    "cloudfunctions.net",
    "deno.dev",
    "duckdns.org",
    "elasticbeanstalk.com",
    "firebaseapp.com",
    "fly.dev",
    "github.io",
    "gitlab.io",
    "glitch.me",
    "herokuapp.com",
    "netlify.app",
    "ngrok-free.app",
    "ngrok.app",
    "ngrok.io",
    "nip.io",
    "onrender.com",
    "pages.dev",
    "run.app",
    "sslip.io",
    "trycloudflare.com",
    "vercel.app",
    "web.app",
    "workers.dev",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_need_one_owner() {
        let suffix = |text| check_suffix(&Host::parse(text).expect("is a host"));
        for text in ["googleapis.com", "acme.test", "mcp.cloudflare.com", "bbc.co.uk", "acme.com.au", "acme.github.io"]
        {
            assert_eq!(suffix(text), Ok(()), "{text}");
        }
        for (text, error) in [
            ("com", DomainError::SingleLabel),
            ("localhost", DomainError::Loopback),
            ("x.localhost", DomainError::Loopback),
            ("10.0.0.1", DomainError::Address),
            ("2001:db8::1", DomainError::Address),
            ("co.uk", DomainError::Public),
            ("com.br", DomainError::Public),
            ("or.jp", DomainError::Public),
            ("github.io", DomainError::Public),
            ("herokuapp.com", DomainError::Public),
            ("amazonaws.com", DomainError::Public),
            ("execute-api.us-east-1.amazonaws.com", DomainError::Public),
        ] {
            assert_eq!(suffix(text), Err(error), "{text}");
        }
        assert!(SHARED_PLATFORMS.is_sorted());
    }
}
