//! Whole requests against a daemon without a network: a vault in memory, real signatures, real cookies.

mod audit;
mod authorization;
mod dashboard;
mod full_disk;
mod grants;
mod pages;
mod providers;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use zeroize::Zeroizing;

use full_disk::Disk;

use super::description;

use crate::broker::{ApiKeyLogin, Broker, BrokerOptions, SessionRequest};
use crate::clock::Clock;
use crate::daemon::context::{Encryption, State};
use crate::daemon::message::{Request, Response};
use crate::daemon::people::{People, UI_COOKIE};
use crate::daemon::pollers::Pollers;
use crate::daemon::settings::Settings;
use crate::daemon::{auth, server};
use crate::http1::Fields;
use crate::identity::{SigningKey, Verifier};
use crate::model::{Grants, Principal, Role};
use crate::paths::{Home, hex, write_private};
use crate::provider::{Registry, ValidateOptions, parse_definition};
use crate::secret::{Secret, random_bytes};
use crate::store::open_in_memory;
use crate::vault::{MasterKey, Vault};

const PORT: u16 = 7998;
const BOOTSTRAP: &str = "0123456789abcdef0123456789abcdef";
/// The secret of Bob's connection.
const KEY: &str = "ak_0123456789";

/// A daemon with an administrator (Ada) and two users (Bob and Eve), each with an agent and a browser session. Bob has
/// a connection, and logins that wait: one of his agent, one of his browser. One agent is nobody's.
struct Scene {
    state: State,
    disk: Arc<Disk>,
    agents: BTreeMap<&'static str, SigningKey>,
    cookies: BTreeMap<&'static str, String>,
    principals: BTreeMap<&'static str, Principal>,
    session: String,
    dashboard: String,
    claim_token: String,
}

/// What a request brings.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Body {
    None,
    Json(&'static str),
    Form(&'static str),
}

/// Who sends a request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sender {
    /// Neither proof nor cookie.
    Nobody,
    /// A proof for another request, beside a good cookie of the administrator: the proof counts.
    BadProof,
    /// The agent of this name.
    Agent(&'static str),
    /// The browser of this person.
    Browser(&'static str),
}

impl Scene {
    fn new() -> Self {
        let clock = Clock::system();
        let home = Home::new(std::env::temp_dir().join(format!("authsome-daemon-{}", hex(&random_bytes::<8>()))));
        write_private(&home.bootstrap_token(), format!("{BOOTSTRAP}\n").as_bytes()).expect("writes");
        let key = MasterKey::generate();
        let disk = Arc::new(Disk::new(open_in_memory(clock.clone()).expect("a store")));
        let vault = Arc::new(Vault::open(Arc::<Disk>::clone(&disk), &key).expect("a vault"));
        let broker =
            Broker::new(Arc::clone(&vault), Arc::new(Registry::open(&home)), clock.clone(), BrokerOptions::default())
                .expect("a broker");
        let broker = Arc::new(broker);
        let state = State {
            settings: settings(),
            people: People::new(Arc::clone(&vault), clock.clone()),
            verifier: Verifier::new(clock.now()),
            encryption: Encryption::of(&key),
            home,
            clock,
            vault,
            pollers: Pollers::start(&broker),
            broker,
        };
        let mut scene = Self {
            state,
            disk,
            agents: BTreeMap::new(),
            cookies: BTreeMap::new(),
            principals: BTreeMap::new(),
            session: String::new(),
            dashboard: String::new(),
            claim_token: String::new(),
        };
        scene.populate();
        scene
    }

    fn populate(&mut self) {
        for (name, agent, role) in
            [("ada", "ada-agent", Role::Admin), ("bob", "bob-agent", Role::User), ("eve", "eve-agent", Role::User)]
        {
            let person = self.person(name, role);
            self.agent(agent, Some(&person));
            let handle = self.state.people.test_only_session(&person, PORT);
            self.cookies.insert(name, handle);
            self.principals.insert(name, person);
        }
        self.agent("new-agent", None);
        self.claim_token = self.state.people.new_claim_token(&self.agents["new-agent"].did()).expect("a token");
        self.define();
        self.connect("bob-agent", "default", KEY);
        let asked = |return_to: Option<&str>| SessionRequest {
            provider: "acme".to_owned(),
            connection: "second".to_owned(),
            flow: None,
            scopes: None,
            base_url: None,
            force: false,
            return_to: return_to.map(str::to_owned),
        };
        let actor = self.actor("bob-agent");
        let start =
            |actor, request| self.state.broker.start_session(actor, request, "http://127.0.0.1").expect("starts");
        let (session, mut browser) = (start(&actor, asked(None)).id, actor.clone());
        browser.identity = None;
        self.dashboard = start(&browser, asked(Some("/providers/acme"))).id;
        self.session = session;
    }

    /// A person without a password: hashing one takes its time.
    fn person(&self, name: &str, role: Role) -> Principal {
        let person = Principal {
            principal_id: format!("principal_{name}"),
            vault_id: format!("vault_{name}"),
            email: format!("{name}@x.test"),
            role,
            password_hash: None,
            created_at: self.state.clock.now(),
        };
        let (record, id) = (serde_json::to_vec(&person).expect("is JSON"), person.principal_id.as_bytes());
        self.state.vault.put(&format!("principal:{}", person.principal_id), &record).expect("puts");
        self.state.vault.put(&format!("email:{}", person.email), id).expect("puts");
        person
    }

    fn agent(&mut self, handle: &'static str, owner: Option<&Principal>) {
        let key = SigningKey::generate();
        let known = self.state.people.register(handle, &key.did(), None).expect("registers");
        if let Some(owner) = owner {
            self.state.people.claim(&known, owner, Grants::default()).expect("claims");
        }
        self.agents.insert(handle, key);
    }

    fn define(&self) {
        let definition = parse_definition(definition("acme", "api.acme.test").to_string().as_bytes()).expect("parses");
        let actor = self.actor("ada-agent");
        self.state.broker.register(&actor, definition, false, ValidateOptions::default()).expect("registers");
    }

    fn connect(&self, agent: &'static str, connection: &str, key: &str) {
        let login = ApiKeyLogin {
            provider: "acme",
            connection,
            key: Secret::new(key.to_owned()),
            fields: BTreeMap::new(),
            base_url: None,
            api_url: None,
            force: true,
        };
        self.state.broker.connect_api_key(&self.actor(agent), login).expect("connects");
    }

    fn actor(&self, agent: &str) -> crate::broker::Actor {
        let known = self.state.people.known(agent).expect("reads").expect("is registered");
        auth::Caller::Identity(known).actor().expect("is claimed")
    }

    /// The same with new sessions: what a test did may have ended the others.
    fn signed_in_again(mut self) -> Self {
        for (name, person) in &mut self.principals {
            *person = self.state.people.principal(&person.principal_id).expect("reads").expect("is there");
            self.cookies.insert(name, self.state.people.test_only_session(person, PORT));
        }
        self
    }

    /// What `agent` may do from now on.
    fn grant(&self, agent: &str, grants: Grants) {
        let known = self.state.people.known(agent).expect("reads").expect("is registered");
        let decide = |_| Ok::<_, crate::error::AuthsomeError>(grants);
        self.state.people.change_grants(&known, &known.actor().expect("is claimed"), decide).expect("changes");
    }

    /// Sends a request. `{bob}`, `{session}` and their like in the target stand for what this scene has.
    fn send(&self, sender: Sender, method: &str, target: &str, body: Body) -> Response {
        self.send_with(sender, method, target, body, &[])
    }

    fn send_with(&self, sender: Sender, method: &str, target: &str, body: Body, more: &[(&str, &str)]) -> Response {
        let target = self.fill(target);
        let (kind, bytes) = match body {
            Body::None => (None, String::new()),
            Body::Json(text) => (Some("application/json"), self.fill(text)),
            Body::Form(text) => (Some("application/x-www-form-urlencoded"), self.fill(text)),
        };
        let mut fields = Fields::new();
        fields.push("Host", format!("127.0.0.1:{PORT}"));
        for (name, value) in kind.map(|kind| ("Content-Type", kind)).iter().chain(more) {
            fields.push(*name, *value);
        }
        let mut cookie = |person: &str| fields.push("Cookie", format!("{UI_COOKIE}={}", self.cookies[person]));
        match sender {
            Sender::Nobody => {}
            Sender::Browser(person) => cookie(person),
            Sender::BadProof => {
                cookie("ada");
                fields.push("Authorization", self.proof("ada-agent", method, "/elsewhere", b""));
            }
            Sender::Agent(handle) => {
                fields.push("Authorization", self.proof(handle, method, &target, bytes.as_bytes()));
            }
        }
        let body = Zeroizing::new(bytes.into_bytes());
        let request = Request { method: method.to_owned(), target, fields, body, peer: None };
        let answer = server::answer(&self.state, &request);
        description::check(&request, &answer);
        answer
    }

    fn proof(&self, handle: &str, method: &str, target: &str, body: &[u8]) -> String {
        let proof = self.agents[handle].sign_request(handle, method, target, body, self.state.clock.now());
        format!("PoP {proof}")
    }

    fn fill(&self, text: &str) -> String {
        text.replace("{session}", &self.session)
            .replace("{dashboard}", &self.dashboard)
            .replace("{claim}", &self.claim_token)
            .replace("{did}", &self.agents["bob-agent"].did())
            .replace("{stranger}", &SigningKey::generate().did())
            .replace("{bob}", &self.principals["bob"].principal_id)
            .replace("{bootstrap}", BOOTSTRAP)
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.state.home.dir());
    }
}

fn settings() -> Settings {
    Settings {
        base_url: format!("http://127.0.0.1:{PORT}"),
        port: PORT,
        allowed_hosts: Vec::new(),
        is_local: true,
        open_registration: false,
        compat: false,
        export_by_default: true,
    }
}

fn definition(name: &str, host: &str) -> Value {
    json!({
        "name": name, "auth_type": "api_key", "flow": "api_key", "api_url": host, "export": {"ACME_KEY": "API_TOKEN"},
    })
}
