//! A daemon with a browser before it.

use std::fs;
use std::net::SocketAddr;

use crate::harness::browser::{Browser, Page};
use crate::harness::{Caller, World};

/// The name of a hosted daemon. The browser finds it on port 80, as behind a reverse proxy.
pub(super) const HOST: &str = "authsome.test";

/// Another name that leads there, as an attacker's name server makes it (DNS rebinding).
pub(super) const REBOUND: &str = "rebound.test";

/// A password for every account.
pub(super) const PASSWORD: &str = "correct horse 1";

/// Ends in this order: nobody calls a daemon that is gone.
pub(super) struct Stage {
    pub(super) browser: Browser,
    pub(super) world: World,
    /// The address of the daemon, without a slash at its end.
    pub(super) origin: String,
}

impl Stage {
    /// A daemon on one machine, with an agent of its owner.
    pub(super) fn local() -> Self {
        let world = World::onboarded();
        Self::of(Browser::start(&world), world)
    }

    /// The same with the demo provider connected.
    pub(super) fn connected() -> Self {
        let world = World::connected();
        Self::of(Browser::start(&world), world)
    }

    /// The same, in a browser that keeps pages to go back to.
    pub(super) fn keeping_pages() -> Self {
        let world = World::connected();
        Self::of(Browser::start_keeping_pages(&world), world)
    }

    fn of(browser: Browser, world: World) -> Self {
        let origin = format!("http://127.0.0.1:{}", world.daemon().port);
        Self { browser, world, origin }
    }

    /// A daemon for many people that nobody has an account at yet, and the token that makes the first one.
    pub(super) fn hosted() -> (Self, String) {
        Self::hosted_with(&[])
    }

    /// The same with further hosts for the browser.
    pub(super) fn hosted_with(hosts: &[(&str, SocketAddr)]) -> (Self, String) {
        let mut world = World::empty();
        let origin = format!("http://{HOST}");
        world.start_daemon_with(|command| command.env("AUTHSOME_BASE_URL", &origin));
        let log = fs::read_to_string(&world.daemon().log).expect("a log");
        let (_, token) = log.split_once("setup token for the first account, shown only now: ").expect("a setup token");
        let token = token.lines().next().expect("a line").to_owned();
        let daemon = SocketAddr::from(([127, 0, 0, 1], world.daemon().port));
        let hosts = [&[(HOST, daemon), (REBOUND, daemon)], hosts].concat();
        (Self { browser: Browser::start_with(&world, &hosts), world, origin }, token)
    }

    /// The address of a page.
    pub(super) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// What `authsome ui` shows.
    pub(super) fn link(&self) -> String {
        let ended = self.world.authsome(["ui", "--no-browser"]).run().succeeds();
        ended.out().trim().to_owned()
    }

    /// A page of the local owner at the dashboard.
    pub(super) fn owner(&self, name: &str) -> Page<'_> {
        let page = self.browser.page_with_scripts(name);
        page.go(&self.link()).has_status(200).came_to(&self.at("/")).says("owner@localhost");
        page
    }
}

/// A row of the daemon's table of routes.
pub(super) struct Route {
    pub(super) method: String,
    /// With parameters in braces.
    pub(super) pattern: String,
    /// Only browsers that are signed in may call it.
    pub(super) is_for_browsers: bool,
}

/// Every route, as the daemon describes itself.
pub(super) fn routes(caller: &Caller<'_>) -> Vec<Route> {
    let description = caller.get("/openapi.json").json();
    let paths = description["paths"].as_object().expect("paths");
    let operations = paths.iter().flat_map(|(pattern, path)| {
        let methods = path.as_object().expect("operations").iter();
        methods.map(move |(method, operation)| Route {
            method: method.to_ascii_uppercase(),
            pattern: pattern.clone(),
            is_for_browsers: operation["security"] == serde_json::json!([{"browser": []}]),
        })
    });
    operations.collect()
}

/// Makes an account with the form of the sign-in page, which `page` shows.
pub(super) fn register(page: &Page<'_>, email: &str, field: &str, token: &str) {
    let form = page.under("I am new here");
    form.fill("Email", email);
    form.fill("Password", PASSWORD);
    form.fill(field, token);
    form.press("Make an account");
}

/// Signs in with the form of the sign-in page, which `page` shows.
pub(super) fn sign_in(page: &Page<'_>, email: &str, password: &str) {
    let form = page.under("I have an account");
    form.fill("Email", email);
    form.fill("Password", password);
    form.press("Sign in");
}
