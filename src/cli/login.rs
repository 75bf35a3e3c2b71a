//! `authsome login`

mod secret_source;

use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

use argh::{ArgsInfo, FromArgs};
use serde::Serialize;

use self::secret_source::{Key, Situation, Source};
use super::browser;
use super::context::Context;
use super::json::Json;
use super::terminal;
use crate::client::{Client, segment};
use crate::error::{AuthsomeError, Result};
use crate::limits::AUTH_SESSION_SECONDS;
use crate::model::{AuthSession, AuthType, FlowType, NextAction, ProviderDefinition, SessionStatus};
use crate::secret::{Secret, SecretBuffer};

/// Between two questions whether a login is done. The daemon answers them from memory.
const PAUSE: Duration = Duration::from_secs(1);
/// A login in which nothing has to be typed ends sooner than this.
const QUICK_PAUSE: Duration = Duration::from_millis(20);

/// Connect a provider.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "login",
    example = "authsome login openai",
    example = "printf %s \"$KEY\" | authsome login openai --key-stdin",
    note = "A key is never an argument: it comes from the page, a prompt, stdin, or the provider's own variable.",
    note = "Where a provider wants more than a key, stdin holds lines of NAME=value: api_key=..., and its fields."
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

    /// replace a connection that works, and store a key of an unusual shape without asking
    #[argh(switch)]
    force: bool,

    /// read the key from stdin; a connection that works is only replaced with --force
    #[argh(switch)]
    key_stdin: bool,

    /// do not open a browser; a key is then asked for on the terminal
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
        let client = ctx.client()?;
        let definition: ProviderDefinition =
            client.get(&format!("/api/providers/{}", segment(&self.provider)))?.parse()?;
        let session = self.start(&client)?;
        if session.status == SessionStatus::Completed {
            return if self.key_stdin { Err(self.not_replaced()) } else { self.tell_success(ctx, &session) };
        }
        let source = self.source(ctx, &definition)?;
        let session = match Key::read(&source, ctx, &definition, self.force)? {
            Some(key) => resume(&client, &session, &key.to_body())?,
            None => session,
        };
        self.finish(ctx, &client, session, &source)
    }

    /// Whoever hands over a key must not believe that it was stored.
    fn not_replaced(&self) -> AuthsomeError {
        AuthsomeError::ConnectionAlreadyExists { provider: self.provider.clone(), connection: self.connection.clone() }
    }

    fn waits(&self, ctx: &Context) -> bool {
        self.wait || !(self.no_wait || ctx.out.json)
    }

    fn source(&self, ctx: &Context, definition: &ProviderDefinition) -> Result<Source> {
        let is_key = definition.auth_type == AuthType::ApiKey || self.flow == Some(Flow(FlowType::ApiKey));
        let is_cookies = definition.auth_type == AuthType::Browser;
        if !is_key && !is_cookies {
            return if self.key_stdin { Err(no_key_wanted(&self.provider)) } else { Ok(Source::Page) };
        }
        let situation = Situation {
            key_stdin: self.key_stdin,
            cookies: is_cookies,
            variable: secret_source::variable_that_is_set(definition),
            interactive: terminal::is_interactive(),
            display: browser::has_display() && !self.no_browser,
            waits: self.waits(ctx),
            insists: self.wait,
        };
        secret_source::choose(situation, definition)
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

    /// Shows where to go on, waits for the end if that is wanted, and tells it.
    fn finish(&self, ctx: &Context, client: &Client, session: AuthSession, source: &Source) -> Result<()> {
        let needs_person = !session.status.is_final() && *source == Source::Page;
        if needs_person && !self.waits(ctx) {
            return self.tell_started(ctx, &session);
        }
        if needs_person {
            self.show_way(ctx, &session);
        }
        let pause = if needs_person { PAUSE } else { QUICK_PAUSE };
        let session = wait_for_end(client, session, pause)?;
        let failed = |reason: &str| AuthsomeError::AuthenticationFailed {
            provider: Some(self.provider.clone()),
            reason: super::output::printable(reason),
        };
        match session.status {
            SessionStatus::Completed => self.tell_success(ctx, &session),
            SessionStatus::Cancelled => Err(AuthsomeError::InputCancelled { operation: "login" }),
            SessionStatus::Expired => Err(failed("nobody finished the login in time")),
            SessionStatus::Failed => {
                let reason = session.error.as_deref().or(session.message.as_deref());
                Err(failed(reason.unwrap_or("the daemon gives no reason")))
            }
            SessionStatus::Pending | SessionStatus::WaitingForUser | SessionStatus::Processing => {
                Err(failed("it did not end in time"))
            }
        }
    }

    /// The address at once, on stderr: stdout is for the result.
    fn show_way(&self, ctx: &Context, session: &AuthSession) {
        let NextAction::OpenUrl { url } = &session.next_action else { return };
        ctx.out.say(&format!("open this page to go on: {url}"));
        if let (Some(code), Some(uri)) = (&session.user_code, &session.verification_uri) {
            ctx.out.say(&format!("or enter the code {code} at {uri}"));
        }
        if !self.no_browser && browser::has_display() && !browser::open(url) {
            ctx.out.note("no browser could be started");
        }
    }

    fn tell_started(&self, ctx: &Context, session: &AuthSession) -> Result<()> {
        let url = if let NextAction::OpenUrl { url } = &session.next_action { url.as_str() } else { "" };
        if !ctx.out.json {
            return ctx.out.line(url);
        }
        let mut fields = self.result_fields("started", session);
        let optional = [
            ("auth_url", Some(url).filter(|url| !url.is_empty())),
            ("user_code", session.user_code.as_deref()),
            ("verification_uri", session.verification_uri.as_deref()),
            ("verification_uri_complete", session.verification_uri_complete.as_deref()),
        ];
        fields.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))));
        ctx.out.object(Json::Object(fields))
    }

    fn tell_success(&self, ctx: &Context, session: &AuthSession) -> Result<()> {
        if ctx.out.json {
            return ctx.out.object(Json::Object(self.result_fields("success", session)));
        }
        let already = session.message.as_deref().is_some_and(|message| message.starts_with("Already"));
        let verb = if already { "was connected already" } else { "is connected" };
        ctx.out.line(&format!("{} ({}) {verb}.", self.provider, self.connection))?;
        if already {
            ctx.out.note("hint: to replace it, add --force");
        }
        Ok(())
    }

    fn result_fields(&self, status: &str, session: &AuthSession) -> Vec<(String, Json)> {
        let fields = [
            ("status", status.into()),
            ("provider", self.provider.as_str().into()),
            ("connection", self.connection.as_str().into()),
            ("record_status", session.status.as_str().into()),
            ("session_id", session.id.as_str().into()),
        ];
        fields.into_iter().map(|(name, value): (&str, Json)| (name.to_owned(), value)).collect()
    }
}

/// Stores one key; for imports that have it already.
///
/// # Errors
/// What the daemon says.
pub(super) fn store_key(client: &Client, provider: &str, key: &Secret) -> Result<()> {
    let login = Login {
        provider: provider.to_owned(),
        connection: "default".to_owned(),
        flow: None,
        scopes: None,
        base_url: None,
        force: false,
        key_stdin: false,
        no_browser: true,
        wait: true,
        no_wait: false,
    };
    let session = login.start(client)?;
    if session.status == SessionStatus::Completed {
        return Ok(());
    }
    let session = resume(client, &session, &Key::Api(vec![("api_key".to_owned(), key.duplicate())]).to_body())?;
    match wait_for_end(client, session, QUICK_PAUSE)? {
        AuthSession { status: SessionStatus::Completed, .. } => Ok(()),
        AuthSession { error, .. } => Err(AuthsomeError::AuthenticationFailed {
            provider: Some(provider.to_owned()),
            reason: super::output::printable(&error.unwrap_or_else(|| "the key was not taken".to_owned())),
        }),
    }
}

fn no_key_wanted(provider: &str) -> AuthsomeError {
    AuthsomeError::Usage {
        reason: format!("{provider} does not take a key"),
        hint: Some(format!("leave --key-stdin out: authsome login {provider}")),
    }
}

fn resume(client: &Client, session: &AuthSession, fields: &SecretBuffer) -> Result<AuthSession> {
    let path = format!("/api/auth/sessions/{}/resume", segment(&session.id));
    client.call("POST", &path, Some(fields.expose_bytes()))?.into_success()?.parse()
}

/// Asks until the session has ended, at most a little longer than it lives.
fn wait_for_end(client: &Client, mut session: AuthSession, pause: Duration) -> Result<AuthSession> {
    let life = session.expires_at.unix() - session.created_at.unix();
    let life = u64::try_from(life.clamp(AUTH_SESSION_SECONDS, 3600)).unwrap_or_default();
    let until = Instant::now() + Duration::from_secs(life + 10);
    let path = format!("/api/auth/sessions/{}", segment(&session.id));
    while !session.status.is_final() && Instant::now() < until {
        thread::sleep(pause);
        session = client.get(&path)?.parse()?;
    }
    Ok(session)
}
