//! The command line before argh sees it: global flags are taken out wherever they stand, the words of `run`'s CMD are
//! set aside untouched, and what is wrong is said without repeating it, since it may be a secret.
//!
//! What takes a value is read from the command table ([`super::commands::table`]), so that a value that looks like a
//! flag stays a value.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use argh::{CommandInfoWithArgs, FlagInfo, FlagInfoKind};

use crate::error::{AuthsomeError, Result};

/// Flags of the whole program.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Globals {
    pub(super) json: bool,
    pub(super) quiet: bool,
    pub(super) no_color: bool,
    pub(super) verbose: bool,
    pub(super) version: bool,
    pub(super) help: bool,
    pub(super) log_file: Option<PathBuf>,
}

/// Global flags as help and completions show them.
pub(super) const GLOBAL_FLAGS: [(&str, &str); 7] = [
    ("--json", "one JSON object on stdout instead of text"),
    ("--quiet", "no notes on stderr"),
    ("--no-color", "no colour"),
    ("--verbose", "say on stderr what the client does"),
    ("--log-file PATH", "write the client's debug log there; empty: nowhere"),
    ("-h, --help", "show help"),
    ("-v, --version", "show the version"),
];

/// Older names that the documentation still uses.
pub(super) const ALIASES: [(&str, [&str; 2]); 6] = [
    ("list", ["provider", "list"]),
    ("get", ["connections", "inspect"]),
    ("inspect", ["provider", "inspect"]),
    ("register", ["provider", "register"]),
    ("revoke", ["provider", "revoke"]),
    ("remove", ["provider", "remove"]),
];

/// A command line in parts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Split {
    pub(super) globals: Globals,
    /// Names of the command, without options: `["provider", "list"]`.
    pub(super) path: Vec<String>,
    /// What argh reads: the path, then options and positionals.
    pub(super) words: Vec<String>,
    /// CMD and its words, as they came.
    pub(super) cmd: Vec<OsString>,
}

/// Takes `arguments` (without the program's name) apart.
///
/// # Errors
/// `Usage` for what the table does not know.
pub(super) fn split(arguments: impl IntoIterator<Item = OsString>, table: &CommandInfoWithArgs) -> Result<Split> {
    let mut splitter = Splitter {
        rest: arguments.into_iter().collect::<Vec<_>>().into_iter(),
        command: table,
        split: Split { globals: Globals::default(), path: Vec::new(), words: Vec::new(), cmd: Vec::new() },
    };
    while let Some(argument) = splitter.rest.next() {
        if splitter.take(argument)? {
            break;
        }
    }
    Ok(splitter.split)
}

struct Splitter<'a> {
    rest: std::vec::IntoIter<OsString>,
    command: &'a CommandInfoWithArgs,
    split: Split,
}

impl Splitter<'_> {
    /// Sorts one argument. Whether everything after it is settled too.
    fn take(&mut self, argument: OsString) -> Result<bool> {
        let word = argument.to_str().unwrap_or_default();
        if word == "--" {
            self.take_rest_as_it_is()?;
            return Ok(true);
        }
        if word.len() > 1 && word.starts_with('-') {
            return self.take_option(word).map(|()| false);
        }
        if argument.as_encoded_bytes().starts_with(b"--log-file=") {
            // Its path need not be UTF-8, all other options are.
            self.take_log_file(&argument);
            return Ok(false);
        }
        if self.is_run() {
            self.split.cmd.push(argument);
            self.split.cmd.extend(self.rest.by_ref());
            return Ok(true);
        }
        let word = utf8(argument)?;
        if self.command.commands.is_empty() {
            self.split.words.push(word);
        } else {
            self.descend(&word)?;
        }
        Ok(false)
    }

    fn is_run(&self) -> bool {
        self.split.path == ["run"]
    }

    fn take_rest_as_it_is(&mut self) -> Result<()> {
        if self.is_run() {
            self.split.cmd.extend(self.rest.by_ref());
            return Ok(());
        }
        self.split.words.push("--".to_owned());
        for argument in self.rest.by_ref() {
            self.split.words.push(utf8(argument)?);
        }
        Ok(())
    }

    fn take_option(&mut self, word: &str) -> Result<()> {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) if word.starts_with("--") => (name, Some(value)),
            _ => (word, None),
        };
        if self.take_global(name, value)? {
            return Ok(());
        }
        let Some(flag) = self.command.flags.iter().find(|flag| is_called(flag, name)) else {
            return Err(usage(format!("unknown option{}", shown(name)), &self.split.path));
        };
        self.split.words.push(flag.long.to_owned());
        match (&flag.kind, value) {
            (FlagInfoKind::Switch, None) => {}
            (FlagInfoKind::Switch, Some(_)) => {
                return Err(usage(format!("{} takes no value", flag.long), &self.split.path));
            }
            (FlagInfoKind::Option { .. }, Some(value)) => self.split.words.push(value.to_owned()),
            (FlagInfoKind::Option { .. }, None) => match self.rest.next() {
                Some(value) => self.split.words.push(utf8(value)?),
                None => return Err(usage(format!("{} needs a value", flag.long), &self.split.path)),
            },
        }
        Ok(())
    }

    fn take_global(&mut self, name: &str, value: Option<&str>) -> Result<bool> {
        let globals = &mut self.split.globals;
        let switch = match name {
            "--json" => &mut globals.json,
            "--quiet" => &mut globals.quiet,
            "--no-color" => &mut globals.no_color,
            "--verbose" => &mut globals.verbose,
            "-v" | "--version" => &mut globals.version,
            "-h" | "--help" => &mut globals.help,
            "--log-file" => {
                let path = value.map(OsString::from).or_else(|| self.rest.next());
                globals.log_file =
                    Some(path.ok_or_else(|| usage("--log-file needs a value".to_owned(), &self.split.path))?.into());
                return Ok(true);
            }
            _ => return Ok(false),
        };
        if value.is_some() {
            return Err(usage(format!("{name} takes no value"), &self.split.path));
        }
        *switch = true;
        Ok(true)
    }

    fn take_log_file(&mut self, argument: &OsStr) {
        use std::os::unix::ffi::OsStrExt as _;
        let path = OsStr::from_bytes(&argument.as_bytes()[b"--log-file=".len()..]);
        self.split.globals.log_file = Some(path.into());
    }

    /// Follows the name of a command, through an older one if it is such.
    fn descend(&mut self, word: &str) -> Result<()> {
        let alias = ALIASES.iter().find(|(name, _)| self.split.path.is_empty() && *name == word);
        let names: Vec<&str> = alias.map_or(vec![word], |(_, names)| names.to_vec());
        if self.split.path.is_empty() && word == "help" {
            self.split.globals.help = true;
            return Ok(());
        }
        for name in names {
            let found = self.command.commands.iter().find(|command| command.name == name);
            let Some(found) = found else { return Err(unknown_command(word, self.command, &self.split.path)) };
            self.command = &found.command;
            self.split.path.push(name.to_owned());
            self.split.words.push(name.to_owned());
        }
        Ok(())
    }
}

fn is_called(flag: &FlagInfo<'_>, name: &str) -> bool {
    let is_short = |short: char| name.strip_prefix('-').is_some_and(|rest| rest.chars().eq([short]));
    flag.long == name || flag.short.is_some_and(is_short)
}

/// ` NAME` when it can be nothing but the name of an option or command, else nothing.
pub(super) fn shown(name: &str) -> String {
    let letters = name.trim_start_matches('-');
    let is_name =
        (1..=24).contains(&letters.len()) && letters.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    if is_name { format!(" {name}") } else { String::new() }
}

fn unknown_command(word: &str, command: &CommandInfoWithArgs, path: &[String]) -> AuthsomeError {
    let aliases = ALIASES.iter().filter(|_| path.is_empty()).map(|(name, _)| *name);
    let known = command.commands.iter().map(|command| command.name).chain(aliases);
    let what = if path.is_empty() { "command".to_owned() } else { format!("{} command", path.join(" ")) };
    let text = format!("unknown {what}{}", shown(word));
    match nearest(word, known) {
        Some(name) => usage(format!("{text}; did you mean {name}?"), path),
        None => usage(text, path),
    }
}

/// The one of `known` that `word` was most likely meant to be.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let (steps, name) = known.into_iter().map(|name| (distance(word, name), name)).min()?;
    is_near(word, name, steps).then_some(name)
}

/// Whether `word` looks like a slip of the finger: one letter, or two behind a first letter that is right.
fn is_near(word: &str, name: &str, steps: usize) -> bool {
    let starts_alike = word.chars().next() == name.chars().next();
    word.len() > 2 && (steps == 1 || (steps == 2 && starts_alike))
}

/// How many letters must change to get from one word to the other (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let changed = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

fn utf8(argument: OsString) -> Result<String> {
    argument.into_string().map_err(|_| usage("an argument is not valid UTF-8".to_owned(), &[]))
}

/// A usage error with the help that fits.
pub(super) fn usage(reason: String, path: &[String]) -> AuthsomeError {
    let command: Vec<&str> = std::iter::once("authsome").chain(path.iter().map(String::as_str)).collect();
    AuthsomeError::Usage { reason, hint: Some(format!("see: {} --help", command.join(" "))) }
}

/// argh's complaint in our words. Its own text repeats values, and one of them may be a secret in the wrong place.
pub(super) fn from_argh(output: &str, split: &Split) -> AuthsomeError {
    let output = output.trim_end();
    if let Some(missing) = output.strip_prefix("Required positional arguments not provided:") {
        let names: Vec<String> = missing.split_whitespace().map(str::to_uppercase).collect();
        return usage(format!("missing {}", names.join(" ")), &split.path);
    }
    if output.starts_with("One of the following subcommands") {
        return usage("a command is missing".to_owned(), &split.path);
    }
    for pair in split.words.windows(2) {
        let echoed = format!("Error parsing option '{}' with value '{}': ", pair[0], pair[1]);
        if let Some(problem) = output.strip_prefix(&echoed) {
            return usage(format!("{}: {}", pair[0], plain(problem)), &split.path);
        }
    }
    let positional = output.strip_prefix("Error parsing positional argument '");
    if let Some((name, echoed)) = positional.and_then(|rest| rest.split_once("' with value '")) {
        let told = split.words.iter().find_map(|word| echoed.strip_prefix(word.as_str())?.strip_prefix("': "));
        if let Some(problem) = told {
            return usage(format!("{}: {}", name.to_uppercase(), plain(problem)), &split.path);
        }
    }
    usage("there is an argument too many, or one that does not fit".to_owned(), &split.path)
}

/// What the standard library says about a number, in words for people.
fn plain(problem: &str) -> &str {
    match problem {
        "invalid digit found in string" | "cannot parse integer from empty string" => "expected a number",
        "number too large to fit in target type" => "the number is too large",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;
    use crate::cli::commands::table;

    fn of(line: &str) -> Result<Split> {
        split(line.split_ascii_whitespace().map(OsString::from), &table())
    }

    fn words(line: &str) -> Vec<String> {
        of(line).expect(line).words
    }

    #[test]
    fn global_flags_are_taken_wherever_they_stand() {
        for line in ["--json whoami", "whoami --json", "--json --json whoami"] {
            let split = of(line).expect(line);
            assert!(split.globals.json);
            assert_eq!(split.words, ["whoami"]);
        }
        let split = of("login --quiet github --no-color --verbose --log-file=/x --force").expect("splits");
        assert_eq!(split.words, ["login", "github", "--force"]);
        assert_eq!(split.path, ["login"]);
        assert!(split.globals.quiet && split.globals.no_color && split.globals.verbose);
        assert_eq!(split.globals.log_file, Some("/x".into()));
        assert!(of("-v").expect("splits").globals.version && of("whoami --version").expect("splits").globals.version);
        assert!(of("login -h").expect("splits").globals.help && of("help login").expect("splits").globals.help);
    }

    #[test]
    fn a_value_that_looks_like_a_flag_is_a_value() {
        assert_eq!(words("login github --connection --json"), ["login", "github", "--connection", "--json"]);
        assert_eq!(words("api POST /x --data --help"), ["api", "POST", "/x", "--data", "--help"]);
        assert_eq!(words("login x --connection=--quiet"), ["login", "x", "--connection", "--quiet"]);
        assert_eq!(words("login -- --json"), ["login", "--", "--json"]);
        assert_eq!(words("log -n 5"), ["log", "--lines", "5"]);
        assert_eq!(of("--log-file --json whoami").expect("splits").globals.log_file, Some("--json".into()));
    }

    #[test]
    fn the_words_of_cmd_are_untouched() {
        for (line, cmd) in [
            ("run -- curl --json -v --help", vec!["curl", "--json", "-v", "--help"]),
            ("run curl --json -- -v", vec!["curl", "--json", "--", "-v"]),
            ("run --provider a,b --json -- x", vec!["x"]),
            ("--json run --quiet x --quiet", vec!["x", "--quiet"]),
            ("run -- -- x", vec!["--", "x"]),
            ("run -- --provider", vec!["--provider"]),
            ("run", vec![]),
        ] {
            assert_eq!(of(line).expect(line).cmd, cmd.into_iter().map(OsString::from).collect::<Vec<_>>(), "{line}");
        }
        assert!(!of("run x --json").expect("splits").globals.json);
        assert!(of("run --json x").expect("splits").globals.json);
        let empty = split(["run", ""].map(OsString::from), &table()).expect("splits");
        assert_eq!(empty.cmd, [OsString::new()]);
    }

    #[test]
    fn cmd_need_not_be_utf8_and_everything_else_must() {
        let raw = OsString::from_vec(vec![b'a', 0xff]);
        let with = |before: &[&str]| {
            let arguments = before.iter().map(OsString::from).chain([raw.clone()]);
            split(arguments, &table())
        };
        assert_eq!(with(&["run"]).expect("CMD itself").cmd, std::slice::from_ref(&raw));
        assert_eq!(with(&["run", "--", "x"]).expect("its words").cmd[1], raw);
        assert_eq!(with(&["run", "x"]).expect("its words").cmd[1], raw);
        assert_eq!(with(&["--log-file"]).expect("a path").globals.log_file, Some(PathBuf::from(&raw)));
        let joined = OsString::from_vec(b"--log-file=a\xff".to_vec());
        assert_eq!(split([joined], &table()).expect("a path").globals.log_file, Some(PathBuf::from(&raw)));
        for before in [&["login"][..], &["login", "--connection"], &["login", "--"], &[]] {
            assert!(matches!(with(before), Err(AuthsomeError::Usage { .. })), "{before:?}");
        }
    }

    #[test]
    fn older_names_still_work() {
        assert_eq!(words("list"), ["provider", "list"]);
        assert_eq!(words("get github --field status"), ["connections", "inspect", "github", "--field", "status"]);
        assert_eq!(of("register x.json").expect("splits").path, ["provider", "register"]);
        assert!(of("provider register list").is_ok(), "only as the first word");
    }

    #[test]
    fn what_is_wrong_is_said_without_repeating_secrets() {
        for (line, expected) in [
            ("whomi github", "did you mean whoami?"),
            ("provider lst", "did you mean list?"),
            ("lgoin openai", "did you mean login?"),
            ("sk-live-51Hunter2", "unknown command"),
            ("login --sk-live-51Hunter2", "unknown option"),
            ("login --token=Hunter2", "unknown option --token"),
            ("login --force=Hunter2", "--force takes no value"),
            ("login --connection", "--connection needs a value"),
            ("--json=Hunter2", "--json takes no value"),
        ] {
            let error = of(line).expect_err(line);
            assert!(error.to_string().contains(expected), "{line}: {error}");
            assert!(!error.to_string().contains("Hunter2"), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
    }

    #[test]
    fn a_word_that_only_looks_a_little_like_a_command_suggests_none() {
        let error = of("daemon bogus").expect_err("unknown").to_string();
        assert_eq!(error, "unknown daemon command bogus");
    }

    #[test]
    fn every_command_of_the_contract_is_there() {
        for line in [
            "onboard --base-url x --scan-only --browser --yes",
            "login p --connection n --flow pkce --scopes a,b --base-url u --force --key-stdin --no-browser --wait --no-wait",
            "logout p --connection n",
            "run --provider a --connection p=c --mode connected_allow --isolate --require-isolation --allow-host h --no-redact x",
            "export p --connection n --format env",
            "provider list",
            "provider inspect p",
            "provider register f --force --yes --allow-local",
            "provider revoke p",
            "provider remove p",
            "connections list",
            "connections inspect p --connection n --field f --show-secret",
            "connections set-default p c",
            "connections set-global p c",
            "connections unset-global p",
            "connections rebind p c",
            "agent create --handle h",
            "agent use h",
            "agent list",
            "agent inspect h",
            "agent grant h --use --no-export",
            "agent forget h --yes",
            "whoami",
            "doctor",
            "log -n 5 --raw --follow",
            "daemon serve --host h --port 1",
            "daemon start",
            "daemon stop",
            "daemon restart",
            "daemon status",
            "daemon logs",
            "pop GET /x --data b",
            "api GET /x --data b",
            "completions bash",
            "man",
        ] {
            let split = of(line).expect(line);
            crate::cli::commands::parse(&split).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }

    #[test]
    fn arghs_complaints_are_told_in_our_words() {
        for (line, expected) in [
            ("login", "missing PROVIDER"),
            ("pop", "missing METHOD PATH"),
            ("daemon serve --port Hunter2", "--port: expected a number"),
            ("daemon serve --port 70000", "--port: the number is too large"),
            ("completions Hunter2", "SHELL: expected bash, zsh or fish"),
            ("login openai --flow Hunter2", "--flow: expected pkce, device_code, dcr_pkce, api_key or browser"),
            ("agent grant calm-fox --export Hunter2", "an argument too many"),
            ("login a Hunter2", "an argument too many"),
            ("provider", "a command is missing"),
            ("", "a command is missing"),
        ] {
            let split = of(line).expect(line);
            let error = crate::cli::commands::parse(&split).err().expect(line);
            assert!(error.to_string().contains(expected), "{line}: {error}");
            assert!(!error.to_string().contains("Hunter2"), "{error}");
        }
    }
}
