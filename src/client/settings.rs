//! What the environment says to the client.

use std::env;
use std::ffi::OsString;

use crate::error::{AuthsomeError, Result};
use crate::secret::Secret;

/// The variables that steer the client, read once. Empty ones count as not set.
#[derive(Debug, Default)]
pub struct Settings {
    /// `AUTHSOME_BASE_URL`: which daemon.
    pub base_url: Option<String>,
    /// `AUTHSOME_ALLOW_HTTP`: a daemon elsewhere may be reached without TLS.
    pub allow_http: bool,
    /// `AUTHSOME_IDENTITY_PRIVATE_KEY`: 64 hex digits; enough by itself to sign.
    pub private_key: Option<Secret>,
    /// `AUTHSOME_IDENTITY`: a handle that wins over the active one.
    pub identity: Option<String>,
    /// `AUTHSOME_PORT`: where a local daemon that we start listens.
    pub port: Option<u16>,
    /// Whether we run inside `authsome run`.
    pub inside_run: bool,
}

impl Settings {
    /// Reads the environment.
    ///
    /// # Errors
    /// A variable that cannot be what it should be; its value is not repeated.
    pub fn from_env() -> Result<Self> {
        Self::read(|name| env::var_os(name))
    }

    fn read(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let text = |name: &'static str| match variable(name).filter(|value| !value.is_empty()) {
            None => Ok(None),
            Some(value) => value.into_string().map(Some).map_err(|_| bad(name, "is not UTF-8")),
        };
        let port = match text("AUTHSOME_PORT")? {
            None => None,
            Some(digits) => Some(digits.trim().parse().map_err(|_| bad("AUTHSOME_PORT", "is not a port number"))?),
        };
        Ok(Self {
            base_url: text("AUTHSOME_BASE_URL")?,
            allow_http: text("AUTHSOME_ALLOW_HTTP")?.is_some_and(|value| is_true(&value)),
            private_key: text("AUTHSOME_IDENTITY_PRIVATE_KEY")?.map(Secret::new),
            identity: text("AUTHSOME_IDENTITY")?,
            port,
            inside_run: text("AUTHSOME_PROXY_MODE")?.is_some_and(|value| is_true(&value)),
        })
    }
}

/// Whether a switch in the environment is on.
pub fn is_true(value: &str) -> bool {
    matches!(value.trim().to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on")
}

fn bad(name: &'static str, problem: &str) -> AuthsomeError {
    AuthsomeError::InvalidInput { what: "environment", reason: format!("{name} {problem}") }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    #[test]
    fn empty_is_not_set_and_bad_values_are_not_repeated() {
        let empty = Settings::read(|_| Some(OsString::new())).expect("reads");
        assert!(empty.base_url.is_none() && empty.private_key.is_none() && !empty.allow_http);
        let error = Settings::read(|name| (name == "AUTHSOME_PORT").then(|| "hunter2".into())).expect_err("refused");
        assert!(error.to_string().contains("AUTHSOME_PORT") && !error.to_string().contains("hunter2"), "{error}");
        let raw = |name: &str| (name == "AUTHSOME_IDENTITY").then(|| OsString::from_vec(vec![0xff]));
        assert!(Settings::read(raw).is_err());
        assert_eq!(Settings::read(|name| (name == "AUTHSOME_PORT").then(|| "0".into())).expect("reads").port, Some(0));
    }
}
