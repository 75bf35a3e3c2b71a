//! `authsome man`

use std::fmt::Write as _;

use argh::{ArgsInfo, CommandInfoWithArgs, FromArgs};

use super::args::{ALIASES, GLOBAL_FLAGS};
use super::commands;
use super::context::Context;
use super::help;
use crate::error::Result;

/// Exit statuses (`contract/cli.md`).
const STATUSES: [(&str, &str); 13] = [
    ("0", "Success."),
    ("1", "Any failure that has no number of its own."),
    ("2", "Wrong usage, a failed or cancelled login."),
    ("3", "No such connection."),
    ("4", "No such provider, or an operation that is not allowed."),
    ("5", "No credential, or one that has ended and cannot be refreshed."),
    ("6", "The connection exists already."),
    ("7", "The provider is registered already."),
    ("8", "An endpoint of the provider cannot be reached."),
    ("9", "No daemon answers."),
    ("10", "No such identity, or it is not registered or claimed."),
    ("11", "The store or its encryption is not available."),
    ("12", "A provider definition is not valid."),
];
/// What the environment decides for the client.
const VARIABLES: [(&str, &str); 9] = [
    ("AUTHSOME_HOME", "Where everything is kept; ~/.authsome by default."),
    ("AUTHSOME_BASE_URL", "Which daemon to use; the local one by default."),
    ("AUTHSOME_ALLOW_HTTP", "1 lets a daemon elsewhere be used without TLS."),
    ("AUTHSOME_PORT", "Port of a local daemon that is started; 7998 for the default home, else any free one."),
    ("AUTHSOME_IDENTITY", "Handle of the identity to use."),
    ("AUTHSOME_IDENTITY_PRIVATE_KEY", "Its key as 64 hexadecimal digits; enough by itself."),
    ("AUTHSOME_MASTER_KEY, AUTHSOME_MASTER_KEY_FILE", "Master key of a local daemon that is started."),
    ("AUTHSOME_JSON", "1 means --json."),
    ("NO_COLOR", "No colour."),
];

/// Print the manual page.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "man", example = "authsome man | man -l -", note = "Text, also with --json.")]
pub(super) struct Man {}

impl Man {
    pub(super) fn run(self, ctx: &Context) -> Result<()> {
        ctx.out.bytes(page(&commands::table()).as_bytes())
    }
}

fn page(table: &CommandInfoWithArgs) -> String {
    let mut out = format!(".TH AUTHSOME 1 \"\" \"authsome {}\"\n.SH NAME\n", env!("CARGO_PKG_VERSION"));
    let description = table.description.trim_end_matches('.');
    let description = description.strip_prefix("A ").map_or(description.to_owned(), |rest| format!("a {rest}"));
    let _ = writeln!(out, "authsome \\- {}", escaped(&description));
    out.push_str(".SH SYNOPSIS\n.B authsome\n[GLOBAL OPTIONS] COMMAND [OPTIONS] [ARGUMENTS]\n.SH GLOBAL OPTIONS\n");
    for (flag, text) in GLOBAL_FLAGS {
        entry(&mut out, flag, text);
    }
    out.push_str(
        ".PP\nThese may stand before or after the command, but not behind the start of CMD of run.\n.SH COMMANDS\n",
    );
    for (path, command) in help::all(table).into_iter().filter(|(_, command)| command.commands.is_empty()) {
        describe(&mut out, &format!("authsome {}", path.join(" ")), command);
    }
    out.push_str(".SH OLDER NAMES\n");
    for (name, to) in ALIASES {
        entry(&mut out, name, &format!("The same as {}.", to.join(" ")));
    }
    out.push_str(".SH EXIT STATUS\n");
    for (status, text) in STATUSES {
        entry(&mut out, status, text);
    }
    out.push_str(".PP\nrun returns the status of its child.\n.SH ENVIRONMENT\n");
    for (name, text) in VARIABLES {
        entry(&mut out, name, text);
    }
    out
}

fn describe(out: &mut String, name: &str, command: &CommandInfoWithArgs) {
    let _ = writeln!(out, ".SS {}", escaped(&help::usage(name, command)));
    let _ = writeln!(out, "{}", escaped(command.description));
    for one in command.positionals {
        entry(out, &one.name.to_uppercase(), one.description);
    }
    for flag in help::options(command) {
        entry(out, &help::option(flag), flag.description);
    }
    for note in command.notes {
        let _ = writeln!(out, ".PP\n{}", escaped(note));
    }
    for example in command.examples {
        let _ = writeln!(out, ".PP\n.RS\n.nf\n{}\n.fi\n.RE", escaped(example));
    }
}

fn entry(out: &mut String, name: &str, text: &str) {
    let _ = writeln!(out, ".TP\n.B {}\n{}", escaped(name), escaped(text));
}

/// Text in which roff sees no request, no escape, and no dash that it may turn into something else.
fn escaped(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-");
    if escaped.starts_with(['.', '\'']) { format!("\\&{escaped}") } else { escaped }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_every_command_and_every_line_is_roff() {
        let table = commands::table();
        let page = page(&table);
        for (path, command) in help::all(&table) {
            if command.commands.is_empty() {
                assert!(page.contains(&escaped(&format!("authsome {}", path.join(" ")))), "{path:?}");
            }
        }
        let requests = [".TH", ".SH", ".SS", ".TP", ".B", ".PP", ".RS", ".RE", ".nf", ".fi"];
        for line in page.lines().filter(|line| line.starts_with(['.', '\''])) {
            assert!(requests.contains(&line.split(' ').next().unwrap_or_default()), "{line}");
        }
        assert_eq!(escaped(".a\\-b"), "\\&.a\\e\\-b");
    }
}
