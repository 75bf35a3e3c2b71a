//! Which identity signs.

use super::files::{Config, Identities};
use super::settings::Settings;
use crate::error::{AuthsomeError, Result};
use crate::identity::{self, SigningKey};
use crate::paths::Home;
use crate::secret::Secret;

/// A key and the name that it is registered under.
#[derive(Debug)]
pub struct Signer {
    /// The handle.
    pub handle: String,
    /// The key.
    pub key: SigningKey,
}

/// What the environment and the files say about who we are.
#[derive(Debug)]
pub enum Chosen {
    /// Handle and key.
    Signer(Signer),
    /// A key of the environment whose handle only the daemon can tell.
    KeyOnly(SigningKey),
}

impl Chosen {
    /// The key of the environment, with its handle; else the key file of the handle in the environment; else that of
    /// the active identity (`contract/identity.md`).
    ///
    /// # Errors
    /// `NoIdentity` when there is none; a bad handle or a damaged key, neither repeated.
    pub fn select(home: &Home, settings: &Settings) -> Result<Self> {
        let handle = valid_handle(settings)?;
        if let Some(text) = &settings.private_key {
            let key = parse_key(text)?;
            return Ok(match handle {
                Some(handle) => Self::Signer(Signer { handle, key }),
                None => Self::KeyOnly(key),
            });
        }
        let handle = match handle {
            Some(handle) => handle,
            None => Config::load(home)?.active_identity().ok_or(AuthsomeError::NoIdentity)?.to_owned(),
        };
        let key = Identities::new(home).key(&handle)?;
        Ok(Self::Signer(Signer { handle, key }))
    }
}

fn valid_handle(settings: &Settings) -> Result<Option<String>> {
    match &settings.identity {
        Some(handle) if !identity::is_valid_handle(handle) => Err(AuthsomeError::InvalidInput {
            what: "handle",
            // Not repeated: somebody may have put a key into the wrong variable.
            reason: "AUTHSOME_IDENTITY does not hold one".to_owned(),
        }),
        handle => Ok(handle.clone()),
    }
}

fn parse_key(text: &Secret) -> Result<SigningKey> {
    SigningKey::from_hex(&Secret::new(text.expose().trim().to_owned())).map_err(|_| AuthsomeError::InvalidInput {
        what: "identity key",
        reason: "AUTHSOME_IDENTITY_PRIVATE_KEY does not hold 64 hexadecimal digits".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::testing::Scratch;
    use crate::clock::Timestamp;

    fn with_identity(handle: &str) -> (Scratch, SigningKey) {
        let (scratch, key) = (Scratch::new(), SigningKey::generate());
        let now = Timestamp::from_unix(1_769_860_800).expect("in range");
        Identities::new(&scratch.0).create(handle, &key, now).expect("creates");
        (scratch, key)
    }

    fn signer(chosen: Chosen) -> Signer {
        match chosen {
            Chosen::Signer(signer) => signer,
            Chosen::KeyOnly(_) => panic!("the handle is known"),
        }
    }

    #[test]
    fn a_key_in_the_environment_wins_over_files_and_needs_none() {
        let scratch = Scratch::new();
        let key = SigningKey::generate();
        let mut settings = Settings { private_key: Some(key.to_hex()), ..Settings::default() };
        assert!(
            matches!(Chosen::select(&scratch.0, &settings), Ok(Chosen::KeyOnly(found)) if found.did() == key.did())
        );
        settings.identity = Some("calm-fox".to_owned());
        let signer = signer(Chosen::select(&scratch.0, &settings).expect("selects"));
        assert_eq!((signer.handle.as_str(), signer.key.did()), ("calm-fox", key.did()));
    }

    #[test]
    fn a_handle_in_the_environment_wins_over_the_active_one() {
        let (scratch, key) = with_identity("calm-fox");
        let settings = Settings { identity: Some("calm-fox".to_owned()), ..Settings::default() };
        let mut config = Config::default();
        config.set_active_identity("other-owl");
        config.save(&scratch.0).expect("saves");
        assert_eq!(signer(Chosen::select(&scratch.0, &settings).expect("selects")).key.did(), key.did());
        let active = Chosen::select(&scratch.0, &Settings::default());
        assert!(matches!(active, Err(AuthsomeError::IdentityNotFound { handle }) if handle == "other-owl"));
    }

    #[test]
    fn nobody_is_nobody_and_bad_variables_are_not_repeated() {
        let scratch = Scratch::new();
        assert!(matches!(Chosen::select(&scratch.0, &Settings::default()), Err(AuthsomeError::NoIdentity)));
        for settings in [
            Settings { identity: Some("../hunter2".to_owned()), ..Settings::default() },
            Settings { identity: Some("default".to_owned()), ..Settings::default() },
            Settings { private_key: Some(Secret::new("hunter2".to_owned())), ..Settings::default() },
        ] {
            let error = Chosen::select(&scratch.0, &settings).expect_err("refused");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
