//! A home, a daemon and an upstream of one test.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use serde_json::{Value, json};

use super::command::to_pid;
use super::{Scratch, TestCommand, eventually};
use crate::upstream::{Authority, Upstream};

/// The key that the demo provider gets. Its signs make every encoding of it differ from every other.
pub(crate) const KEY: &str = "sk-demo/7Qz+Jx9==&<w>~end-of-key";

/// What a child sees in place of a key.
pub(crate) const PLACEHOLDER: &str = "authsome-proxy-managed";

/// The hosts of the upstream.
const HOSTS: [&str; 4] = ["api.demo.test", "other.demo.test", "api.openai.com", "stranger.test"];

/// Everything that one test needs. Its daemon, started by whom it may be, ends with it.
pub(crate) struct World {
    pub(crate) scratch: Scratch,
    pub(crate) api: Upstream,
    pub(crate) authority: Authority,
    /// Hosts besides those of `api`, and where they are.
    more: Vec<(String, SocketAddr)>,
    daemon: Option<Daemon>,
    program: PathBuf,
}

impl World {
    /// A home with nothing in it and no daemon.
    pub(crate) fn empty() -> Self {
        let scratch = Scratch::new();
        for name in ["user", "tmp", "bin", "work"] {
            scratch.dir(name);
        }
        let authority = Authority::new();
        let api = Upstream::start(&authority, &HOSTS);
        scratch.file("upstream-ca.pem", authority.pem());
        let program = scratch.path().join("bin/authsome");
        // A path of its own tells the processes of this test from all others.
        let built = env!("CARGO_BIN_EXE_authsome");
        if fs::hard_link(built, &program).is_err() {
            fs::copy(built, &program).expect("a copy of the program");
        }
        Self { scratch, api, authority, more: Vec::new(), daemon: None, program }
    }

    /// A daemon, and an identity that the local owner has claimed.
    pub(crate) fn onboarded() -> Self {
        let mut world = Self::empty();
        world.start_daemon();
        world.authsome(["onboard", "--yes"]).run().succeeds();
        world
    }

    /// The same with the demo provider registered and [`KEY`] stored for it.
    pub(crate) fn connected() -> Self {
        let world = Self::onboarded();
        world.register(&demo_provider());
        world.login("demo", KEY);
        world
    }

    /// One more server, for `hosts`. Programs that run already do not learn of it.
    pub(crate) fn serve_more(&mut self, hosts: &[&str]) -> Upstream {
        let server = Upstream::start(&self.authority, hosts);
        for host in hosts {
            self.point(host, server.address());
        }
        server
    }

    /// Lets `host`, port 443, be at `address` from now on; running programs do not learn of it.
    pub(crate) fn point(&mut self, host: &str, address: SocketAddr) {
        self.more.retain(|(known, _)| known != host);
        self.more.push((host.to_owned(), address));
    }

    /// Every host of this world, and where it is.
    pub(crate) fn addresses(&self) -> Vec<(String, SocketAddr)> {
        let api = HOSTS.iter().map(|host| ((*host).to_owned(), self.api.address()));
        api.chain(self.more.iter().cloned()).collect()
    }

    fn resolve(&self) -> String {
        let entries = self.addresses().into_iter().map(|(host, address)| format!("{host}:443:{address}"));
        entries.collect::<Vec<_>>().join(",")
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.scratch.path().join("home")
    }

    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// `authsome ARGS...` in this world.
    pub(crate) fn authsome<T: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = T>) -> TestCommand {
        self.command(&self.program).args(args)
    }

    /// `authsome run -- ARGS...`
    pub(crate) fn run<T: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = T>) -> TestCommand {
        self.authsome(["run", "--"]).args(args)
    }

    /// Any program with the environment of this world, and with nothing of the environment of the tests.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> TestCommand {
        let dir = self.scratch.path();
        TestCommand::new(program)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", dir.join("user"))
            .env("TMPDIR", dir.join("tmp"))
            .env("AUTHSOME_HOME", self.home())
            .env("AUTHSOME_RESOLVE", self.resolve())
            .env("AUTHSOME_UPSTREAM_CA", dir.join("upstream-ca.pem"))
            .current_dir(&dir.join("work"))
    }

    pub(crate) fn start_daemon(&mut self) -> &Daemon {
        self.start_daemon_with(|command| command)
    }

    /// Starts `daemon serve` as our own child, on a free port, and waits until it serves.
    pub(crate) fn start_daemon_with(&mut self, change: impl FnOnce(TestCommand) -> TestCommand) -> &Daemon {
        self.daemon = None;
        let command = change(self.authsome(["daemon", "serve", "--port", "0"]));
        self.daemon.insert(Daemon::start(command.into_inner(), self))
    }

    /// The daemon that [`World::start_daemon`] started.
    pub(crate) fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().expect("a daemon of this test")
    }

    pub(crate) fn daemon_mut(&mut self) -> &mut Daemon {
        self.daemon.as_mut().expect("a daemon of this test")
    }

    pub(crate) fn register(&self, definition: &Value) {
        let name = definition["name"].as_str().expect("a name");
        let path = self.scratch.file(&format!("{name}.json"), definition.to_string());
        self.authsome(["provider", "register"]).arg(path).arg("--yes").run().succeeds();
    }

    pub(crate) fn login(&self, provider: &str, key: &str) {
        self.authsome(["login", provider, "--key-stdin"]).stdin(key).run().succeeds();
    }

    /// What `daemon.json` says, while there is one.
    pub(crate) fn daemon_json(&self) -> Option<Value> {
        serde_json::from_slice(&fs::read(self.home().join("server/daemon/daemon.json")).ok()?).ok()
    }

    /// The active identity's `.key` or `.json`.
    pub(crate) fn identity_file(&self, ending: &str) -> PathBuf {
        let client = self.home().join("client");
        let config = fs::read(client.join("config.json")).expect("a client configuration");
        let config: Value = serde_json::from_slice(&config).expect("JSON");
        let handle = config["active_identity"].as_str().expect("an active identity");
        client.join(format!("identities/{handle}.{ending}"))
    }

    /// The running `daemon serve` processes of this world.
    pub(crate) fn daemons(&self) -> Vec<u32> {
        let ours = self.program.as_os_str().as_encoded_bytes();
        let processes = fs::read_dir("/proc").expect("a proc file system").filter_map(Result::ok);
        processes
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|pid| {
                let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
                words.first() == Some(&ours) && words.contains(&b"serve".as_slice())
            })
            .collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.daemon = None;
        for pid in self.daemons() {
            let _ = kill(to_pid(pid), Signal::SIGKILL);
        }
    }
}

/// A daemon that is a child of the test. It ends when dropped.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    pub(crate) port: u16,
    pub(crate) log: PathBuf,
}

impl Daemon {
    fn start(mut command: Command, world: &World) -> Self {
        let log = world.scratch.path().join("daemon-serve.log");
        let file = File::options().create(true).append(true).open(&log).expect("a log file");
        command.stdin(Stdio::null()).stdout(file.try_clone().expect("a second handle")).stderr(file);
        let mut child = command.spawn().expect("the daemon starts");
        let pid = child.id();
        let port = eventually("daemon.json of the new daemon", || {
            if let Some(status) = child.try_wait().expect("our child") {
                panic!("the daemon ended ({status}):\n{}", fs::read_to_string(&log).unwrap_or_default());
            }
            let facts = world.daemon_json().filter(|facts| facts["pid"] == pid)?;
            u16::try_from(facts["port"].as_u64()?).ok()
        });
        Self { child, port, log }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that was ever resident, in KiB.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("our child is there");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a high-water mark");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(to_pid(self.pid()), signal).expect("our child is there");
    }

    /// `kill -9`, and waits for the end.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for the daemon to end by itself.
    pub(crate) fn wait(&mut self) -> std::process::ExitStatus {
        eventually("the end of the daemon", || self.child.try_wait().expect("our child"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A provider with one API key on `api.demo.test`.
pub(crate) fn demo_provider() -> Value {
    json!({
        "schema_version": 1,
        "name": "demo",
        "display_name": "Demo",
        "auth_type": "api_key",
        "flow": "api_key",
        "api_url": "api.demo.test",
        "api_key": {"header_name": "Authorization", "header_prefix": "Bearer", "env_var": "DEMO_API_KEY"},
        "export": {"env": {"api_key": "DEMO_API_KEY"}},
    })
}
