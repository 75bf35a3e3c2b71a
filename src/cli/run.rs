//! `authsome run`: plan, proxy, child, record.

mod plan;
mod source;

use std::ffi::OsString;
use std::io;
use std::sync::Arc;

use argh::{ArgsInfo, FromArgs};

use self::plan::PlanRequest;
use self::source::DaemonSource;
use super::args::{shown, usage};
use super::context::Context;
use super::json::Json;
use crate::client::Config;
use crate::error::{AuthsomeError, Result};
use crate::launch::{Finished, LaunchSettings, Launcher, OutOfSight, Wall};
use crate::limits::AUDIT_FLUSH_DEADLINE;
use crate::model::AuditEvent;
use crate::net::NetSettings;
use crate::provider::Host;
use crate::proxy::{CredentialSource, Limits, Mode, Rule, RunReport};

/// Run a program; its requests get your credentials, it does not.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "run",
    example = "authsome run -- python agent.py",
    example = "authsome run --provider openai --mode connected_deny -- node agent.js",
    note = "The program sees placeholders. Without `--isolate` it can still read what you can read."
)]
pub(super) struct Run {
    /// the program to run, and its arguments, untouched
    #[argh(positional, greedy)]
    #[allow(dead_code)] // the words come separately, as they may not be text
    cmd: Vec<String>,

    /// only the routes of these providers
    #[argh(option, arg_name = "a,b")]
    provider: Vec<String>,

    /// use this connection of a provider
    #[argh(option, arg_name = "provider=name")]
    connection: Vec<String>,

    /// connected_allow, connected_deny, configured_allow or configured_deny
    #[argh(option, arg_name = "mode")]
    mode: Option<String>,

    /// put a wall around the program, where this machine can: no network but the proxy, no other processes, no vault
    #[argh(switch)]
    isolate: bool,

    /// the same, or do not run at all
    #[argh(switch)]
    require_isolation: bool,

    /// let this host through in the deny modes
    #[argh(option, arg_name = "host")]
    allow_host: Vec<String>,

    /// let the program reach this private host or network
    #[argh(option, arg_name = "host|cidr")]
    allow_private: Vec<String>,

    /// where keys are added, let only GET, HEAD and OPTIONS through
    #[argh(switch)]
    read_only: bool,

    /// where keys are added, let this many requests through
    #[argh(option, arg_name = "n")]
    max_requests: Option<u64>,

    /// where keys are added, "METHOD HOST/PATH=allow" or "=deny"; the first that matches decides, what none matches is
    /// denied; * is any method, host or part of a segment, ** any number of segments
    #[argh(option, arg_name = "rule")]
    rule: Vec<String>,

    /// leave credentials in answers as they are
    #[argh(switch)]
    no_redact: bool,
}

impl Run {
    /// Runs the program; its exit status is ours.
    pub(super) fn run(self, ctx: &Context, command: Vec<OsString>) -> Result<u8> {
        if command.is_empty() {
            return Err(wrong("there is no program to run".to_owned()));
        }
        let mode = self.mode(ctx)?;
        let request = self.request(mode)?;
        let (allow_hosts, limits) = (self.allow_hosts()?, self.limits()?);
        let settings = LaunchSettings { command, mode, allow_hosts, limits, redact: !self.no_redact };

        // From here on this process is closed to others, for it is about to hold secrets.
        let launcher = Launcher::prepare(self.net()?, self.wall(ctx)?)?;
        let client = Arc::new(ctx.client()?);
        let plan = plan::fetch(&client, &request)?;
        if plan.routes.is_empty() {
            ctx.out.note("note: nothing is connected, so no request gets a credential; next: authsome login PROVIDER");
        }
        let source = Arc::new(DaemonSource::start(client)?);
        let carrier = Arc::clone(&source) as Arc<dyn CredentialSource>;
        let ended = launcher.run(plan, carrier, settings, &mut |text| ctx.out.remark(text))?;
        let Finished { status, report } = ended;
        source.record(finished(&report, status));
        let lost = source.finish(AUDIT_FLUSH_DEADLINE);
        if lost > 0 {
            ctx.out.warn(&format!("{lost} events of this run did not reach the daemon's audit log"));
        }
        report_to(ctx, &report, status);
        Ok(status)
    }

    /// What the daemon is asked: `--provider a,b` and `--connection provider=name`, each as often as given.
    fn request(&self, mode: Mode) -> Result<PlanRequest> {
        let names = self.provider.iter().flat_map(|list| list.split(',')).map(str::trim);
        let names: Vec<String> = names.filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let pair = |text: &String| match text.split_once('=') {
            Some((provider, name)) if !provider.is_empty() && !name.is_empty() => {
                Ok((provider.to_owned(), name.to_owned()))
            }
            _ => Err(wrong("--connection wants PROVIDER=NAME".to_owned())),
        };
        Ok(PlanRequest {
            scope: mode.scope(),
            providers: (!names.is_empty()).then_some(names),
            connections: self.connection.iter().map(pair).collect::<Result<_>>()?,
        })
    }

    /// The wall that was asked for. Nobody shall believe that there is one when there is not.
    fn wall(&self, ctx: &Context) -> Result<Option<Wall>> {
        if !self.isolate && !self.require_isolation {
            return Ok(None);
        }
        match Wall::raise(&OutOfSight::of(ctx.home())) {
            Ok(wall) => Ok(Some(wall)),
            Err(missing) if self.require_isolation => {
                let text = format!("--require-isolation: no wall can be built: {missing}; see: authsome doctor");
                Err(io::Error::new(io::ErrorKind::Unsupported, text).into())
            }
            Err(missing) => {
                ctx.out.warn(&format!("--isolate: no wall can be built: {missing}; the program runs without one"));
                Ok(None)
            }
        }
    }

    fn mode(&self, ctx: &Context) -> Result<Mode> {
        let config = Config::load(ctx.home())?;
        let Some(name) = self.mode.as_deref().or(config.proxy_mode()) else { return Ok(Mode::default()) };
        Mode::parse(name).ok_or_else(|| {
            let known = "connected_allow, connected_deny, configured_allow and configured_deny";
            wrong(format!("there is no mode{}; there are {known}", shown(name)))
        })
    }

    fn allow_hosts(&self) -> Result<Vec<Host>> {
        let hosts = self.allow_host.iter().flat_map(|list| list.split(','));
        hosts.map(|host| Host::parse(host.trim()).map_err(|error| wrong(format!("--allow-host: {error}")))).collect()
    }

    fn limits(&self) -> Result<Limits> {
        let read =
            |text: &String| Rule::parse(text).map_err(|reason| wrong(format!("--rule{}: {reason}", shown(text))));
        let rules = self.rule.iter().map(read).collect::<Result<_>>()?;
        Ok(Limits { read_only: self.read_only, max_requests: self.max_requests, rules })
    }

    fn net(&self) -> Result<NetSettings> {
        let mut net = NetSettings::from_env()?;
        for entries in &self.allow_private {
            let wants = "--allow-private wants a host, an address or a network, as in 10.0.0.0/8";
            net.allow(entries).map_err(|_| wrong(wants.to_owned()))?;
        }
        Ok(net)
    }
}

/// What went otherwise than the user may think, and with `--json` the whole report, on stderr.
fn report_to(ctx: &Context, report: &RunReport, status: u8) {
    for warning in &report.warnings {
        ctx.out.warn(warning);
    }
    if ctx.out.json {
        ctx.out.report_line(Json::object([
            ("exit_status", u64::from(status).into()),
            ("run_id", Json::from(report.run_id.as_str())),
            ("requests", Json::from(report.requests)),
            ("injected", Json::from(report.injected)),
            ("refused", Json::from(report.refused)),
            ("tunnels", Json::from(report.tunnels)),
            ("bytes", Json::from(report.bytes)),
            ("requests_left", report.requests_left.map_or(Json::Null, Json::from)),
        ]));
    }
}

/// The last event of a run.
fn finished(report: &RunReport, status: u8) -> AuditEvent {
    let mut event = AuditEvent { event: "run.finished".to_owned(), ..AuditEvent::default() };
    event.status = Some(status.to_string());
    let facts = [("requests", report.requests), ("injected", report.injected), ("refused", report.refused)];
    event.metadata.extend(facts.map(|(name, count)| (name.to_owned(), count.into())));
    event.metadata.insert("run_id".to_owned(), report.run_id.as_str().into());
    event
}

/// A usage error of this command.
fn wrong(reason: String) -> AuthsomeError {
    usage(reason, &["run".to_owned()])
}
