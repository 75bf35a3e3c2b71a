//! `authsome ui`

use argh::{ArgsInfo, FromArgs};
use serde::Deserialize;

use super::browser;
use super::context::Context;
use super::json::Json;
use crate::error::Result;

/// Open the daemon's pages in a browser, signed in.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "ui",
    example = "authsome ui",
    example = "authsome ui --no-browser",
    note = "The address signs its opener in, once, within a minute: treat it as a password for that long."
)]
pub(super) struct Ui {
    /// print the address instead of opening it
    #[argh(switch)]
    no_browser: bool,
}

#[derive(Deserialize)]
struct Link {
    url: String,
}

impl Ui {
    pub(super) fn run(self, ctx: &Context) -> Result<()> {
        let Link { url } = ctx.client()?.post("/api/session", &serde_json::json!({}))?.parse()?;
        if ctx.out.json {
            return ctx.out.object(Json::object([("url", url.as_str().into())]));
        }
        if !self.no_browser && browser::has_display() && browser::open(&url) {
            ctx.out.say("opened the dashboard in your browser");
            return Ok(());
        }
        ctx.out.line(&url)
    }
}
