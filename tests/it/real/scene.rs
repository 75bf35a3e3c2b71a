//! What every test here begins with: a world, an authorization server, a provider that uses it, a browser, an API.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, killpg};
use serde_json::{Value, json};

use crate::harness::authorization_server::{AuthorizationServer, Habits, PERSON, introspect};
pub(super) use crate::harness::authorization_server::{fill_in_client, sign_in};
use crate::harness::browser::Browser;
use crate::harness::{Caller, Finished, World, eventually, to_pid};

/// Ends in this order: nobody calls a daemon that is gone.
pub(super) struct Scene {
    pub(super) browser: Browser,
    pub(super) server: AuthorizationServer,
    pub(super) world: World,
}

impl Scene {
    pub(super) fn new(habits: Habits) -> Self {
        let world = World::onboarded();
        let server = AuthorizationServer::start(&world, habits);
        let scene = Self { browser: Browser::start(&world), server, world };
        scene.world.register(&scene.server.provider());
        scene.serve_whoami();
        scene.install_opener();
        scene
    }

    /// `https://api.demo.test/whoami`: asks the authorization server about the token that it got.
    fn serve_whoami(&self) {
        let issuer = self.server.url.clone();
        self.world.api.on("/whoami", move |exchange| {
            exchange.read_body()?;
            let token = exchange.head.field("authorization").and_then(|value| value.strip_prefix("Bearer "));
            let facts = token.map_or(Value::Null, |token| introspect(&issuer, token));
            if facts["active"] != true {
                return exchange.respond("401 Unauthorized", "www-authenticate: Bearer\r\n", b"");
            }
            exchange.respond_json(&json!({"sub": facts["sub"], "scope": facts["scope"]}))
        });
    }

    /// What stands for the person's browser on the command line: it notes what it should open.
    fn install_opener(&self) {
        let script = self.world.scratch.file(
            "bin/opener",
            "#!/bin/sh\nprintf '%s' \"$1\" >\"$HOME/opening\" && mv \"$HOME/opening\" \"$HOME/opened\"\n",
        );
        fs::set_permissions(script, fs::Permissions::from_mode(0o700)).expect("our own file");
    }

    /// Starts `authsome login PROVIDER ARGS...` and waits for the page that it opens.
    pub(super) fn login(&self, provider: &str, args: &[&str]) -> Login {
        let dir = self.world.scratch.path();
        let opened = dir.join("user/opened");
        let _ = fs::remove_file(&opened);
        let command = self.world.authsome(["login", provider]).args(args).env("BROWSER", dir.join("bin/opener"));
        let mut command = command.into_inner();
        let line = format!("{command:?}");
        let outputs = ["login-stdout", "login-stderr"].map(|name| dir.join(name));
        let [stdout, stderr] = outputs.each_ref().map(|path| File::create(path).expect("a scratch file"));
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).process_group(0);
        let mut login = Login { child: command.spawn().expect("it starts"), line, outputs, url: String::new() };
        login.url = eventually("the page that the login opens", || {
            if let Some(status) = login.child.try_wait().expect("our child") {
                panic!("the login ended ({status}): {}", login.said());
            }
            fs::read_to_string(&opened).ok()
        });
        login
    }

    /// A login from the empty form to the success page, in a browser without scripts.
    pub(super) fn connect(&self) {
        let login = self.login("demo-oidc", &[]);
        let page = self.browser.page("connect");
        page.go(&login.url);
        fill_in_client(&page);
        page.press("Continue");
        sign_in(&page);
        page.press("Continue").says("is connected");
        login.ends().succeeds();
    }

    /// The stored record, secrets included.
    pub(super) fn record(&self) -> Value {
        let answer = Caller::active(&self.world).get("/api/connections/demo-oidc/default");
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// The `Authorization` headers that the API has seen.
    pub(super) fn tokens_seen(&self) -> Vec<String> {
        let seen = self.world.api.requests();
        let values = seen.iter().flat_map(|one| one.head.all("authorization"));
        values.map(|value| value.strip_prefix("Bearer ").expect("a bearer token").to_owned()).collect()
    }
}

/// A login that waits for its person. It ends when dropped.
pub(super) struct Login {
    child: Child,
    line: String,
    outputs: [PathBuf; 2],
    /// The page that it opened.
    pub(super) url: String,
}

impl Login {
    fn said(&self) -> String {
        let texts = self.outputs.each_ref().map(|path| fs::read_to_string(path).unwrap_or_default());
        texts.concat()
    }

    /// Waits for its end.
    pub(super) fn ends(mut self) -> Finished {
        let status = eventually("the end of the login", || self.child.try_wait().expect("our child"));
        let [stdout, stderr] = self.outputs.each_ref().map(|path| fs::read(path).expect("a scratch file"));
        Finished { line: self.line.clone(), status, stdout, stderr }
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = killpg(to_pid(self.child.id()), Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

/// `curl https://api.demo.test/whoami` in a run: the API sees [`PERSON`].
pub(super) fn whoami(world: &World) -> Finished {
    let ended = world.run(["curl", "-sS", "--fail", "https://api.demo.test/whoami"]).run().succeeds();
    assert_eq!(ended.json()["sub"], PERSON, "{ended}");
    ended
}
