//! The daemon from a clean request to its answer: who is let in, and what each resource says. No sockets.

mod accounts;
mod callers;
mod description;
mod identities;
mod logins;
mod scene;

mod signin;
mod surface;

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::context::{Encryption, State};
use super::message::{Request, Response};
use super::people::People;
use super::server;
use super::settings::Settings;
use crate::broker::{Broker, BrokerOptions};
use crate::clock::Clock;
use crate::daemon::pollers::Pollers;
use crate::http1::Fields;
use crate::identity::{SigningKey, Verifier};
use crate::model::{Grants, Principal};
use crate::paths::{Home, create_private, hex};
use crate::provider::Registry;
use crate::secret::random_bytes;
use crate::store::open_in_memory;
use crate::vault::{MasterKey, Vault};

const BOOTSTRAP: &str = "bootstrap-token-of-this-test";

/// A daemon without its gate, over a store in memory.
struct Daemon {
    state: State,
}

impl Daemon {
    /// On the person's own machine.
    fn local() -> Self {
        Self::with(|_| {})
    }

    /// For many people, behind a public name.
    fn hosted() -> Self {
        Self::with(|settings| {
            settings.base_url = "https://auth.example.com".to_owned();
            settings.is_local = false;
        })
    }

    fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings {
            base_url: "http://127.0.0.1:7998".to_owned(),
            port: 7998,
            allowed_hosts: Vec::new(),
            is_local: true,
            open_registration: false,
            compat: false,
            export_by_default: true,
        };
        change(&mut settings);
        let clock = Clock::system();
        let key = MasterKey::generate();
        let store = open_in_memory(clock.clone()).expect("a store");
        let vault = Arc::new(Vault::open(store, &key).expect("a vault"));
        let home = Home::new(scratch());
        create_private(&home.bootstrap_token(), BOOTSTRAP.as_bytes()).expect("writes");
        let registry = Arc::new(Registry::open(&home));
        let broker = Broker::new(Arc::clone(&vault), registry, clock.clone(), BrokerOptions::default());
        let broker = Arc::new(broker.expect("a broker"));
        let state = State {
            // A second before: what is signed at once must not look older than the daemon.
            verifier: Verifier::new(clock.now().plus_seconds(-1)),
            encryption: Encryption::of(&key),
            people: People::new(Arc::clone(&vault), clock.clone()),
            pollers: Pollers::start(&broker),
            broker,
            home,
            settings,
            clock,
            vault,
        };
        Self { state }
    }

    fn answer(&self, request: &Request) -> Response {
        let answer = server::answer(&self.state, request);
        description::check(request, &answer);
        answer
    }

    /// Sends a request that nobody signed.
    fn open(&self, method: &str, target: &str, body: &str) -> Response {
        self.answer(&request(method, target, body))
    }

    fn people(&self) -> &People {
        &self.state.people
    }

    /// A registered identity that belongs to `owner`.
    fn claimed(&self, handle: &str, owner: &Principal, grants: Grants) -> Agent<'_> {
        let agent = self.registered(handle);
        let known = self.people().known(handle).expect("reads").expect("registered");
        self.people().claim(&known, owner, grants).expect("claims");
        agent
    }

    fn registered(&self, handle: &str) -> Agent<'_> {
        let agent = self.stranger(handle);
        self.people().register(handle, &agent.key.did(), None).expect("registers");
        agent
    }

    fn stranger(&self, handle: &str) -> Agent<'_> {
        Agent { daemon: self, handle: handle.to_owned(), key: SigningKey::generate() }
    }

    fn account(&self, email: &str) -> Principal {
        let new = super::people::NewAccount {
            email: email.to_owned(),
            password: crate::secret::Secret::new("correct horse".to_owned()),
            token: None,
            is_open: true,
        };
        self.people().make_account(&new, None).expect("an account")
    }

    /// A browser in which `principal` is signed in.
    fn browser(&self, principal: &Principal) -> Browser<'_> {
        let handle = self.people().test_only_session(principal, self.state.settings.port);
        Browser { daemon: self, cookie: format!("other=1; authsome_ui_session={handle}") }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        std::fs::remove_dir_all(self.state.home.dir()).expect("cleans up");
    }
}

fn scratch() -> PathBuf {
    std::env::temp_dir().join(format!("authsome-daemon-{}", hex(&random_bytes::<8>())))
}

fn request(method: &str, target: &str, body: &str) -> Request {
    let mut fields = Fields::new();
    fields.push("Host", "127.0.0.1:7998");
    Request {
        method: method.to_owned(),
        target: target.to_owned(),
        fields,
        body: Zeroizing::new(body.as_bytes().to_vec()),
        peer: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
    }
}

/// An identity with its key.
struct Agent<'a> {
    daemon: &'a Daemon,
    handle: String,
    key: SigningKey,
}

impl Agent<'_> {
    fn signed(&self, method: &str, target: &str, body: &str) -> Request {
        let mut request = request(method, target, body);
        let now = self.daemon.state.clock.now();
        let token = self.key.sign_request(&self.handle, method, target, body.as_bytes(), now);
        request.fields.push("Authorization", format!("PoP {token}"));
        request
    }

    fn ask(&self, method: &str, target: &str, body: &str) -> Response {
        self.daemon.answer(&self.signed(method, target, body))
    }

    fn get(&self, target: &str) -> Response {
        self.ask("GET", target, "")
    }
}

/// A browser with a session.
struct Browser<'a> {
    daemon: &'a Daemon,
    cookie: String,
}

impl Browser<'_> {
    fn get(&self, target: &str) -> Response {
        self.ask("GET", target, "", &[])
    }

    fn ask(&self, method: &str, target: &str, body: &str, fields: &[(&str, &str)]) -> Response {
        let mut request = request(method, target, body);
        request.fields.push("Cookie", self.cookie.as_str());
        for (name, value) in fields {
            request.fields.push(*name, *value);
        }
        self.daemon.answer(&request)
    }

    /// Sends a form as a page of ours does.
    fn submit(&self, target: &str, form: &str) -> Response {
        let origin = self.daemon.state.settings.base_url.clone();
        let fields = [("Content-Type", FORM), ("Origin", origin.as_str()), ("Sec-Fetch-Site", "same-origin")];
        self.ask("POST", target, form, &fields)
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

impl Response {
    fn value(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| json!(String::from_utf8_lossy(&self.body)))
    }

    fn detail(&self) -> (u16, String) {
        (self.status, self.value()["detail"].as_str().unwrap_or_default().to_owned())
    }

    fn location(&self) -> (u16, &str) {
        (self.status, self.fields.first_str("location").unwrap_or_default())
    }
}

fn refusal(status: u16, detail: &str) -> (u16, String) {
    (status, detail.to_owned())
}
