//! The protocol over a real vault, with a token endpoint that a script plays.

mod clocks;
mod crowd;
mod decision;
mod failures;
mod meanwhile;
mod restart;
mod unwritten;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::super::*;
use super::memory::Memory;
use super::{Demand, Task};
use crate::flow::{AuthServer, FlowError, OAuthClient, Tokens};
use crate::model::{Account, AuditEntry, AuthType, ConnectionRecord, ConnectionStatus, ProviderDefinition};
use crate::paths::{Home, hex};
use crate::provider::ValidateOptions;
use crate::secret::{Secret, random_bytes};
use crate::store::{Range, Store, StoreError, Write, open_embedded, open_in_memory};
use crate::vault::MasterKey;

/// How long anything may take; nothing waits this long when all is well.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

type Answer = std::result::Result<Tokens, FlowError>;

/// A token endpoint that does what a test says, and remembers what was spent there.
pub(super) struct Endpoint {
    script: Box<dyn Fn(&str) -> Answer + Send + Sync>,
    spent: Mutex<Vec<String>>,
}

impl Endpoint {
    fn new(script: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { script: Box::new(script), spent: Mutex::default() })
    }

    pub(super) fn refresh(&self, server: &AuthServer, client: &OAuthClient, token: &Secret) -> Answer {
        assert_eq!(server.settings.token_url.as_deref(), Some("https://auth.acme.test/token"));
        assert_eq!(client.id, "our-client");
        self.spent.lock().expect("no panic inside").push(token.expose().to_owned());
        (self.script)(token.expose())
    }

    fn spent(&self) -> Vec<String> {
        self.spent.lock().expect("no panic inside").clone()
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Endpoint")
    }
}

/// Tokens `at-N` and `rt-N` after `rt-(N-1)`, good for an hour.
#[allow(clippy::unnecessary_wraps)] // one of several answers
fn rotate(spent: &str) -> Answer {
    let number: u32 = spent.trim_start_matches("rt-").parse().expect("a token of ours");
    Ok(tokens(&format!("at-{}", number + 1), Some(&format!("rt-{}", number + 1)), Some(3600)))
}

fn tokens(access: &str, refresh: Option<&str>, lifetime_seconds: Option<i64>) -> Tokens {
    Tokens {
        access_token: Secret::new(access.to_owned()),
        refresh_token: refresh.map(|token| Secret::new(token.to_owned())),
        token_type: Some("Bearer".to_owned()),
        lifetime_seconds,
        scopes: None,
        account: Account::default(),
    }
}

fn refused(code: &str) -> Answer {
    Err(FlowError::Refused { code: code.to_owned(), description: None })
}

fn unreachable() -> Answer {
    Err(FlowError::Unreachable { endpoint: "auth.acme.test".to_owned(), reason: "timed out".to_owned() })
}

fn overloaded(retry_after: Option<u64>) -> Answer {
    Err(FlowError::Unusable {
        endpoint: "auth.acme.test".to_owned(),
        reason: "status 503".to_owned(),
        retry_after: retry_after.map(std::time::Duration::from_secs),
    })
}

/// A store whose disk can be full.
struct Disk {
    inner: Arc<dyn Store>,
    is_full: AtomicBool,
    /// Writes happen, and are reported as failed.
    is_lying: AtomicBool,
    /// Happens before the next write to a lease.
    before_lease: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Disk {
    fn new(inner: Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            is_full: AtomicBool::new(false),
            is_lying: AtomicBool::new(false),
            before_lease: Mutex::default(),
        })
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Disk")
    }
}

impl Store for Disk {
    fn get(&self, key: &str) -> std::result::Result<Option<Vec<u8>>, StoreError> {
        self.inner.get(key)
    }

    fn apply(&self, writes: &[Write<'_>]) -> std::result::Result<bool, StoreError> {
        if writes.iter().any(|write| write.key.starts_with(keys::REFRESH_LEASES)) {
            let first = self.before_lease.lock().expect("no panic inside").take();
            if let Some(happens) = first {
                happens();
            }
        }
        if self.is_full.load(Ordering::SeqCst) {
            return Err(StoreError::Full("no space left on device".to_owned()));
        }
        let done = self.inner.apply(writes)?;
        if self.is_lying.load(Ordering::SeqCst) {
            return Err(StoreError::Io(std::io::Error::other("the disk does not answer")));
        }
        Ok(done)
    }

    fn range(&self, range: &Range<'_>) -> std::result::Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.inner.range(range)
    }

    fn remove_expired(&self) -> std::result::Result<usize, StoreError> {
        self.inner.remove_expired()
    }

    fn is_exclusive(&self) -> bool {
        self.inner.is_exclusive()
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

/// A store and one broker on it.
struct Scene {
    broker: Broker,
    clock: Clock,
    disk: Arc<Disk>,
    key: Arc<MasterKey>,
    home: Home,
}

impl Scene {
    /// The provider `acme` with our client there, over a store in memory.
    fn new(endpoint: &Arc<Endpoint>) -> Self {
        let clock = Clock::system();
        Self::over(open_in_memory(clock.clone()).expect("a store"), clock, Arc::new(MasterKey::generate()), endpoint)
    }

    fn over(store: Arc<dyn Store>, clock: Clock, key: Arc<MasterKey>, endpoint: &Arc<Endpoint>) -> Self {
        let disk = Disk::new(store);
        let home = Home::new(std::env::temp_dir().join(format!("authsome-refresh-{}", hex(&random_bytes::<8>()))));
        let broker = broker(&disk, &clock, &key, endpoint, &home);
        let scene = Self { broker, clock, disk, key, home };
        let definition: ProviderDefinition = serde_json::from_value(acme()).expect("a definition");
        scene.broker.register(&admin(), definition, true, ValidateOptions::default()).expect("registers");
        let client = ClientSettings {
            client_id: Some("our-client".to_owned()),
            client_secret: Some(Secret::new("our-secret".to_owned())),
            ..ClientSettings::default()
        };
        scene.broker.configure(&admin(), "acme", client).expect("configures");
        scene
    }

    /// Another daemon on the same store, with a clock and a memory of its own.
    fn neighbour(&self, endpoint: &Arc<Endpoint>) -> Broker {
        self.neighbour_at(&Clock::system(), endpoint)
    }

    fn neighbour_at(&self, clock: &Clock, endpoint: &Arc<Endpoint>) -> Broker {
        broker(&self.disk, clock, &self.key, endpoint, &self.home)
    }

    /// The connection `default` of the admin: `at-1` and `rt-1`, with so many seconds left of an hour.
    fn log_in(&self, left: i64) -> ConnectionRecord {
        self.store(|record| record.expires_at = Some(self.clock.now().plus_seconds(left)))
    }

    fn store(&self, change: impl FnOnce(&mut ConnectionRecord)) -> ConnectionRecord {
        self.store_as(&admin(), "default", change)
    }

    fn store_as(&self, actor: &Actor, name: &str, change: impl FnOnce(&mut ConnectionRecord)) -> ConnectionRecord {
        let mut record = connections::fresh(actor, "acme", name, AuthType::Oauth2);
        record.status = ConnectionStatus::Connected;
        record.access_token = Some(Secret::new("at-1".to_owned()));
        record.refresh_token = Some(Secret::new("rt-1".to_owned()));
        record.obtained_at = Some(self.clock.now().plus_seconds(-3600));
        change(&mut record);
        let entry = self.broker.entry("acme").expect("registered");
        let noted = self.broker.noted(actor, event("provider.login", "acme", Some(name)));
        self.broker.store_new(&entry, record, &noted).expect("stores")
    }

    fn record(&self) -> ConnectionRecord {
        self.broker.connection(&admin(), "acme", "default").expect("there")
    }

    fn refresh_token(&self) -> String {
        self.record().refresh_token.expect("a token").expose().to_owned()
    }

    fn resolve(&self) -> Result<String> {
        resolve(&self.broker, Demand::Use)
    }

    fn resolve_rejected(&self) -> Result<String> {
        resolve(&self.broker, Demand::Rejected)
    }

    /// The events called `name`, newest first.
    fn events(&self, name: &str) -> Vec<AuditEntry> {
        let page = self.broker.audit().page(&AuditQuery { limit: 500, ..AuditQuery::default() }).expect("a page");
        page.0.into_iter().filter(|entry| entry.event == name).collect()
    }

    /// Whether nobody has the right to spend the token.
    fn has_lease(&self) -> bool {
        let record = self.record();
        let key = keys::refresh_lease(&record.vault_id, "acme", "default");
        self.broker.vault.get(&key).expect("reads").is_some()
    }

    /// What is left in the store of a daemon that was killed while it spent the token of the record.
    fn leave_lease(&self, by: &Broker) {
        let (actor, record) = (admin(), self.record());
        let entry = self.broker.entry("acme").expect("registered");
        let task = Task::new(by, &actor, &entry, &record, Demand::Use);
        assert_eq!(task.claim(&record).expect("claims"), super::lease::Claim::Taken { interrupted: false });
    }

    fn failure(&self) -> Option<super::memory::Failure> {
        Memory::of(&self.record()).failure
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.home.dir());
    }
}

fn broker(disk: &Arc<Disk>, clock: &Clock, key: &MasterKey, endpoint: &Arc<Endpoint>, home: &Home) -> Broker {
    let vault = Arc::new(Vault::open(Arc::clone(disk) as Arc<dyn Store>, key).expect("a vault"));
    let registry = Arc::new(Registry::open(home));
    let mut broker = Broker::new(vault, registry, clock.clone(), BrokerOptions::default()).expect("a broker");
    broker.refresher.endpoint = Some(Arc::clone(endpoint));
    broker.refresher.poll = std::time::Duration::from_millis(2);
    broker
}

/// The access token that a resolve gives.
fn resolve(broker: &Broker, demand: Demand) -> Result<String> {
    let resolved = broker.resolve(&admin(), "acme", None, demand)?;
    Ok(resolved.headers["Authorization"].expose().trim_start_matches("Bearer ").to_owned())
}

fn acme() -> Value {
    json!({
        "name": "acme", "auth_type": "oauth2", "flow": "pkce", "api_url": "api.acme.test",
        "oauth": {"authorization_url": "https://auth.acme.test/authorize", "token_url": "https://auth.acme.test/token"},
        "export": {"ACME_TOKEN": "access_token"},
    })
}

fn admin() -> Actor {
    actor("ada", Role::Admin)
}

fn actor(name: &str, role: Role) -> Actor {
    Actor {
        identity: Some(format!("{name}-agent")),
        principal_id: format!("principal_{name}"),
        vault_id: format!("vault_{name}"),
        role,
        grants: Grants::default(),
    }
}

/// Waits for something that another thread is about to do.
fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::yield_now();
    }
}
