//! The daemon from start to end: open, listen, announce, wait for a signal, take the announcement back.

use std::io;
use std::net::{TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use serde_json::json;

use super::context::{Encryption, State};
use super::gate::{Gate, Handler, Limits};
use super::people::People;
use super::pollers::Pollers;
use super::server;
use super::settings::Settings;
use crate::broker::{Broker, BrokerOptions};
use crate::clock::Clock;
use crate::error::{AuthsomeError, Result};
use crate::identity::Verifier;
use crate::limits::{DAEMON_GRACE, REFRESH_GRACE, SMALL_FILE_BYTES, STORE_LOCK_PATIENCE};
use crate::net::NetSettings;
use crate::paths::{Home, create_private, create_private_dir, hex, read_limited, write_fleeting, write_private};
use crate::provider::Registry;
use crate::secret::random_bytes;
use crate::store::{Store, StoreError, open_embedded};
use crate::vault::{KeySettings, MasterKey, Vault};

/// How often ended sessions, links and log entries are removed from the store. They are invisible from their end on.
const SWEEP_EVERY: Duration = Duration::from_secs(10 * 60);

/// How to serve.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Whose data.
    pub home: Home,
    /// Address or name to listen on.
    pub host: String,
    /// TCP port; 0: a free one.
    pub port: u16,
}

/// Serves in the foreground until SIGTERM, SIGINT or SIGHUP. The log goes to stderr.
///
/// # Errors
/// `StoreUnavailable` (another daemon has the home, or the store is damaged), `EncryptionUnavailable` (wrong or missing
/// master key), `DaemonUnavailable` (the port is taken), `Usage` (a setting makes no sense). Nothing was announced then.
pub fn serve(options: &ServeOptions) -> Result<()> {
    close_to_others()?;
    allow_many_descriptors();
    log_panics_without_their_text();
    // Before any thread starts, so that all of them leave these signals to us.
    let signals = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP]);
    signals.thread_block().map_err(io::Error::from)?;
    // A write beyond a file-size limit shall be an error that the store understands, not the end.
    SigSet::from(Signal::SIGXFSZ).thread_block().map_err(io::Error::from)?;

    let home = &options.home;
    create_private_dir(home.dir())?;
    let clock = Clock::system();
    let store = open_store(home, &clock)?;
    let key = MasterKey::load(home, &KeySettings::from_env()?)?;
    let vault = Arc::new(Vault::open(store, &key)?);
    let broker =
        Arc::new(Broker::new(Arc::clone(&vault), Arc::new(Registry::open(home)), clock.clone(), broker_options()?)?);
    if let Err(error) = broker.end_interrupted_logins() {
        log(&format!("logins that were interrupted wait for their end: {error}"));
    }

    let listener =
        if options.port == 0 { listen_again(home, &options.host)? } else { listen(&options.host, options.port)? };
    let port = listener.local_addr()?.port();
    let settings = Settings::from_env(&options.host, port)?;
    let people = People::new(Arc::clone(&vault), clock.clone());
    introduce(home, &settings, &people)?;

    let state = Arc::new(State {
        verifier: Verifier::new(clock.now()),
        encryption: Encryption::of(&key),
        home: home.clone(),
        settings,
        clock,
        vault,
        pollers: Pollers::start(&broker),
        broker,
        people,
    });
    let shared = Arc::clone(&state);
    let handler: Arc<Handler> = Arc::new(move |request| server::answer(&shared, &request));
    let places = [home.daemon(), std::env::temp_dir()];
    let gate = Gate::start(listener, &places, Limits::default(), &handler)?;
    let sweeper = Sweeper::start(Arc::clone(&state))?;
    announce(home, &state, &options.host, port)?;
    state.pollers.resume();
    log(&format!("listening on {}:{port}, version {}", options.host, env!("CARGO_PKG_VERSION")));

    let signal = signals.wait().map_err(io::Error::from)?;
    log(&format!("{signal}: stopping"));
    withdraw(home);
    sweeper.stop();
    thread::scope(|scope| {
        scope.spawn(|| state.pollers.stop());
        gate.stop(DAEMON_GRACE);
    });
    if let Err(error) = state.broker.finish_refreshes(REFRESH_GRACE) {
        log(&format!("a refreshed token could not be stored and is lost: {error}"));
    }
    Ok(())
}

/// What the environment says about calls to providers.
fn broker_options() -> Result<BrokerOptions> {
    let net = NetSettings::from_env()?;
    let Some(text) = std::env::var("AUTHSOME_TOKEN_NEAR_EXPIRY_SECONDS").ok().filter(|text| !text.is_empty()) else {
        return Ok(BrokerOptions { net, ..BrokerOptions::default() });
    };
    match text.trim().parse() {
        Ok(near_expiry_seconds @ 0..=86_400) => Ok(BrokerOptions { net, near_expiry_seconds }),
        _ => Err(AuthsomeError::Usage {
            reason: "AUTHSOME_TOKEN_NEAR_EXPIRY_SECONDS is no number of seconds from 0 to 86400".to_owned(),
            hint: None,
        }),
    }
}

/// Opens the store, after the daemon that has it open and is about to end.
fn open_store(home: &Home, clock: &Clock) -> Result<Arc<dyn Store>, StoreError> {
    let until = Instant::now() + STORE_LOCK_PATIENCE;
    loop {
        match open_embedded(&home.store(), clock.clone()) {
            Err(StoreError::Locked) if Instant::now() < until => thread::sleep(Duration::from_millis(5)),
            other => return other,
        }
    }
}

/// What a panic says may hold what nobody shall read; where it happened does not.
fn log_panics_without_their_text() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        log(&format!("panic at {place}"));
    }));
}

/// Each client and each call to a provider takes a descriptor; the soft limit is for programs that use `select`.
fn allow_many_descriptors() {
    // With fewer it works too, for fewer clients.
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// No core dump and no debugger of the same user shall see a key.
fn close_to_others() -> Result<()> {
    nix::sys::prctl::set_dumpable(false).map_err(io::Error::from)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(io::Error::from)?;
    Ok(())
}

fn listen(host: &str, port: u16) -> Result<TcpListener> {
    let unavailable = |reason: String| AuthsomeError::DaemonUnavailable { reason };
    let addresses: Vec<_> = (host, port)
        .to_socket_addrs()
        .map_err(|error| unavailable(format!("cannot listen on '{host}': {error}")))?
        .collect();
    TcpListener::bind(addresses.as_slice()).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => unavailable(format!("port {port} on {host} is in use by another program")),
        _ => unavailable(format!("cannot listen on {host}:{port}: {error}")),
    })
}

/// Listens on any port, but on the one of last time where that is free: redirect addresses that people registered with
/// providers, and links that they have open, go on working.
fn listen_again(home: &Home, host: &str) -> Result<TcpListener> {
    let last = read_limited(&home.daemon_port(), SMALL_FILE_BYTES).ok();
    let last = last.and_then(|bytes| std::str::from_utf8(&bytes).ok()?.trim().parse().ok()).unwrap_or(0);
    let listener = listen(host, last).or_else(|_| listen(host, 0))?;
    let port = listener.local_addr()?.port();
    if port != last {
        write_private(&home.daemon_port(), format!("{port}\n").as_bytes())?;
    }
    Ok(listener)
}

/// What a first person needs: the bootstrap token of a local daemon, the setup token of a hosted one.
fn introduce(home: &Home, settings: &Settings, people: &People) -> Result<()> {
    if settings.is_local {
        if home.bootstrap_token().exists() {
            return Ok(()); // to make it and find that out would cost a write to the disk
        }
        let token = format!("{}\n", hex(&random_bytes::<32>()));
        return match create_private(&home.bootstrap_token(), token.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error.into()),
            _ => Ok(()),
        };
    }
    if let Some(token) = people.new_setup_token()? {
        log(&format!("setup token for the first account, shown only now: {}", token.expose()));
    }
    Ok(())
}

fn announce(home: &Home, state: &State, host: &str, port: u16) -> Result<()> {
    let pid = std::process::id();
    write_fleeting(&home.daemon_pid(), format!("{pid}\n").as_bytes())?;
    let facts = json!({
        "pid": pid,
        "host": host,
        "port": port,
        "version": env!("CARGO_PKG_VERSION"),
        "base_url": state.settings.base_url,
        "started_at": state.clock.now(),
    });
    let text = serde_json::to_vec_pretty(&facts).unwrap_or_default();
    Ok(write_fleeting(&home.daemon_json(), &text)?)
}

fn withdraw(home: &Home) {
    for path in [home.daemon_json(), home.daemon_pid()] {
        // Not there any more is as good.
        let _ = std::fs::remove_file(path);
    }
}

/// Removes what has ended from the store, from time to time.
struct Sweeper {
    stop: mpsc::Sender<()>,
}

impl Sweeper {
    fn start(state: Arc<State>) -> Result<Self> {
        let (stop, stopped) = mpsc::channel::<()>();
        let sweep = move || {
            while stopped.recv_timeout(SWEEP_EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
                let swept = state.vault.remove_expired().and_then(|_| state.broker.audit().trim());
                if let Err(error) = swept {
                    log(&format!("cannot remove what has ended: {error}"));
                }
                if let Err(error) = state.broker.save_unsaved() {
                    log(&format!("a refreshed token is still kept in memory only: {error}"));
                }
            }
        };
        thread::Builder::new().name("sweeper".to_owned()).spawn(sweep)?;
        Ok(Self { stop })
    }

    fn stop(self) {
        let _ = self.stop.send(());
    }
}

/// One line of the daemon's log, with the time.
#[allow(clippy::print_stderr)] // the log of a daemon is its stderr
pub(super) fn log(line: &str) {
    // In one piece, so that lines of several threads do not mix.
    let line = format!("{} {line}\n", Clock::system().now());
    eprint!("{line}");
}
