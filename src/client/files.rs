//! The client's files in a home: `client/config.json` and `client/identities/` (`contract/identity.md`). The same in
//! 0.7.2, so that a home made by either program works with the other.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::error::{AuthsomeError, Result};
use crate::identity::{self, SigningKey};
use crate::limits::SMALL_FILE_BYTES;
use crate::model::IdentityRecord;
use crate::paths::{self, Home};
use crate::secret::{Secret, SecretBuffer};

/// Identities that a listing looks at; more than a person ever made by hand.
const LISTED_IDENTITIES: usize = 1000;

/// `client/config.json`. Keys that we do not know stay as they are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config(Map<String, Value>);

impl Config {
    /// Reads the file; one that is not there is empty.
    ///
    /// # Errors
    /// A file that is not a JSON object, by path and line; what the file system says.
    pub fn load(home: &Home) -> Result<Self> {
        let path = home.config();
        let Some(contents) = read_optional(&path)? else { return Ok(Self::default()) };
        match serde_json::from_slice(&contents) {
            Ok(Value::Object(map)) => Ok(Self(map)),
            Ok(_) => Err(bad_file("config file", &path, 1, "expected a JSON object; correct the file or remove it")),
            Err(error) => {
                Err(bad_file("config file", &path, error.line(), "not valid JSON; correct the file or remove it"))
            }
        }
    }

    /// Writes the file, 0600 and as one step.
    ///
    /// # Errors
    /// What the file system says.
    pub fn save(&self, home: &Home) -> Result<()> {
        let mut text = serde_json::to_string_pretty(&self.0).expect("a map with string keys is JSON");
        text.push('\n');
        Ok(paths::write_private(&home.config(), text.as_bytes())?)
    }

    /// The handle in use. `default` is what old versions wrote for "none".
    pub fn active_identity(&self) -> Option<&str> {
        self.text("active_identity").filter(|handle| *handle != "default")
    }

    /// The base URL of a daemon that is not found through the home.
    pub fn daemon_base_url(&self) -> Option<&str> {
        self.text("daemon_base_url")
    }

    /// What `run` does with hosts that no route names.
    pub fn proxy_mode(&self) -> Option<&str> {
        self.text("proxy_mode")
    }

    /// Makes `handle` the one in use.
    pub fn set_active_identity(&mut self, handle: &str) {
        self.0.insert("active_identity".to_owned(), handle.into());
    }

    /// Names the daemon.
    pub fn set_daemon_base_url(&mut self, url: &str) {
        self.0.insert("daemon_base_url".to_owned(), url.into());
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.as_str().map(str::trim).filter(|text| !text.is_empty())
    }
}

/// `client/identities/`: keys and what is known about them.
#[derive(Clone, Debug)]
pub struct Identities {
    dir: PathBuf,
}

impl Identities {
    /// Those of `home`.
    pub fn new(home: &Home) -> Self {
        Self { dir: home.identities() }
    }

    /// Reads the key of `handle`.
    ///
    /// # Errors
    /// `IdentityNotFound` when the handle is not one or has no key here; a damaged file by path and line.
    pub fn key(&self, handle: &str) -> Result<SigningKey> {
        let not_found = || AuthsomeError::IdentityNotFound { handle: handle.to_owned() };
        if !identity::is_valid_handle(handle) {
            return Err(not_found()); // it names a file: nothing but a handle may
        }
        let path = self.key_path(handle);
        let contents = read_optional(&path)?.ok_or_else(not_found)?;
        parse_key(&contents).map_err(|line| {
            bad_file("identity key", &path, line, "expected 64 hexadecimal digits on one line and nothing else")
        })
    }

    /// Keeps a new identity. An existing one is never overwritten.
    ///
    /// # Errors
    /// What the file system says; `AlreadyExists` when the handle has a key.
    pub fn create(&self, handle: &str, key: &SigningKey, now: Timestamp) -> Result<()> {
        let hex = key.to_hex();
        let mut contents = SecretBuffer::new();
        io::Write::write_all(&mut contents, hex.expose().as_bytes())?;
        io::Write::write_all(&mut contents, b"\n")?;
        paths::create_private(&self.key_path(handle), contents.expose_bytes())?;
        let record = IdentityRecord { handle: handle.to_owned(), did: key.did(), created_at: now, updated_at: now };
        let text = serde_json::to_vec_pretty(&record).expect("a record is JSON");
        Ok(paths::write_private(&self.record_path(handle), &text)?)
    }

    /// The identities whose key is here, by handle. A key without its description still counts.
    ///
    /// # Errors
    /// What the file system says.
    pub fn list(&self) -> Result<Vec<LocalIdentity>> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(paths::with_path(&error, "list", &self.dir).into()),
        };
        let mut handles: Vec<String> = entries
            .take(LISTED_IDENTITIES)
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".key").map(str::to_owned))
            .filter(|handle| identity::is_valid_handle(handle))
            .collect();
        handles.sort();
        Ok(handles.into_iter().map(|handle| self.describe(handle)).collect())
    }

    /// Where the key of `handle` is.
    pub fn key_path(&self, handle: &str) -> PathBuf {
        self.dir.join(format!("{handle}.key"))
    }

    fn record_path(&self, handle: &str) -> PathBuf {
        self.dir.join(format!("{handle}.json"))
    }

    fn describe(&self, handle: String) -> LocalIdentity {
        let record = read_optional(&self.record_path(&handle)).ok().flatten();
        let record: Option<IdentityRecord> = record.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let created_at = record.as_ref().map(|record| record.created_at);
        LocalIdentity { handle, did: record.map(|record| record.did), created_at }
    }
}

/// One identity of this home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalIdentity {
    /// Its name.
    pub handle: String,
    /// Its public key; `None` when the description is missing or damaged.
    pub did: Option<String>,
    /// When it was made.
    pub created_at: Option<Timestamp>,
}

/// Reads a key of 64 hex digits; one line end may follow. On failure: the line that is wrong.
fn parse_key(contents: &[u8]) -> Result<SigningKey, usize> {
    let text = std::str::from_utf8(contents).map_err(|_| 1_usize)?;
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let line = Secret::new(first.trim().to_owned());
    let key = SigningKey::from_hex(&line).map_err(|_| 1_usize)?;
    if rest.trim().is_empty() { Ok(key) } else { Err(2) }
}

/// The contents of a small file, wiped when dropped; `None` when it is not there.
fn read_optional(path: &Path) -> Result<Option<zeroize::Zeroizing<Vec<u8>>>> {
    match paths::read_limited(path, SMALL_FILE_BYTES) {
        Ok(contents) => Ok(Some(zeroize::Zeroizing::new(contents))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn bad_file(what: &'static str, path: &Path, line: usize, problem: &str) -> AuthsomeError {
    AuthsomeError::InvalidInput { what, reason: format!("{}, line {line}: {problem}", path.display()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::testing::Scratch;

    #[test]
    fn unknown_config_keys_survive_a_rewrite() {
        let scratch = Scratch::new();
        assert_eq!(Config::load(&scratch.0).expect("an absent file is empty"), Config::default());
        let text = r#"{"active_identity":"default","future":{"deep":[1,null]},"proxy_mode":"connected_deny"}"#;
        paths::write_private(&scratch.0.config(), text.as_bytes()).expect("writes");
        let mut config = Config::load(&scratch.0).expect("loads");
        assert_eq!((config.active_identity(), config.proxy_mode()), (None, Some("connected_deny")));
        config.set_active_identity("calm-fox");
        config.set_daemon_base_url("https://x.test");
        config.save(&scratch.0).expect("saves");
        let again = Config::load(&scratch.0).expect("loads");
        assert_eq!((again.active_identity(), again.daemon_base_url()), (Some("calm-fox"), Some("https://x.test")));
        assert_eq!(again.0["future"]["deep"][0], 1);
        assert!(!paths::is_exposed(&scratch.0.config()).expect("exists"));
    }

    #[test]
    fn a_bad_config_is_named_by_line_and_not_quoted() {
        let scratch = Scratch::new();
        for (text, expected) in [("{\n\"a\": hunter2\n}", "line 2"), ("[\"hunter2\"]", "line 1")] {
            paths::write_private(&scratch.0.config(), text.as_bytes()).expect("writes");
            let error = Config::load(&scratch.0).expect_err("refused").to_string();
            assert!(error.contains("config.json") && error.contains(expected) && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn identities_are_kept_private_listed_and_never_overwritten() {
        let scratch = Scratch::new();
        let identities = Identities::new(&scratch.0);
        assert!(identities.list().expect("no directory").is_empty());
        let (key, now) = (SigningKey::generate(), Timestamp::from_unix(1_769_860_800).expect("in range"));
        identities.create("calm-fox", &key, now).expect("creates");
        assert!(identities.create("calm-fox", &SigningKey::generate(), now).is_err());
        assert_eq!(identities.key("calm-fox").expect("loads").did(), key.did());
        let file = fs::read_to_string(identities.key_path("calm-fox")).expect("reads");
        assert_eq!(file.len(), 65, "64 digits and a newline");
        assert!(!paths::is_exposed(&identities.key_path("calm-fox")).expect("exists"));
        let listed = identities.list().expect("lists");
        assert_eq!(listed.len(), 1);
        assert_eq!((listed[0].did.clone(), listed[0].created_at), (Some(key.did()), Some(now)));
    }

    #[test]
    fn a_damaged_key_is_reported_by_path_and_line_only() {
        let scratch = Scratch::new();
        let identities = Identities::new(&scratch.0);
        let good = SigningKey::generate().to_hex();
        for (contents, line) in [
            (String::new(), "line 1"),
            ("hunter2\n".to_owned(), "line 1"),
            (format!("{}00\n", good.expose()), "line 1"),
            (format!("{}\nhunter2\n", good.expose()), "line 2"),
        ] {
            paths::write_private(&identities.key_path("calm-fox"), contents.as_bytes()).expect("writes");
            let error = identities.key("calm-fox").expect_err("refused").to_string();
            assert!(error.contains("calm-fox.key") && error.contains(line), "{error}");
            assert!(!error.contains("hunter2") && !error.contains(good.expose()), "{error}");
        }
    }

    #[test]
    fn only_a_handle_can_name_a_key_file() {
        let scratch = Scratch::new();
        for handle in ["../config", "a/b", "", "default", ".", "UPPER"] {
            let error = Identities::new(&scratch.0).key(handle).expect_err("refused");
            assert!(matches!(error, AuthsomeError::IdentityNotFound { .. }), "{handle}");
        }
    }
}
