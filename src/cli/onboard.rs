//! `authsome onboard`

mod dotenv;
mod scan;

use std::thread;
use std::time::{Duration, Instant};

use argh::{ArgsInfo, FromArgs};

use self::scan::{Drift, Entry, Scan};
use super::browser;
use super::context::Context;
use super::enrol::{self, Standing};
use super::json::Json;
use super::login;
use super::terminal;
use crate::client::{BaseUrl, Client, Config, Target};
use crate::error::{AuthsomeError, Result};
use crate::limits::CLAIM_TOKEN_SECONDS;

/// Between two questions whether somebody has claimed the identity.
const PAUSE: Duration = Duration::from_secs(2);

/// Make an identity, register and claim it, and import the keys that are found.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "onboard",
    example = "authsome onboard",
    example = "authsome onboard --base-url https://authsome.example --browser",
    example = "authsome onboard --scan-only",
    note = "Doing it again changes nothing."
)]
pub(super) struct Onboard {
    /// use the daemon at this address from now on
    #[argh(option, arg_name = "url")]
    base_url: Option<String>,

    /// only compare .env files and the environment with what is connected
    #[argh(switch)]
    scan_only: bool,

    /// open the claim page of a hosted daemon
    #[argh(switch)]
    browser: bool,

    /// import without asking
    #[argh(switch)]
    yes: bool,
}

/// What came of it.
struct Outcome {
    standing: Standing,
    scan: Scan,
    imported: Vec<Imported>,
}

impl Outcome {
    /// Whether a run has something to work with.
    fn has_connection(&self) -> bool {
        !self.imported.is_empty() || self.scan.entries.iter().any(|entry| entry.drift.is_in_authsome())
    }
}

/// A key that was stored.
struct Imported {
    provider: String,
    variable: String,
}

impl Onboard {
    pub(super) fn run(self, ctx: &Context) -> Result<()> {
        if self.scan_only {
            let client = ctx.client()?;
            let scan = Scan::of_surroundings(ctx, &client)?;
            let outcome = Outcome { standing: enrol::standing(&client)?, scan, imported: Vec::new() };
            return if ctx.out.json { self.tell_all(ctx, &client, &outcome) } else { report_drift(ctx, &outcome.scan) };
        }
        let target = self.target(ctx)?;
        let client = ctx.unsigned(target).signed(enrol::select_or_create(ctx)?)?;
        let mut standing = enrol::enrol_with(ctx, &client)?;
        if let Some(url) = &self.base_url {
            // Kept only now that a daemon has answered there.
            let mut config = Config::load(ctx.home())?;
            config.set_daemon_base_url(&BaseUrl::parse(url)?.to_string());
            config.save(ctx.home())?;
        }
        if standing.needs_claim() {
            standing = self.ask_for_claim(ctx, &client, standing)?;
        }
        // Before the claim there is nothing to compare with.
        let scan = if standing.needs_claim() { Scan::empty() } else { Scan::of_surroundings(ctx, &client)? };
        let imported = self.import(ctx, &client, &scan)?;
        let outcome = Outcome { standing, scan, imported };
        if ctx.out.json { self.tell_all(ctx, &client, &outcome) } else { tell(ctx, &client, &outcome) }
    }

    fn target(&self, ctx: &Context) -> Result<Target> {
        let Some(url) = &self.base_url else { return Target::select(ctx.home(), ctx.settings()) };
        let url = BaseUrl::parse(url)?;
        url.check_transport(ctx.settings().allow_http)?;
        Ok(Target::Named(url))
    }

    /// Shows the page on which a person claims the identity, and waits for that where a person is.
    fn ask_for_claim(&self, ctx: &Context, client: &Client, standing: Standing) -> Result<Standing> {
        let Some(url) = standing.claim_url.as_deref() else { return Ok(standing) };
        ctx.out.say(&format!("open this page to claim this identity: {url}"));
        if self.browser && !browser::open(url) {
            ctx.out.note("no browser could be started");
        }
        if ctx.out.json || !terminal::is_interactive() {
            return Ok(standing);
        }
        let until = Instant::now() + Duration::from_secs(CLAIM_TOKEN_SECONDS.unsigned_abs());
        let mut now = standing;
        while now.needs_claim() && Instant::now() < until {
            thread::sleep(PAUSE);
            now = enrol::standing(client)?;
        }
        Ok(now)
    }

    /// Stores the keys that are in `.env` files or the environment and not connected yet.
    fn import(&self, ctx: &Context, client: &Client, scan: &Scan) -> Result<Vec<Imported>> {
        let found: Vec<&Entry> = scan.entries.iter().filter(|entry| entry.drift == Drift::EnvOnly).collect();
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let asks = !self.yes;
        if asks && (ctx.out.json || !terminal::is_interactive()) {
            for entry in &found {
                ctx.out.note(&format!(
                    "found {} for {}; to import it: authsome onboard --yes",
                    entry.place(),
                    entry.provider
                ));
            }
            return Ok(Vec::new());
        }
        let mut imported = Vec::new();
        for entry in found {
            let question = format!("Connect {} with the key in {}?", entry.provider, entry.place());
            if asks && !terminal::confirm("onboard", &question, true)? {
                continue;
            }
            let Some(key) = &entry.key else { continue };
            match login::store_key(client, &entry.provider, key) {
                Ok(()) => {
                    imported.push(Imported { provider: entry.provider.clone(), variable: entry.variable.clone() });
                }
                Err(error) => ctx.out.warn(&format!("{} was not connected: {error}", entry.provider)),
            }
        }
        Ok(imported)
    }

    /// Everything, in the shape of 0.7.2's command.
    fn tell_all(&self, ctx: &Context, client: &Client, outcome: &Outcome) -> Result<()> {
        let signer = client.signer().ok_or(AuthsomeError::NoIdentity)?;
        let health: Json = client.get("/health")?.parse()?;
        let copy = |name: &str| health.field(name).map_or(Json::Null, Json::duplicate);
        let Outcome { standing, scan, imported } = outcome;
        let count = |number: usize| Json::from(u64::try_from(number).unwrap_or(u64::MAX));
        let configured = scan.entries.iter().filter(|entry| entry.drift.is_in_authsome()).count() + imported.len();
        let unclaimed = standing.needs_claim();
        let results = scan.entries.iter().map(drift_result).chain(imported.iter().map(import_result));
        ctx.out.object(Json::object([
            ("status", if unclaimed { standing.status.as_str() } else { "onboarded" }.into()),
            ("home", ctx.home().dir().display().to_string().into()),
            ("agent", signer.handle.as_str().into()),
            ("did", signer.key.did().into()),
            ("registration_status", standing.status.as_str().into()),
            ("claim_url", standing.claim_url.clone().filter(|_| unclaimed).into()),
            ("daemon_base_url", client.base_url()?.to_string().into()),
            ("configured_encryption_mode", copy("configured_encryption_mode")),
            ("effective_encryption_source", copy("effective_encryption_source")),
            ("encryption_backend", copy("encryption_backend")),
            ("connection", "default".into()),
            ("import", (!self.scan_only).into()),
            ("configured_count", count(configured)),
            ("imported_count", count(imported.len())),
            ("results", Json::array(results)),
        ]))
    }
}

fn drift_result(entry: &Entry) -> Json {
    Json::object([
        ("provider", entry.provider.as_str().into()),
        ("status", entry.drift.as_str().into()),
        ("env_var", entry.variable.as_str().into()),
        ("source", entry.source.clone().into()),
    ])
}

fn import_result(imported: &Imported) -> Json {
    Json::object([
        ("provider", imported.provider.as_str().into()),
        ("status", "imported".into()),
        ("env_var", imported.variable.as_str().into()),
    ])
}

fn tell(ctx: &Context, client: &Client, outcome: &Outcome) -> Result<()> {
    let handle = &client.signer().ok_or(AuthsomeError::NoIdentity)?.handle;
    ctx.out.line(&format!("{handle} is {}.", outcome.standing.status.replace('_', " ")))?;
    if !outcome.imported.is_empty() {
        let names: Vec<&str> = outcome.imported.iter().map(|one| one.provider.as_str()).collect();
        ctx.out.line(&format!("Connected {}.", names.join(", ")))?;
    }
    if !outcome.standing.needs_claim() {
        ctx.out.note(if outcome.has_connection() {
            "hint: next: authsome run -- CMD"
        } else {
            "hint: next: authsome login PROVIDER, then authsome run -- CMD"
        });
    }
    Ok(())
}

fn report_drift(ctx: &Context, scan: &Scan) -> Result<()> {
    let known: Vec<&Entry> = scan.entries.iter().filter(|entry| entry.drift != Drift::BothMissing).collect();
    if known.is_empty() {
        ctx.out.line("No key of a known provider is in .env files, the environment or authsome.")?;
    } else {
        let rows: Vec<Vec<String>> = known
            .iter()
            .map(|entry| vec![entry.provider.clone(), entry.place(), entry.drift.as_str().replace('_', " ")])
            .collect();
        ctx.out.table(&["PROVIDER", "KEY", "STATE"], &rows)?;
    }
    let missing = scan.entries.len() - known.len();
    if missing > 0 {
        ctx.out.note(&format!("note: {missing} further providers have a key neither here nor there (both_missing)"));
    }
    Ok(())
}
