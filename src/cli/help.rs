//! Help texts, from the command table.

use std::fmt::Write as _;

use argh::{CommandInfoWithArgs, FlagInfo, FlagInfoKind, Optionality, PositionalInfo};

use super::args::{ALIASES, GLOBAL_FLAGS};

/// Column in which descriptions start, and where lines end.
const INDENT: usize = 26;
const WIDTH: usize = 100;

/// The help of the command at `path`; of the whole program when it is empty.
pub(super) fn render(table: &CommandInfoWithArgs, path: &[String]) -> String {
    let command = find(table, path);
    let mut name = vec!["authsome"];
    name.extend(path.iter().map(String::as_str));
    let mut out = format!("{}\n\nUsage: {}\n", command.description, usage(&name.join(" "), command));
    let arguments: Vec<_> = command.positionals.iter().map(|one| (one.name.to_uppercase(), one.description)).collect();
    section(&mut out, "Arguments", &arguments);
    let commands: Vec<_> = command.commands.iter().map(|one| (one.name.to_owned(), one.command.description)).collect();
    section(&mut out, "Commands", &commands);
    section(&mut out, "Options", &options(command).map(|flag| (option(flag), flag.description)).collect::<Vec<_>>());
    if path.is_empty() {
        section(&mut out, "Global options", &GLOBAL_FLAGS.map(|(flag, text)| (flag.to_owned(), text)));
        let texts = ALIASES.map(|(_, to)| to.join(" "));
        let names = ALIASES.iter().map(|(name, _)| (*name).to_owned());
        section(&mut out, "Older names", &names.zip(texts.iter().map(String::as_str)).collect::<Vec<_>>());
    }
    lines(&mut out, "Examples", command.examples);
    lines(&mut out, "Notes", command.notes);
    if !path.is_empty() {
        out.push_str("\nGlobal options (--json, --quiet, ...): see authsome --help\n");
    }
    out
}

/// The command at the end of `path`.
pub(super) fn find<'a>(table: &'a CommandInfoWithArgs, path: &[String]) -> &'a CommandInfoWithArgs {
    path.iter().fold(table, |command, name| {
        command.commands.iter().find(|one| one.name == name).map_or(command, |one| &one.command)
    })
}

/// Every command with its whole name, the groups included, in the order of the table.
pub(super) fn all(table: &CommandInfoWithArgs) -> Vec<(Vec<&str>, &CommandInfoWithArgs)> {
    fn walk<'a>(
        at: &[&'a str],
        command: &'a CommandInfoWithArgs,
        out: &mut Vec<(Vec<&'a str>, &'a CommandInfoWithArgs)>,
    ) {
        for one in &command.commands {
            let name = [at, &[one.name]].concat();
            out.push((name.clone(), &one.command));
            walk(&name, &one.command, out);
        }
    }
    let mut out = Vec::new();
    walk(&[], table, &mut out);
    out
}

/// The options of a command that people are told about.
pub(super) fn options(command: &CommandInfoWithArgs) -> impl Iterator<Item = &FlagInfo<'_>> {
    command.flags.iter().filter(|flag| !flag.hidden && flag.long != "--help")
}

/// `-n, --lines COUNT`
pub(super) fn option(flag: &FlagInfo<'_>) -> String {
    let short = flag.short.map(|short| format!("-{short}, ")).unwrap_or_default();
    match &flag.kind {
        FlagInfoKind::Switch => format!("{short}{}", flag.long),
        FlagInfoKind::Option { arg_name } => format!("{short}{} {}", flag.long, arg_name.to_uppercase()),
    }
}

/// How the command is written.
pub(super) fn usage(name: &str, command: &CommandInfoWithArgs) -> String {
    let mut text = name.to_owned();
    if options(command).next().is_some() {
        text.push_str(" [OPTIONS]");
    }
    if !command.commands.is_empty() {
        text.push_str(" COMMAND");
    }
    for one in command.positionals.iter().filter(|one| !one.hidden) {
        let _ = write!(text, " {}", positional(one));
    }
    text
}

fn positional(one: &PositionalInfo<'_>) -> String {
    let name = one.name.to_uppercase();
    match one.optionality {
        Optionality::Required => name,
        Optionality::Optional => format!("[{name}]"),
        Optionality::Repeating => format!("[{name}...]"),
        // Only CMD of `run` is such.
        Optionality::Greedy => format!("[--] {name} [ARG...]"),
    }
}

fn section(out: &mut String, title: &str, rows: &[(String, &str)]) {
    if rows.is_empty() {
        return;
    }
    let _ = write!(out, "\n{title}:\n");
    for (name, text) in rows {
        let mut line = format!("  {name:width$}", width = INDENT - 3);
        if line.chars().count() > INDENT - 1 {
            out.push_str(&line);
            out.push('\n');
            line = " ".repeat(INDENT - 1);
        }
        wrapped(out, line, INDENT - 1, text);
    }
}

fn lines(out: &mut String, title: &str, texts: &[&str]) {
    if texts.is_empty() {
        return;
    }
    let _ = write!(out, "\n{title}:\n");
    for text in texts {
        wrapped(out, " ".to_owned(), 1, text);
    }
}

/// Appends `text` behind `line`; further lines start at `indent`. A space comes before each word.
fn wrapped(out: &mut String, mut line: String, indent: usize, text: &str) {
    for word in text.split_ascii_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            out.push_str(line.trim_end());
            out.push('\n');
            line = " ".repeat(indent);
        }
        line.push(' ');
        line.push_str(word);
    }
    out.push_str(line.trim_end());
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::commands::table;

    #[test]
    fn every_command_has_a_description_an_example_and_described_options() {
        let table = table();
        assert!(!table.examples.is_empty());
        let commands = all(&table);
        assert!(commands.len() > 30, "the table is whole");
        for (path, command) in commands {
            let name = path.join(" ");
            assert!(command.description.ends_with('.'), "{name}: {}", command.description);
            assert!(command.examples.iter().any(|example| example.contains(&format!("authsome {name}"))), "{name}");
            for flag in options(command) {
                assert!(!flag.description.is_empty(), "{name} {}", flag.long);
            }
            for one in command.positionals {
                assert!(!one.description.is_empty(), "{name} {}", one.name);
            }
        }
    }

    #[test]
    fn help_shows_how_a_command_is_written() {
        let of = |path: &[&str]| render(&table(), &path.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        let login = of(&["login"]);
        assert!(login.contains("Usage: authsome login [OPTIONS] PROVIDER\n"), "{login}");
        assert!(login.contains("--connection NAME") && login.contains("Global options"), "{login}");
        let run = of(&["run"]);
        assert!(run.contains("Usage: authsome run [OPTIONS] [--] CMD [ARG...]\n"), "{run}");
        let root = of(&[]);
        assert!(root.contains("Usage: authsome COMMAND\n") && root.contains("onboard"), "{root}");
        assert!(!of(&["daemon", "serve"]).contains("detached"), "hidden options stay hidden");
        assert!(root.lines().chain(login.lines()).all(|line| line.chars().count() <= WIDTH));
    }
}
