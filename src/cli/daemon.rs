//! `authsome daemon`

use std::path::Path;

use argh::{ArgsInfo, FromArgs};

use super::context::Context;
use super::json::Json;
use super::tail;
use crate::client::{Client, DEFAULT_PORT, State, Target};
use crate::daemon::{ServeOptions, serve};
use crate::error::{AuthsomeError, Result};

/// Exit status of `status` when no daemon runs.
const NOT_RUNNING: u8 = 1;

/// Serve, start, stop and look at the local daemon.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "daemon", example = "authsome daemon status")]
pub(super) struct Daemon {
    #[argh(subcommand)]
    command: Command,
}

#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
enum Command {
    Serve(Serve),
    Start(Start),
    Stop(Stop),
    Restart(Restart),
    Status(Status),
    Logs(Logs),
}

/// Run the daemon in the foreground.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "serve", example = "authsome daemon serve --host 0.0.0.0 --port 7998")]
struct Serve {
    /// address to listen on (default: AUTHSOME_HOST, else 127.0.0.1)
    #[argh(option, arg_name = "address")]
    host: Option<String>,

    /// port to listen on, 0 for a free one (default: AUTHSOME_PORT, else 7998 for the default home)
    #[argh(option, arg_name = "port")]
    port: Option<u16>,

    /// leave the terminal of the command that started us
    #[argh(switch, hidden_help)]
    detached: bool,
}

/// Start the local daemon unless it runs.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "start", example = "authsome daemon start")]
struct Start {}

/// Stop the local daemon.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "stop", example = "authsome daemon stop")]
struct Stop {}

/// Stop the local daemon and start it again.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "restart", example = "authsome daemon restart")]
struct Restart {}

/// Say whether the daemon runs; exit status 1 when it does not.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "status", example = "authsome daemon status --json")]
struct Status {}

/// Show the local daemon's log.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "logs", example = "authsome daemon logs --follow")]
struct Logs {
    /// how many lines (default: 100)
    #[argh(option, short = 'n', arg_name = "count", default = "100")]
    lines: usize,

    /// go on with what is added
    #[argh(switch)]
    follow: bool,
}

impl Daemon {
    pub(super) fn run(self, ctx: &Context) -> Result<u8> {
        match self.command {
            Command::Serve(command) => command.run(ctx),
            Command::Start(_) => start(ctx),
            Command::Stop(_) => stop(ctx),
            Command::Restart(_) => restart(ctx),
            Command::Logs(command) => command.run(ctx),
            Command::Status(_) => return status(ctx),
        }
        .map(|()| 0)
    }
}

impl Serve {
    fn run(self, ctx: &Context) -> Result<()> {
        if self.detached {
            // The terminal's end must not reach us. It fails when we lead a group already: then nothing needs doing.
            let _ = nix::unistd::setsid();
        }
        let from_environment = std::env::var("AUTHSOME_HOST").ok().filter(|host| !host.is_empty());
        let host = self.host.or(from_environment).unwrap_or_else(|| "127.0.0.1".to_owned());
        let usual = if ctx.home().is_default() { DEFAULT_PORT } else { 0 };
        let port = self.port.or(ctx.settings().port).unwrap_or(usual);
        serve(&ServeOptions { home: ctx.home().clone(), host, port })
    }
}

fn start(ctx: &Context) -> Result<()> {
    let daemon = ctx.local_daemon("start")?;
    let ran = matches!(daemon.state(), State::Running(_));
    let url = daemon.ensure()?;
    let (status, verb) = if ran { ("running", "runs already") } else { ("started", "started") };
    let message = format!("The daemon {verb} at {url}.");
    ctx.out.answer(outcome(status, &message), &message)
}

fn stop(ctx: &Context) -> Result<()> {
    let stopped = ctx.local_daemon("stop")?.stop()?;
    let (status, message) =
        if stopped { ("stopped", "The daemon has stopped.") } else { ("not_stopped", "No daemon runs.") };
    ctx.out.answer(outcome(status, message), message)
}

fn restart(ctx: &Context) -> Result<()> {
    let daemon = ctx.local_daemon("restart")?;
    daemon.stop()?;
    let message = format!("The daemon started again at {}.", daemon.ensure()?);
    ctx.out.answer(outcome("restarted", &message), &message)
}

fn outcome(status: &str, message: &str) -> Json {
    Json::object([("status", status.into()), ("message", message.into())])
}

fn status(ctx: &Context) -> Result<u8> {
    let found = match Target::select(ctx.home(), ctx.settings())? {
        Target::Named(url) => Found {
            sentence: format!("The daemon at {url} answers."),
            otherwise: format!("No daemon answers at {url}."),
            target: Some(Target::Named(url)),
        },
        Target::Local => Found::local(ctx.local_daemon("status")?.state()),
    };
    let health = found.target.and_then(|target| health(&ctx.unsigned(target)));
    let runs = health.is_some();
    if ctx.out.json {
        let path = |path: &Path| Json::from(path.display().to_string());
        ctx.out.object(Json::object([
            ("running", runs.into()),
            ("health", health.unwrap_or(Json::Null)),
            ("pid_file", path(&ctx.home().daemon_pid())),
            ("log_file", path(&ctx.home().daemon_log())),
        ]))?;
    } else {
        ctx.out.line(if runs { &found.sentence } else { &found.otherwise })?;
    }
    Ok(if runs { 0 } else { NOT_RUNNING })
}

struct Found {
    /// What is said when it answers.
    sentence: String,
    /// And when it does not.
    otherwise: String,
    /// Where to ask for its health; `None`: nobody is there.
    target: Option<Target>,
}

impl Found {
    fn local(state: State) -> Self {
        let otherwise = "No daemon runs.".to_owned();
        let (record, remark) = match state {
            State::Running(record) => (record, String::new()),
            State::OtherVersion(record) => {
                let remark = format!(", version {}; the next command replaces it", record.version);
                (record, remark)
            }
            State::Silent(_) | State::Stopped => return Self { sentence: String::new(), otherwise, target: None },
        };
        let url = record.base_url();
        let sentence = format!("The daemon runs at {url} (process {}{remark}).", record.pid);
        Self { sentence, otherwise, target: Some(Target::Named(url)) }
    }
}

fn health(client: &Client) -> Option<Json> {
    client.get("/health").and_then(|answer| answer.parse()).ok()
}

impl Logs {
    fn run(self, ctx: &Context) -> Result<()> {
        if let Target::Named(url) = Target::select(ctx.home(), ctx.settings())? {
            return Err(AuthsomeError::OperationNotAllowed {
                operation: "logs",
                reason: format!("the log of the daemon at {url} is kept there"),
                hint: None,
            });
        }
        tail::show(ctx, &ctx.home().daemon_log(), self.lines, self.follow)
    }
}
