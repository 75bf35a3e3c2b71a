//! `authsome logout`

use argh::{ArgsInfo, FromArgs};
use serde_json::json;

use super::connections::Listing;
use super::context::Context;
use super::json::Json;
use crate::client::segment;
use crate::error::Result;

/// Remove one connection, and revoke it where the provider can.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "logout", example = "authsome logout openai --connection work")]
pub(super) struct Logout {
    /// provider name
    #[argh(positional)]
    provider: String,

    /// which connection (default: default)
    #[argh(option, arg_name = "name", default = "String::from(\"default\")")]
    connection: String,
}

impl Logout {
    pub(super) fn run(self, ctx: &Context) -> Result<()> {
        let Self { provider, connection } = self;
        let client = ctx.client()?;
        // The daemon answers "ok" for a connection that is not there: a wrong name must not look like a success.
        let names = Listing::fetch(&client)?.names(&provider);
        let existed = names.contains(&connection);
        let path = format!("/api/connections/{}/{}/logout", segment(&provider), segment(&connection));
        client.post(&path, &json!({}))?;
        let answer = Json::object([
            ("status", "logged_out".into()),
            ("provider", provider.as_str().into()),
            ("connection", connection.as_str().into()),
            ("removed", existed.into()),
        ]);
        let sentence = match (existed, names.is_empty()) {
            (true, _) => format!("Logged out of {provider} ({connection})."),
            (false, true) => format!("There is no connection to {provider}."),
            (false, false) => {
                format!("{provider} has no connection {connection}; it has: {}.", names.join(", "))
            }
        };
        ctx.out.answer(answer, &sentence)
    }
}
