//! Keys in `.env` files and the environment, compared with what is connected.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::dotenv;
use crate::cli::connections::Listing;
use crate::cli::context::Context;
use crate::client::{Client, segment};
use crate::error::Result;
use crate::limits::DEFINITION_BYTES;
use crate::model::{AuthType, ConnectionRecord, MASK, ProviderDefinition};
use crate::paths;
use crate::secret::Secret;

/// What a child of a run has in place of a key.
const PLACEHOLDER: &str = "authsome-proxy-managed";
/// Files that show what a `.env` should hold, not what it holds.
const SAMPLES: [&str; 5] = ["example", "sample", "template", "dist", "defaults"];
/// Files of one directory that are looked at.
const FILES: usize = 50;

/// How the two sides differ (`contract/cli.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drift {
    /// Only in a file or the environment.
    EnvOnly,
    /// Only in authsome.
    AuthsomeOnly,
    /// The same in both.
    Match,
    /// Something else in each.
    Different,
    /// In neither.
    BothMissing,
}

impl Drift {
    /// Whether authsome holds a key.
    pub(super) fn is_in_authsome(self) -> bool {
        matches!(self, Self::AuthsomeOnly | Self::Match | Self::Different)
    }

    /// The name in the report.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::EnvOnly => "env_only",
            Self::AuthsomeOnly => "authsome_only",
            Self::Match => "env_and_authsome_match",
            Self::Different => "env_and_authsome_different",
            Self::BothMissing => "both_missing",
        }
    }
}

/// One provider's key.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) provider: String,
    /// The variable that people keep it in.
    pub(super) variable: String,
    /// `environment`, or file and line.
    pub(super) source: Option<String>,
    /// The key that was found there.
    pub(super) key: Option<Secret>,
    pub(super) drift: Drift,
}

impl Entry {
    /// Variable and place, for people.
    pub(super) fn place(&self) -> String {
        match &self.source {
            Some(source) => format!("{} ({source})", self.variable),
            None => self.variable.clone(),
        }
    }
}

/// All providers that have a variable.
pub(super) struct Scan {
    pub(super) entries: Vec<Entry>,
}

impl Scan {
    /// Nothing was looked at.
    pub(super) fn empty() -> Self {
        Self { entries: Vec::new() }
    }

    /// Looks at the current directory, the environment, and the daemon.
    ///
    /// # Errors
    /// What the daemon says. A file that cannot be read is a warning.
    pub(super) fn of_surroundings(ctx: &Context, client: &Client) -> Result<Self> {
        let found = Found::in_dir(Path::new("."), &|problem| ctx.out.warn(problem));
        let definitions: Definitions = client.get("/api/providers")?.parse()?;
        let listing = Listing::fetch(client)?;
        let mut entries = Vec::new();
        for (provider, variable) in variables(&definitions, &|remark| ctx.out.note(remark)) {
            let connection = listing.default_of(&provider).unwrap_or("default").to_owned();
            let is_connected = listing.names(&provider).contains(&connection);
            let found = found.get(&variable);
            let drift = match &found {
                None if is_connected => Drift::AuthsomeOnly,
                None => Drift::BothMissing,
                Some((_, key)) if is_connected => compare(client, &provider, &connection, key)?,
                Some(_) => Drift::EnvOnly,
            };
            let (source, key) = found.map_or((None, None), |(source, key)| (Some(source), Some(key)));
            entries.push(Entry { provider, variable, source, key, drift });
        }
        Ok(Self { entries })
    }
}

/// `GET /api/providers`
#[derive(Deserialize)]
struct Definitions {
    #[serde(default)]
    bundled: Vec<ProviderDefinition>,
    #[serde(default)]
    custom: Vec<ProviderDefinition>,
}

/// Providers and the variables of their keys. A custom definition may stand in a bundled one's place, but under a name of
/// its own it does not get the key of a provider that everybody knows: it may come from somebody who wants just that.
fn variables(definitions: &Definitions, remark: &dyn Fn(&str)) -> BTreeMap<String, String> {
    let named = |one: &ProviderDefinition| Some((one.name.clone(), key_variable(one)?));
    let mut all: BTreeMap<String, String> = definitions.bundled.iter().filter_map(named).collect();
    let known: Vec<String> = all.values().cloned().collect();
    for definition in &definitions.custom {
        let is_bundled = definitions.bundled.iter().any(|one| one.name == definition.name);
        all.remove(&definition.name);
        let Some((name, variable)) = named(definition) else { continue };
        if !is_bundled && known.contains(&variable) {
            remark(&format!("note: {name} names {variable}, which is another provider's key: passed over"));
        } else {
            all.insert(name, variable);
        }
    }
    all
}

/// The variable in which people keep the provider's key.
fn key_variable(definition: &ProviderDefinition) -> Option<String> {
    if definition.auth_type != AuthType::ApiKey {
        return None;
    }
    // What is authsome's own is nobody's key.
    let is_possible = |name: &String| !name.is_empty() && !name.starts_with("AUTHSOME_");
    definition.api_key.as_ref()?.env_var.clone().filter(is_possible)
}

/// Whether the stored key is the found one. Without the right to see it: different, as far as we know.
fn compare(client: &Client, provider: &str, connection: &str, found: &Secret) -> Result<Drift> {
    let path = format!("/api/connections/{}/{}", segment(provider), segment(connection));
    let record: ConnectionRecord = client.get(&path)?.parse()?;
    let same =
        record.api_key.is_some_and(|key| key.expose() != MASK && found.constant_time_eq(key.expose().as_bytes()));
    Ok(if same { Drift::Match } else { Drift::Different })
}

/// Values of files by variable, with where they were first found. Files come before the environment: they stay.
struct Found(BTreeMap<String, (String, Secret)>);

impl Found {
    fn in_dir(dir: &Path, warn: &dyn Fn(&str)) -> Self {
        let mut found = Self(BTreeMap::new());
        for path in dotenv_files(dir) {
            match paths::read_limited(&path, DEFINITION_BYTES) {
                Ok(bytes) => found.add_file(&path, zeroize::Zeroizing::new(bytes).as_slice()),
                Err(error) => warn(&error.to_string()),
            }
        }
        found
    }

    fn add_file(&mut self, path: &Path, bytes: &[u8]) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        for variable in dotenv::parse(&String::from_utf8_lossy(bytes)) {
            self.add(&variable.name, format!("{name}:{}", variable.line), &variable.value);
        }
    }

    fn add(&mut self, name: &str, source: String, value: &Secret) {
        if let Some(key) = key_in(value) {
            self.0.entry(name.to_owned()).or_insert((source, key));
        }
    }

    fn get(&self, variable: &str) -> Option<(String, Secret)> {
        if let Some((source, key)) = self.0.get(variable) {
            return Some((source.clone(), key.duplicate()));
        }
        let value = Secret::new(env::var(variable).ok()?);
        key_in(&value).map(|key| ("environment".to_owned(), key))
    }
}

/// The key that a value holds, if it holds one.
fn key_in(value: &Secret) -> Option<Secret> {
    let trimmed = value.expose().trim();
    (!trimmed.is_empty() && trimmed != PLACEHOLDER).then(|| Secret::new(trimmed.to_owned()))
}

/// `.env` first, then `.env.*` by name; regular files only.
fn dotenv_files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| is_dotenv(path) && path.is_file())
        .collect();
    files.sort();
    files.truncate(FILES);
    files
}

fn is_dotenv(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return false };
    match name.strip_prefix(".env") {
        Some("") => true,
        Some(rest) => {
            rest.strip_prefix('.').is_some_and(|ending| !SAMPLES.iter().any(|sample| ending.ends_with(sample)))
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::testing::Scratch;

    #[test]
    fn files_are_found_by_name_and_samples_are_not() {
        for name in [".env", ".env.local", ".env.production"] {
            assert!(is_dotenv(Path::new(name)), "{name}");
        }
        for name in [".env.example", ".env.local.sample", ".environment", "env", ".envrc", "x.env"] {
            assert!(!is_dotenv(Path::new(name)), "{name}");
        }
    }

    #[test]
    fn a_custom_provider_does_not_get_another_providers_key() {
        let one = |name: &str, variable: &str| -> ProviderDefinition {
            let text = format!(
                r#"{{"name":"{name}","auth_type":"api_key","flow":"api_key","api_key":{{"env_var":"{variable}"}}}}"#
            );
            serde_json::from_str(&text).expect("parses")
        };
        let definitions = Definitions {
            bundled: vec![one("openai", "OPENAI_API_KEY"), one("groq", "GROQ_API_KEY")],
            custom: vec![
                one("evil", "OPENAI_API_KEY"),
                one("worse", "AUTHSOME_IDENTITY_PRIVATE_KEY"),
                one("groq", "MY_GROQ"),
                one("acme", "ACME_KEY"),
            ],
        };
        let remarks = std::cell::RefCell::new(Vec::new());
        let found = variables(&definitions, &|remark| remarks.borrow_mut().push(remark.to_owned()));
        let found: Vec<(&str, &str)> =
            found.iter().map(|(name, variable)| (name.as_str(), variable.as_str())).collect();
        assert_eq!(found, [("acme", "ACME_KEY"), ("groq", "MY_GROQ"), ("openai", "OPENAI_API_KEY")]);
        assert!(remarks.borrow().len() == 1 && remarks.borrow()[0].contains("evil"), "{remarks:?}");
    }

    #[test]
    fn the_first_place_wins_and_placeholders_are_no_keys() {
        let scratch = Scratch::new();
        let dir = scratch.0.dir();
        let write = |name: &str, text: &str| paths::write_private(&dir.join(name), text.as_bytes()).expect("writes");
        write(".env", "# keys\nDEMO_KEY=sk-1\nEMPTY=\nMANAGED=authsome-proxy-managed\n");
        write(".env.local", "DEMO_KEY=sk-2\nEMPTY=sk-3\n");
        write(".env.example", "OTHER=sk-4\n");
        fs::create_dir(dir.join(".env.d")).expect("creates");
        let found = Found::in_dir(dir, &|problem| panic!("{problem}"));
        let place = |name: &str| found.get(name).map(|(source, key)| format!("{source} {}", key.expose()));
        assert_eq!(place("DEMO_KEY").as_deref(), Some(".env:2 sk-1"));
        assert_eq!(place("EMPTY").as_deref(), Some(".env.local:2 sk-3"));
        assert_eq!((place("MANAGED"), place("OTHER")), (None, None));
        assert!(found.get("PATH").is_some_and(|(source, _)| source == "environment"));
    }
}
