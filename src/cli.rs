//! The command line: one file a command, an argh struct and `run(self, ctx)`.

// Doc comments of argh structs are help texts, each of their flags is a bool, and commands have one shape.
#![allow(clippy::doc_markdown, clippy::struct_excessive_bools, clippy::unused_self)]

mod agent;
mod api;
mod args;
mod browser;
mod canary;
mod chrome;
mod commands;
mod completions;
mod connections;
mod context;
mod daemon;
mod debug_log;
mod doctor;
mod enrol;
mod export;
mod help;
mod interrupts;
mod json;
mod log;
mod login;
mod logout;
mod man;
mod onboard;
mod output;
mod pop;
mod progress;
mod provider;
mod quote;
mod run;
mod tail;
mod terminal;
mod ui;
mod whoami;

use std::env;
use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::sync::Arc;

use self::args::{Globals, Split};
use self::context::Context;
use self::debug_log::DebugLog;
use self::json::Json;
use self::output::{Output, OutputClosed, colour_wanted, report};
use crate::client::{Settings, VERSION, is_true};
use crate::error::{AuthsomeError, ErrorName, Result};
use crate::launch;
use crate::paths::Home;
use crate::provider::Registry;

/// Runs one command line, program name included, and says how the process should end.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().skip(1).collect();
    if launch::is_inside(&arguments) {
        return launch::enter(&arguments[1..]);
    }
    // Before the table is even built: scripts ask for the version again and again.
    if let [word] = arguments.as_slice()
        && (word == "--version" || word == "-v")
        && !json_in_environment()
    {
        let out = Output::default();
        return finish(out.line(&format!("authsome {VERSION}")).map(|()| 0), out, false);
    }
    let mut words = arguments.iter().take_while(|word| *word != "--");
    let globals = Globals {
        json: json_in_environment() || words.clone().any(|word| word == "--json"),
        no_color: words.any(|word| word == "--no-color"),
        ..Globals::default()
    };
    match args::split(arguments, &commands::table()) {
        Ok(split) => run(split),
        Err(error) => finish(Err(error), output(&globals), false),
    }
}

fn run(mut split: Split) -> ExitCode {
    split.globals.json |= json_in_environment();
    let out = output(&split.globals);
    if split.globals.version {
        let version = Json::object([("version", VERSION.into())]);
        return finish(out.answer(version, &format!("authsome {VERSION}")).map(|()| 0), out, false);
    }
    if split.globals.help {
        let text = help::render(&commands::table(), &split.path);
        return finish(out.bytes(text.as_bytes()).map(|()| 0), out, false);
    }
    let command = match commands::parse(&split) {
        Ok(command) => command,
        Err(error) => {
            show_commands(&split, out);
            return finish(Err(error), out, false);
        }
    };
    let quiet_stdout = command.leaves_stdout_to_a_child();
    let context = match context(&split, out) {
        Ok(context) => context,
        Err(error) => return finish(Err(error), out, quiet_stdout),
    };
    let name = split.path.join(" ");
    let result = command.run(&context, split.cmd);
    if let Err(error) = &result
        && !OutputClosed::is(error)
    {
        context.log().line(&format!("authsome {name}: {}", error.name()));
    }
    if let Err(error) = context.log().write()
        && split.globals.log_file.is_some()
    {
        out.warn(&error.to_string());
    }
    finish(result, out, quiet_stdout)
}

/// Who stops at the name of a group, or before any, wants to know what there is.
fn show_commands(split: &Split, out: Output) {
    let table = commands::table();
    if !out.json && !help::find(&table, &split.path).commands.is_empty() {
        out.aside(&help::render(&table, &split.path));
    }
}

fn context(split: &Split, out: Output) -> Result<Context> {
    let home = Home::from_env().ok_or_else(|| AuthsomeError::InvalidInput {
        what: "environment",
        reason: "neither AUTHSOME_HOME nor HOME is set".to_owned(),
    })?;
    let log = DebugLog::new(&home, split.globals.log_file.clone(), out.verbose);
    Ok(Context::new(home, Settings::from_env()?, out, Arc::new(log)))
}

fn output(globals: &Globals) -> Output {
    let colour = !globals.no_color && colour_wanted();
    Output {
        json: globals.json,
        quiet: globals.quiet,
        verbose: globals.verbose,
        colour: colour && io::stdout().is_terminal(),
        colour_errors: colour && io::stderr().is_terminal(),
    }
}

fn json_in_environment() -> bool {
    env::var("AUTHSOME_JSON").is_ok_and(|value| is_true(&value))
}

/// Reports a failure and gives the exit status. A reader that went away is no failure.
fn finish(result: Result<u8>, out: Output, errors_to_stderr: bool) -> ExitCode {
    match result {
        Ok(status) => ExitCode::from(status),
        Err(error) if OutputClosed::is(&error) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error, suggestion(&error), out, errors_to_stderr);
            ExitCode::from(error.exit_code())
        }
    }
}

/// A better hint than the usual one: the provider that a name was most likely meant to be, what to do about a login.
fn suggestion(error: &AuthsomeError) -> Option<String> {
    if let AuthsomeError::AuthenticationFailed { provider: Some(provider), reason } = error {
        return Some(login::hint(provider, reason));
    }
    let wrong = error.provider().filter(|_| error.name() == ErrorName::ProviderNotFound)?;
    let name = args::nearest(wrong, Registry::bundled_names())?;
    Some(format!("did you mean {name}? see what there is: authsome provider list"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_with_a_slip_of_the_finger_is_guessed() {
        let guess = |provider: &str| suggestion(&AuthsomeError::ProviderNotFound { provider: provider.to_owned() });
        assert!(guess("opena").expect("near").contains("did you mean openai?"));
        assert!(guess("githbu").expect("near").contains("did you mean github?"));
        assert_eq!(guess("nosuch"), None);
        assert_eq!(suggestion(&AuthsomeError::NoIdentity), None);
    }
}
