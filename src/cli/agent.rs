//! `authsome agent`

mod grants;

use argh::{ArgsInfo, FromArgs};

use self::grants::{Forget, Grant, Inspect};
use super::context::Context;
use super::enrol::{self, Standing};
use super::json::Json;
use crate::client::{Config, Identities, LocalIdentity};
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
    Inspect(Inspect),
    Grant(Grant),
    Forget(Forget),
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

/// List the identities of this home and what they may do, and those that their owner has elsewhere.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "list", example = "authsome agent list")]
struct List {}

impl Agent {
    pub(super) fn run(self, ctx: &Context) -> Result<()> {
        match self.command {
            Command::Create(command) => command.run(ctx),
            Command::Use(command) => command.run(ctx),
            Command::List(command) => command.run(ctx),
            Command::Inspect(command) => command.run(ctx),
            Command::Grant(command) => command.run(ctx),
            Command::Forget(command) => command.run(ctx),
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
        let here = Identities::new(ctx.home()).list()?;
        if here.is_empty() && !ctx.out.json {
            ctx.out.note("hint: there is no identity yet; run: authsome onboard");
            return Ok(());
        }
        // The identities of this home are listed whatever the daemon says.
        let owned = if here.is_empty() { Ok(Json::Null) } else { ctx.client().and_then(|client| grants::all(&client)) };
        let owned = owned.unwrap_or_else(|error| {
            ctx.out.warn(&format!("what they may do is not known: {error}"));
            Json::Null
        });
        let owned = owned.list("identities");
        let elsewhere = owned.iter().filter(|one| here.iter().all(|local| local.handle != one.text("handle")));
        if ctx.out.json {
            let agents = here.iter().map(|one| to_json(one, active, granted(owned, &one.handle)));
            let elsewhere = elsewhere.map(Json::duplicate);
            let lists = [("agents", Json::array(agents)), ("elsewhere", Json::array(elsewhere))];
            return ctx.out.object(Json::object(lists));
        }
        let row = |handle: &str, mark: &str, did: Option<&str>| {
            let may = granted(owned, handle).map(|grants| grants::may(grants, "nothing")).unwrap_or_default();
            vec![handle.to_owned(), mark.to_owned(), may, did.unwrap_or_default().to_owned()]
        };
        let mark = |one: &LocalIdentity| if one.handle == active { "in use" } else { "" };
        let rows = here.iter().map(|one| row(&one.handle, mark(one), one.did.as_deref()));
        let rows: Vec<_> = rows.chain(elsewhere.map(|one| row(one.text("handle"), "elsewhere", None))).collect();
        ctx.out.table(&["IDENTITY", "USE", "MAY", "DID"], &rows)
    }
}

/// What the daemon says that the identity called `handle` may do, where it is the owner's.
fn granted<'a>(owned: &'a [Json], handle: &str) -> Option<&'a Json> {
    owned.iter().find(|one| one.text("handle") == handle)?.field("grants")
}

fn to_json(one: &LocalIdentity, active: &str, grants: Option<&Json>) -> Json {
    Json::object([
        ("agent", one.handle.as_str().into()),
        ("did", one.did.clone().into()),
        ("created_at", one.created_at.map(|time| time.to_string()).into()),
        ("active", (one.handle == active).into()),
        ("grants", grants.map_or(Json::Null, Json::duplicate)),
    ])
}
