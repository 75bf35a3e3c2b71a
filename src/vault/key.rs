//! [`MasterKey`]: where it comes from. In this order: `AUTHSOME_MASTER_KEY`, the file that `AUTHSOME_MASTER_KEY_FILE`
//! names, `server/master.key`. 32 bytes in base64 are a key; anything else is a passphrase. White space around either
//! is ignored.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use base64::engine::{DecodePaddingMode, Engine};
use zeroize::Zeroizing;

use crate::error::{AuthsomeError, Result};
use crate::limits::SMALL_FILE_BYTES;
use crate::paths::{self, Home};
use crate::secret::{Secret, random_bytes};

const ENV_KEY: &str = "AUTHSOME_MASTER_KEY";
const ENV_KEY_FILE: &str = "AUTHSOME_MASTER_KEY_FILE";
const HOME_FILE: &str = "server/master.key";

/// What the environment says about the master key. Empty variables count as unset.
#[derive(Debug, Default)]
pub struct KeySettings {
    /// `AUTHSOME_MASTER_KEY`: the key or passphrase itself.
    pub env_key: Option<Secret>,
    /// `AUTHSOME_MASTER_KEY_FILE`: the file that holds it.
    pub env_key_file: Option<PathBuf>,
}

impl KeySettings {
    /// Reads the environment.
    ///
    /// # Errors
    /// [`AuthsomeError::EncryptionUnavailable`] when `AUTHSOME_MASTER_KEY` is not UTF-8.
    pub fn from_env() -> Result<Self> {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty());
        let env_key = match set(ENV_KEY).map(OsString::into_string) {
            None => None,
            Some(Ok(value)) => Some(Secret::new(value)),
            Some(Err(_)) => return Err(unavailable(format!("{ENV_KEY} is not UTF-8"))),
        };
        Ok(Self { env_key, env_key_file: set(ENV_KEY_FILE).map(PathBuf::from) })
    }
}

/// What the master key is, for `effective_encryption_source` (`contract/http.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A key in the environment.
    Env,
    /// A key in a file.
    File,
    /// A passphrase, wherever it is.
    Passphrase,
    /// A key in the system's keyring. Nothing makes this one yet; the name is on the wire.
    Keyring,
}

impl KeySource {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Env => "env",
            Self::File => "file",
            Self::Passphrase => "passphrase",
            Self::Keyring => "keyring",
        }
    }
}

/// The key that wraps the data key. Wiped when dropped.
pub struct MasterKey {
    material: Material,
    source: KeySource,
    place: &'static str,
    /// Where a key that was just made goes once a store depends on it. `None`: it is there already.
    unsaved: Option<PathBuf>,
}

/// What a master key consists of.
pub(super) enum Material {
    Key(Zeroizing<[u8; 32]>),
    Passphrase(Zeroizing<Vec<u8>>),
}

impl MasterKey {
    /// The master key of an installation. When none is configured and `server/master.key` is missing, a new key is
    /// made; it is written only by [`super::Vault::open`], and only for a store that has no data key yet. So a key
    /// that was lost is reported and never replaced by one that opens nothing.
    ///
    /// # Errors
    /// [`AuthsomeError::EncryptionUnavailable`] when the configured place cannot be read or is empty.
    pub fn load(home: &Home, settings: &KeySettings) -> Result<Self> {
        if let Some(text) = &settings.env_key {
            return Self::parse(text.expose().as_bytes(), KeySource::Env, ENV_KEY);
        }
        if let Some(path) = &settings.env_key_file {
            let contents = paths::read_limited(path, SMALL_FILE_BYTES).map(Zeroizing::new);
            let contents = contents.map_err(|error| unavailable(format!("{ENV_KEY_FILE}: {error}")))?;
            return Self::parse(&contents, KeySource::File, ENV_KEY_FILE);
        }
        match paths::read_limited(&home.master_key(), SMALL_FILE_BYTES).map(Zeroizing::new) {
            Ok(contents) => Self::parse(&contents, KeySource::File, HOME_FILE),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self {
                unsaved: Some(home.master_key()),
                source: KeySource::File,
                place: HOME_FILE,
                ..Self::generate()
            }),
            Err(error) => Err(unavailable(error.to_string())),
        }
    }

    /// A key or passphrase that the caller holds.
    ///
    /// # Errors
    /// [`AuthsomeError::EncryptionUnavailable`] when it is empty.
    pub fn from_secret(text: &Secret) -> Result<Self> {
        Self::parse(text.expose().as_bytes(), KeySource::Env, "the caller")
    }

    /// A new key that is kept nowhere.
    pub fn generate() -> Self {
        let material = Material::Key(Zeroizing::new(random_bytes()));
        Self { material, source: KeySource::Env, place: "the caller", unsaved: None }
    }

    /// What it is.
    pub fn source(&self) -> KeySource {
        self.source
    }

    /// One line for people: cipher, kind of key, place. Never the key.
    pub fn describe(&self) -> String {
        let kind = match self.material {
            Material::Key(_) => "256-bit master key",
            Material::Passphrase(_) => "passphrase, stretched with Argon2id,",
        };
        format!("XChaCha20-Poly1305, {kind} from {}", self.place)
    }

    fn parse(text: &[u8], source: KeySource, place: &'static str) -> Result<Self> {
        let text = text.trim_ascii();
        if text.is_empty() {
            return Err(unavailable(format!("the master key in {place} is empty")));
        }
        let (material, source) = match decode_key(text) {
            Some(key) => (Material::Key(key), source),
            None => (Material::Passphrase(Zeroizing::new(text.to_vec())), KeySource::Passphrase),
        };
        Ok(Self { material, source, place, unsaved: None })
    }

    pub(super) fn material(&self) -> &Material {
        &self.material
    }

    /// Writes a key that was just made. It never takes the place of another one.
    pub(super) fn save(&self) -> Result<()> {
        let (Some(path), Material::Key(key)) = (&self.unsaved, &self.material) else { return Ok(()) };
        let text = Zeroizing::new(STANDARD.encode(key.as_ref()));
        match paths::create_private(path, text.as_bytes()) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && self.is_in(path) => Ok(()),
            saved => saved.map_err(|error| unavailable(format!("the new master key cannot be kept: {error}"))),
        }
    }

    /// Whether an earlier attempt has written this very key.
    fn is_in(&self, path: &Path) -> bool {
        let Ok(contents) = paths::read_limited(path, SMALL_FILE_BYTES).map(Zeroizing::new) else { return false };
        matches!((decode_key(contents.trim_ascii()), &self.material), (Some(found), Material::Key(own)) if found == *own)
    }

    /// The error for a data key that this does not open.
    pub(super) fn wrong(&self) -> AuthsomeError {
        unavailable(match &self.unsaved {
            Some(_) => format!("{HOME_FILE} is missing and no other master key is configured"),
            None => format!("the master key from {} is not the one that the store was made with", self.place),
        })
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterKey").field("source", &self.source).field("place", &self.place).finish_non_exhaustive()
    }
}

/// 32 bytes in base64, standard or URL-safe, padded or not.
fn decode_key(text: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    [alphabet::STANDARD, alphabet::URL_SAFE].into_iter().find_map(|alphabet| {
        let mut bytes = Zeroizing::new([0; 36]);
        let length = GeneralPurpose::new(&alphabet, LENIENT).decode_slice(text, bytes.as_mut()).ok()?;
        bytes[..length].try_into().ok().map(Zeroizing::new)
    })
}

fn unavailable(reason: String) -> AuthsomeError {
    AuthsomeError::EncryptionUnavailable { reason }
}
