//! An identity's way into a server: made, registered, claimed. Shared by `onboard` and `agent create`.

use std::fs::File;
use std::io;

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::context::Context;
use crate::client::{Chosen, Client, Config, Identities, Signer, Target, segment};
use crate::clock::Clock;
use crate::error::{AuthsomeError, ErrorName, Result};
use crate::identity::{self, SigningKey};
use crate::limits::SMALL_FILE_BYTES;
use crate::paths::{self, Home};
use crate::secret::Secret;

/// Where an identity stands with the daemon.
#[derive(Debug, Deserialize)]
pub(super) struct Standing {
    /// `claim_required`, `pending`, `claimed`, `rejected`; `local` when the daemon was not asked.
    #[serde(rename = "registration_status")]
    pub(super) status: String,
    /// The page on which a person claims it.
    #[serde(default)]
    pub(super) claim_url: Option<String>,
}

impl Standing {
    /// Nobody was asked.
    pub(super) fn local() -> Self {
        Self { status: "local".to_owned(), claim_url: None }
    }

    pub(super) fn needs_claim(&self) -> bool {
        self.status == "claim_required" || self.status == "local"
    }
}

/// The identity in use. Where none is, the only one of this home is used from now on, and one is made when there is
/// none at all. Many commands at once make one.
///
/// # Errors
/// As [`Chosen::select`], and what the file system says; `Usage` when there are several to choose from.
pub(super) fn select_or_create(ctx: &Context) -> Result<Chosen> {
    match Chosen::select(ctx.home(), ctx.settings()) {
        Err(AuthsomeError::NoIdentity) => {}
        other => return other,
    }
    let _lock = lock(ctx.home())?;
    match Chosen::select(ctx.home(), ctx.settings()) {
        Err(AuthsomeError::NoIdentity) => adopt_or_create_locked(ctx.home()).map(Chosen::Signer),
        other => other,
    }
}

/// A config file that was lost must not cost an identity.
fn adopt_or_create_locked(home: &Home) -> Result<Signer> {
    let identities = Identities::new(home);
    let mut known = identities.list()?;
    if known.len() > 1 {
        return Err(AuthsomeError::Usage {
            reason: format!("none of the {} identities of this home is in use", known.len()),
            hint: Some("choose one: authsome agent list, then authsome agent use HANDLE".to_owned()),
        });
    }
    let Some(only) = known.pop() else { return create_locked(home, None) };
    let key = identities.key(&only.handle)?;
    let mut config = Config::load(home)?;
    config.set_active_identity(&only.handle);
    config.save(home)?;
    Ok(Signer { handle: only.handle, key })
}

/// Makes an identity, or takes the one of this handle that the home has, and uses it from now on.
///
/// # Errors
/// What the file system says; a damaged key.
pub(super) fn create(home: &Home, handle: Option<String>) -> Result<Signer> {
    let _lock = lock(home)?;
    create_locked(home, handle)
}

fn create_locked(home: &Home, handle: Option<String>) -> Result<Signer> {
    let (mut config, identities) = (Config::load(home)?, Identities::new(home));
    let handle = handle.unwrap_or_else(identity::generate_handle);
    let key = match identities.key(&handle) {
        Err(AuthsomeError::IdentityNotFound { .. }) => {
            let key = SigningKey::generate();
            identities.create(&handle, &key, Clock::system().now())?;
            key
        }
        known => known?,
    };
    let signer = Signer { handle, key };
    config.set_active_identity(&signer.handle);
    config.save(home)?;
    Ok(signer)
}

/// Holds the directory of identities until dropped.
fn lock(home: &Home) -> Result<Flock<File>> {
    let dir = home.identities();
    paths::create_private_dir(&dir)?;
    let failed = |error: &io::Error| AuthsomeError::from(paths::with_path(error, "lock", &dir));
    let file = File::open(&dir).map_err(|error| failed(&error))?;
    // Whoever holds it only writes two small files.
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| failed(&error.into()))
}

/// Registers `signer` with the daemon and, on this machine, claims it for the local owner.
///
/// # Errors
/// What the daemon says.
pub(super) fn enrol(ctx: &Context, signer: Signer) -> Result<Standing> {
    let client = ctx.unsigned(Target::select(ctx.home(), ctx.settings())?).signed(Chosen::Signer(signer))?;
    enrol_with(ctx, &client)
}

/// The same for the identity that `client` signs as.
///
/// # Errors
/// What the daemon says.
pub(super) fn enrol_with(ctx: &Context, client: &Client) -> Result<Standing> {
    let standing: Standing = client.register()?.parse()?;
    if !standing.needs_claim() || !client.target().is_of(ctx.home(), ctx.settings()) {
        return Ok(standing);
    }
    // Whoever may read this file may read the vault: no browser needs to ask who owns the identity.
    let Some(token) = bootstrap_token(ctx.home())? else { return Ok(standing) };
    match claim(client, &token) {
        Ok(claimed) => Ok(claimed.unwrap_or(standing)),
        // A daemon that serves others too wants a browser; so does one whose token is another's.
        Err(error) if error.name() == ErrorName::OperationNotAllowed && standing.claim_url.is_some() => Ok(standing),
        Err(error) => Err(error),
    }
}

/// Claims with the token; `None` when the daemon does not know this way (0.7.2).
fn claim(client: &Client, token: &Secret) -> Result<Option<Standing>> {
    #[derive(Serialize)]
    struct Claim<'a> {
        bootstrap_token: &'a str,
    }
    let handle = &client.signer().ok_or(AuthsomeError::NoIdentity)?.handle;
    let body = crate::secret::SecretBuffer::from_json(&Claim { bootstrap_token: token.expose() })
        .expect("an object of texts is JSON");
    let path = format!("/api/identities/{}/claim", segment(handle));
    let answer = client.call("POST", &path, Some(body.expose_bytes()))?;
    if matches!(answer.status(), 404 | 405) {
        return Ok(None);
    }
    answer.into_success()?.parse().map(Some)
}

fn bootstrap_token(home: &Home) -> Result<Option<Secret>> {
    match paths::read_limited(&home.bootstrap_token(), SMALL_FILE_BYTES) {
        Ok(bytes) => {
            let bytes = zeroize::Zeroizing::new(bytes);
            let text = std::str::from_utf8(&bytes).unwrap_or_default().trim();
            Ok((!text.is_empty()).then(|| Secret::new(text.to_owned())))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Asks where the identity stands now.
///
/// # Errors
/// What the daemon says.
pub(super) fn standing(client: &Client) -> Result<Standing> {
    let handle = &client.signer().ok_or(AuthsomeError::NoIdentity)?.handle;
    client.get(&format!("/api/identities/{}", segment(handle)))?.parse()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::testing::Scratch;

    #[test]
    fn a_new_identity_is_in_use_and_one_of_the_same_handle_is_kept() {
        let scratch = Scratch::new();
        let made = create(&scratch.0, Some("calm-fox".to_owned())).expect("creates");
        let config = Config::load(&scratch.0).expect("loads");
        assert_eq!((made.handle.as_str(), config.active_identity()), ("calm-fox", Some("calm-fox")));
        create(&scratch.0, None).expect("creates another");
        let again = create(&scratch.0, Some("calm-fox".to_owned())).expect("takes the one that is there");
        assert_eq!(again.key.did(), made.key.did());
        assert_eq!(Config::load(&scratch.0).expect("loads").active_identity(), Some("calm-fox"));
        assert_eq!(Identities::new(&scratch.0).key("calm-fox").expect("loads").did(), made.key.did());
    }

    #[test]
    fn a_lost_config_file_costs_no_identity() {
        let scratch = Scratch::new();
        let made = create(&scratch.0, Some("calm-fox".to_owned())).expect("creates");
        std::fs::remove_file(scratch.0.config()).expect("removes");
        let adopted = adopt_or_create_locked(&scratch.0).expect("adopts");
        assert_eq!((adopted.handle.as_str(), adopted.key.did()), ("calm-fox", made.key.did()));
        assert_eq!(Config::load(&scratch.0).expect("loads").active_identity(), Some("calm-fox"));
        create(&scratch.0, None).expect("creates");
        let error = adopt_or_create_locked(&scratch.0).expect_err("which one is not ours to say");
        assert!(error.hint().expect("a hint").contains("agent use"), "{error}");
    }

    #[test]
    fn no_token_is_no_error_and_whitespace_is_none() {
        let scratch = Scratch::new();
        assert!(bootstrap_token(&scratch.0).expect("absent").is_none());
        paths::write_private(&scratch.0.bootstrap_token(), b" \n").expect("writes");
        assert!(bootstrap_token(&scratch.0).expect("empty").is_none());
        paths::write_private(&scratch.0.bootstrap_token(), b"token-1\n").expect("writes");
        assert_eq!(bootstrap_token(&scratch.0).expect("there").expect("there").expose(), "token-1");
    }
}
