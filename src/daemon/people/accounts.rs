//! Accounts: email and password (Argon2id, RFC 9106), and who may make one.

use std::sync::PoisonError;

use super::claims::{LOCAL_OWNER, url_safe};
use super::passwords::Turn;
use super::{PRINCIPALS, People, principal_key, to_json, token_hash};
use crate::broker::Actor;
use crate::error::{AuthsomeError, Result};
use crate::model::{AuditEvent, Principal, Role};
use crate::secret::{Secret, random_bytes};
use crate::store::Range;
use crate::vault::{ExpectedVersion, VaultWrite, Version};

/// The shortest password (`contract/http.md` section 3).
const SHORTEST: usize = 8;
/// The longest: Argon2 takes any length, a request should not.
const LONGEST: usize = 1024;
/// How long an invitation is good.
const INVITATION_SECONDS: i64 = 7 * 24 * 3600;
const SETUP_TOKEN: &str = "server:setup_token";

/// A request to make an account.
pub(in crate::daemon) struct NewAccount {
    pub(in crate::daemon) email: String,
    pub(in crate::daemon) password: Secret,
    /// The setup token or the invitation.
    pub(in crate::daemon) token: Option<Secret>,
    /// No token is needed.
    pub(in crate::daemon) is_open: bool,
}

/// Why a form is refused. The text goes to the person who filled it in.
#[derive(Debug)]
pub(in crate::daemon) enum AccountError {
    /// The email is none.
    BadEmail,
    /// The password is too short or too long.
    BadPassword,
    /// The email is taken, or the token is not good: said alike, so that nobody learns who has an account.
    Refused,
    /// Wrong email or password: said alike.
    WrongCredentials,
    /// Too many failures.
    SlowDown,
    /// Something failed inside.
    Inside(AuthsomeError),
}

impl AccountError {
    pub(in crate::daemon) fn text(&self) -> &'static str {
        match self {
            Self::BadEmail => "Please enter an email address",
            Self::BadPassword => "The password needs at least 8 characters",
            Self::Refused => "No account was made: the token is not valid, or the email cannot be used",
            Self::WrongCredentials => "Wrong email or password",
            Self::SlowDown => "Too many attempts; wait a little and try again",
            Self::Inside(_) => "Something went wrong on our side; try again",
        }
    }
}

impl From<AuthsomeError> for AccountError {
    fn from(error: AuthsomeError) -> Self {
        Self::Inside(error)
    }
}

impl People {
    /// Whether nobody has an account yet.
    pub(in crate::daemon) fn is_empty(&self) -> Result<bool> {
        let first = Range { prefix: PRINCIPALS, after: None, reverse: false, limit: 1 };
        Ok(self.vault.scan(&first)?.is_empty())
    }

    /// Makes an account. The first one on a server is an administrator's.
    pub(in crate::daemon) fn make_account(
        &self,
        new: &NewAccount,
        peer: Option<&str>,
    ) -> Result<Principal, AccountError> {
        let email = canonical_email(&new.email).ok_or(AccountError::BadEmail)?;
        check_length(&new.password)?;
        if email == LOCAL_OWNER {
            return Err(AccountError::Refused); // made by the bootstrap token, not by form
        }
        let turn = Turn::take().ok_or(AccountError::SlowDown)?;
        let attempt = self.throttle.begin(None, peer).ok_or(AccountError::SlowDown)?;
        let hash = turn.hash(&new.password)?;
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = self.is_empty()?;
        let token_key = if is_first { SETUP_TOKEN.to_owned() } else { invitation_key(new.token.as_ref()) };
        let token = self.good_token(&token_key, new.token.as_ref())?;
        if !new.is_open && token.is_none() {
            return Err(AccountError::Refused);
        }
        attempt.succeeded();
        let role = if is_first { Role::Admin } else { Role::User };
        let principal = self.new_principal(&email, role, Some(hash));
        // Made and paid for in one step: of two who have one token, one gets an account.
        let spent = token
            .as_ref()
            .map(|version| VaultWrite { expected: ExpectedVersion::Is(version), ..VaultWrite::delete(&token_key) });
        // The first account ends the setup, whatever it was made with.
        let over = (is_first && spent.is_none()).then(|| VaultWrite::delete(&token_key));
        let others: Vec<_> = spent.into_iter().chain(over).collect();
        if self.add_principal(&principal, &others)? { Ok(principal) } else { Err(AccountError::Refused) }
    }

    /// Which version of what is stored at `key` the `token` fits.
    fn good_token(&self, key: &str, token: Option<&Secret>) -> Result<Option<Version>> {
        let (Some(token), Some((stored, version))) = (token, self.vault.get_versioned(key)?) else { return Ok(None) };
        let is_good = Secret::new(token_hash(token.expose().trim())).constant_time_eq(&stored);
        Ok(is_good.then_some(version))
    }

    /// Checks email and password. Wrong email and wrong password look the same and take the same time.
    pub(in crate::daemon) fn sign_in(
        &self,
        email: &str,
        password: &Secret,
        peer: Option<&str>,
    ) -> Result<Principal, AccountError> {
        let email = canonical_email(email).unwrap_or_default();
        let turn = Turn::take().ok_or(AccountError::SlowDown)?;
        let attempt = self.throttle.begin(Some(&email), peer).ok_or(AccountError::SlowDown)?;
        let principal = self.by_email(&email)?;
        let stored = principal.as_ref().and_then(|principal| principal.password_hash.clone());
        let is_right = turn.verify(password, stored.as_deref());
        match principal {
            Some(principal) if is_right => {
                attempt.succeeded();
                Ok(principal)
            }
            _ => Err(AccountError::WrongCredentials),
        }
    }

    /// Asks for the password once more, before something that a borrowed browser shall not do. An account without one
    /// (the local owner's) needs none: its session was got with the key of a claimed identity.
    ///
    /// # Errors
    /// `WrongCredentials`, `SlowDown`.
    pub(in crate::daemon) fn check_password(
        &self,
        principal: &Principal,
        password: &Secret,
        peer: Option<&str>,
    ) -> Result<(), AccountError> {
        let Some(stored) = principal.password_hash.as_deref() else { return Ok(()) };
        let turn = Turn::take().ok_or(AccountError::SlowDown)?;
        let attempt = self.throttle.begin(Some(&principal.email), peer).ok_or(AccountError::SlowDown)?;
        if !turn.verify(password, Some(stored)) {
            return Err(AccountError::WrongCredentials);
        }
        attempt.succeeded();
        Ok(())
    }

    /// Changes a password, ends every session of its person and begins a new one for `port`: its handle. An account that
    /// never had one (the local owner's) needs no old one: its session was got with the key of a claimed identity.
    ///
    /// # Errors
    /// `BadPassword`, and as [`People::check_password`].
    pub(in crate::daemon) fn change_password(
        &self,
        principal: &Principal,
        (old, new): (&Secret, &Secret),
        peer: Option<&str>,
        port: u16,
    ) -> Result<String, AccountError> {
        check_length(new)?;
        self.check_password(principal, old, peer)?;
        let turn = Turn::take().ok_or(AccountError::SlowDown)?;
        let changed = Principal { password_hash: Some(turn.hash(new)?), ..principal.clone() };
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.principal(&principal.principal_id)?.as_ref() != Some(principal) {
            return Err(AccountError::WrongCredentials); // somebody else was faster
        }
        let (key, value) = (principal_key(&principal.principal_id), to_json(&changed));
        let (session, old_sessions) =
            (self.new_session(principal, port, None), self.session_keys(&principal.principal_id)?);
        let ends = old_sessions.iter().map(|key| VaultWrite::delete(key));
        let writes: Vec<_> = [VaultWrite::put(&key, &value), session.write()].into_iter().chain(ends).collect();
        let noted = AuditEvent::success("account.password_changed");
        self.write(Some(&Actor::person(principal)), noted, &writes)?;
        Ok(session.into_handle())
    }

    /// The token for the first account of a hosted server; `None` when there is an account, or a token was given out.
    pub(in crate::daemon) fn new_setup_token(&self) -> Result<Option<Secret>> {
        if !self.is_empty()? || self.vault.get(SETUP_TOKEN)?.is_some() {
            return Ok(None);
        }
        let token = format!("setup_{}", url_safe(&random_bytes::<24>()));
        self.vault.put(SETUP_TOKEN, token_hash(&token).as_bytes())?;
        Ok(Some(Secret::new(token)))
    }

    /// An invitation to make one account, good for a week.
    pub(in crate::daemon) fn invite(&self, by: &Actor) -> Result<Secret> {
        let token = Secret::new(format!("invite_{}", url_safe(&random_bytes::<24>())));
        let (key, hash) = (invitation_key(Some(&token)), token_hash(token.expose()));
        let write = VaultWrite {
            key: &key,
            value: Some(hash.as_bytes()),
            expected: ExpectedVersion::Anything,
            expires_at: Some(self.clock.now().plus_seconds(INVITATION_SECONDS)),
        };
        self.write(Some(by), AuditEvent::success("account.invited"), &[write])?;
        Ok(token)
    }
}

fn invitation_key(token: Option<&Secret>) -> String {
    format!("invitation:{}", token_hash(token.map_or("", |token| token.expose().trim())))
}

/// Trimmed and lower-case; `None` for what is no address.
pub(super) fn canonical_email(email: &str) -> Option<String> {
    let email = email.trim().to_lowercase();
    let fits = email.len() <= 254 && email.split('@').count() == 2 && !email.starts_with('@') && !email.ends_with('@');
    let is_plain = email.chars().all(|character| !character.is_whitespace() && !character.is_control());
    (fits && is_plain).then_some(email)
}

fn check_length(password: &Secret) -> Result<(), AccountError> {
    let length = password.expose().chars().count();
    if (SHORTEST..=LONGEST).contains(&length) { Ok(()) } else { Err(AccountError::BadPassword) }
}
