//! After logins, refreshes and logouts: no token, code, verifier, client secret or device code in a file, a log, an
//! error, an audit entry, on a command line, or in the child.
//!
//! The `state` of a login is in the address that the terminal shows and the browser opens; it may be there and nowhere
//! else.

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use serde_json::json;

use crate::harness::oauth::{CLIENT_ID, CLIENT_SECRET, Reply};
use crate::harness::{
    AuthServer, Caller, CliLogin, Finished, LiveRun, Person, TestCommand, World, children, eventually,
};
use crate::leaks::{files_with, find};

/// A world, everything that was said in it, and whatever must not be found.
struct Watch {
    world: World,
    server: AuthServer,
    said: RefCell<Vec<u8>>,
}

impl Watch {
    fn new() -> Self {
        let (world, server) = AuthServer::world();
        Self { world, server, said: RefCell::default() }
    }

    fn note(&self, ended: &Finished) {
        self.said.borrow_mut().extend([ended.stdout.as_slice(), &ended.stderr].concat());
    }

    /// Runs a command as verbosely as it gets; gives its exit code.
    fn run(&self, args: &[&str]) -> i32 {
        let log = self.world.scratch.path().join("client-debug.log");
        let ended = self.world.authsome(["--verbose", "--log-file"]).arg(log).args(args).run();
        self.note(&ended);
        ended.code()
    }

    /// Everything secret but the states.
    fn secrets(&self) -> Vec<String> {
        let states = self.server.states();
        let mut secrets = self.server.secrets();
        secrets.retain(|secret| !states.contains(secret));
        assert!(secrets.len() >= 2, "{secrets:?}");
        secrets
    }

    fn nothing_was_said(&self) {
        let said = self.said.borrow();
        for secret in self.secrets() {
            assert_eq!(find(&secret, &said), None, "{secret}: {}", String::from_utf8_lossy(&said));
        }
    }

    /// Every file of this world, the store and all logs among them, states included.
    fn nothing_lies_around(&self, when: &str) {
        let dir = self.world.scratch.path();
        // All but `bin`: the program itself is large and older than every secret.
        let places: Vec<PathBuf> = ["home", "user", "tmp", "work"].map(|name| dir.join(name)).into();
        let logs = [self.world.daemon().log.clone(), dir.join("client-debug.log"), dir.join("demo-oauth.json")];
        for secret in self.server.secrets() {
            let found: Vec<String> = places.iter().flat_map(|place| files_with(&secret, place)).collect();
            assert_eq!(found, [] as [String; 0], "{when}: {secret}");
            for log in &logs {
                assert_eq!(find(&secret, &fs::read(log).unwrap_or_default()), None, "{when}: {}", log.display());
            }
        }
    }

    /// The command line of every process that can be seen, and the environment of those given.
    fn no_process_shows_any(&self, pids: &[u32]) {
        let mut shown = Vec::new();
        for entry in fs::read_dir("/proc").expect("a proc file system").filter_map(Result::ok) {
            shown.extend(fs::read(entry.path().join("cmdline")).unwrap_or_default());
        }
        for pid in pids {
            shown.extend(fs::read(format!("/proc/{pid}/environ")).expect("a process of ours"));
        }
        for secret in self.secrets() {
            assert_eq!(find(&secret, &shown), None, "{secret} stands on a command line or in an environment");
        }
    }

    fn audit_is_clean(&self) {
        let audit = Caller::active(&self.world).get("/api/audit/events?limit=500");
        for secret in self.server.secrets() {
            assert_eq!(find(&secret, &audit.body), None, "{secret}: {}", audit.text());
        }
    }
}

/// Everything that can be read of the memory of `pid`.
fn memory(pid: u32) -> Vec<u8> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("a process of ours");
    let file = fs::File::open(format!("/proc/{pid}/mem")).expect("a descendant of ours");
    let mut all = Vec::new();
    for line in maps.lines().filter(|line| !line.contains("[vvar") && !line.contains("[vsyscall]")) {
        let (range, rest) = line.split_once(' ').expect("a range");
        let (start, end) = range.split_once('-').expect("a range");
        let number = |text: &str| u64::from_str_radix(text, 16).expect("hex");
        let (start, end) = (number(start), number(end));
        let mut bytes = vec![0; usize::try_from(end - start).expect("a size")];
        if rest.starts_with('r') && file.read_exact_at(&mut bytes, start).is_ok() {
            all.append(&mut bytes);
        }
    }
    all
}

#[test]
fn a_browser_login_its_refreshes_and_its_end_leave_no_trace() {
    let watch = Watch::new();
    watch.server.set(|knobs| knobs.expires_in = Some(json!(200)));
    let login = CliLogin::start(&watch.world, &["--verbose", "login", "demo-oauth", "--no-browser"]);
    let person = Person::new(&watch.world);
    let form = person.browse(&login.url);
    let held = watch.server.hold();
    let (world, page) = (&watch.world, &form);
    let end = std::thread::scope(|scope| {
        let submit =
            scope.spawn(move || person.submit(page, &[("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET)]));
        held.wait_for(1);
        // The code is being redeemed: everything secret is alive.
        watch.no_process_shows_any(&[world.daemon().pid()]);
        watch.nothing_lies_around("while a code is redeemed");
        drop(held);
        submit.join().expect("a page")
    });
    assert_eq!(end.status, 200, "{end:#?}");
    let secrets = watch.server.secrets();
    let shown =
        [&form, &end].map(|page| page.answer.head.raw.iter().chain(&page.answer.body).copied().collect::<Vec<u8>>());
    for (secret, page) in secrets.iter().flat_map(|secret| shown.iter().map(move |page| (secret, page))) {
        assert_eq!(find(secret, page), None, "{secret} stands on a page");
    }
    watch.note(&login.finish().succeeds());

    let run = LiveRun::start(&watch.world, &[]);
    assert_eq!(run.get("api.demo.test", "/v1/me").status, 200);
    assert_eq!(watch.server.token_requests().len(), 2, "it was refreshed");
    let kin: Vec<u32> = children(run.pid());
    watch.no_process_shows_any(&[&kin[..], &[run.pid(), watch.world.daemon().pid()]].concat());
    for child in kin {
        let memory = memory(child);
        let password = run.credentials.split_once(':').expect("a user and a password").1;
        assert!(find(password, &memory).is_some(), "what the child does know is not found either");
        for secret in watch.secrets() {
            assert_eq!(find(&secret, &memory), None, "{secret} is in the memory of the child");
        }
    }
    watch.nothing_lies_around("while a run is alive");
    run.finish();

    watch.server.next("/token", Reply::error("temporarily_unavailable"));
    for args in [
        &["whoami", "--json"][..],
        &["doctor"],
        &["list", "--json"],
        &["get", "demo-oauth"],
        &["connections", "inspect", "demo-oauth", "--json"],
        &["provider", "inspect", "demo-oauth", "--json"],
        &["log", "-n", "500", "--json"],
        &["log", "--raw"],
        &["daemon", "logs"],
        &["logout", "demo-oauth"],
        &["export", "demo-oauth"],
    ] {
        watch.run(args);
    }
    assert!(!watch.server.lives(&watch.server.newest().access), "the logout has revoked it");
    watch.nothing_was_said();
    watch.audit_is_clean();
    watch.nothing_lies_around("after the logout");
}

#[test]
fn failures_leave_no_trace_either() {
    let watch = Watch::new();
    let caller = Caller::active(&watch.world);
    let start = json!({"provider": "demo-oauth", "force": true});
    for reply in [Reply::error("invalid_grant"), Reply::HangUp, Reply::Cut(120), Reply::status("500 No", "", "x")] {
        let (_, url) = AuthServer::begin(&caller, &start);
        watch.server.next("/token", reply);
        Person::new(&watch.world).browse(&url);
    }
    watch.server.set(|knobs| knobs.expires_in = Some(json!(200)));
    AuthServer::connect(&watch.world);
    for reply in [Reply::error("invalid_grant"), Reply::lost()] {
        watch.server.next("/token", reply);
        // The value itself is what an export is for; what it says beside that is not.
        let ended = watch.world.authsome(["--verbose", "export", "demo-oauth"]).run();
        watch.said.borrow_mut().extend_from_slice(&ended.stderr);
    }
    watch.run(&["log", "-n", "500", "--json"]);
    watch.run(&["list", "--json"]);
    watch.nothing_was_said();
    watch.audit_is_clean();
    watch.nothing_lies_around("after failures");
}

#[test]
fn device_and_registered_logins_leave_no_trace() {
    let watch = Watch::new();
    let caller = Caller::active(&watch.world);
    let body = json!({"provider": "demo-oauth", "connection": "device", "flow": "device_code"});
    let (id, _) = AuthServer::begin(&caller, &body);
    let code = caller.get(&format!("/api/auth/sessions/{id}")).json()["user_code"].as_str().map(str::to_owned);
    watch.server.wait_for_token_requests(1);
    watch.nothing_lies_around("while a device waits");
    watch.no_process_shows_any(&[watch.world.daemon().pid()]);
    watch.server.decide(&code.expect("a code"), true);
    eventually("the device's connection", || {
        (caller.get("/api/connections/demo-oauth/device").status == 200).then_some(())
    });
    assert_eq!(watch.run(&["provider", "revoke", "demo-oauth", "--yes"]), 0);
    AuthServer::connect_as(
        &caller,
        &Person::new(&watch.world),
        &json!({"provider": "demo-oauth", "connection": "registered", "flow": "dcr_pkce"}),
    );
    assert_eq!(watch.server.registrations().len(), 1);
    watch.nothing_lies_around("with a registered client");
    watch.run(&["connections", "inspect", "demo-oauth", "--connection", "registered", "--json"]);
    assert_eq!(watch.run(&["provider", "remove", "demo-oauth", "--yes"]), 0);
    watch.run(&["log", "-n", "500", "--json"]);
    watch.nothing_was_said();
    watch.audit_is_clean();
    watch.nothing_lies_around("after the end");
}

#[test]
fn the_program_that_opens_a_page_is_told_nothing_but_the_page() {
    let watch = Watch::new();
    AuthServer::connect(&watch.world); // from now on the client is known, and the address is the provider's own
    let opener = watch.world.scratch.file("opener", "#!/bin/sh\ntr '\\0' '\\n' </proc/self/environ >\"$0.environ\"\n");
    let chmod = TestCommand::new("chmod").arg("+x").arg(&opener).run();
    chmod.succeeds();
    let command = watch.world.authsome(["login", "demo-oauth", "--force"]).env("BROWSER", &opener);
    let login = CliLogin::start_with(command);
    let environ = watch.world.scratch.path().join("opener.environ");
    let seen = eventually("the opener", || fs::read(&environ).ok().filter(|bytes| !bytes.is_empty()));
    for secret in watch.server.secrets() {
        assert_eq!(find(&secret, &seen), None, "{secret} is in the environment of the opener");
    }
    assert_eq!(Person::new(&watch.world).browse(&login.url).status, 200);
    login.finish().succeeds();
    watch.no_process_shows_any(&[]);
}
