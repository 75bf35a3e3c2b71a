//! `authsome api`

use argh::{ArgsInfo, FromArgs};

use super::context::Context;
use super::json::Json;
use super::pop::{body_of, check_json, path_of};
use crate::error::Result;

/// Make one signed request to the daemon and print its answer.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "api",
    example = "authsome api GET /api/connections",
    example = "authsome api POST /api/credentials/resolve --data @request.json"
)]
pub(super) struct Api {
    /// HTTP method
    #[argh(positional)]
    method: String,

    /// path and query, as in /api/connections
    #[argh(positional)]
    path: String,

    /// the request's JSON body, or @FILE, or @- for stdin
    #[argh(option, arg_name = "body")]
    data: Option<String>,
}

impl Api {
    pub(super) fn run(self, ctx: &Context) -> Result<()> {
        let body = self.data.as_deref().map(body_of).transpose()?;
        if let Some(body) = &body {
            check_json(body)?;
        }
        let method = self.method.to_ascii_uppercase();
        let client = ctx.client()?;
        let answer = client.call(&method, path_of(&self.path, &client)?, body.as_deref().map(Vec::as_slice))?;
        let answer = answer.into_success()?;
        match answer.parse::<Json>() {
            Ok(json) if ctx.out.json => ctx.out.object(json),
            Ok(json) => ctx.out.pretty(&json),
            // A page, or nothing at all.
            Err(_) => ctx.out.bytes(answer.expose_bytes()),
        }
    }
}
