//! `authsome provider`

use std::path::PathBuf;

use argh::{ArgsInfo, FromArgs};
use serde::Serialize;
use serde_json::json;

use super::connections::confirm_or_yes;
use super::context::Context;
use super::json::Json;
use super::terminal;
use crate::client::segment;
use crate::error::{AuthsomeError, Result};
use crate::limits::DEFINITION_BYTES;
use crate::model::{OAuthSettings, ProviderDefinition};
use crate::paths;
use crate::provider::{Registry, ValidateOptions, parse_definition, validate};

/// List, inspect, register, revoke and remove providers.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "provider", example = "authsome provider list")]
pub(super) struct Provider {
    #[argh(subcommand)]
    command: Command,
}

#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
enum Command {
    List(List),
    Inspect(Inspect),
    Register(Register),
    Revoke(Revoke),
    Remove(Remove),
}

/// List the providers that can be connected.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "list", example = "authsome provider list --json")]
struct List {}

/// Show a provider's definition and its connections.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "inspect", example = "authsome provider inspect openai")]
struct Inspect {
    /// provider name
    #[argh(positional)]
    provider: String,
}

/// Register a provider from a definition file (admin).
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "register", example = "authsome provider register acme.json")]
struct Register {
    /// file with the definition: JSON, comments allowed
    #[argh(positional)]
    path: PathBuf,

    /// replace a provider of the same name
    #[argh(switch)]
    force: bool,

    /// do not ask
    #[argh(switch)]
    yes: bool,

    /// let the API be on this machine or an IP address
    #[argh(switch)]
    allow_local: bool,
}

/// Revoke all connections of a provider, of every owner, and forget its client (admin).
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "revoke", example = "authsome provider revoke openai --yes")]
struct Revoke {
    /// provider name
    #[argh(positional)]
    provider: String,

    /// do not ask
    #[argh(switch)]
    yes: bool,
}

/// Revoke a provider's connections, then remove its definition unless it is bundled (admin).
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "remove", example = "authsome provider remove acme --yes")]
struct Remove {
    /// provider name
    #[argh(positional)]
    provider: String,

    /// do not ask
    #[argh(switch)]
    yes: bool,
}

impl Provider {
    pub(super) fn run(self, ctx: &Context) -> Result<()> {
        match self.command {
            Command::List(command) => command.run(ctx),
            Command::Inspect(command) => command.run(ctx),
            Command::Register(command) => command.run(ctx),
            Command::Revoke(command) => command.run(ctx),
            Command::Remove(command) => command.run(ctx),
        }
    }
}

impl List {
    fn run(self, ctx: &Context) -> Result<()> {
        let listing: Json = ctx.client()?.get("/api/connections")?.parse()?;
        let sources = listing.field("by_source").unwrap_or(&Json::Null);
        if ctx.out.json {
            let of = |source: &str| Json::array(sources.list(source).iter().map(|one| summary(one, source, &listing)));
            return ctx.out.object(Json::object([("bundled", of("bundled")), ("custom", of("custom"))]));
        }
        let mut rows = Vec::new();
        for source in ["bundled", "custom"] {
            for definition in sources.list(source) {
                let name = definition.text("name");
                let connections: Vec<&str> =
                    connections_of(&listing, name).iter().map(|one| one.text("connection_name")).collect();
                rows.push(vec![
                    name.to_owned(),
                    definition.text("display_name").to_owned(),
                    definition.text("auth_type").to_owned(),
                    source.to_owned(),
                    connections.join(", "),
                ]);
            }
        }
        rows.sort();
        ctx.out.table(&["PROVIDER", "NAME", "TYPE", "SOURCE", "CONNECTIONS"], &rows)
    }
}

/// One line of 0.7.2's list.
fn summary(definition: &Json, source: &str, listing: &Json) -> Json {
    let name = definition.text("name");
    let copy = |field: &str| definition.field(field).map_or(Json::Null, Json::duplicate);
    Json::object([
        ("name", name.into()),
        ("display_name", copy("display_name")),
        ("auth_type", copy("auth_type")),
        ("source", source.into()),
        ("connections", Json::array(connections_of(listing, name).iter().map(Json::duplicate))),
        ("global_connections", Json::array(globals_of(listing, name).map(Json::duplicate))),
    ])
}

fn connections_of<'a>(listing: &'a Json, provider: &str) -> &'a [Json] {
    let found = listing.list("connections").iter().find(|entry| entry.text("name") == provider);
    found.map(|entry| entry.list("connections")).unwrap_or_default()
}

fn globals_of<'a>(listing: &'a Json, provider: &str) -> impl Iterator<Item = &'a Json> {
    listing.list("global_connections").iter().filter(move |one| one.text("provider") == provider)
}

impl Inspect {
    fn run(self, ctx: &Context) -> Result<()> {
        let client = ctx.client()?;
        let definition: Json = client.get(&format!("/api/providers/{}", segment(&self.provider)))?.parse()?;
        let listing: Json = client.get("/api/connections")?.parse()?;
        let connections = connections_of(&listing, &self.provider);
        if ctx.out.json {
            let Json::Object(mut fields) = definition else { return ctx.out.object(definition) };
            let globals = Json::array(globals_of(&listing, &self.provider).map(Json::duplicate));
            fields.push(("connections".to_owned(), Json::array(connections.iter().map(Json::duplicate))));
            fields.push(("global_connections".to_owned(), globals));
            return ctx.out.object(Json::Object(fields));
        }
        let cell = |name: &str| definition.field(name).map(Json::to_cell).unwrap_or_default();
        let key = definition.field("api_key").unwrap_or(&Json::Null);
        let names: Vec<&str> = connections.iter().map(|one| one.text("connection_name")).collect();
        ctx.out.facts(&[
            ("provider", cell("name")),
            ("name", cell("display_name")),
            ("description", cell("description")),
            ("type", format!("{} ({})", definition.text("auth_type"), definition.text("flow"))),
            ("api", cell("api_url")),
            ("key variable", key.text("env_var").to_owned()),
            ("docs", cell("docs_url")),
            ("connections", names.join(", ")),
        ])
    }
}

impl Register {
    fn run(self, ctx: &Context) -> Result<()> {
        #[derive(Serialize)]
        struct Registration<'a> {
            definition: &'a ProviderDefinition,
            force: bool,
            #[serde(skip_serializing_if = "std::ops::Not::not")]
            allow_local: bool,
        }
        let contents = paths::read_limited(&self.path, DEFINITION_BYTES)?;
        let definition = parse_definition(&contents)?;
        validate(&definition, ValidateOptions { allow_local: self.allow_local })?;
        if let Some(remark) = strangers(&definition) {
            ctx.out.note(&remark);
        }
        if !self.yes && terminal::is_interactive() {
            show(ctx, &definition);
            confirm_or_yes("register", &format!("Register {}?", definition.name), false)?;
        }
        let body = Registration { definition: &definition, force: self.force, allow_local: self.allow_local };
        ctx.client()?.post("/api/providers", &body)?;
        let answer = Json::object([
            ("status", "registered".into()),
            ("provider", definition.name.as_str().into()),
            ("warnings", Json::Array(Vec::new())),
        ]);
        ctx.out.answer(answer, &format!("Registered {}.", definition.name))
    }
}

/// Fields that mean nothing here. They are kept, since another version may know them; a slip of the pen looks the same.
fn strangers(definition: &ProviderDefinition) -> Option<String> {
    let names: Vec<&str> = definition.extra.keys().map(String::as_str).collect();
    (!names.is_empty()).then(|| format!("note: fields that this version does not know: {}", names.join(", ")))
}

/// What a person should look at before a secret goes there. On stderr, as the question is.
fn show(ctx: &Context, definition: &ProviderDefinition) {
    let oauth = definition.oauth.as_ref();
    let url = |pick: fn(&OAuthSettings) -> &Option<String>| oauth.and_then(|oauth| pick(oauth).as_deref());
    ctx.out.say(&format!(
        "{} ({}) takes a secret of type {}",
        definition.title(),
        definition.name,
        definition.auth_type.as_str()
    ));
    ctx.out.say(&format!("secrets go to: {}", definition.api_url.as_slice().join(", ")));
    if let Some(url) = url(|oauth| &oauth.authorization_url) {
        ctx.out.say(&format!("sign-in is at: {url}"));
    }
    if let Some(url) = url(|oauth| &oauth.token_url) {
        ctx.out.say(&format!("tokens come from: {url}"));
    }
}

impl Revoke {
    fn run(self, ctx: &Context) -> Result<()> {
        let question = format!("Revoke and remove every connection to {}?", self.provider);
        ask_when_possible("revoke", &question, self.yes)?;
        ctx.client()?.post(&format!("/api/connections/{}/revoke", segment(&self.provider)), &json!({}))?;
        ctx.out.answer(done("revoked", &self.provider), &format!("Revoked {}.", self.provider))
    }
}

impl Remove {
    fn run(self, ctx: &Context) -> Result<()> {
        let is_bundled = Registry::is_bundled(&self.provider);
        let rest = if is_bundled { "? Its bundled definition stays." } else { " and remove its definition?" };
        ask_when_possible("remove", &format!("Revoke every connection to {}{rest}", self.provider), self.yes)?;
        let client = ctx.client()?;
        let path = format!("/api/providers/{}", segment(&self.provider));
        client.delete(&path)?;
        let remains = client.get(&path).is_ok();
        ctx.out.answer(done("removed", &self.provider), &removal(&self.provider, remains, is_bundled))
    }
}

/// What a removal came to: only a registered definition can go.
fn removal(provider: &str, remains: bool, is_bundled: bool) -> String {
    match (remains, is_bundled) {
        (false, _) => format!("Removed {provider}."),
        (true, true) => format!("Every connection to {provider} is removed; its bundled definition stays."),
        (true, false) => format!("Every connection to {provider} is removed; its file in providers/ stays."),
    }
}

/// The answer of 0.7.2's commands.
fn done(status: &str, provider: &str) -> Json {
    Json::object([("status", status.into()), ("provider", provider.into())])
}

/// A person is asked; a script has said what it wants by calling.
fn ask_when_possible(operation: &'static str, question: &str, yes: bool) -> Result<()> {
    if yes || !terminal::is_interactive() || terminal::confirm(operation, question, false)? {
        return Ok(());
    }
    Err(AuthsomeError::InputCancelled { operation })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_that_stays_is_not_called_removed() {
        assert_eq!(removal("acme", false, false), "Removed acme.");
        assert!(removal("openai", true, true).contains("bundled definition stays"));
        assert!(removal("acme", true, false).contains("providers/"));
    }

    #[test]
    fn a_field_that_nobody_knows_is_named() {
        let with = |rest: &str| {
            let text =
                format!(r#"{{"name":"acme","auth_type":"api_key","flow":"api_key","api_url":"acme.test"{rest}}}"#);
            strangers(&parse_definition(text.as_bytes()).expect("parses"))
        };
        assert_eq!(with(""), None);
        assert!(with(r#","exprot":{"env":{}}"#).expect("a remark").contains("exprot"));
    }
}
