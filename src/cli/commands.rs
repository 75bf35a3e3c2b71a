//! The command table: argh structs are its rows. Parsing, help, completions and the man page all read it.

use std::ffi::OsString;

use argh::{ArgsInfo, CommandInfoWithArgs, FromArgs};

use super::args::{Split, from_argh};
use super::context::Context;
use super::{
    agent, api, completions, connections, daemon, doctor, export, log, login, logout, man, onboard, pop, provider, run,
    ui, whoami,
};
use crate::error::Result;

/// A credential gateway: programs call APIs with your keys and never see them.
#[derive(FromArgs, ArgsInfo)]
#[argh(example = "authsome onboard", example = "authsome login openai", example = "authsome run -- python agent.py")]
struct CommandLine {
    #[argh(subcommand)]
    command: Command,
}

#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
pub(super) enum Command {
    Onboard(onboard::Onboard),
    Login(login::Login),
    Logout(logout::Logout),
    Run(run::Run),
    Export(export::Export),
    Provider(provider::Provider),
    Connections(connections::Connections),
    Agent(agent::Agent),
    Whoami(whoami::Whoami),
    Doctor(doctor::Doctor),
    Log(log::Log),
    Daemon(daemon::Daemon),
    Ui(ui::Ui),
    Pop(pop::Pop),
    Api(api::Api),
    Completions(completions::Completions),
    Man(man::Man),
}

/// Everything that can be written on a command line.
pub(super) fn table() -> CommandInfoWithArgs {
    let mut table = CommandLine::get_args_info();
    table.name = "authsome";
    table
}

/// Reads the words that belong to us.
///
/// # Errors
/// `Usage`, without repeating values.
pub(super) fn parse(split: &Split) -> Result<Command> {
    let words: Vec<&str> = split.words.iter().map(String::as_str).collect();
    match CommandLine::from_args(&["authsome"], &words) {
        Ok(line) => Ok(line.command),
        Err(early) => Err(from_argh(&early.output, split)),
    }
}

impl Command {
    /// Runs the command; the exit status when nothing failed.
    pub(super) fn run(self, ctx: &Context, cmd: Vec<OsString>) -> Result<u8> {
        match self {
            Self::Run(command) => return command.run(ctx, cmd),
            Self::Doctor(command) => return command.run(ctx),
            Self::Daemon(command) => return command.run(ctx),
            Self::Onboard(command) => command.run(ctx),
            Self::Login(command) => command.run(ctx),
            Self::Logout(command) => command.run(ctx),
            Self::Export(command) => command.run(ctx),
            Self::Provider(command) => command.run(ctx),
            Self::Connections(command) => command.run(ctx),
            Self::Agent(command) => command.run(ctx),
            Self::Whoami(command) => command.run(ctx),
            Self::Log(command) => command.run(ctx),
            Self::Ui(command) => command.run(ctx),
            Self::Pop(command) => command.run(ctx),
            Self::Api(command) => command.run(ctx),
            Self::Completions(command) => command.run(ctx),
            Self::Man(command) => command.run(ctx),
        }
        .map(|()| 0)
    }

    /// Whether stdout is the child's, so that our own words all go to stderr.
    pub(super) fn leaves_stdout_to_a_child(&self) -> bool {
        matches!(self, Self::Run(_))
    }
}
