//! `authsome connections`

mod inspect;

use argh::{ArgsInfo, FromArgs};
use serde::Deserialize;
use serde_json::json;

use self::inspect::Inspect;
use super::args::usage;
use super::context::Context;
use super::json::Json;
use super::terminal;
use crate::client::{Answer, Client, segment};
use crate::error::{AuthsomeError, Result};

/// List, inspect and change connections.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "connections", example = "authsome connections list")]
pub(super) struct Connections {
    #[argh(subcommand)]
    command: Command,
}

#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
enum Command {
    List(List),
    Inspect(Inspect),
    SetDefault(SetDefault),
    SetGlobal(SetGlobal),
    UnsetGlobal(UnsetGlobal),
    Rebind(Rebind),
}

/// List the connections of this identity's owner, and those that everybody may use.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "list", example = "authsome connections list --json")]
struct List {}

/// Choose the connection that is used when none is named.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "set-default", example = "authsome connections set-default openai work")]
struct SetDefault {
    /// provider name
    #[argh(positional)]
    provider: String,

    /// connection name
    #[argh(positional)]
    name: Option<String>,

    /// connection name, as an option
    #[argh(option, arg_name = "name")]
    connection: Option<String>,
}

/// Let every owner on this server use a connection (admin).
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "set-global", example = "authsome connections set-global openai default")]
struct SetGlobal {
    /// provider name
    #[argh(positional)]
    provider: String,

    /// connection name (default: default)
    #[argh(positional)]
    name: Option<String>,

    /// connection name, as an option
    #[argh(option, arg_name = "name")]
    connection: Option<String>,
}

/// End the use of a connection by every owner (admin).
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "unset-global", example = "authsome connections unset-global openai")]
struct UnsetGlobal {
    /// provider name
    #[argh(positional)]
    provider: String,
}

/// Confirm that a connection's secret may go where its provider's changed definition says.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "rebind", example = "authsome connections rebind acme default")]
struct Rebind {
    /// provider name
    #[argh(positional)]
    provider: String,

    /// connection name (default: default)
    #[argh(positional)]
    name: Option<String>,

    /// connection name, as an option
    #[argh(option, arg_name = "name")]
    connection: Option<String>,

    /// do not ask
    #[argh(switch)]
    yes: bool,
}

impl Connections {
    pub(super) fn run(self, ctx: &Context) -> Result<()> {
        match self.command {
            Command::List(command) => command.run(ctx),
            Command::Inspect(command) => command.run(ctx),
            Command::SetDefault(command) => command.run(ctx),
            Command::SetGlobal(command) => command.run(ctx),
            Command::UnsetGlobal(command) => command.run(ctx),
            Command::Rebind(command) => command.run(ctx),
        }
    }
}

impl List {
    fn run(self, ctx: &Context) -> Result<()> {
        let answer = ctx.client()?.get("/api/connections")?;
        if ctx.out.json {
            return ctx.out.object(answer.parse()?);
        }
        let answer: Json = answer.parse()?;
        let mut rows = Vec::new();
        for provider in answer.list("connections") {
            for connection in provider.list("connections") {
                let is_default = connection.field("is_default") == Some(&Json::Bool(true));
                rows.push(row(provider.text("name"), connection, if is_default { "default" } else { "" }));
            }
        }
        for connection in answer.list("global_connections") {
            rows.push(row(connection.text("provider"), connection, "global"));
        }
        if rows.is_empty() {
            ctx.out.note("hint: there is no connection yet; run: authsome login PROVIDER");
            return Ok(());
        }
        ctx.out.table(&["PROVIDER", "CONNECTION", "USE", "STATUS", "TYPE", "EXPIRES"], &rows)
    }
}

fn row(provider: &str, connection: &Json, r#use: &str) -> Vec<String> {
    let cell = |name| connection.field(name).map(Json::to_cell).unwrap_or_default();
    vec![
        provider.to_owned(),
        cell("connection_name"),
        r#use.to_owned(),
        cell("status"),
        cell("auth_type"),
        cell("expires_at"),
    ]
}

impl SetDefault {
    fn run(self, ctx: &Context) -> Result<()> {
        let Some(connection) = self.name.or(self.connection) else {
            return Err(usage("missing NAME".to_owned(), &["connections".to_owned(), "set-default".to_owned()]));
        };
        let answer = post(&ctx.client()?, &self.provider, &connection, "default")?;
        let sentence = format!("{} now uses {connection} by default.", self.provider);
        ctx.out.answer(answer.parse()?, &sentence)
    }
}

impl SetGlobal {
    fn run(self, ctx: &Context) -> Result<()> {
        let connection = self.name.or(self.connection).unwrap_or_else(|| "default".to_owned());
        let answer = post(&ctx.client()?, &self.provider, &connection, "global")?;
        let sentence = format!("Every owner on this server can now use {} ({connection}).", self.provider);
        ctx.out.answer(answer.parse()?, &sentence)
    }
}

impl UnsetGlobal {
    fn run(self, ctx: &Context) -> Result<()> {
        let answer = ctx.client()?.delete(&format!("/api/connections/{}/global", segment(&self.provider)))?;
        ctx.out.answer(answer.parse()?, &format!("{} has no global connection any more.", self.provider))
    }
}

impl Rebind {
    fn run(self, ctx: &Context) -> Result<()> {
        let connection = self.name.or(self.connection).unwrap_or_else(|| "default".to_owned());
        let question =
            format!("Send the stored secret of {} ({connection}) to where its definition points now?", self.provider);
        confirm_or_yes("rebind", &question, self.yes)?;
        let answer = post(&ctx.client()?, &self.provider, &connection, "rebind")?;
        ctx.out
            .answer(answer.parse()?, &format!("{} ({connection}) is bound to its present definition.", self.provider))
    }
}

/// Has a person agree to what cannot be undone or widens where a secret goes.
///
/// # Errors
/// `InputCancelled` for a no; `OperationNotAllowed` when nobody can be asked and `yes` was not given.
pub(super) fn confirm_or_yes(operation: &'static str, question: &str, yes: bool) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !terminal::is_interactive() {
        return Err(AuthsomeError::OperationNotAllowed {
            operation,
            reason: "This needs a confirmation, and there is no terminal to ask on".to_owned(),
            hint: Some("add --yes"),
        });
    }
    if terminal::confirm(operation, question, false)? {
        Ok(())
    } else {
        Err(AuthsomeError::InputCancelled { operation })
    }
}

fn post(client: &Client, provider: &str, connection: &str, action: &str) -> Result<Answer> {
    client.post(&format!("/api/connections/{}/{}/{action}", segment(provider), segment(connection)), &json!({}))
}

/// Which connections there are, without their details.
#[derive(Deserialize)]
pub(super) struct Listing {
    connections: Vec<OfProvider>,
}

#[derive(Deserialize)]
struct OfProvider {
    name: String,
    #[serde(default)]
    default_connection: Option<String>,
    #[serde(default)]
    connections: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    connection_name: String,
}

impl Listing {
    pub(super) fn fetch(client: &Client) -> Result<Self> {
        client.get("/api/connections")?.parse()
    }

    /// The providers that have a connection, with the names of those.
    pub(super) fn connected(&self) -> Vec<(&str, Vec<String>)> {
        let connected = self.connections.iter().filter(|provider| !provider.connections.is_empty());
        connected.map(|provider| (provider.name.as_str(), self.names(&provider.name))).collect()
    }

    /// Names of a provider's connections.
    pub(super) fn names(&self, provider: &str) -> Vec<String> {
        let named = self.find(provider).map(|found| found.connections.as_slice()).unwrap_or_default();
        named.iter().map(|connection| connection.connection_name.clone()).collect()
    }

    /// The connection that is used when none is named.
    pub(super) fn default_of(&self, provider: &str) -> Option<&str> {
        self.find(provider)?.default_connection.as_deref().filter(|name| !name.is_empty())
    }

    fn find(&self, provider: &str) -> Option<&OfProvider> {
        self.connections.iter().find(|known| known.name == provider)
    }
}
