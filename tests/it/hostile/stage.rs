//! A connection by OAuth, its authorization server, and what can be seen of both.

use serde_json::{Value, json};

use authsome::clock::{Clock, Timestamp};

use crate::harness::oauth::Reply;
use crate::harness::{AuthServer, Caller, Finished, Person, World, eventually, form};

/// A daemon and the authorization server of `demo-oauth`.
pub(super) struct Stage {
    pub(super) world: World,
    pub(super) server: AuthServer,
}

/// What is stored of a connection: all that a failed refresh must not change.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stored {
    pub(super) status: String,
    pub(super) access: Option<String>,
    pub(super) refresh: Option<String>,
    pub(super) expires_at: Option<String>,
}

impl Stage {
    pub(super) fn new() -> Self {
        Self::with(|_| ())
    }

    /// With a changed definition of `demo-oauth`.
    pub(super) fn with(change: impl FnOnce(&mut Value)) -> Self {
        Self::in_world(World::empty(), change)
    }

    /// In a world that has more hosts.
    pub(super) fn in_world(mut world: World, change: impl FnOnce(&mut Value)) -> Self {
        let server = AuthServer::join(&mut world, change);
        Self { world, server }
    }

    pub(super) fn caller(&self) -> Caller<'_> {
        Caller::active(&self.world)
    }

    pub(super) fn person(&self) -> Person {
        Person::new(&self.world)
    }

    /// A login whose access token lives for `seconds`.
    pub(super) fn connect(&self, connection: &str, seconds: i64) {
        self.server.set(|knobs| knobs.expires_in = Some(json!(seconds)));
        let start = json!({"provider": "demo-oauth", "connection": connection, "force": true});
        AuthServer::connect_as(&self.caller(), &self.person(), &start);
    }

    /// A connection whose token is good for a few minutes more: due for a refresh, and a fallback when that fails.
    pub(super) fn due(&self, connection: &str) {
        self.connect(connection, 200);
        self.server.set(|knobs| knobs.expires_in = Some(json!(3600)));
    }

    /// Connections whose tokens are over.
    pub(super) fn expired(&self, connections: &[&str]) {
        for connection in connections {
            self.connect(connection, 1);
        }
        self.server.set(|knobs| knobs.expires_in = Some(json!(3600)));
        let last = self.stored(connections.last().expect("at least one")).expires_at.expect("a known end");
        let last: Timestamp = serde_json::from_value(json!(last)).expect("a time");
        eventually("the end of the tokens", || (Clock::system().now() > last).then_some(()));
    }

    pub(super) fn stored(&self, connection: &str) -> Stored {
        let answer = self.caller().get(&format!("/api/connections/demo-oauth/{connection}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let record = answer.json();
        let text = |name: &str| record[name].as_str().map(str::to_owned);
        Stored {
            status: text("status").expect("a status"),
            access: text("access_token"),
            refresh: text("refresh_token"),
            expires_at: text("expires_at"),
        }
    }

    /// `authsome export`: the shortest way to a refresh for somebody at a terminal.
    pub(super) fn export(&self, connection: &str) -> Finished {
        let args = ["export", "demo-oauth", "--connection", connection, "--format", "json"];
        self.world.authsome(args).run()
    }

    /// The access token that an export gives.
    pub(super) fn exported(&self, connection: &str) -> Option<String> {
        let ended = self.export(connection).succeeds().json();
        ended["DEMO_OAUTH_ACCESS_TOKEN"].as_str().map(str::to_owned)
    }

    /// The audit entries called `event` about `connection`, newest first.
    pub(super) fn events(&self, event: &str, connection: &str) -> Vec<Value> {
        let log = self.caller().get("/api/audit/events?limit=500").json();
        let entries = log["entries"].as_array().expect("entries").clone();
        entries.into_iter().filter(|one| one["event"] == event && one["connection"] == connection).collect()
    }

    /// Starts a login of `connection` with our client. Gives the session's id and what to open.
    pub(super) fn begin(&self, connection: &str) -> (String, String) {
        let start = json!({"provider": "demo-oauth", "connection": connection, "force": true});
        AuthServer::begin(&self.caller(), &start)
    }

    pub(super) fn session(&self, id: &str) -> Value {
        self.caller().get(&format!("/api/auth/sessions/{id}")).json()
    }

    /// Where the provider sends the browser back to.
    pub(super) fn callback(&self, query: &[(&str, &str)]) -> String {
        let port = self.world.daemon().port;
        format!("http://127.0.0.1:{port}/api/auth/callback/oauth?{}", form::encode(query.iter().copied()))
    }

    /// Asserts that the login `id` of `connection` has failed for `reason`, that this is noted once, and that it left
    /// nothing behind.
    pub(super) fn login_failed(&self, what: &str, id: &str, connection: &str, reason: &str) {
        let session = self.session(id);
        assert_eq!(session["status"], "failed", "{what}: {session}");
        assert_says(what, &session["error"], reason);
        assert_eq!(session["next_action"], json!({"type": "none"}), "{what}");
        // A device login ends beside us: first its session, then the note of it.
        let noted = || Some(self.events("provider.login_failed", connection)).filter(|events| !events.is_empty());
        let events = eventually("a note of the failure", noted);
        assert_eq!((events.len(), &events[0]["status"]), (1, &json!("failure")), "{what}: {events:#?}");
        assert_says(what, &events[0]["reason"], reason);
        assert!(self.events("provider.login", connection).is_empty(), "{what}");
        let record = self.caller().get(&format!("/api/connections/demo-oauth/{connection}"));
        assert_eq!(record.status, 404, "{what}: {}", record.text());
    }

    /// Whether a login would ask for our client: nothing is stored of it.
    pub(super) fn has_no_client(&self) -> bool {
        let session =
            self.caller().post("/api/auth/sessions", &json!({"provider": "demo-oauth", "force": true})).json();
        session["next_action"]["url"].as_str().is_some_and(|url| url.contains("/auth/input?"))
    }

    /// Lets the next refresh of `name`, whose token is still good, get `reply`. Asserts that the token is used, nothing is
    /// lost, the audit log says `reason`, and the next refresh heals.
    pub(super) fn refresh_falls_back(&self, name: &str, what: &str, reply: &Reply, reason: &str) {
        let (before, calls) = (self.stored(name), self.server.token_requests().len());
        let failures = self.events("provider.refresh_failed", name).len();
        self.server.next("/token", reply.clone());
        assert_eq!(self.exported(name), before.access, "{what}: the old token is still good");
        assert_eq!(self.server.token_requests().len(), calls + 1, "{what}: one call");
        assert_eq!(self.stored(name), before, "{what}");
        let events = self.events("provider.refresh_failed", name);
        assert_eq!(events.len(), failures + 1, "{what}: {events:#?}");
        assert_eq!(events[0]["fallback_available"], true, "{what}: {}", events[0]);
        assert_says(what, &events[0]["reason"], reason);
        let healed = self.exported(name);
        assert_eq!(
            (healed, self.stored(name).status.as_str()),
            (Some(self.server.newest().access), "connected"),
            "{what}"
        );
    }

    /// The same for `name`, whose token is over: it is said, and noted.
    pub(super) fn refresh_leaves_nothing(&self, name: &str, what: &str, reply: &Reply, reason: &str) {
        let before = self.stored(name);
        self.server.next("/token", reply.clone());
        let ended = self.export(name).exits(5).complains("Token refresh failed").complains(reason);
        assert!(ended.stdout.is_empty(), "{what}: {ended}");
        self.is_silent_about_secrets(what, &ended);
        let after = self.stored(name);
        assert_eq!(after, Stored { status: "expired".to_owned(), ..before }, "{what}");
        let events = self.events("provider.refresh_failed", name);
        assert_eq!(events[0]["fallback_available"], false, "{what}: {}", events[0]);
        assert_says(what, &events[0]["reason"], reason);
        let healed = self.exported(name);
        assert_eq!(
            (healed, self.stored(name).status.as_str()),
            (Some(self.server.newest().access), "connected"),
            "{what}"
        );
    }

    /// No secret of the authorization server stands in what a command said.
    pub(super) fn is_silent_about_secrets(&self, what: &str, ended: &Finished) {
        for secret in self.server.secrets() {
            let said = format!("{}{}", ended.out(), ended.err());
            assert!(!said.contains(&secret), "{what}: {secret} shows: {ended}");
        }
    }

    /// Nothing secret in the audit log and in the daemon's own.
    pub(super) fn logs_are_clean(&self, further: &[&str]) {
        let audit = self.caller().get("/api/audit/events?limit=500").text();
        let log = std::fs::read_to_string(&self.world.daemon().log).expect("a log");
        let secrets = self.server.secrets();
        for secret in secrets.iter().map(String::as_str).chain(further.iter().copied()) {
            assert!(!audit.contains(secret), "{secret} stands in the audit log");
            assert!(!log.contains(secret), "{secret} stands in the daemon's log");
        }
    }
}

/// How long it is until `time`.
pub(super) fn seconds_until(time: &str) -> i64 {
    let time: Timestamp = serde_json::from_value(json!(time)).expect("a time");
    time.unix() - Clock::system().now().unix()
}

fn assert_says(what: &str, found: &Value, part: &str) {
    assert!(found.as_str().is_some_and(|text| text.contains(part)), "{what}: no {part:?} in {found}");
}
