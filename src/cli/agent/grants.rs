//! `authsome agent grant|inspect|forget`: what the daemon keeps of an identity.

use argh::{ArgsInfo, FromArgs};
use serde::Serialize;

use crate::cli::args::usage;
use crate::cli::context::Context;
use crate::cli::json::Json;
use crate::cli::terminal;
use crate::client::{Client, segment};
use crate::error::{AuthsomeError, Result};

/// Say what an identity may do: use connections through the proxy, read their secrets.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "grant",
    example = "authsome agent grant build-server --no-export",
    note = "What is not named stays as it is. An identity cannot give or take what it does not hold itself."
)]
pub(super) struct Grant {
    /// its name
    #[argh(positional)]
    handle: String,

    /// it may use connections in runs
    #[argh(switch, long = "use")]
    may_use: bool,

    /// it may not use connections
    #[argh(switch)]
    no_use: bool,

    /// it may read raw secrets
    #[argh(switch)]
    export: bool,

    /// it may not read raw secrets
    #[argh(switch)]
    no_export: bool,
}

/// Show whose an identity is, and what it may do.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "inspect", example = "authsome agent inspect build-server")]
pub(super) struct Inspect {
    /// its name
    #[argh(positional)]
    handle: String,
}

/// Take an identity's rights away for good. Its key stays where it is and could only register anew, as a stranger.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "forget", example = "authsome agent forget build-server --yes")]
pub(super) struct Forget {
    /// its name
    #[argh(positional)]
    handle: String,

    /// do not ask
    #[argh(switch)]
    yes: bool,
}

/// What changes; `None`: nothing.
#[derive(Debug, PartialEq, Serialize)]
struct Change {
    #[serde(skip_serializing_if = "Option::is_none")]
    r#use: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    export: Option<bool>,
}

impl Grant {
    pub(super) fn run(self, ctx: &Context) -> Result<()> {
        let change = self.change().map_err(|reason| usage(reason, &["agent", "grant"].map(str::to_owned)))?;
        let path = format!("/api/identities/{}/grants", segment(&self.handle));
        let answer: Json = ctx.client()?.put(&path, &change)?.parse()?;
        let sentence = format!("{} may {}.", self.handle, may(&answer, "do nothing"));
        ctx.out.answer(answer, &sentence)
    }

    fn change(&self) -> Result<Change, String> {
        let switch = |on: bool, off: bool, name: &str| match (on, off) {
            (true, true) => Err(format!("--{name} and --no-{name} exclude each other")),
            (false, false) => Ok(None),
            (on, _) => Ok(Some(on)),
        };
        let r#use = switch(self.may_use, self.no_use, "use")?;
        let export = switch(self.export, self.no_export, "export")?;
        if r#use.is_none() && export.is_none() {
            return Err("nothing to change: add --export, --no-export, --use or --no-use".to_owned());
        }
        Ok(Change { r#use, export })
    }
}

impl Inspect {
    pub(super) fn run(self, ctx: &Context) -> Result<()> {
        let path = format!("/api/identities/{}/detail?grants=1", segment(&self.handle));
        let answer: Json = ctx.client()?.get(&path)?.parse()?;
        if ctx.out.json {
            return ctx.out.object(answer);
        }
        let text = |name: &str| answer.text(name).to_owned();
        let may = answer.field("grants").filter(|grants| **grants != Json::Null).map(|grants| may(grants, "nothing"));
        ctx.out.facts(&[
            ("identity", text("handle")),
            ("status", text("registration_status")),
            ("owner", text("principal_email")),
            ("may", may.unwrap_or_default()),
            ("did", text("did")),
            ("registered", text("created_at")),
            ("claimed", text("claimed_at")),
        ])
    }
}

impl Forget {
    pub(super) fn run(self, ctx: &Context) -> Result<()> {
        let question = format!("Take every right of {} away, for good?", self.handle);
        if !self.yes && terminal::is_interactive() && !terminal::confirm("agent forget", &question, false)? {
            return Err(AuthsomeError::InputCancelled { operation: "agent forget" });
        }
        let answer: Json = ctx.client()?.delete(&format!("/api/identities/{}", segment(&self.handle)))?.parse()?;
        ctx.out.answer(answer, &format!("{} is forgotten: it can use nothing any more.", self.handle))
    }
}

/// Every identity of the caller's owner, with what it may do, as the daemon says.
pub(super) fn all(client: &Client) -> Result<Json> {
    client.get("/api/identities?grants=1")?.parse()
}

/// What `grants` allow, in words; `nothing`: how to say that they allow nothing.
pub(super) fn may(grants: &Json, nothing: &str) -> String {
    let holds = |name| grants.field(name) == Some(&Json::Bool(true));
    match (holds("use"), holds("export")) {
        (true, true) => "use connections and read their secrets".to_owned(),
        (true, false) => "use connections".to_owned(),
        (false, true) => "read secrets".to_owned(),
        (false, false) => nothing.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_and_its_opposite_exclude_each_other() {
        let change = |[may_use, no_use, export, no_export]: [bool; 4]| {
            Grant { handle: "calm-fox".to_owned(), may_use, no_use, export, no_export }.change()
        };
        let done = |r#use, export| Ok(Change { r#use, export });
        assert_eq!(change([false, false, false, true]), done(None, Some(false)));
        assert_eq!(change([false, true, true, false]), done(Some(false), Some(true)));
        assert_eq!(change([true, false, false, false]), done(Some(true), None));
        assert_eq!(change([false, false, true, true]), Err("--export and --no-export exclude each other".to_owned()));
        assert_eq!(change([true, true, true, false]), Err("--use and --no-use exclude each other".to_owned()));
        assert!(change([false; 4]).expect_err("nothing").contains("nothing to change"));
    }
}
