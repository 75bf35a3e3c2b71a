//! People and their agents on a real daemon: accounts, claims, grants, and what a restart leaves of them.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{KEY, Page, Person, TestCommand, World, demo_provider};

/// The name of the server for browsers.
const HOST: &str = "auth.test";
const PASSWORD: &str = "correct horse 1";

/// A daemon for many people, and the token for the first account.
struct Server {
    world: World,
    setup_token: String,
}

impl Server {
    fn start() -> Self {
        let mut world = World::empty();
        serve(&mut world);
        let log = fs::read_to_string(&world.daemon().log).expect("a log");
        let (_, rest) = log.split_once("setup token for the first account, shown only now: ").expect("a token");
        Self { setup_token: rest.lines().next().expect("a line").to_owned(), world }
    }

    fn restart(&mut self) {
        self.world.daemon_mut().kill();
        serve(&mut self.world);
        let log = fs::read_to_string(&self.world.daemon().log).expect("a log");
        assert_eq!(log.matches("setup token").count(), 1, "shown once: {log}");
    }

    /// A browser that knows where the server is now.
    fn browser(&self) -> Person {
        let mut person = Person::new(&self.world);
        self.show(&mut person);
        person
    }

    fn show(&self, person: &mut Person) {
        person.knows(HOST, SocketAddr::from(([127, 0, 0, 1], self.world.daemon().port)));
    }

    /// The command line of somebody with a home of their own, elsewhere.
    fn cli<const N: usize>(&self, home: &str, args: [&str; N]) -> TestCommand {
        let home = self.world.scratch.path().join(home);
        let command = self.world.authsome(args).env("AUTHSOME_HOME", home);
        command.env("AUTHSOME_BASE_URL", format!("http://127.0.0.1:{}", self.world.daemon().port))
    }

    /// Makes the agent of `home` known to the server; where its person claims it.
    fn onboard(&self, home: &str) -> String {
        let told = self.cli(home, ["onboard", "--json"]).run().succeeds().json();
        assert_eq!(told["registration_status"], "claim_required", "{told}");
        told["claim_url"].as_str().expect("a link").to_owned()
    }

    fn whoami(&self, home: &str) -> Value {
        self.cli(home, ["api", "GET", "/api/whoami"]).run().succeeds().json()
    }
}

fn serve(world: &mut World) {
    world.start_daemon_with(|command| command.env("AUTHSOME_BASE_URL", format!("http://{HOST}")));
}

fn at(path: &str) -> String {
    format!("http://{HOST}{path}")
}

/// The form for new accounts, filled in.
fn register(person: &Person, email: &str, field: &str, token: &str) -> Page {
    let page = person.browse(&at("/login?tab=register"));
    let form = [("email", email), ("password", PASSWORD), (field, token)];
    person.submit_to(&page, "/api/auth/register", &form)
}

/// `person` opens the link and agrees.
fn claim(person: &Person, link: &str, may_export: bool) {
    let page = person.browse(link);
    assert!(page.text().contains("Is this agent yours?"), "{}", page.text());
    let ticked: &[(&str, &str)] = if may_export { &[("export", "1")] } else { &[] };
    let done = person.submit_to(&page, "/api/claim/", ticked);
    assert_eq!((done.status, done.url), (200, at("/")));
}

/// The identity in use of a home.
fn handle(server: &Server, home: &str) -> String {
    let config = fs::read(Path::new(server.world.scratch.path()).join(home).join("client/config.json"));
    let config: Value = serde_json::from_slice(&config.expect("a file")).expect("JSON");
    config["active_identity"].as_str().expect("a handle").to_owned()
}

/// Setup token, first agent, restart, invitation, second person, their agents, grants, what is shared, the end.
#[test]
fn a_server_from_its_first_account_to_an_agent_that_is_forgotten() {
    let mut server = Server::start();
    let mut ada = server.browser();
    let wrong = register(&ada, "ada@x.test", "setup_token", "setup_guess");
    assert!(wrong.url.contains("error=refused"), "{}", wrong.url);
    let first = register(&ada, "ada@x.test", "setup_token", &server.setup_token);
    assert_eq!((first.status, first.url), (200, at("/")));
    let link = server.onboard("home-ada");
    server.cli("home-ada", ["whoami"]).run().exits(10).complains("not claimed");
    claim(&ada, &link, true);
    assert_eq!(server.whoami("home-ada")["principal_role"], "admin");

    let port = server.world.daemon().port;
    server.restart();
    server.show(&mut ada);
    let still_in = ada.browse(&at("/settings")).url == at("/settings");
    assert_eq!(still_in, server.world.daemon().port == port, "a session stays with its port, restarted or not");
    assert_eq!(server.whoami("home-ada")["account_email"], "ada@x.test");

    let bob = server.browser();
    let spent = register(&bob, "bob@x.test", "invitation", &server.setup_token);
    assert!(spent.url.contains("error=refused"), "{}", spent.url);
    let invited = server.cli("home-ada", ["api", "POST", "/api/invitations"]).run().succeeds().json();
    let invitation = invited["invitation"].as_str().expect("a token");
    assert_eq!(register(&bob, "bob@x.test", "invitation", invitation).url, at("/"));
    let eve = server.browser();
    assert!(register(&eve, "eve@x.test", "invitation", invitation).url.contains("error=refused"), "once");

    agents_of_bob(&server, &bob, &ada);
    what_is_shared(&server);
    server.cli("home-other", ["agent", "forget", &handle(&server, "home-bob"), "--yes"]).run().succeeds();
    server.cli("home-bob", ["list"]).run().exits(10).complains("not claimed");
    server.restart();
    server.cli("home-bob", ["list"]).run().exits(10);
    server.cli("home-other", ["list"]).run().succeeds();
}

/// Two agents of Bob's: the first may not read secrets until the second, which may, says so.
fn agents_of_bob(server: &Server, bob: &Person, ada: &Person) {
    let link = server.onboard("home-bob");
    claim(bob, &link, false);
    assert_eq!(server.whoami("home-bob")["principal_role"], "user");
    let late = ada.browse(&link);
    assert!(late.status == 404 && late.text().contains("This link is over"), "{}", late.text());
    let first = handle(server, "home-bob");
    server.cli("home-bob", ["export"]).run().exits(4).complains("authsome agent grant HANDLE --export");
    let itself = server.cli("home-bob", ["agent", "grant", &first, "--export"]).run();
    itself.exits(4).complains("cannot grant");
    server.cli("home-ada", ["agent", "inspect", &first]).run().succeeds().says("bob@x.test");

    let link = server.onboard("home-other");
    claim(bob, &link, true);
    server.cli("home-other", ["agent", "list"]).run().succeeds().says("elsewhere").says("use connections and read");
    let granted = server.cli("home-other", ["agent", "grant", &first, "--export"]).run().succeeds();
    granted.says("may use connections and read their secrets");
    server.cli("home-bob", ["export"]).run().succeeds();
    server.cli("home-other", ["agent", "grant", &first, "--no-export"]).run().succeeds();
    server.cli("home-bob", ["export"]).run().exits(4);
    let of_ada = handle(server, "home-ada");
    server.cli("home-other", ["agent", "grant", &of_ada, "--no-export"]).run().exits(1).complains("not found");
}

/// What Ada lets everybody use, Bob's agents use and cannot read, whatever they hold.
fn what_is_shared(server: &Server) {
    let definition = server.world.scratch.file("demo.json", demo_provider().to_string());
    let path = definition.to_str().expect("our own path");
    server.cli("home-bob", ["provider", "register", path, "--yes"]).run().exits(4).complains("Admin role required");
    server.cli("home-ada", ["provider", "register", path, "--yes"]).run().succeeds();
    server.cli("home-ada", ["login", "demo", "--key-stdin"]).stdin(KEY).run().succeeds();
    server.cli("home-ada", ["connections", "set-global", "demo"]).run().succeeds();
    for home in ["home-bob", "home-other"] {
        let resolve = json!({"provider": "demo"}).to_string();
        let used = server.cli(home, ["api", "POST", "/api/credentials/resolve", "--data", &resolve]).run().succeeds();
        let used = used.json();
        let sent = (&used["source"], &used["headers"]["Authorization"]);
        assert_eq!(sent, (&json!("global"), &json!(format!("Bearer {KEY}"))));
        for path in ["/api/connections/demo/default", "/api/connections/demo/default/detail"] {
            let read = server.cli(home, ["api", "GET", path]).run();
            assert!(read.code() != 0 && !read.out().contains(KEY), "{path}: {read}");
        }
    }
    let export = server.cli("home-other", ["export", "demo"]).run().exits(4);
    export.complains("can be used but not read").complains("authsome run");
    assert!(server.cli("home-ada", ["export", "demo"]).run().succeeds().out().contains("DEMO_API_KEY="));
}

/// The grants of the one identity of a machine: taken by hand, not given back by itself, given back by another.
#[test]
fn on_ones_own_machine_grants_are_switches() {
    let world = World::connected();
    let me = world.authsome(["api", "GET", "/api/whoami"]).run().succeeds().json();
    let me = me["identity"].as_str().expect("a handle");
    world.authsome(["agent", "grant", me]).run().exits(2).complains("nothing to change");
    world.authsome(["agent", "grant", me, "--export", "--no-export"]).run().exits(2).complains("exclude each other");
    let taken = world.authsome(["agent", "grant", me, "--no-export"]).run().succeeds();
    taken.says(&format!("{me} may use connections."));
    world.authsome(["export", "demo"]).run().exits(4).complains("may not read raw secrets").complains("--export");
    world.authsome(["agent", "grant", me, "--export"]).run().exits(4).complains("cannot grant");
    world.authsome(["ui", "--no-browser"]).run().exits(4).complains("owner@localhost");
    let listed = world.authsome(["agent", "list", "--json"]).run().succeeds().json();
    assert_eq!(listed["agents"][0]["grants"], json!({"use": true, "export": false}), "{listed}");

    world.authsome(["agent", "create", "--handle", "second-fox"]).run().succeeds();
    world.authsome(["agent", "grant", me, "--export"]).run().succeeds();
    world.authsome(["agent", "use", me]).run().succeeds();
    world.authsome(["export", "demo"]).run().succeeds();
    world.authsome(["ui", "--sign-out"]).run().succeeds().says("Signed out 0 browsers.");
    world.authsome(["agent", "forget", "second-fox"]).run().succeeds();
    let inspected = world.authsome(["agent", "inspect", "second-fox"]).run();
    inspected.exits(1).complains("not found");
}
