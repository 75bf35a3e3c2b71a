//! One login from its session to its end: **hand over what we have → show the way → wait → tell**. Whatever breaks it
//! off on our side ends the session at the daemon too, so that no half-made connection appears later.

use std::cell::OnceCell;
use std::env;
use std::path::Path;
use std::sync::Arc;

use super::client_form::{Form, Given};
use super::cookies::{self, Wanted};
use super::secret_source::{self, Key, Situation, Source};
use super::wait::{self, Surroundings};
use super::{Flow, Login, asks_for_input, resume, session_path, tell};
use crate::cli::browser;
use crate::cli::chrome;
use crate::cli::context::Context;
use crate::cli::interrupts::{Call, Interrupts};
use crate::cli::terminal;
use crate::client::{Client, segment};
use crate::error::{AuthsomeError, Result};
use crate::limits::LOGIN_CANCEL_DEADLINE;
use crate::model::{AuthSession, AuthType, FlowType, NextAction, ProviderDefinition, SessionStatus};
use crate::secret::{Secret, SecretBuffer};

/// A login under way.
pub(super) struct Attempt<'a> {
    ctx: &'a Context,
    login: &'a Login,
    client: Arc<Client>,
    definition: ProviderDefinition,
    /// From stdin.
    client_secret: Option<Secret>,
    interrupts: OnceCell<Interrupts<'static>>,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(
        ctx: &'a Context,
        login: &'a Login,
        client: Arc<Client>,
        definition: ProviderDefinition,
        client_secret: Option<Secret>,
    ) -> Self {
        Self { ctx, login, client, definition, client_secret, interrupts: OnceCell::new() }
    }

    /// From the started session to its end.
    ///
    /// # Errors
    /// Why nothing was connected.
    pub(super) fn run(self, session: AuthSession) -> Result<()> {
        let id = session.id.clone();
        match self.go_on(session) {
            Ok(session) if session.status.is_final() => self.tell_end(&session),
            Ok(session) => tell::started(self.ctx, self.login, &session),
            Err(error) => {
                self.cancel(&id);
                Err(error)
            }
        }
    }

    /// The session at its end, or where it goes on without us.
    fn go_on(&self, session: AuthSession) -> Result<AuthSession> {
        let session = self.hand_over(session)?;
        if session.status.is_final() || !self.login.waits(self.ctx) {
            return Ok(session);
        }
        if nobody_is_here() && !self.login.wait {
            return Err(nobody_to_sign_in(&self.login.provider));
        }
        let session = self.wait(session)?;
        if session.status.is_final() { Ok(session) } else { Err(self.login.failed("it did not end in time")) }
    }

    /// Gives the daemon what can be had here: a key, cookies, the OAuth client.
    fn hand_over(&self, session: AuthSession) -> Result<AuthSession> {
        if session.status.is_final() {
            return Ok(session);
        }
        if self.definition.auth_type == AuthType::Oauth2 {
            return self.hand_over_client(session);
        }
        match self.source(&session)? {
            Source::Browser(program) => self.hand_over_cookies(session, &program),
            source => self.hand_over_key(session, &source),
        }
    }

    fn hand_over_key(&self, session: AuthSession, source: &Source) -> Result<AuthSession> {
        match Key::read(source, self.ctx, &self.definition, self.login.force)? {
            Some(key) => self.resume(&session, key.to_body()),
            None => Ok(session),
        }
    }

    /// The cookies of a browser; pasted ones, where it turns out to be of no use and a person is here.
    fn hand_over_cookies(&self, session: AuthSession, program: &Path) -> Result<AuthSession> {
        let Some(wanted) = Wanted::of(&session, self.definition.browser.as_ref()) else { return Ok(session) };
        match cookies::collect(self.ctx, program, &wanted, wait::life(&session), self.interrupts()?) {
            Ok(found) => self.resume(&session, found.to_body()),
            Err(error @ AuthsomeError::OperationNotAllowed { .. }) if terminal::is_interactive() => {
                self.ctx.out.warn(&error.message());
                self.hand_over_key(session, &Source::Prompt)
            }
            Err(AuthsomeError::AuthenticationFailed { reason, .. }) => Err(self.login.failed(&reason)),
            Err(error) => Err(error),
        }
    }

    fn source(&self, session: &AuthSession) -> Result<Source> {
        let wants_browser = matches!(session.next_action, NextAction::Browser { .. });
        let can_show = browser::has_screen() && !self.login.no_browser;
        let situation = Situation {
            key_stdin: self.login.key_stdin,
            cookies: self.definition.auth_type == AuthType::Browser,
            variable: secret_source::variable_that_is_set(&self.definition),
            interactive: terminal::is_interactive(),
            display: self.has_browser(),
            chrome: if wants_browser && can_show { chrome::find() } else { None },
            waits: self.login.waits(self.ctx),
            insists: self.login.wait,
        };
        secret_source::choose(situation, &self.definition)
    }

    fn has_browser(&self) -> bool {
        browser::has_display() && !self.login.no_browser
    }

    /// The OAuth client, where it was given, or where a person is here and no browser is.
    fn hand_over_client(&self, session: AuthSession) -> Result<AuthSession> {
        let is_given = self.login.client_id.is_some();
        if !asks_for_input(&session) {
            return if is_given { self.check_stored_client(session) } else { Ok(session) };
        }
        let interactive = terminal::is_interactive();
        let asks_here = interactive && !self.has_browser() && self.login.waits(self.ctx);
        if !is_given && !asks_here {
            return Ok(session);
        }
        let path = format!("{}/input", session_path(&session.id));
        let form: Form = self.call(move |client| client.get(&path)?.parse())?;
        let given = Given { login: self.login, client_secret: self.client_secret.as_ref(), interactive };
        if form.asks(&given) {
            form.introduce(self.ctx);
        }
        self.resume(&session, form.fill(&given)?)
    }

    /// Whoever hands over a client must not believe that it was taken when another one is in use.
    fn check_stored_client(&self, session: AuthSession) -> Result<AuthSession> {
        #[derive(serde::Deserialize)]
        struct Detail {
            #[serde(default)]
            client: Option<Stored>,
        }
        #[derive(serde::Deserialize)]
        struct Stored {
            #[serde(default)]
            client_id: Option<String>,
        }
        let path = format!("/api/providers/{}/detail", segment(&self.login.provider));
        let detail: Detail = self.call(move |client| client.get(&path)?.parse())?;
        if detail.client.and_then(|stored| stored.client_id) == self.login.client_id {
            self.ctx.out.warn("this OAuth client is stored already: it is used with the secret that is stored");
            return Ok(session);
        }
        Err(AuthsomeError::OperationNotAllowed {
            operation: "login",
            reason: format!(
                "{} does not take this OAuth client: it has another, or makes its own",
                self.login.provider
            ),
            hint: Some(
                "leave --client-id out; an administrator can remove the stored one, and with it all connections: \
                 authsome provider revoke PROVIDER",
            ),
        })
    }

    /// Shows the way, and waits for the end of it.
    fn wait(&self, session: AuthSession) -> Result<AuthSession> {
        let interrupts = self.interrupts()?;
        let title = self.definition.title();
        let opened = self.has_browser() && self.open(&session);
        let pastes = !opened && terminal::has_keyboard() && takes_pasted(&session, &self.definition, self.login.flow);
        tell::way(self.ctx, title, &session, pastes);
        let keyboard = if pastes { Some(terminal::keyboard()?) } else { None };
        let surroundings = Surroundings { out: self.ctx.out, client: &self.client, interrupts, title, keyboard };
        wait::until_end(surroundings, session, &|session| tell::way(self.ctx, title, session, pastes))
    }

    fn open(&self, session: &AuthSession) -> bool {
        let NextAction::OpenUrl { url } = &session.next_action else { return false };
        let opened = browser::open(url);
        if !opened {
            self.ctx.out.note("no browser could be started");
        }
        opened
    }

    fn tell_end(&self, session: &AuthSession) -> Result<()> {
        match session.status {
            SessionStatus::Completed => tell::success(self.ctx, self.login, session, self.connected().as_ref()),
            SessionStatus::Cancelled => Err(AuthsomeError::InputCancelled { operation: "login" }),
            SessionStatus::Expired => Err(self.login.failed("nobody finished the login in time")),
            SessionStatus::Failed
            | SessionStatus::Pending
            | SessionStatus::WaitingForUser
            | SessionStatus::Processing => {
                let reason = session.error.as_deref().or(session.message.as_deref());
                Err(self.login.failed(reason.unwrap_or("the daemon gives no reason")))
            }
        }
    }

    /// What the new connection says of itself. The login has succeeded, whether it can be told or not.
    fn connected(&self) -> Option<tell::Connected> {
        if self.ctx.out.json || self.ctx.out.quiet {
            return None;
        }
        let (provider, connection) = (segment(&self.login.provider), segment(&self.login.connection));
        let path = format!("/api/connections/{provider}/{connection}?redact=1");
        self.call(move |client| client.get(&path)?.parse()).ok()
    }

    fn resume(&self, session: &AuthSession, body: SecretBuffer) -> Result<AuthSession> {
        let id = session.id.clone();
        self.call(move |client| resume(client, &id, &body))
    }

    /// A call to the daemon that Ctrl-C ends.
    fn call<T: Send + 'static>(&self, work: impl FnOnce(&Client) -> Result<T> + Send + 'static) -> Result<T> {
        let client = Arc::clone(&self.client);
        let call = Call::start(move || work(&client))?;
        self.interrupts()?.finish(&call)?.ok_or(AuthsomeError::InputCancelled { operation: "login" })
    }

    /// Not before they are needed: until then the signals do what they always do.
    fn interrupts(&self) -> Result<Interrupts<'static>> {
        if let Some(interrupts) = self.interrupts.get() {
            return Ok(*interrupts);
        }
        let interrupts = Interrupts::watch()?;
        Ok(*self.interrupts.get_or_init(|| interrupts))
    }

    /// Ends the session at the daemon, in a moment or not at all. Whoever presses Ctrl-C twice does not stop that.
    fn cancel(&self, id: &str) {
        let _ = self.interrupts(); // installed, so that a signal does not end us now
        let (client, path) = (Arc::clone(&self.client), session_path(id));
        if let Ok(call) = Call::start(move || client.delete(&path).map(drop)) {
            call.wait_at_most(LOGIN_CANCEL_DEADLINE);
        }
    }
}

/// Whether the login can end with an address that is pasted here: one of the browser's redirects (RFC 6749 section 4.1).
fn takes_pasted(session: &AuthSession, definition: &ProviderDefinition, asked: Option<Flow>) -> bool {
    let flow = asked.map_or(definition.flow, |Flow(flow)| flow);
    let redirects = matches!(flow, FlowType::Pkce | FlowType::DcrPkce) && session.user_code.is_none();
    redirects && matches!(session.next_action, NextAction::OpenUrl { .. })
}

/// A build machine: no terminal, no display, and it says so itself.
fn nobody_is_here() -> bool {
    let is_ci = env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
    is_ci && !terminal::is_interactive() && !browser::has_display()
}

fn nobody_to_sign_in(provider: &str) -> AuthsomeError {
    AuthsomeError::Usage {
        reason: format!("{provider} wants a person to sign in, and this build machine has no terminal and no display"),
        hint: Some("--no-wait prints where to sign in and ends; --wait waits for somebody who does".to_owned()),
    }
}
