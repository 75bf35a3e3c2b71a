//! `authsome completions`

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::str::FromStr;

use argh::{ArgsInfo, CommandInfoWithArgs, FlagInfo, FlagInfoKind, FromArgs};

use super::args::{ALIASES, GLOBAL_FLAGS};
use super::commands;
use super::context::Context;
use super::help;
use crate::error::Result;
use crate::provider::Registry;

/// Print a completion script for a shell.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "completions",
    example = "source <(authsome completions bash)",
    example = "authsome completions fish > ~/.config/fish/completions/authsome.fish",
    note = "Text, also with --json."
)]
pub(super) struct Completions {
    /// bash, zsh or fish
    #[argh(positional)]
    shell: Shell,
}

enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl FromStr for Shell {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "bash" => Ok(Self::Bash),
            "zsh" => Ok(Self::Zsh),
            "fish" => Ok(Self::Fish),
            _ => Err("expected bash, zsh or fish"),
        }
    }
}

impl Completions {
    pub(super) fn run(self, ctx: &Context) -> Result<()> {
        let table = commands::table();
        let script = match self.shell {
            Shell::Bash => bash(&table),
            Shell::Zsh => format!("#compdef authsome\nautoload -U +X bashcompinit && bashcompinit\n{}", bash(&table)),
            Shell::Fish => fish(&table),
        };
        ctx.out.bytes(script.as_bytes())
    }
}

/// Names of the flags that stand anywhere.
fn global_names() -> impl Iterator<Item = &'static str> {
    GLOBAL_FLAGS.iter().flat_map(|(flags, _)| flags.split(", ")).filter_map(|flag| flag.split(' ').next())
}

/// The values of an option, where they can be listed. A test holds them against its help.
fn values(option: &str) -> Option<Vec<&'static str>> {
    Some(match option {
        "--provider" => Registry::bundled_names().collect(),
        "--format" => vec!["env", "shell", "dotenv", "json", "github"],
        "--mode" => vec!["connected_allow", "connected_deny", "configured_allow", "configured_deny"],
        "--flow" => vec!["pkce", "device_code", "dcr_pkce", "api_key", "browser"],
        "--use" | "--export" => vec!["yes", "no"],
        _ => return None,
    })
}

/// What can stand behind a command without a dash before it. Nothing: a file name, or what only the user knows.
fn arguments(command: &CommandInfoWithArgs) -> Vec<&str> {
    match command.positionals.first().map(|one| one.name) {
        None => command.commands.iter().map(|one| one.name).collect(),
        Some("provider") => Registry::bundled_names().collect(),
        Some("shell") => vec!["bash", "zsh", "fish"],
        Some("method") => vec!["GET", "POST", "PUT", "DELETE"],
        Some(_) => Vec::new(),
    }
}

fn flags(command: &CommandInfoWithArgs) -> Vec<String> {
    let own = help::options(command).map(|flag| flag.long.to_owned());
    own.chain(global_names().map(str::to_owned)).collect()
}

/// Every command, the whole program and the older names included, each with the words that lead to it.
fn places(table: &CommandInfoWithArgs) -> Vec<(String, &CommandInfoWithArgs)> {
    let all = help::all(table).into_iter().map(|(path, command)| (path.join(" "), command));
    let aliases = ALIASES.iter().map(|(name, to)| ((*name).to_owned(), help::find(table, &to.map(str::to_owned))));
    std::iter::once((String::new(), table)).chain(all).chain(aliases).collect()
}

/// The options whose next word is a value. None of them is a switch elsewhere.
fn options_with_a_value(table: &CommandInfoWithArgs) -> BTreeSet<String> {
    let takes_one = |flag: &&FlagInfo<'_>| matches!(flag.kind, FlagInfoKind::Option { .. });
    let names = |flag: &FlagInfo<'_>| [Some(flag.long.to_owned()), flag.short.map(|short| format!("-{short}"))];
    let own = help::all(table)
        .into_iter()
        .flat_map(|(_, command)| help::options(command).filter(takes_one).flat_map(names).collect::<Vec<_>>());
    own.flatten().chain(["--log-file".to_owned()]).collect()
}

/// Follows the words that were typed as far as they name commands, then offers what can come next: the values of an
/// option, arguments, or options once a dash is typed. zsh reads it too, so that no variable may have a name that
/// means something there (`path`, `words`).
fn bash(table: &CommandInfoWithArgs) -> String {
    let places = places(table);
    let mut cases = String::new();
    for (place, command) in &places {
        let (mut arguments, flags) = (arguments(command), flags(command));
        if place.is_empty() {
            arguments.extend(ALIASES.iter().map(|(name, _)| *name));
        }
        if command.positionals.is_empty() && command.commands.is_empty() {
            arguments.extend(flags.iter().map(String::as_str));
        }
        let name = if place.is_empty() { String::new() } else { format!(" {place}") };
        let _ = writeln!(cases, "        '{name}') offer='{}' flags='{}' ;;", arguments.join(" "), flags.join(" "));
    }
    let with_value = options_with_a_value(table);
    let mut choices = String::new();
    for option in &with_value {
        if let Some(values) = values(option) {
            let _ = writeln!(choices, "        {option}) offer='{}' ;;", values.join(" "));
        }
    }
    let known: Vec<String> = places.iter().skip(1).map(|(place, _)| format!("' {place}'")).collect();
    BASH.replace("@known@", &known.join(" | "))
        .replace("@with_value@", &with_value.into_iter().collect::<Vec<_>>().join(" | "))
        .replace("@choices@", &choices)
        .replace("@cases@", &cases)
}

const BASH: &str = r#"_authsome() {
    local at='' offer='' flags='' word='' cur="${COMP_WORDS[COMP_CWORD]}" i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        word="${COMP_WORDS[i]}"
        if [[ $at == ' run' && ( $word == -- || $word != -* ) ]]; then
            if [[ $word == -- ]] && ((i + 1 == COMP_CWORD)); then
                COMPREPLY=($(compgen -c -- "$cur"))
            fi
            return
        fi
        case "$word" in
        @with_value@)
            ((i += 1))
            continue
            ;;
        esac
        case "$at $word" in
        @known@) at="$at $word" ;;
        esac
    done
    if ((i > COMP_CWORD)); then
        case "$word" in
@choices@        esac
        COMPREPLY=($(compgen -W "$offer" -- "$cur"))
        return
    fi
    case "$at" in
@cases@    esac
    if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W "$flags" -- "$cur"))
    elif [[ $at == ' run' ]]; then
        COMPREPLY=($(compgen -c -- "$cur"))
    else
        COMPREPLY=($(compgen -W "$offer" -- "$cur"))
    fi
}
complete -o bashdefault -o default -F _authsome authsome
"#;

fn fish(table: &CommandInfoWithArgs) -> String {
    let mut out = String::from("complete -c authsome -f\n");
    for (flags, text) in GLOBAL_FLAGS {
        let value = if flags.contains(' ') && flags.ends_with("PATH") { " -r -F" } else { "" };
        for name in flags.split(", ") {
            let name = name.split(' ').next().unwrap_or_default();
            let _ = writeln!(out, "complete -c authsome {}{value} -d {}", fish_flag(name), fish_quoted(text));
        }
    }
    for (name, to) in ALIASES {
        let text = format!("the same as {}", to.join(" "));
        let _ = writeln!(out, "complete -c authsome -n __fish_use_subcommand -a {name} -d {}", fish_quoted(&text));
    }
    for (path, command) in help::all(table) {
        let (name, before) = path.split_last().expect("a path has a name");
        let description = fish_quoted(command.description);
        let place = if before.is_empty() { "__fish_use_subcommand".to_owned() } else { fish_seen(before) };
        let _ = writeln!(out, "complete -c authsome -n {place} -a {name} -d {description}");
        fish_arguments(&mut out, &fish_seen(&path), command);
    }
    for (name, to) in ALIASES {
        fish_arguments(&mut out, &fish_seen(&[name]), help::find(table, &to.map(str::to_owned)));
    }
    out
}

/// The options of a command and what can stand behind it.
fn fish_arguments(out: &mut String, place: &str, command: &CommandInfoWithArgs) {
    for flag in help::options(command) {
        let short = flag.short.map(|short| format!("-s {short} ")).unwrap_or_default();
        let value = match (&flag.kind, values(flag.long)) {
            (FlagInfoKind::Switch, _) => String::new(),
            (FlagInfoKind::Option { .. }, None) => " -r".to_owned(),
            (FlagInfoKind::Option { .. }, Some(values)) => format!(" -x -a {}", fish_quoted(&values.join(" "))),
        };
        let text = fish_quoted(flag.description);
        let _ = writeln!(out, "complete -c authsome -n {place} {short}{}{value} -d {text}", fish_flag(flag.long));
    }
    let arguments = arguments(command);
    match command.positionals.first().map(|one| one.name) {
        Some("path") if arguments.is_empty() && command.positionals.len() == 1 => {
            let _ = writeln!(out, "complete -c authsome -n {place} -F");
        }
        Some("cmd") => {
            let _ = writeln!(out, "complete -c authsome -n {place} -x -a '(__fish_complete_subcommand --fcs-skip=2)'");
        }
        Some(_) if !arguments.is_empty() => {
            let _ = writeln!(out, "complete -c authsome -n {place} -a {}", fish_quoted(&arguments.join(" ")));
        }
        _ => {}
    }
}

/// The condition that all of these commands were typed.
fn fish_seen(path: &[&str]) -> String {
    let seen: Vec<String> = path.iter().map(|name| format!("__fish_seen_subcommand_from {name}")).collect();
    format!("'{}'", seen.join("; and "))
}

fn fish_flag(name: &str) -> String {
    match name.strip_prefix("--") {
        Some(long) => format!("-l {long}"),
        None => format!("-s {}", name.trim_start_matches('-')),
    }
}

fn fish_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// What bash offers after these words; the last one is being typed.
    fn offered(words: &[&str]) -> String {
        let script = format!(
            "{}\nCOMP_WORDS=({})\nCOMP_CWORD={}\n_authsome\nprintf '%s ' \"${{COMPREPLY[@]}}\"",
            bash(&commands::table()),
            words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
            words.len() - 1
        );
        let output = Command::new("bash").args(["--norc", "-c", &script]).output().expect("bash");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    #[test]
    fn bash_offers_commands_and_options_where_they_fit() {
        assert_eq!(offered(&["authsome", "onb"]), "onboard ");
        assert_eq!(offered(&["authsome", "provider", "reg"]), "register ");
        assert_eq!(offered(&["authsome", "--json", "login", "github", "--key"]), "--key-stdin ");
        assert_eq!(offered(&["authsome", "register", "--all"]), "--allow-local ");
        assert_eq!(offered(&["authsome", "run", "--", "x", "--j"]).trim(), "", "CMD is none of our business");
        assert!(offered(&["authsome", ""]).contains("daemon"));
        assert!(offered(&["authsome", "whoami", ""]).contains("--json"));
    }

    #[test]
    fn bash_offers_providers_values_and_programs() {
        assert_eq!(offered(&["authsome", "login", "opena"]), "openai ");
        assert_eq!(offered(&["authsome", "login", "--connection", "work", "opena"]), "openai ");
        assert_eq!(offered(&["authsome", "get", "opena"]), "openai ");
        assert_eq!(offered(&["authsome", "export", "--format", "git"]), "github ");
        assert_eq!(offered(&["authsome", "run", "--provider", "opena"]), "openai ");
        assert_eq!(offered(&["authsome", "completions", "f"]), "fish ");
        assert_eq!(offered(&["authsome", "login", "--connection", ""]).trim(), "", "only the user knows");
        assert_eq!(offered(&["authsome", "register", ""]).trim(), "", "files, which bash completes itself");
        for words in [&["authsome", "run", "bas"][..], &["authsome", "run", "--provider", "openai", "--", "bas"]] {
            assert!(offered(words).split(' ').any(|word| word == "bash"), "{words:?}");
        }
    }

    #[test]
    fn listed_values_are_those_of_the_help_and_an_option_takes_a_value_everywhere_or_nowhere() {
        let table = commands::table();
        let with_value = options_with_a_value(&table);
        for (path, command) in help::all(&table) {
            for flag in help::options(command) {
                let takes_one = matches!(flag.kind, FlagInfoKind::Option { .. });
                assert_eq!(with_value.contains(flag.long), takes_one, "{path:?} {}", flag.long);
                if takes_one && flag.long != "--provider" {
                    for value in values(flag.long).unwrap_or_default() {
                        assert!(flag.description.contains(value), "{path:?} {} {value}", flag.long);
                    }
                }
            }
        }
    }

    #[test]
    fn fish_lines_are_whole() {
        let script = fish(&commands::table());
        assert!(script.lines().all(|line| line.starts_with("complete -c authsome ")));
        assert!(script.lines().all(|line| line.replace("\\'", "").matches('\'').count() % 2 == 0), "quotes pair");
        assert!(script.contains(" -l key-stdin -d ") && script.contains(" -s n -l lines -r -d "));
        assert!(
            script
                .contains("'__fish_seen_subcommand_from provider; and __fish_seen_subcommand_from register' -l force")
        );
    }
}
