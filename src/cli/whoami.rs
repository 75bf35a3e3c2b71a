//! `authsome whoami`

use argh::{ArgsInfo, FromArgs};

use super::connections::Listing;
use super::context::Context;
use super::json::Json;
use crate::client::Client;
use crate::error::Result;

/// Show the identity in use, its owner, and the daemon.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "whoami", example = "authsome whoami --json")]
pub(super) struct Whoami {}

impl Whoami {
    pub(super) fn run(self, ctx: &Context) -> Result<()> {
        let client = ctx.client()?;
        let me: Json = client.get("/api/whoami")?.parse()?;
        if ctx.out.json {
            return ctx.out.object(with_older_fields(&client, me)?);
        }
        let text = |name: &str| me.text(name).to_owned();
        let owner = match (me.text("account_email"), me.text("principal_role")) {
            ("", role) => role.to_owned(),
            (email, role) => format!("{email} ({role})"),
        };
        ctx.out.facts(&[
            ("identity", text("identity")),
            ("status", text("registration_status")),
            ("owner", owner),
            ("did", text("did")),
            ("daemon", format!("{} (version {})", me.text("daemon_url"), me.text("version"))),
            ("home", text("home")),
            ("encryption", text("encryption_backend")),
        ])
    }
}

fn connected_provider(name: &str, connections: &[String]) -> Json {
    let count = u64::try_from(connections.len()).unwrap_or(u64::MAX);
    let names = Json::array(connections.iter().map(|one| one.as_str().into()));
    Json::object([("name", name.into()), ("count", count.into()), ("connections", names)])
}

/// The fields of 0.7.2's command, then those of the daemon's answer that it did not show.
fn with_older_fields(client: &Client, me: Json) -> Result<Json> {
    let ready: Json = client.get("/api/ready")?.parse()?;
    let listing = Listing::fetch(client)?;
    let connected = listing.connected();
    let copy = |name: &str| me.field(name).map_or(Json::Null, Json::duplicate);
    let vault = ready.field("checks").map(|checks| checks.text("vault")).unwrap_or_default();
    let count = u64::try_from(connected.len()).unwrap_or(u64::MAX);
    let older = Json::object([
        ("authsome_version", copy("version")),
        ("home_directory", copy("home")),
        ("agent", copy("active_identity")),
        ("principal_id", copy("principal_id")),
        ("vault_id", copy("vault_id")),
        ("did", copy("did")),
        ("registration_status", copy("registration_status")),
        ("daemon_url", copy("daemon_url")),
        ("configured_encryption_mode", copy("configured_encryption_mode")),
        ("effective_encryption_source", copy("effective_encryption_source")),
        ("encryption_backend", copy("encryption_backend")),
        ("vault_status", if vault == "ok" { "OK" } else { "FAILED" }.into()),
        ("connected_providers_count", count.into()),
        ("connected_providers", Json::array(connected.iter().map(|(name, names)| connected_provider(name, names)))),
        ("issues", Json::array(ready.list("issues").iter().map(Json::duplicate))),
    ]);
    let (Json::Object(mut fields), Json::Object(rest)) = (older, me) else { return Ok(Json::Null) };
    let further: Vec<_> = rest.into_iter().filter(|(name, _)| fields.iter().all(|(known, _)| known != name)).collect();
    fields.extend(further);
    Ok(Json::Object(fields))
}
