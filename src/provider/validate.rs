//! Validation (`contract/providers.md`): at registration and when a user's file is loaded. Errors name the field.
//!
//! A definition decides where secrets go and what is shown on terminals and pages, so every string in it is either of
//! a known form or free of control characters and bounded.

mod credentials;
mod login;
#[cfg(test)]
mod tests;
mod urls;

use serde_json::Value;

use super::destinations::schema_error;
use super::exports::{ExportSource, is_env_name};
use super::template::is_field_name;
use crate::error::Result;
use crate::limits::{DEFINITION_BYTES, NAME_BYTES};
use crate::model::{AuthType, FieldSpec, FlowType, ProviderDefinition};

/// Entries of any list or map in a definition. The largest bundled one has a dozen.
const LIST_ENTRIES: usize = 64;
/// A sentence for people.
const TEXT_BYTES: usize = 1024;
/// A URL, a scope, a pattern, a template, a header value.
const VALUE_BYTES: usize = 2048;

/// What the caller allows beyond the ordinary.
#[derive(Clone, Copy, Debug, Default)]
pub struct ValidateOptions {
    /// IP literals, `localhost`, names without a domain and plain http on loopback as `api_url` (`--allow-local`).
    pub allow_local: bool,
}

/// Checks every rule. A definition that passes can be routed, filled and shown.
///
/// # Errors
/// `InvalidProviderSchema` that names the first field that does not fit.
pub fn validate(definition: &ProviderDefinition, options: ValidateOptions) -> Result<()> {
    let checker = Checker { definition, options };
    checker.identity()?;
    checker.size()?;
    checker.texts()?;
    checker.flow()?;
    checker.login()?;
    checker.urls()?;
    checker.fields()?;
    checker.credentials()?;
    checker.export()
}

/// Whether `name` may name a provider: a letter or digit, then letters, digits, `.`, `_` and `-`, no `..`, at most 64.
pub fn is_provider_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=NAME_BYTES).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(is_plain)
        && !name.contains("..")
}

/// Control characters, and those that turn the direction of text, which make a terminal or page show something else.
fn is_invisible(character: char) -> bool {
    let turns = matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    character.is_control() || turns
}

struct Checker<'a> {
    definition: &'a ProviderDefinition,
    options: ValidateOptions,
}

impl Checker<'_> {
    fn refuse<T>(&self, field: &str, reason: impl Into<String>) -> Result<T> {
        Err(schema_error(self.definition, field, reason))
    }

    fn require(&self, holds: bool, field: &str, reason: &str) -> Result<()> {
        if holds { Ok(()) } else { self.refuse(field, reason) }
    }

    fn identity(&self) -> Result<()> {
        let definition = self.definition;
        if !is_provider_name(&definition.name) {
            // The name itself is not repeated: it may hold anything.
            return Err(crate::error::AuthsomeError::InvalidProviderSchema {
                provider: None,
                field: "name".into(),
                reason: "must be a letter or digit, then letters, digits, '.', '_' or '-', without '..', at most 64"
                    .into(),
            });
        }
        self.require(definition.schema_version == 1, "schema_version", "only version 1 is known")
    }

    /// Unknown fields are kept, so they count too.
    fn size(&self) -> Result<()> {
        let size = serde_json::to_vec(self.definition).map_or(usize::MAX, |json| json.len());
        self.require(size <= DEFINITION_BYTES, "definition", "is too large")
    }

    /// What people are shown.
    fn texts(&self) -> Result<()> {
        let definition = self.definition;
        let hint = definition.api_key.as_ref().and_then(|settings| settings.key_pattern_hint.as_deref());
        let pattern = definition.api_key.as_ref().and_then(|settings| settings.key_pattern.as_deref());
        for (field, text) in [
            ("display_name", Some(definition.display_name.as_str())),
            ("description", definition.description.as_deref()),
            ("logo", definition.logo.as_deref()),
            ("key_hint", definition.key_hint.as_deref()),
            ("api_key.key_pattern", pattern),
            ("api_key.key_pattern_hint", hint),
        ] {
            self.text(field, text.unwrap_or_default(), TEXT_BYTES)?;
        }
        let logo = definition.logo.as_deref().unwrap_or_default();
        self.require(
            !logo.contains(':') || logo.starts_with("https://"),
            "logo",
            "must be an https URL or a plain name",
        )
    }

    fn text(&self, field: &str, text: &str, limit: usize) -> Result<()> {
        self.require(text.len() <= limit, field, "is too long")?;
        self.require(!text.chars().any(is_invisible), field, "has a control character")
    }

    fn entries(&self, field: &str, count: usize) -> Result<()> {
        self.require(count <= LIST_ENTRIES, field, "has too many entries")
    }

    /// Which flows go with which kind of credential, and what each flow needs.
    fn flow(&self) -> Result<()> {
        let definition = self.definition;
        let fits = match definition.auth_type {
            AuthType::Oauth2 => matches!(definition.flow, FlowType::Pkce | FlowType::DeviceCode | FlowType::DcrPkce),
            AuthType::ApiKey => definition.flow == FlowType::ApiKey,
            AuthType::Browser => definition.flow == FlowType::Browser,
        };
        if !fits {
            let (flow, kind) = (definition.flow.as_str(), definition.auth_type.as_str());
            return self.refuse("flow", format!("'{flow}' does not go with auth_type '{kind}'"));
        }
        self.require(definition.auth_type != AuthType::Oauth2 || definition.oauth.is_some(), "oauth", "is missing")?;
        self.require(definition.auth_type != AuthType::Browser || definition.browser.is_some(), "browser", "is missing")
    }

    fn fields(&self) -> Result<()> {
        self.entries("fields", self.definition.fields.len())?;
        for (index, spec) in self.definition.fields.iter().enumerate() {
            let field = |part: &str| format!("fields[{index}].{part}");
            let is_unique = !self.definition.fields[..index].iter().any(|earlier| earlier.name == spec.name);
            self.require(is_field_name(&spec.name), &field("name"), "must be letters, digits, '_', '-' or '.'")?;
            self.require(is_unique, &field("name"), "stands there twice")?;
            self.require(
                !RESERVED_FIELDS.contains(&spec.name.as_str()),
                &field("name"),
                "is a name that every connection has",
            )?;
            self.text(&field("label"), spec.label.as_deref().unwrap_or_default(), TEXT_BYTES)?;
            self.text(&field("default"), spec.default.as_deref().unwrap_or_default(), VALUE_BYTES)?;
            self.require(!spec.secret || spec.default.is_none(), &field("default"), "a secret has no default")?;
            self.variable(&field("env_var"), spec.env_var.as_deref())?;
            self.derivation(index, spec)?;
        }
        Ok(())
    }

    fn derivation(&self, index: usize, spec: &FieldSpec) -> Result<()> {
        let Some(rule) = &spec.derive else { return Ok(()) };
        let source = self.definition.fields.iter().find(|field| field.name == rule.from);
        let is_stored = rule.from == "api_key" || source.is_some_and(|source| source.derive.is_none());
        self.require(is_stored, &format!("fields[{index}].derive.from"), "must be api_key or a field that is stored")?;
        let after = &rule.after_last;
        let is_short = (1..=16).contains(&after.len());
        self.require(is_short, &format!("fields[{index}].derive.after_last"), "must be 1 to 16 characters")
    }

    fn export(&self) -> Result<()> {
        let Some(export) = &self.definition.export else { return Ok(()) };
        self.entries("export", export.len())?;
        for (key, value) in export {
            match value {
                Value::String(source) => self.exported(&format!("export.{key}"), key, source)?,
                Value::Object(fields) if key == "env" => {
                    self.entries("export.env", fields.len())?;
                    for (source, env) in fields {
                        self.exported("export.env", env.as_str().unwrap_or_default(), source)?;
                    }
                }
                _ => return self.refuse("export", "must be NAME: SOURCE pairs or env: {FIELD: NAME}"),
            }
        }
        Ok(())
    }

    fn exported(&self, field: &str, env: &str, source: &str) -> Result<()> {
        // A bad name is not repeated in the error.
        let field = if is_env_name(env) { field } else { "export" };
        self.variable(field, Some(env))?;
        match ExportSource::parse(source) {
            ExportSource::Field(name) => self.require(self.has_field(&name), field, "names a source that is none"),
            _ => Ok(()),
        }
    }

    /// The name of an environment variable that may be set for a child, or for a shell that evaluates an export.
    fn variable(&self, field: &str, name: Option<&str>) -> Result<()> {
        let Some(name) = name else { return Ok(()) };
        self.require(is_env_name(name) && name.len() <= 128, field, "is no name of an environment variable")?;
        let steers = STEERING_VARIABLES.contains(&name)
            || STEERING_PREFIXES.iter().any(|start| name.starts_with(start))
            || name.to_ascii_lowercase().ends_with("_proxy");
        self.require(!steers, field, "is a variable that steers other programs")
    }

    /// Whether a template or an export may name this field.
    fn has_field(&self, name: &str) -> bool {
        let definition = self.definition;
        let is_cookie = |name: &str| {
            definition.browser.as_ref().is_some_and(|browser| {
                browser.auth_cookies.iter().any(|cookie| cookie == name)
                    || browser.extract.iter().any(|extract| extract.cookie == name)
            })
        };
        match name {
            "api_key" => definition.auth_type == AuthType::ApiKey,
            "access_token" => definition.auth_type == AuthType::Oauth2,
            _ => definition.fields.iter().any(|field| field.name == name) || is_cookie(name),
        }
    }
}

/// Names that mean something else in templates, records and forms.
const RESERVED_FIELDS: [&str; 9] = [
    "api_key",
    "access_token",
    "refresh_token",
    "base_url",
    "api_url",
    "client_id",
    "client_secret",
    "scopes",
    "credentials",
];

/// Variables that decide what a shell or a program loads, runs or trusts: no credential is called that.
const STEERING_VARIABLES: [&str; 21] = [
    "BASH_ENV",
    "CDPATH",
    "EDITOR",
    "ENV",
    "GCONV_PATH",
    "HOME",
    "IFS",
    "NODE_EXTRA_CA_CERTS",
    "NODE_OPTIONS",
    "PAGER",
    "PATH",
    "PERL5LIB",
    "PERL5OPT",
    "PROMPT_COMMAND",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "RUBYOPT",
    "SHELL",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "USER",
];
const STEERING_PREFIXES: [&str; 5] = ["AUTHSOME_", "BASH_FUNC_", "DYLD_", "GIT_", "LD_"];
