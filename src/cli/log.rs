//! `authsome log`

use std::thread;
use std::time::Duration;

use argh::{ArgsInfo, FromArgs};
use zeroize::Zeroizing;

use super::context::Context;
use super::json::Json;
use super::tail;
use crate::client::{Client, segment};
use crate::error::Result;

/// What the daemon gives in one answer (`contract/http.md`).
const PAGE: usize = 500;
/// Between two questions for new entries.
const PAUSE: Duration = Duration::from_secs(1);
/// Fields that have a column of their own, and those that say nothing to a reader.
const COLUMNS: [&str; 8] =
    ["event_id", "timestamp", "event", "source", "provider", "connection", "identity", "principal_id"];

/// Show what happened: logins, refreshes, runs, refusals.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "log", example = "authsome log -n 20", example = "authsome log --follow")]
pub(super) struct Log {
    /// how many entries (default: 50)
    #[argh(option, short = 'n', arg_name = "count", default = "50")]
    lines: usize,

    /// the client's debug log instead
    #[argh(switch)]
    raw: bool,

    /// go on with what is added
    #[argh(switch)]
    follow: bool,
}

impl Log {
    pub(super) fn run(self, ctx: &Context) -> Result<()> {
        if self.raw { tail::show(ctx, ctx.log().path(), self.lines, self.follow) } else { self.show_audit(ctx) }
    }

    fn show_audit(&self, ctx: &Context) -> Result<()> {
        let client = ctx.client()?;
        let (mut answer, entries) = fetch(&client, self.lines)?;
        if ctx.out.json && !self.follow {
            if let Json::Object(fields) = &mut answer {
                fields.iter_mut().filter(|(name, _)| name == "entries").for_each(|(_, value)| {
                    *value = Json::array(entries.iter().map(Json::duplicate));
                });
            }
            return ctx.out.object(answer);
        }
        if !self.follow {
            let rows: Vec<Vec<String>> = entries.iter().rev().map(row).collect();
            return ctx.out.table(&["TIME", "EVENT", "PROVIDER", "CONNECTION", "IDENTITY", "DETAILS"], &rows);
        }
        entries.iter().rev().try_for_each(|entry| print_entry(ctx, entry))?;
        follow(ctx, &client, entries.first())
    }
}

/// The newest `count` entries, newest first, and the daemon's last answer around them.
fn fetch(client: &Client, count: usize) -> Result<(Json, Vec<Json>)> {
    let mut entries = Vec::new();
    let mut cursor = String::new();
    loop {
        let limit = (count - entries.len()).clamp(1, PAGE);
        let answer: Json = client.get(&format!("/api/audit/events?limit={limit}{cursor}"))?.parse()?;
        entries.extend(answer.list("entries").iter().map(Json::duplicate));
        let next = answer.text("next_cursor");
        if entries.len() >= count || next.is_empty() || answer.list("entries").is_empty() {
            entries.truncate(count);
            return Ok((answer, entries));
        }
        cursor = format!("&cursor={}", segment(next));
    }
}

/// Prints new entries as they come, until the reader of the output is gone.
fn follow(ctx: &Context, client: &Client, newest: Option<&Json>) -> Result<()> {
    let mut seen = newest.map(|entry| entry.text("event_id").to_owned()).unwrap_or_default();
    loop {
        thread::sleep(PAUSE);
        let (_, entries) = fetch(client, PAGE)?;
        let new: Vec<&Json> = entries.iter().take_while(|entry| entry.text("event_id") != seen).collect();
        if let Some(newest) = new.first() {
            newest.text("event_id").clone_into(&mut seen);
        }
        new.into_iter().rev().try_for_each(|entry| print_entry(ctx, entry))?;
    }
}

/// One line an entry: with `--json` one object a line, since there is no end to an array.
fn print_entry(ctx: &Context, entry: &Json) -> Result<()> {
    if ctx.out.json {
        let mut line = Zeroizing::new(serde_json::to_string(entry).unwrap_or_default());
        line.push('\n');
        return ctx.out.bytes(line.as_bytes());
    }
    ctx.out.line(&row(entry).into_iter().filter(|cell| !cell.is_empty()).collect::<Vec<_>>().join("  "))
}

fn row(entry: &Json) -> Vec<String> {
    let cell = |name| entry.field(name).map(Json::to_cell).unwrap_or_default();
    let details = match entry {
        Json::Object(fields) => fields
            .iter()
            .filter(|(name, value)| !COLUMNS.contains(&name.as_str()) && *value != Json::Null)
            .map(|(name, value)| format!("{name}={}", value.to_cell()))
            .collect::<Vec<_>>()
            .join(" "),
        _ => String::new(),
    };
    vec![cell("timestamp"), cell("event"), cell("provider"), cell("connection"), cell("identity"), details]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_column_is_a_detail() {
        let text = r#"{"event_id":"audit_1","timestamp":"2026-01-31T12:00:00Z","event":"proxy.request","source":"external",
            "provider":"demo","connection":"default","identity":"calm-fox","principal_id":"p","status":"success",
            "method":"GET","bytes":7,"nothing":null}"#;
        let entry: Json = serde_json::from_str(text).expect("parses");
        assert_eq!(
            row(&entry),
            [
                "2026-01-31T12:00:00Z",
                "proxy.request",
                "demo",
                "default",
                "calm-fox",
                "status=success method=GET bytes=7"
            ]
        );
    }
}
