//! Where a key comes from: stdin, the provider's own variable, a prompt, or the page. Never an argument.

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;

use super::{body_of, cookies};
use crate::cli::context::Context;
use crate::cli::terminal;
use crate::error::{AuthsomeError, Result};
use crate::model::{AuthType, FieldSpec, ProviderDefinition};
use crate::secret::{Secret, SecretBuffer};

/// What a child of a run has in place of a key.
const PLACEHOLDER: &str = "authsome-proxy-managed";

/// What decides.
#[derive(Debug, Default)]
pub(super) struct Situation {
    /// `--key-stdin`
    pub(super) key_stdin: bool,
    /// Cookies are wanted, not a key.
    pub(super) cookies: bool,
    /// The provider's variable, when it is set.
    pub(super) variable: Option<String>,
    /// A person can be asked.
    pub(super) interactive: bool,
    /// A browser can be opened.
    pub(super) display: bool,
    /// A browser that can be asked for cookies, where one can be opened.
    pub(super) chrome: Option<PathBuf>,
    /// We stay until the end.
    pub(super) waits: bool,
    /// `--wait`: also for a page that somebody opens elsewhere.
    pub(super) insists: bool,
}

/// Where the key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Standard input.
    Stdin,
    /// This variable, because nobody can be asked.
    Variable(String),
    /// This variable, if the person agrees; else a prompt.
    OfferedVariable(String),
    /// The terminal.
    Prompt,
    /// A browser, in which a person signs in.
    Browser(PathBuf),
    /// The daemon's page.
    Page,
}

/// Decides. Pure.
///
/// # Errors
/// `Usage` when there is nobody to ask and nothing to read.
pub(super) fn choose(situation: Situation, definition: &ProviderDefinition) -> Result<Source> {
    Ok(match situation {
        Situation { key_stdin: true, .. } => Source::Stdin,
        Situation { cookies: true, waits: true, chrome: Some(program), .. } => Source::Browser(program),
        Situation { cookies: true, interactive: true, .. } => Source::Prompt,
        Situation { waits: false, .. } => Source::Page,
        Situation { interactive: true, variable: Some(name), .. } => Source::OfferedVariable(name),
        Situation { variable: Some(name), .. } => Source::Variable(name),
        Situation { cookies: false, display: true, .. } | Situation { insists: true, .. } => Source::Page,
        Situation { interactive: true, .. } => Source::Prompt,
        Situation { .. } => return Err(nobody_to_ask(definition)),
    })
}

/// The provider's variable, when the environment has a value for it that is a key.
pub(super) fn variable_that_is_set(definition: &ProviderDefinition) -> Option<String> {
    let name = definition.api_key.as_ref()?.env_var.as_deref()?;
    value_of(name).map(|_| name.to_owned())
}

fn value_of(name: &str) -> Option<Secret> {
    // A definition may come from somebody else: it cannot ask for what is authsome's own.
    if name.starts_with("AUTHSOME_") {
        return None;
    }
    let value = Secret::new(env::var(name).ok()?);
    (!value.expose().trim().is_empty() && value.expose() != PLACEHOLDER).then_some(value)
}

fn nobody_to_ask(definition: &ProviderDefinition) -> AuthsomeError {
    let name = &definition.name;
    if definition.auth_type == AuthType::Browser {
        return AuthsomeError::Usage {
            reason: "There is no terminal to ask on, and no Chrome or Chromium with a screen to sign in with"
                .to_owned(),
            hint: Some(format!("give the site's Cookie header on stdin: authsome login {name} --key-stdin")),
        };
    }
    let variable = definition.api_key.as_ref().and_then(|key| key.env_var.as_deref());
    let or = variable.map(|name| format!(", or in {name}")).unwrap_or_default();
    AuthsomeError::Usage {
        reason: format!("There is no terminal to ask on and no display to open {}'s page on", definition.title()),
        hint: Some(format!("give the key on stdin: authsome login {name} --key-stdin{or}")),
    }
}

/// What a login hands over.
#[derive(Debug)]
pub(super) enum Key {
    /// A key, perhaps with further fields, by name.
    Api(Vec<(String, Secret)>),
    /// Cookies by name.
    Cookies(Vec<(String, Secret)>),
}

impl Key {
    /// Reads from `source`; `None`: the page will ask, or a browser is asked elsewhere.
    ///
    /// # Errors
    /// A key that cannot be sent in a header; a person who changed their mind.
    pub(super) fn read(
        source: &Source,
        ctx: &Context,
        definition: &ProviderDefinition,
        force: bool,
    ) -> Result<Option<Self>> {
        if matches!(source, Source::Page | Source::Browser(_)) {
            return Ok(None);
        }
        if definition.auth_type == AuthType::Browser {
            return read_cookies(source, definition).map(Some);
        }
        let mut fields = match source {
            Source::Stdin => fields_of(terminal::secret_from_stdin()?, definition),
            Source::Variable(name) => {
                ctx.out.note(&format!("note: using the key in {name}"));
                from_variable(name, definition)
            }
            Source::OfferedVariable(name) => {
                if terminal::confirm("login", &format!("Use the key in {name}?"), true)? {
                    from_variable(name, definition)
                } else {
                    prompt(definition)?
                }
            }
            Source::Prompt | Source::Browser(_) | Source::Page => prompt(definition)?,
        };
        drop_what_may_lack(&mut fields, definition);
        for (name, value) in &mut fields {
            *value = checked(name, value)?;
            if name == "api_key" {
                check_shape(ctx, definition, value, force)?;
            }
        }
        Ok(Some(Self::Api(fields)))
    }

    /// The body of a resume call.
    pub(super) fn to_body(&self) -> SecretBuffer {
        match self {
            Self::Api(fields) => body_of(fields),
            Self::Cookies(pairs) => cookies::body(pairs, &BTreeMap::new()),
        }
    }
}

fn from_variable(name: &str, definition: &ProviderDefinition) -> Vec<(String, Secret)> {
    let key = value_of(name).unwrap_or_else(|| Secret::new(String::new()));
    fields_of(key, definition)
}

/// The key with the further fields that the definition wants, from their variables and defaults. A text of `NAME=value`
/// lines, all with names that the definition knows, gives them itself.
fn fields_of(text: Secret, definition: &ProviderDefinition) -> Vec<(String, Secret)> {
    let known = |name: &str| name == "api_key" || definition.fields.iter().any(|field| field.name == name);
    let lines: Vec<&str> = text.expose().lines().filter(|line| !line.trim().is_empty()).collect();
    let pairs: Option<Vec<(&str, &str)>> = lines.iter().map(|line| line.split_once('=')).collect();
    let named = pairs.filter(|pairs| {
        !definition.fields.is_empty() && !pairs.is_empty() && pairs.iter().all(|(name, _)| known(name.trim()))
    });
    let mut fields: Vec<(String, Secret)> = match named {
        Some(pairs) => pairs
            .into_iter()
            .map(|(name, value)| (name.trim().to_owned(), Secret::new(value.trim().to_owned())))
            .collect(),
        None => vec![("api_key".to_owned(), text)],
    };
    for field in &definition.fields {
        if fields.iter().all(|(name, _)| *name != field.name)
            && let Some(value) = usual_value(field)
        {
            fields.push((field.name.clone(), value));
        }
    }
    fields
}

fn usual_value(field: &FieldSpec) -> Option<Secret> {
    let from_variable = field.env_var.as_deref().and_then(value_of);
    from_variable.or_else(|| field.default.clone().map(Secret::new))
}

/// Asks for the key, unless the definition only uses fields of its own, and for each field.
fn prompt(definition: &ProviderDefinition) -> Result<Vec<(String, Secret)>> {
    let mut fields = Vec::new();
    let uses_key =
        definition.inject.is_empty() || definition.inject.iter().any(|slot| slot.value.contains("{api_key}"));
    if uses_key || definition.fields.is_empty() {
        let question = format!("API key for {}", definition.title());
        fields.push(("api_key".to_owned(), terminal::ask_secret("login", &question)?));
    }
    // What can be derived from the rest is not asked for.
    for field in definition.fields.iter().filter(|field| field.name != "api_key" && field.derive.is_none()) {
        let label = field.label.as_deref().unwrap_or(&field.name);
        let value = if field.secret {
            terminal::ask_secret("login", label)?
        } else {
            Secret::new(terminal::ask("login", &format!("{label}:"), field.default.as_deref())?)
        };
        fields.push((field.name.clone(), value));
    }
    Ok(fields)
}

fn read_cookies(source: &Source, definition: &ProviderDefinition) -> Result<Key> {
    let wanted = definition.browser.as_ref().map(|browser| browser.auth_cookies.join(", ")).unwrap_or_default();
    let text = if *source == Source::Stdin {
        terminal::secret_from_stdin()?
    } else {
        let page = definition.browser.as_ref().and_then(|browser| browser.entry_url.as_deref()).unwrap_or("the site");
        let question = format!(
            "Sign in at {page}, then paste the Cookie header of a request to it, from the browser's developer tools \
             (it must hold {wanted})"
        );
        terminal::ask_secret("login", &question)?
    };
    let cookies = parse_cookies(text.expose());
    if cookies.is_empty() {
        let reason = "no NAME=value pairs with semicolons between them, as in a Cookie header".to_owned();
        return Err(AuthsomeError::InvalidInput { what: "cookies", reason });
    }
    Ok(Key::Cookies(cookies))
}

/// The pairs of a `Cookie` header (RFC 6265 section 4.2.1), its name before it or not.
fn parse_cookies(text: &str) -> Vec<(String, Secret)> {
    let text = text.trim();
    let value = text.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("cookie")).map_or(text, |(_, v)| v);
    let pairs = value.split([';', '\n']).filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (name.trim().to_owned(), Secret::new(value.trim().to_owned())))
        .filter(|(name, _)| !name.is_empty())
        .collect()
}

/// An empty answer to an optional question is none.
fn drop_what_may_lack(fields: &mut Vec<(String, Secret)>, definition: &ProviderDefinition) {
    let optional = |name: &str| definition.fields.iter().any(|field| field.name == name && field.optional);
    fields.retain(|(name, value)| !(value.expose().trim().is_empty() && optional(name)));
}

/// The value without white space around it, when it can be sent.
fn checked(name: &str, value: &Secret) -> Result<Secret> {
    let trimmed = value.expose().trim();
    let what = if name == "api_key" { "the key" } else { name };
    if trimmed.is_empty() {
        return Err(AuthsomeError::Usage { reason: format!("{what} is empty: nothing was stored"), hint: None });
    }
    if trimmed.chars().any(char::is_control) {
        return Err(invalid(&format!("{what} holds a line end or another control character")));
    }
    Ok(Secret::new(trimmed.to_owned()))
}

/// Warns about a key that does not look like one. A pattern never locks anybody out: vendors change formats.
fn check_shape(ctx: &Context, definition: &ProviderDefinition, key: &Secret, force: bool) -> Result<()> {
    let Some(oddity) = oddity(definition, key) else { return Ok(()) };
    ctx.out.warn(&oddity);
    if force || !terminal::is_interactive() || terminal::confirm("login", "Store it anyway?", false)? {
        return Ok(());
    }
    Err(AuthsomeError::InputCancelled { operation: "login" })
}

/// What is unusual about a key, in words that do not hold it.
fn oddity(definition: &ProviderDefinition, key: &Secret) -> Option<String> {
    if key.expose().contains(char::is_whitespace) {
        return Some("the key holds white space".to_owned());
    }
    let settings = definition.api_key.as_ref();
    let patterns = [settings.and_then(|settings| settings.key_pattern.as_deref()), definition.key_hint.as_deref()];
    // A pattern that does not compile says nothing about the key.
    let differs = |pattern: &str| regex_lite::Regex::new(pattern).is_ok_and(|pattern| !pattern.is_match(key.expose()));
    patterns.into_iter().flatten().any(differs).then(|| {
        let hint = settings.and_then(|settings| settings.key_pattern_hint.as_deref()).unwrap_or_default();
        format!("this does not look like a key for {}. {hint}", definition.title()).trim_end().to_owned()
    })
}

fn invalid(reason: &str) -> AuthsomeError {
    AuthsomeError::InvalidInput { what: "key", reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(text: &str) -> ProviderDefinition {
        serde_json::from_str(text).expect("parses")
    }

    fn simple() -> ProviderDefinition {
        definition(
            r#"{"name":"demo","auth_type":"api_key","flow":"api_key","api_key":
                {"env_var":"DEMO_KEY","key_pattern":"^sk-","key_pattern_hint":"Keys start with sk-."}}"#,
        )
    }

    fn of(situation: Situation) -> Option<Source> {
        choose(situation, &simple()).ok()
    }

    #[test]
    fn the_source_follows_from_the_situation() {
        let base = || Situation { waits: true, ..Situation::default() };
        let variable = || Some("DEMO_KEY".to_owned());
        assert_eq!(
            of(Situation { key_stdin: true, interactive: true, variable: variable(), ..base() }),
            Some(Source::Stdin)
        );
        assert_eq!(of(Situation { interactive: true, ..base() }), Some(Source::Prompt));
        assert_eq!(of(Situation { interactive: true, display: true, ..base() }), Some(Source::Page));
        let offered = Situation { interactive: true, display: true, variable: variable(), ..base() };
        assert_eq!(of(offered), Some(Source::OfferedVariable("DEMO_KEY".to_owned())));
        assert_eq!(of(Situation { variable: variable(), ..base() }), Some(Source::Variable("DEMO_KEY".to_owned())));
        assert_eq!(of(Situation { insists: true, ..base() }), Some(Source::Page));
        assert_eq!(of(Situation { waits: false, variable: variable(), ..base() }), Some(Source::Page));
        assert_eq!(of(Situation { cookies: true, interactive: true, display: true, ..base() }), Some(Source::Prompt));
        let chrome = || Some(PathBuf::from("/usr/bin/chromium"));
        let with_chrome = || Situation { cookies: true, chrome: chrome(), ..base() };
        assert_eq!(of(with_chrome()), chrome().map(Source::Browser));
        assert_eq!(of(Situation { interactive: true, ..with_chrome() }), chrome().map(Source::Browser));
        assert_eq!(of(Situation { key_stdin: true, ..with_chrome() }), Some(Source::Stdin));
        assert_eq!(of(Situation { waits: false, interactive: true, ..with_chrome() }), Some(Source::Prompt));
        let error = choose(base(), &simple()).expect_err("nobody to ask");
        assert!(error.hint().expect("a hint").contains("--key-stdin, or in DEMO_KEY"), "{error}");
    }

    #[test]
    fn keys_are_trimmed_and_what_cannot_be_sent_is_refused_unquoted() {
        let check = |text: &str| checked("api_key", &Secret::new(text.to_owned()));
        assert_eq!(check("  sk-1 \n").expect("fits").expose(), "sk-1");
        for bad in ["", " \n", "a\nhunter2", "a\rhunter2", "hunter2\0", "hunter2\u{1b}x", "hunter2\u{85}x"] {
            let error = check(bad).expect_err("refused").to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn an_odd_key_is_described_and_not_shown() {
        let text = |key: &str| oddity(&simple(), &Secret::new(key.to_owned()));
        assert_eq!(text("sk-1"), None);
        let oddity = text("hunter2").expect("odd");
        assert!(oddity.contains("Keys start with sk-.") && !oddity.contains("hunter2"), "{oddity}");
        assert!(text("sk-1 2").is_some());
    }

    #[test]
    fn fields_come_by_name_or_from_their_defaults() {
        let with_fields = definition(
            r#"{"name":"d","auth_type":"api_key","flow":"api_key",
                "fields":[{"name":"user"},{"name":"region","default":"eu"}]}"#,
        );
        let read = |text: &str, definition: &ProviderDefinition| {
            let fields = fields_of(Secret::new(text.to_owned()), definition);
            fields.iter().map(|(name, value)| format!("{name}={}", value.expose())).collect::<Vec<_>>()
        };
        assert_eq!(read("user=me\napi_key=a=b\n", &with_fields), ["user=me", "api_key=a=b", "region=eu"]);
        assert_eq!(read("a=b", &with_fields), ["api_key=a=b", "region=eu"]);
        assert_eq!(read("user=me", &simple()), ["api_key=user=me"], "a key may hold an equals sign");
    }

    #[test]
    fn an_optional_field_may_stay_empty_and_another_may_not() {
        let definition = definition(
            r#"{"name":"d","auth_type":"api_key","flow":"api_key",
                "fields":[{"name":"email","optional":true},{"name":"region"}]}"#,
        );
        let empty = |name: &str| (name.to_owned(), Secret::new(" ".to_owned()));
        let mut fields = vec![empty("api_key"), empty("email"), empty("region")];
        drop_what_may_lack(&mut fields, &definition);
        assert_eq!(fields.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["api_key", "region"]);
        let error = checked("region", &fields[1].1).expect_err("required").to_string();
        assert_eq!(error, "region is empty: nothing was stored");
    }

    #[test]
    fn cookies_are_read_from_a_header_and_bodies_are_what_the_daemon_takes() {
        let cookies = parse_cookies("Cookie: a=1; b = x=y ;; c");
        let body = Key::Cookies(cookies).to_body();
        assert_eq!(body.expose_bytes(), br#"{"data":{"credentials":{"a":"1","b":"x=y"}}}"#);
        let key = Key::Api(vec![("api_key".to_owned(), Secret::new("\"".to_owned()))]);
        assert_eq!(key.to_body().expose_bytes(), br#"{"data":{"api_key":"\""}}"#);
    }
}
