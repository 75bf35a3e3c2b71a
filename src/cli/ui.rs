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
    example = "authsome ui --sign-out",
    note = "The address signs its opener in, once, within a minute: treat it as a password for that long."
)]
pub(super) struct Ui {
    /// print the address instead of opening it
    #[argh(switch)]
    no_browser: bool,

    /// open nothing: end the sessions of every browser of yours
    #[argh(switch)]
    sign_out: bool,
}

#[derive(Deserialize)]
struct Link {
    url: String,
}

#[derive(Deserialize)]
struct Ended {
    closed: u64,
}

impl Ui {
    pub(super) fn run(self, ctx: &Context) -> Result<()> {
        if self.sign_out {
            let Ended { closed } = ctx.client()?.delete("/api/session")?.parse()?;
            let answer = Json::object([("status", "ok".into()), ("closed", closed.into())]);
            let browsers = if closed == 1 { "browser" } else { "browsers" };
            return ctx.out.answer(answer, &format!("Signed out {closed} {browsers}."));
        }
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
