//! Cookies of a site that a person signs in to, in a real Chromium. The site lets everybody in who opens its page.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use nix::sys::signal::{Signal, kill};
use serde_json::{Value, json};

use super::*;
use crate::harness::{chromium, eventually, to_pid};
use crate::upstream::Upstream;

const AUTH: &str = "auth/7Qz+Jx9==end-of-auth";
const CSRF: &str = "\"ajax:0123456789\"";

/// A world with a site, its definition, and a `chromium` on `PATH` that finds the site and needs no screen.
struct Stage {
    world: World,
    site: Upstream,
    path: String,
}

impl Stage {
    fn new() -> Self {
        let chromium = chromium();
        let mut world = World::empty();
        let site = world.serve_more(&["www.site.test"]);
        site.on("/login", |exchange| {
            exchange.read_body()?;
            let fields = format!(
                "content-type: text/html\r\nset-cookie: csrf={CSRF}; Domain=www.site.test; Path=/; Secure\r\n\
                 set-cookie: tracker=x; Path=/\r\n"
            );
            exchange.respond("200 OK", &fields, b"<!doctype html><meta http-equiv=refresh content='0; url=/home'>")
        });
        site.on("/home", |exchange| {
            exchange.read_body()?;
            let cookie = format!("auth={AUTH}; Domain=.site.test; Path=/; Max-Age=7200; Secure; HttpOnly");
            let fields = format!("content-type: text/html\r\nset-cookie: {cookie}\r\n");
            exchange.respond("200 OK", &fields, b"<!doctype html><p>Hello")
        });
        let dir = world.scratch.dir("browsers");
        let wrapper = format!(
            "#!/bin/sh\nexec {} --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage \
             --ignore-certificate-errors --host-resolver-rules='MAP *.site.test {}' \"$@\"\n",
            chromium.display(),
            site.address()
        );
        let program = dir.join("chromium");
        fs::write(&program, wrapper).expect("a script");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("our own file");
        let path = format!("{}:{}", dir.display(), std::env::var("PATH").expect("a PATH"));
        world.start_daemon();
        world.authsome(["onboard", "--yes"]).run().succeeds();
        world.register(&definition("/login"));
        Self { world, site, path }
    }

    /// `authsome login site ARGS...` on a machine with a screen.
    fn login(&self, args: &[&str]) -> TestCommand {
        let login = self.world.authsome(["login", "site"]).args(args);
        login.env("PATH", &self.path).env("DISPLAY", ":0").env_remove("CHROME")
    }

    /// Waits until the browser has opened `page`.
    fn opened(&self, page: &str) {
        eventually("the browser at the site", || {
            self.site.requests().iter().any(|seen| seen.target == page).then_some(())
        });
    }

    /// The processes of browsers that were started here.
    fn browsers(&self) -> Vec<u32> {
        let profiles = self.profiles().display().to_string();
        let processes = fs::read_dir("/proc").expect("a proc file system").filter_map(Result::ok);
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|pid: &u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(&profiles)
        })
        .collect()
    }

    fn profiles(&self) -> PathBuf {
        self.world.home().join("client/browser")
    }

    /// Neither a process nor a profile is left.
    fn is_clean(&self) {
        assert_eq!(self.browsers(), [] as [u32; 0]);
        let left: Vec<_> = fs::read_dir(self.profiles()).expect("made by the login").collect();
        assert!(left.is_empty(), "{left:?}");
    }

    fn is_connected(&self) -> bool {
        Caller::active(&self.world).get("/api/connections/site/default?redact=1").status == 200
    }
}

fn definition(page: &str) -> Value {
    json!({
        "schema_version": 1,
        "name": "site",
        "display_name": "Site",
        "type": "browser",
        "auth_type": "browser",
        "flow": "browser",
        "api_url": "https://www.site.test/api",
        "browser": {
            "entry_url": format!("https://www.site.test{page}"),
            "domains": [".site.test"],
            "auth_cookies": ["auth", "csrf"],
            "ttl_hours": 24,
            "ttl_from_cookie": "auth",
            "extract": [{"cookie": "csrf", "header": "csrf-token", "trim": "\""}],
        },
    })
}

#[test]
fn the_cookies_of_a_person_who_signs_in_are_stored_and_the_browser_leaves_nothing() {
    let stage = Stage::new();
    let ended = stage.login(&[]).run().succeeds().says("site (default) is connected.\n");
    let ended = ended.complains("sign in at https://www.site.test/login in the browser");
    assert!(!ended.err().contains(AUTH) && !ended.out().contains(AUTH), "{ended}");
    stage.is_clean();

    let record = Caller::active(&stage.world).get("/api/connections/site/default").json();
    assert_eq!(record["credentials"], json!({"auth": AUTH, "csrf": CSRF}));
    let end = record["expires_at"].as_str().expect("an end").to_owned();
    let end = authsome::clock::Timestamp::parse(&end).expect("a time").unix();
    let left = end - authsome::clock::Clock::system().now().unix();
    assert!((7000..=7200).contains(&left), "the cookie's own end, not the definition's: {left} s");

    let call = stage.world.run(["curl", "-sS", "-o", "/dev/null", "https://www.site.test/api/me"]);
    call.run().succeeds();
    let seen = stage.site.wait_for("/api/me", 1).remove(0);
    let cookies = seen.header("cookie").expect("cookies");
    assert!(cookies.contains(&format!("auth={AUTH}")) && cookies.contains("csrf="), "{cookies}");
    assert_eq!(seen.header("csrf-token"), Some("ajax:0123456789"));
}

#[test]
fn ctrl_c_closes_the_browser() {
    let stage = Stage::new();
    stage.site.on("/login", |exchange| {
        exchange.read_body()?;
        exchange.respond("200 OK", "content-type: text/html\r\n", b"<!doctype html><p>Who are you?")
    });
    let login = Conversation::start(stage.login(&[]));
    stage.opened("/login");
    login.shows("waiting for you to sign in in the browser").signal(Signal::SIGINT);
    login.end().exits(2).complains("Cancelled");
    stage.is_clean();
    assert!(!stage.is_connected());
}

#[test]
fn a_browser_that_is_closed_ends_the_login() {
    let stage = Stage::new();
    stage.site.on("/login", |exchange| {
        exchange.read_body()?;
        exchange.respond("200 OK", "content-type: text/html\r\n", b"<!doctype html><p>Who are you?")
    });
    let login = Conversation::start(stage.login(&[]));
    stage.opened("/login");
    login.shows("waiting for you to sign in in the browser");
    let first = stage.browsers().into_iter().min().expect("a browser");
    kill(to_pid(first), Signal::SIGTERM).expect("it runs");
    login.end().exits(2).complains("closed before you were signed in");
    stage.is_clean();
    assert!(!stage.is_connected());
}

#[test]
fn without_a_browser_the_cookies_are_pasted() {
    let stage = Stage::new();
    let header = format!("Cookie: auth={AUTH}; csrf={CSRF}\n");
    // One that ends at once, at a terminal: the questions come instead.
    let login = Conversation::at_terminal_with(&stage.world, &["login", "site"], |command| {
        command.env("DISPLAY", ":0").env("CHROME", "/bin/true")
    });
    login.shows("it ended at once").shows("paste the Cookie header").waits_until_keys_are_hidden(true);
    login.types(&header);
    let ended = login.end().succeeds();
    assert!(!ended.err().contains(AUTH), "{ended}");
    assert!(stage.is_connected());

    let useless = stage.login(&["--force"]).env("CHROME", "/bin/true").run();
    useless.exits(4).complains("it ended at once").complains("--no-browser");
    stage.login(&["--force"]).env("CHROME", "/nowhere/chrome").run().exits(4).complains("of no use");
    let nobody = stage.login(&["--force", "--no-browser"]).run();
    nobody.exits(2).complains("no Chrome or Chromium").complains("--key-stdin");
    stage.login(&["--force", "--key-stdin"]).stdin(header).run().succeeds();
    stage.is_clean();
}
