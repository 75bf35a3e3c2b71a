//! `authsome pop`

use argh::{ArgsInfo, FromArgs};
use zeroize::Zeroizing;

use super::context::Context;
use super::json::Json;
use super::terminal;
use crate::client::{BaseUrl, Client};
use crate::error::{AuthsomeError, Result};
use crate::limits::DAEMON_BODY_BYTES;
use crate::paths;

/// Print the authorization header line for one request, for curl.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "pop",
    example = "curl -H \"$(authsome pop GET /api/connections)\" http://127.0.0.1:7998/api/connections",
    note = "The line is good for one request within a minute."
)]
pub(super) struct Pop {
    /// HTTP method
    #[argh(positional)]
    method: String,

    /// path and query, as in /api/connections
    #[argh(positional)]
    path: String,

    /// the request's body, or @FILE, or @- for stdin
    #[argh(option, arg_name = "body")]
    data: Option<String>,
}

impl Pop {
    pub(super) fn run(self, ctx: &Context) -> Result<()> {
        let body = self.data.as_deref().map(body_of).transpose()?.unwrap_or_default();
        let client = ctx.client()?;
        let path = path_of(&self.path, &client)?;
        let authorization = client.authorization(&self.method.to_ascii_uppercase(), path, &body)?;
        let line = format!("Authorization: {authorization}");
        ctx.out.answer(Json::object([("header", line.as_str().into())]), &line)
    }
}

/// What `--data` names.
///
/// # Errors
/// A file that cannot be read or is longer than a daemon takes.
pub(super) fn body_of(data: &str) -> Result<Zeroizing<Vec<u8>>> {
    match data.strip_prefix('@') {
        None => Ok(Zeroizing::new(data.as_bytes().to_vec())),
        Some("-") => match terminal::read_stdin(DAEMON_BODY_BYTES)? {
            Some(body) => Ok(Zeroizing::new(body.expose_bytes().to_vec())),
            None => Err(AuthsomeError::InvalidInput {
                what: "body",
                reason: format!("it is longer than {DAEMON_BODY_BYTES} bytes"),
            }),
        },
        Some(path) => Ok(Zeroizing::new(paths::read_limited(path.as_ref(), DAEMON_BODY_BYTES)?)),
    }
}

/// Path and query for `client`'s daemon, of what may be a whole URL, as people paste them.
///
/// # Errors
/// A path that does not start at the root; the URL of another place, which the request would not go to.
pub(super) fn path_of<'a>(text: &'a str, client: &Client) -> Result<&'a str> {
    let (origin, path) = split_origin(text);
    if !path.starts_with('/') {
        return Err(wrong("the path does not start with a slash".to_owned()));
    }
    let Some(origin) = origin else { return Ok(path) };
    let daemon = client.base_url()?;
    let named = BaseUrl::parse(origin)?;
    let is_the_same_loopback = named.is_loopback() && daemon.is_loopback() && named.port() == daemon.port();
    if named == daemon || is_the_same_loopback {
        return Ok(path);
    }
    Err(wrong(format!("the URL is not one of the daemon in use, {daemon}; a path is enough")))
}

/// Scheme, host and port, where they are there, and the rest.
fn split_origin(text: &str) -> (Option<&str>, &str) {
    let host = ["http://", "https://"].iter().find_map(|scheme| text.starts_with(scheme).then_some(scheme.len()));
    let Some(host) = host else { return (None, text) };
    let end = text[host..].find('/').map_or(text.len(), |at| host + at);
    (Some(&text[..end]), if end == text.len() { "/" } else { &text[end..] })
}

fn wrong(reason: String) -> AuthsomeError {
    AuthsomeError::Usage { reason, hint: Some("as in: authsome api GET /api/connections".to_owned()) }
}

/// Methods whose body is JSON or nothing.
///
/// # Errors
/// `InvalidInput` when a body is not JSON: the daemon would refuse it anyway, with less to say.
pub(super) fn check_json(body: &[u8]) -> Result<()> {
    serde_json::from_slice::<serde::de::IgnoredAny>(body).map(|_| ()).map_err(|error| AuthsomeError::InvalidInput {
        what: "body",
        reason: format!("not JSON (line {}, column {})", error.line(), error.column()),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::client::Target;
    use crate::client::testing::Scratch;

    #[test]
    fn a_pasted_url_becomes_its_path() {
        for (text, parts) in [
            ("/api/x?y=1", (None, "/api/x?y=1")),
            ("http://127.0.0.1:7998/api/x?u=http://a/b", (Some("http://127.0.0.1:7998"), "/api/x?u=http://a/b")),
            ("https://x.test", (Some("https://x.test"), "/")),
            ("api", (None, "api")),
        ] {
            assert_eq!(split_origin(text), parts);
        }
    }

    #[test]
    fn a_path_must_be_one_of_the_daemon_in_use() {
        let scratch = Scratch::new();
        let url = BaseUrl::parse("http://127.0.0.1:7998").expect("parses");
        let client = Client::new(scratch.0.clone(), Arc::default(), Target::Named(url));
        let path = |text| path_of(text, &client).map_err(|error| error.to_string());
        assert_eq!(path("/api/x"), Ok("/api/x"));
        assert_eq!(path("http://127.0.0.1:7998/api/x"), Ok("/api/x"));
        assert_eq!(path("http://localhost:7998/api/x"), Ok("/api/x"));
        assert!(path("http://localhost:7999/api/x").is_err());
        assert!(path("api/x").expect_err("signed for nothing").contains("slash"));
        assert!(path("https://elsewhere.test/api/x").expect_err("not asked").contains("http://127.0.0.1:7998"));
    }

    #[test]
    fn bodies_come_from_the_word_or_a_file() {
        assert_eq!(*body_of("{\"a\":1}").expect("the word"), b"{\"a\":1}");
        assert!(body_of("@/nonexistent/file").is_err());
        let error = check_json(b"{\"a\": hunter2}").expect_err("not JSON").to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
