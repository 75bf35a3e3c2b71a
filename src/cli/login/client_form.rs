//! The OAuth client of a login, given on the command line: what the daemon's page would ask for, from options, stdin
//! and questions.

use serde::Deserialize;

use super::{Login, body_of};
use crate::cli::context::Context;
use crate::cli::terminal;
use crate::error::{AuthsomeError, Result};
use crate::model::InputField;
use crate::secret::{Secret, SecretBuffer};

/// What the daemon's page shows.
#[derive(Deserialize)]
pub(super) struct Form {
    display_name: String,
    #[serde(default)]
    docs_url: Option<String>,
    #[serde(default)]
    callback_url: Option<String>,
    #[serde(default)]
    warning: Option<String>,
    fields: Vec<InputField>,
}

/// What was given beforehand.
pub(super) struct Given<'a> {
    pub(super) login: &'a Login,
    /// From stdin; empty: a public client.
    pub(super) client_secret: Option<&'a Secret>,
    /// Whether a person can be asked for the rest.
    pub(super) interactive: bool,
}

/// Where a value comes from.
#[derive(Debug, PartialEq, Eq)]
enum Way {
    /// It was given.
    Given,
    /// A person is asked, without echo.
    AskSecret,
    /// A person is asked.
    Ask,
    /// Nothing is sent: the daemon knows what is usual.
    LeaveOut,
    /// It is needed, and there is nobody to ask.
    Missing,
}

impl Form {
    /// Says what must be known before the questions: above all the address to register at the provider.
    pub(super) fn introduce(&self, ctx: &Context) {
        ctx.out.say(&format!("{} needs an OAuth client of your own", self.display_name));
        if let Some(page) = &self.docs_url {
            ctx.out.say(&format!("where to make one: {page}"));
        }
        if let Some(address) = &self.callback_url {
            ctx.out.say("its callback address (redirect URI) must be:");
            ctx.out.display(&[address]);
        }
        if let Some(warning) = &self.warning {
            ctx.out.warn(warning);
        }
    }

    /// Whether anything of it will be asked on the terminal.
    pub(super) fn asks(&self, given: &Given<'_>) -> bool {
        self.fields.iter().any(|field| matches!(way(field, given, false), Way::Ask | Way::AskSecret))
    }

    /// Fills it in: the body of a resume call.
    ///
    /// # Errors
    /// `Usage` when something is missing and nobody can be asked; `InputCancelled`.
    pub(super) fn fill(&self, given: &Given<'_>) -> Result<SecretBuffer> {
        let mut values: Vec<(String, Secret)> = Vec::new();
        for field in &self.fields {
            let value = match way(field, given, moved(&self.fields, &values)) {
                Way::LeaveOut => continue,
                Way::Missing => return Err(missing(&self.display_name, given.login, field)),
                Way::Given => given_value(field, given).unwrap_or_else(|| Secret::new(String::new())),
                Way::AskSecret => ask(field, || terminal::ask_secret("login", &secret_question(field)))?,
                Way::Ask => ask(field, || ask_openly(field))?,
            };
            if !value.expose().trim().is_empty() {
                values.push((field.name.clone(), checked(field, &value)?));
            }
        }
        Ok(body_of(&values))
    }
}

/// Decides. `moved`: the person has named another server than the usual one.
fn way(field: &InputField, given: &Given<'_>, moved: bool) -> Way {
    let has_value = given_value(field, given).is_some();
    match field.name.as_str() {
        _ if has_value => Way::Given,
        // Of the two halves of a client, the second is there to be asked for: an empty answer is one.
        _ if field.secret && given.interactive => Way::AskSecret,
        _ if field.secret && field.required => Way::Missing,
        _ if field.secret => Way::LeaveOut,
        // What everybody gets, and `--scopes` changes.
        "scopes" => Way::LeaveOut,
        "api_url" if !moved => Way::LeaveOut,
        _ if given.interactive => Way::Ask,
        _ if field.default.is_some() || !field.required => Way::LeaveOut,
        _ => Way::Missing,
    }
}

fn given_value(field: &InputField, given: &Given<'_>) -> Option<Secret> {
    match field.name.as_str() {
        "client_id" => given.login.client_id.clone().map(Secret::new),
        "client_secret" => {
            given.client_secret.filter(|secret| !field.required || !secret.is_empty()).map(Secret::duplicate)
        }
        _ => None,
    }
}

/// Whether the answer for `base_url` is not the usual one.
fn moved(fields: &[InputField], values: &[(String, Secret)]) -> bool {
    let usual = fields.iter().find(|field| field.name == "base_url").and_then(|field| field.default.as_deref());
    values.iter().any(|(name, value)| name == "base_url" && Some(value.expose()) != usual)
}

fn secret_question(field: &InputField) -> String {
    if field.required { field.label.clone() } else { format!("{} (Enter alone: a public client)", field.label) }
}

fn ask_openly(field: &InputField) -> Result<Secret> {
    let optional = if field.required { "" } else { " (optional)" };
    let question = format!("{}{optional}:", field.label);
    terminal::ask("login", &question, field.default.as_deref()).map(Secret::new)
}

/// Asks until there is an answer, where one is needed.
fn ask(field: &InputField, question: impl Fn() -> Result<Secret>) -> Result<Secret> {
    loop {
        let answer = question()?;
        if !field.required || !answer.expose().trim().is_empty() {
            return Ok(answer);
        }
    }
}

fn checked(field: &InputField, value: &Secret) -> Result<Secret> {
    let value = value.expose().trim();
    if value.chars().any(char::is_control) {
        let reason = format!("{} holds a line end or another control character", field.label);
        return Err(AuthsomeError::InvalidInput { what: "input", reason });
    }
    Ok(Secret::new(value.to_owned()))
}

fn missing(title: &str, login: &Login, field: &InputField) -> AuthsomeError {
    let provider = &login.provider;
    AuthsomeError::Usage {
        reason: format!("{title} needs more: {}", field.label),
        hint: Some(match field.name.as_str() {
            "base_url" => format!("give it: authsome login {provider} --base-url URL"),
            _ => format!("give both on the command line: authsome login {provider} --client-id ID < SECRET-FILE"),
        }),
    }
}
