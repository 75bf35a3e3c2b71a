//! The child of a run: its environment, its files, its process, and the proxy beside it (`contract/proxy.md` sections
//! 1 and 2).
//!
//! ```text
//! let wall = Wall::raise(&OutOfSight::of(home))?;                // or None
//! let launcher = Launcher::prepare(NetSettings::from_env()?, wall)?; // before any secret is loaded
//! let plan = client.run(...)?;                                   // the certificate is made meanwhile
//! let finished = launcher.run(plan, source, settings, &mut |note| eprintln!("authsome: {note}"))?;
//! ```

mod dotenv;
mod environment;
mod files;
mod forms;
mod process;
#[cfg(test)]
mod tests;
mod wall;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use nix::sys::resource::{Resource, rlim_t};

use self::environment::{Additions, child_environment};
use self::files::RunFiles;
use self::forms::forms;
use self::process::Ended;
pub use self::wall::{OutOfSight, Wall, enter, is_inside};
use crate::error::Result;
use crate::limits::{LAUNCH_STACK_BYTES, SHORTEST_SECRET_BYTES};
use crate::model::RunPlan;
use crate::net::{NetSettings, Roots};
use crate::paths::hex;
use crate::provider::Host;
use crate::proxy::{CredentialSource, Limits, Mode, Proxy, ProxySettings, RunCa, RunReport};
use crate::secret::{Secret, random_bytes};

/// What the user asked for.
#[derive(Debug)]
pub struct LaunchSettings {
    /// Program and arguments, untouched.
    pub command: Vec<OsString>,
    /// What happens to requests without a route or a credential.
    pub mode: Mode,
    /// Hosts that deny modes let through.
    pub allow_hosts: Vec<Host>,
    /// What the program may do at hosts that have a route.
    pub limits: Limits,
    /// Mask injected secrets in answers.
    pub redact: bool,
}

/// How a run ended.
#[derive(Debug)]
pub struct Finished {
    /// The child's status; 128 + N when signal N ended it, 127 when there is no such command, 126 when it cannot run.
    pub status: u8,
    /// What the proxy did.
    pub report: RunReport,
}

/// A process that is about to run a child.
pub struct Launcher {
    net: NetSettings,
    listener: TcpListener,
    /// Limits that were changed for us and that the child gets back.
    limits: Vec<(Resource, rlim_t, rlim_t)>,
    making: JoinHandle<Result<(RunCa, RunFiles)>>,
    wall: Option<Wall>,
}

impl Launcher {
    /// Closes this process to others, opens the proxy's listener, and starts to make the run's certificate and files.
    /// Call it before anything secret is loaded. With a `wall`, the child will be behind it.
    ///
    /// # Errors
    /// The system refusing a listener, a thread or a limit.
    pub fn prepare(net: NetSettings, wall: Option<Wall>) -> Result<Self> {
        let limits = process::harden()?;
        let listener = match &wall {
            Some(wall) => wall.listener()?,
            None => TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?,
        };
        let is_walled = wall.is_some();
        let roots = Roots::find(&net);
        let making = thread::Builder::new()
            .name("prepare".to_owned())
            .stack_size(LAUNCH_STACK_BYTES)
            .spawn(move || make(&roots, is_walled))?;
        Ok(Self { net, listener, limits, making, wall })
    }

    /// Runs the child beside its proxy, to the end of both. On this thread: the child ends when it does.
    ///
    /// `note` gets sentences for the user, before the child starts; they name variables and files, never values.
    ///
    /// # Errors
    /// Files, proxy or child cannot be set up. A command that does not start is a status, and a note.
    pub fn run(
        self,
        plan: RunPlan,
        source: Arc<dyn CredentialSource>,
        settings: LaunchSettings,
        note: &mut dyn FnMut(&str),
    ) -> Result<Finished> {
        let (ca, files) = self.making.join().unwrap_or_else(|_| Err(io::Error::other("a thread panicked").into()))?;
        let token = Secret::new(hex(&random_bytes::<32>()));
        let port = self.listener.local_addr()?.port();
        let proxy_url = Secret::new(format!("http://authsome:{}@127.0.0.1:{port}", token.expose()));
        let environment = environment(&plan, &proxy_url, &files, note);
        let proxy_settings = ProxySettings {
            mode: settings.mode,
            allow_hosts: settings.allow_hosts,
            limits: settings.limits,
            redact: settings.redact,
            is_isolated: self.wall.is_some(),
            net: self.net,
            token,
        };
        let proxy = Proxy::start(self.listener, ca, plan, source, proxy_settings)?;
        let ended = process::run(&settings.command, &environment, self.limits, self.wall);
        let report = proxy.stop();
        drop(files);
        let status = match ended? {
            Ended::Status(status) => status,
            Ended::NotStarted(status, error) => {
                note(&not_started(&settings.command, status, &error));
                status
            }
        };
        Ok(Finished { status, report })
    }
}

/// The child's environment. Tells what was taken out of it, and what lies about beside it.
fn environment(
    plan: &RunPlan,
    proxy_url: &Secret,
    files: &RunFiles,
    note: &mut dyn FnMut(&str),
) -> BTreeMap<OsString, OsString> {
    let secrets = secrets(plan);
    let additions = Additions {
        proxy_url,
        bundle: &files.bundle(),
        certificate: &files.certificate(),
        exports: &exports(plan),
        secrets: &secrets,
    };
    let environment = child_environment(env::vars_os(), &additions);
    for name in &environment.removed {
        note(&format!("{} is not passed on: it holds a credential of this run", name.to_string_lossy()));
    }
    if environment.has_no_way_through() {
        note("NO_PROXY is '*': programs that heed it send nothing through this run");
    }
    for line in dotenv::lines_with_secrets(Path::new(".env"), &secrets) {
        note(&format!(".env line {line} holds a credential of this run, which the command can read there"));
    }
    environment.variables
}

fn make(roots: &Roots, is_walled: bool) -> Result<(RunCa, RunFiles)> {
    let ca = RunCa::new()?;
    // A wall hides the runtime directory; the files go where they would without one.
    let lookup = |name: &str| env::var_os(name).filter(|_| !(is_walled && name == "XDG_RUNTIME_DIR"));
    let files = RunFiles::create(ca.certificate_pem(), roots, lookup)?;
    Ok((ca, files))
}

/// Every name that stands for a credential of this run.
fn exports(plan: &RunPlan) -> BTreeSet<String> {
    plan.routes.iter().flat_map(|route| route.exports.iter().cloned()).collect()
}

/// Every secret that came with the plan, long enough to be told from ordinary text, in all its [`forms`].
fn secrets(plan: &RunPlan) -> Vec<Secret> {
    let slots = plan.routes.iter().flat_map(|route| route.inject.iter().flatten());
    let values = slots.flat_map(|slot| slot.secrets.iter().chain([&slot.value]));
    let mut found: Vec<Secret> = Vec::new();
    for value in values.filter(|value| value.expose().len() >= SHORTEST_SECRET_BYTES) {
        if found.iter().any(|known| known.constant_time_eq(value.expose().as_bytes())) {
            continue;
        }
        found.extend(forms(value));
    }
    found
}

fn not_started(command: &[OsString], status: u8, error: &io::Error) -> String {
    let program = command.first().map(|program| program.to_string_lossy().into_owned()).unwrap_or_default();
    match status {
        127 => format!("error: {program}: command not found"),
        _ => format!("error: {program}: cannot be executed: {error}"),
    }
}
