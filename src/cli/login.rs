//! `authsome login`

mod attempt;
mod client_form;
mod cookies;
mod pasted;
mod secret_source;
mod tell;
#[cfg(test)]
mod tests;
mod wait;

use std::io::{self, IsTerminal as _};
use std::str::FromStr;
use std::sync::Arc;

use argh::{ArgsInfo, FromArgs};
use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};

use self::attempt::Attempt;
use self::secret_source::Key;
pub(super) use self::tell::hint;
use super::context::Context;
use super::output::printable;
use super::terminal;
use crate::client::{Client, segment};
use crate::error::{AuthsomeError, Result};
use crate::model::{AuthSession, AuthType, FlowType, NextAction, ProviderDefinition, SessionStatus};
use crate::secret::{Secret, SecretBuffer};

/// Connect a provider.
#[derive(FromArgs, ArgsInfo, Default)]
#[argh(
    subcommand,
    name = "login",
    example = "authsome login openai",
    example = "printf %s \"$KEY\" | authsome login openai --key-stdin",
    example = "authsome login github",
    example = "authsome login github --flow device_code --scopes repo,gist",
    example = "authsome login github --client-id Iv1.0123 < client-secret.txt",
    example = "authsome login github --connection work --no-browser",
    note = "A key or a client secret is never an argument: it comes from the page, a prompt, stdin, or the provider's own variable.",
    note = "Where a provider wants more than a key, stdin holds lines of NAME=value: api_key=..., and its fields.",
    note = "With --client-id, the client secret is asked for on a terminal and else read from stdin; empty means a public client.",
    note = "Where the browser cannot reach the daemon (ssh), use --no-browser and paste the address that it ends at.",
    note = "Ctrl-C breaks the login off, at the daemon too."
)]
pub(super) struct Login {
    /// provider name
    #[argh(positional)]
    provider: String,

    /// name of the connection (default: default)
    #[argh(option, arg_name = "name", default = "String::from(\"default\")")]
    connection: String,

    /// pkce, device_code, dcr_pkce, api_key or browser (default: what the provider says)
    #[argh(option, arg_name = "flow")]
    flow: Option<Flow>,

    /// scopes to ask for, with commas between them
    #[argh(option, arg_name = "a,b")]
    scopes: Option<String>,

    /// the provider's address, where everybody has their own
    #[argh(option, arg_name = "url")]
    base_url: Option<String>,

    /// client id of your own OAuth app; its secret comes from a prompt or stdin
    #[argh(option, arg_name = "id")]
    client_id: Option<String>,

    /// replace a connection that works, and store a key of an unusual shape without asking
    #[argh(switch)]
    force: bool,

    /// read the key from stdin; a connection that works is only replaced with --force
    #[argh(switch)]
    key_stdin: bool,

    /// do not open a browser; what is needed is asked for on the terminal
    #[argh(switch)]
    no_browser: bool,

    /// wait for the end, also with --json
    #[argh(switch)]
    wait: bool,

    /// say where to go on, and do not wait
    #[argh(switch)]
    no_wait: bool,
}

/// A flow by name.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Flow(FlowType);

impl FromStr for Flow {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let known = [FlowType::Pkce, FlowType::DeviceCode, FlowType::DcrPkce, FlowType::ApiKey, FlowType::Browser];
        let found = known.into_iter().find(|flow| flow.as_str() == text);
        found.map(Self).ok_or("expected pkce, device_code, dcr_pkce, api_key or browser")
    }
}

impl Login {
    pub(super) fn run(self, ctx: &Context) -> Result<()> {
        // No core dump shall hold what is typed, pasted or read here.
        nix::sys::prctl::set_dumpable(false).map_err(io::Error::from)?;
        let client = Arc::new(ctx.client()?);
        let definition: ProviderDefinition =
            client.get(&format!("/api/providers/{}", segment(&self.provider)))?.parse()?;
        self.check_options(&definition)?;
        let client_secret = self.client_secret_from_stdin()?;
        let session = self.start(&client)?;
        if session.status == SessionStatus::Completed {
            let hands_over = self.key_stdin || self.client_id.is_some();
            return if hands_over { Err(self.not_replaced()) } else { tell::success(ctx, &self, &session, None) };
        }
        Attempt::new(ctx, &self, client, definition, client_secret).run(session)
    }

    /// What makes no sense together is said before anything is begun.
    fn check_options(&self, definition: &ProviderDefinition) -> Result<()> {
        let is_oauth = definition.auth_type == AuthType::Oauth2;
        let usage = |reason: String, without: &str| AuthsomeError::Usage {
            reason,
            hint: Some(format!("leave {without} out: authsome login {}", self.provider)),
        };
        if self.key_stdin && is_oauth {
            return Err(usage(format!("{} does not take a key", self.provider), "--key-stdin"));
        }
        if self.client_id.is_some() && !is_oauth {
            return Err(usage(format!("{} has no OAuth client", self.provider), "--client-id"));
        }
        if self.wait && self.no_wait {
            return Err(usage("--wait and --no-wait contradict each other".to_owned(), "one of them"));
        }
        Ok(())
    }

    /// Read before anything else is done, while Ctrl-C still ends a read of stdin.
    fn client_secret_from_stdin(&self) -> Result<Option<Secret>> {
        if self.client_id.is_none() || io::stdin().is_terminal() {
            return Ok(None);
        }
        terminal::secret_from_stdin().map(Some)
    }

    /// Whoever hands over a key must not believe that it was stored.
    fn not_replaced(&self) -> AuthsomeError {
        AuthsomeError::ConnectionAlreadyExists { provider: self.provider.clone(), connection: self.connection.clone() }
    }

    fn waits(&self, ctx: &Context) -> bool {
        self.wait || !(self.no_wait || ctx.out.json)
    }

    fn start(&self, client: &Client) -> Result<AuthSession> {
        #[derive(Serialize)]
        struct Start<'a> {
            provider: &'a str,
            connection: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            flow: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            scopes: Option<Vec<&'a str>>,
            #[serde(skip_serializing_if = "Option::is_none")]
            base_url: Option<&'a str>,
            force: bool,
        }
        let scopes = self.scopes.as_deref();
        let start = Start {
            provider: &self.provider,
            connection: &self.connection,
            flow: self.flow.map(|Flow(flow)| flow.as_str()),
            scopes: scopes.map(|list| list.split([',', ' ']).filter(|scope| !scope.is_empty()).collect()),
            base_url: self.base_url.as_deref(),
            force: self.force,
        };
        client.post("/api/auth/sessions", &start)?.parse()
    }

    /// The error for what a session says. An endpoint that was not reached has a name and an exit status of its own.
    fn failed(&self, reason: &str) -> AuthsomeError {
        let reason = printable(reason);
        match reason.strip_prefix("cannot reach ").and_then(|text| text.split_once(": ")) {
            Some((endpoint, reason)) => {
                AuthsomeError::EndpointUnreachable { endpoint: endpoint.to_owned(), reason: reason.to_owned() }
            }
            None => AuthsomeError::AuthenticationFailed { provider: Some(self.provider.clone()), reason },
        }
    }
}

/// Stores one key; for imports that have it already.
///
/// # Errors
/// What the daemon says.
pub(super) fn store_key(client: &Client, provider: &str, key: &Secret) -> Result<()> {
    let login = Login { provider: provider.to_owned(), connection: "default".to_owned(), ..Login::default() };
    let session = login.start(client)?;
    if session.status == SessionStatus::Completed {
        return Ok(());
    }
    let body = Key::Api(vec![("api_key".to_owned(), key.duplicate())]).to_body();
    let session = resume(client, &session.id, &body)?;
    match session.status {
        SessionStatus::Completed => Ok(()),
        _ => Err(login.failed(session.error.as_deref().unwrap_or("the key was not taken"))),
    }
}

fn session_path(id: &str) -> String {
    format!("/api/auth/sessions/{}", segment(id))
}

/// Hands `body` to a session; how the session is then.
fn resume(client: &Client, id: &str, body: &SecretBuffer) -> Result<AuthSession> {
    let path = format!("{}/resume", session_path(id));
    client.call("POST", &path, Some(body.expose_bytes()))?.into_success()?.parse()
}

/// Whether the next step is the daemon's own page that asks for a key or a client.
fn asks_for_input(session: &AuthSession) -> bool {
    let NextAction::OpenUrl { url } = &session.next_action else { return false };
    let page = url.split_once('?').is_some_and(|(page, _)| page.ends_with("/auth/input"));
    page && pasted::parameter(url, "session").as_deref() == Some(&session.id)
}

/// The body of a resume call.
fn body_of<N: AsRef<str>>(data: &[(N, Secret)]) -> SecretBuffer {
    #[derive(Serialize)]
    struct Body<T> {
        data: T,
    }
    SecretBuffer::from_json(&Body { data: Named(data) }).expect("an object of texts is JSON")
}

/// Secrets by name, as an object. Only bodies of resume calls are made of it.
struct Named<'a, N>(&'a [(N, Secret)]);

impl<N: AsRef<str>> Serialize for Named<'_, N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        self.0.iter().try_for_each(|(name, value)| map.serialize_entry(name.as_ref(), value.expose()))?;
        map.end()
    }
}
