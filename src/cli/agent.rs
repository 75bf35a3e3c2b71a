//! `authsome agent`

use std::str::FromStr;

use argh::{ArgsInfo, FromArgs};
use serde::Serialize;

use super::args::usage;
use super::context::Context;
use super::enrol::{self, Standing};
use super::json::Json;
use crate::client::{Config, Identities, segment};
use crate::error::{AuthsomeError, Result};
use crate::identity;

/// Make, choose and list the identities of this home, and say what they may do.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "agent", example = "authsome agent list")]
pub(super) struct Agent {
    #[argh(subcommand)]
    command: Command,
}

#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
enum Command {
    Create(Create),
    Use(Use),
    List(List),
    Grant(Grant),
}

/// Make an identity, use it from now on, and register it.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "create", example = "authsome agent create --handle build-server")]
struct Create {
    /// its name: lower-case letters, digits and dashes (default: a generated one)
    #[argh(option, arg_name = "handle")]
    handle: Option<String>,
}

/// Use another identity of this home from now on.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "use", example = "authsome agent use build-server")]
struct Use {
    /// its name
    #[argh(positional)]
    handle: String,
}

/// List the identities of this home.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "list", example = "authsome agent list")]
struct List {}

/// Say what an identity may do: use connections through the proxy, read their secrets.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "grant", example = "authsome agent grant build-server --export no")]
struct Grant {
    /// its name
    #[argh(positional)]
    handle: String,

    /// yes or no: use connections in runs (default: as it is)
    #[argh(option, arg_name = "yes|no", long = "use")]
    may_use: Option<Answer>,

    /// yes or no: read raw secrets (default: as it is)
    #[argh(option, arg_name = "yes|no")]
    export: Option<Answer>,
}

/// A yes or a no.
#[derive(Clone, Copy)]
struct Answer(bool);

impl FromStr for Answer {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "yes" | "on" | "true" => Ok(Self(true)),
            "no" | "off" | "false" => Ok(Self(false)),
            _ => Err("expected yes or no"),
        }
    }
}

impl Agent {
    pub(super) fn run(self, ctx: &Context) -> Result<()> {
        match self.command {
            Command::Create(command) => command.run(ctx),
            Command::Use(command) => command.run(ctx),
            Command::List(command) => command.run(ctx),
            Command::Grant(command) => command.run(ctx),
        }
    }
}

impl Create {
    fn run(self, ctx: &Context) -> Result<()> {
        if let Some(handle) = &self.handle
            && !identity::is_valid_handle(handle)
        {
            return Err(AuthsomeError::InvalidInput {
                what: "handle",
                reason: "a handle is made of lower-case letters, digits and inner dashes, as in build-server"
                    .to_owned(),
            });
        }
        let signer = enrol::create(ctx.home(), self.handle)?;
        let (handle, did) = (signer.handle.clone(), signer.key.did());
        // It exists now, whatever the daemon says.
        let standing = enrol::enrol(ctx, signer).unwrap_or_else(|error| {
            ctx.out.warn(&format!("it is not registered yet: {error}"));
            Standing::local()
        });
        if standing.needs_claim() {
            ctx.out.note("hint: run: authsome onboard");
        }
        let answer = Json::object([
            ("status", "created".into()),
            ("home", ctx.home().dir().display().to_string().into()),
            ("agent", handle.as_str().into()),
            ("did", did.into()),
            ("registration_status", standing.status.as_str().into()),
            ("switched", true.into()),
        ]);
        ctx.out.answer(answer, &format!("Made {handle} and use it from now on ({}).", standing.status))
    }
}

impl Use {
    fn run(self, ctx: &Context) -> Result<()> {
        let key = Identities::new(ctx.home()).key(&self.handle)?;
        let mut config = Config::load(ctx.home())?;
        config.set_active_identity(&self.handle);
        config.save(ctx.home())?;
        if ctx.settings().identity.is_some() || ctx.settings().private_key.is_some() {
            ctx.out.warn("AUTHSOME_IDENTITY or AUTHSOME_IDENTITY_PRIVATE_KEY is set and still wins");
        }
        let answer = Json::object([
            ("status", "active".into()),
            ("agent", self.handle.as_str().into()),
            ("did", key.did().into()),
        ]);
        ctx.out.answer(answer, &format!("{} is in use from now on.", self.handle))
    }
}

impl List {
    fn run(self, ctx: &Context) -> Result<()> {
        let config = Config::load(ctx.home())?;
        let active = ctx.settings().identity.as_deref().or(config.active_identity()).unwrap_or_default();
        let known = Identities::new(ctx.home()).list()?;
        if ctx.out.json {
            let agents = known.iter().map(|one| {
                Json::object([
                    ("agent", one.handle.as_str().into()),
                    ("did", one.did.clone().into()),
                    ("created_at", one.created_at.map(|time| time.to_string()).into()),
                    ("active", (one.handle == active).into()),
                ])
            });
            return ctx.out.object(Json::object([("agents", Json::array(agents))]));
        }
        if known.is_empty() {
            ctx.out.note("hint: there is no identity yet; run: authsome onboard");
            return Ok(());
        }
        let rows: Vec<Vec<String>> = known
            .into_iter()
            .map(|one| {
                let mark = if one.handle == active { "in use" } else { "" };
                vec![one.handle, mark.to_owned(), one.did.unwrap_or_default()]
            })
            .collect();
        ctx.out.table(&["IDENTITY", "USE", "DID"], &rows)
    }
}

impl Grant {
    fn run(self, ctx: &Context) -> Result<()> {
        #[derive(Serialize)]
        struct Grants {
            #[serde(skip_serializing_if = "Option::is_none")]
            r#use: Option<bool>,
            #[serde(skip_serializing_if = "Option::is_none")]
            export: Option<bool>,
        }
        if self.may_use.is_none() && self.export.is_none() {
            let path = ["agent", "grant"].map(str::to_owned);
            return Err(usage("nothing to change: add --use or --export".to_owned(), &path));
        }
        let grants = Grants { r#use: self.may_use.map(|Answer(yes)| yes), export: self.export.map(|Answer(yes)| yes) };
        let path = format!("/api/identities/{}/grants", segment(&self.handle));
        let answer: Json = ctx.client()?.put(&path, &grants)?.parse()?;
        let may = |name| if answer.field(name) == Some(&Json::Bool(true)) { "may" } else { "may not" };
        let sentence =
            format!("{} {} use connections and {} read their secrets.", self.handle, may("use"), may("export"));
        ctx.out.answer(answer, &sentence)
    }
}
