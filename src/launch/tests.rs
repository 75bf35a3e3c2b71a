//! Real children beside a real proxy.

use std::ffi::OsString;
use std::fs;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, getpid};

use super::*;
use crate::paths::test_only_scratch;
use crate::proxy::Limits;
use crate::proxy::testing::{Daemon, HOST, World, bearer, route_with};
use crate::sys::{ChildSetup, spawn};

/// Signals belong to the process, so one child at a time.
fn alone() -> MutexGuard<'static, ()> {
    static CHILD: Mutex<()> = Mutex::new(());
    CHILD.lock().unwrap_or_else(PoisonError::into_inner)
}

fn plan(routes: &str) -> RunPlan {
    serde_json::from_str(&format!(r#"{{"run_id":"run_1","routes":{routes}}}"#)).expect("a plan")
}

/// Runs `command` and returns how it ended and what the user was told.
fn run_in(world: &World, routes: &str, command: &[OsString]) -> (Finished, Vec<String>) {
    let settings = LaunchSettings {
        command: command.to_vec(),
        mode: Mode::ConnectedAllow,
        allow_hosts: Vec::new(),
        limits: Limits::default(),
        redact: false,
    };
    let mut notes = Vec::new();
    let launcher = Launcher::prepare(world.net(), None).expect("prepares");
    let finished = launcher
        .run(plan(routes), Arc::new(Daemon::default()), settings, &mut |note| notes.push(note.to_owned()))
        .expect("runs");
    (finished, notes)
}

fn status(command: &[&str]) -> (u8, Vec<String>) {
    let command: Vec<OsString> = command.iter().map(OsString::from).collect();
    let (finished, notes) = run_in(&World::new(), "[]", &command);
    (finished.status, notes)
}

fn script(dir: &Path, name: &str, text: &str, mode: u32) -> String {
    let path = dir.join(name);
    fs::write(&path, text).expect("writes");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("changes");
    path.into_os_string().into_string().expect("UTF-8")
}

#[test]
fn the_status_is_the_childs() {
    let _alone = alone();
    let dir = test_only_scratch("launch");
    assert_eq!(status(&["true"]).0, 0);
    assert_eq!(status(&["sh", "-c", "exit 3"]).0, 3);
    assert_eq!(status(&["sh", "-c", "kill -TERM $$"]).0, 128 + 15);
    assert_eq!(status(&["sh", "-c", "kill -KILL $$"]).0, 128 + 9);
    let (code, notes) = status(&["no-such-command-anywhere"]);
    assert_eq!((code, notes.len()), (127, 1));
    assert!(notes[0].contains("no-such-command-anywhere"), "{notes:?}");
    assert_eq!(status(&[&script(&dir, "plain", "exit 5\n", 0o600)]).0, 126);
    assert_eq!(status(&[&script(&dir, "bare", "exit 5\n", 0o700)]).0, 5, "a script without #! is for the shell");
    fs::remove_dir_all(dir).expect("cleans up");
}

#[test]
fn arguments_and_variables_reach_the_child_byte_for_byte() {
    let _alone = alone();
    let dir = test_only_scratch("launch");
    let odd = OsString::from_vec(b"\xff \xfe'\"$x".to_vec());
    let out = dir.join("out");
    let text = r#"printf %s "$2" > "$1"; printf '|%s|%s|%s' "$HTTPS_PROXY" "$X_KEY" "$AUTHSOME_PROXY_MODE" >> "$1""#;
    let command = ["sh".into(), "-c".into(), text.into(), "sh".into(), out.clone().into(), odd.clone()];
    let routes = route_with(&bearer("secret-of-run")).replace("\"port\"", "\"exports\":[\"X_KEY\"],\"port\"");
    assert_eq!(run_in(&World::new(), &routes, &command).0.status, 0);
    let written = fs::read(out).expect("written");
    assert!(written.starts_with(odd.as_encoded_bytes()));
    let rest = String::from_utf8(written[odd.len()..].to_vec()).expect("UTF-8");
    assert!(rest.starts_with("|http://authsome:") && rest.ends_with("|authsome-proxy-managed|true"), "{rest}");
    assert!(!rest.contains("secret-of-run"));
    fs::remove_dir_all(dir).expect("cleans up");
}

#[test]
fn the_child_inherits_no_descriptors_and_its_own_limits() {
    let _alone = alone();
    let dir = test_only_scratch("launch");
    let out = dir.join("out");
    let leaked = fs::File::open("/dev/null").expect("opens");
    nix::fcntl::fcntl(&leaked, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).expect("inheritable");
    assert!(leaked.as_raw_fd() > 2);
    let before = nix::sys::resource::getrlimit(Resource::RLIMIT_NOFILE).expect("limits").0;
    let core = nix::sys::resource::getrlimit(Resource::RLIMIT_CORE).expect("limits").0;
    let text = r#"ls /proc/$$/fd > "$1"; ulimit -S -n >> "$1""#;
    let command = ["sh".into(), "-c".into(), text.into(), "sh".into(), out.clone().into()];
    assert_eq!(run_in(&World::new(), "[]", &command).0.status, 0);
    let seen = fs::read_to_string(&out).expect("written");
    let (descriptors, limit) = seen.trim_end().rsplit_once('\n').expect("several lines");
    // Shells keep what they redirect on 10.
    assert!(descriptors.lines().all(|number| ["0", "1", "2", "10"].contains(&number)), "{descriptors}");
    assert_eq!(limit, before.to_string());
    assert!(!nix::sys::prctl::get_dumpable().expect("known"));
    assert_eq!(nix::sys::resource::getrlimit(Resource::RLIMIT_CORE).expect("limits").0, 0);
    let _ = nix::sys::resource::setrlimit(Resource::RLIMIT_CORE, core, core);
    fs::remove_dir_all(dir).expect("cleans up");
}

/// Makes a pipe in the file system on which a child can say that it is ready.
fn fifo(dir: &Path) -> PathBuf {
    let path = dir.join("ready");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("makes");
    path
}

#[test]
fn signals_to_us_reach_the_child() {
    let _alone = alone();
    let dir = test_only_scratch("launch");
    for (name, signal) in [("TERM", Signal::SIGTERM), ("INT", Signal::SIGINT), ("HUP", Signal::SIGHUP)] {
        let dir = dir.join(name);
        fs::create_dir(&dir).expect("makes");
        let ready = fifo(&dir);
        // A shell runs its trap when the command in the foreground has ended.
        let text = format!("trap 'exit 42' {name}; echo ready > \"$1\"; while :; do sleep 0.02; done");
        let command = ["sh".into(), "-c".into(), text.into(), "sh".into(), ready.clone().into()];
        thread::scope(|scope| {
            scope.spawn(|| {
                fs::read(&ready).expect("the child is ready");
                kill(getpid(), signal).expect("sent to ourselves");
            });
            assert_eq!(run_in(&World::new(), "[]", &command).0.status, 42, "{name}");
        });
    }
    fs::remove_dir_all(dir).expect("cleans up");
}

#[test]
#[allow(clippy::zombie_processes)] // waited for by its number, on another thread
fn the_child_ends_when_the_thread_that_started_it_ends() {
    let _alone = alone();
    let pid = thread::spawn(|| {
        let mut command = Command::new("sh");
        command.args(["-c", "while :; do sleep 10; done"]);
        let child =
            spawn(&mut command, ChildSetup { signals: &[], limits: Vec::new(), mask: SigSet::empty(), kept: None })
                .expect("starts");
        Pid::from_raw(i32::try_from(child.id()).expect("a process"))
    })
    .join()
    .expect("no panic");
    assert_eq!(waitpid(pid, None).expect("ends"), WaitStatus::Signaled(pid, Signal::SIGTERM, false));
}

#[test]
fn curl_in_a_run_is_served_with_the_credential() {
    let _alone = alone();
    if Command::new("curl").arg("--version").output().is_err() {
        return; // the integration tests insist on one
    }
    let mut world = World::new();
    let (saw, seen) = channel();
    let _upstream = world.upstream(move |mut peer| {
        let (head, body) = peer.request();
        saw.send((head, body)).expect("the test waits");
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    });
    let dir = test_only_scratch("launch");
    let out = dir.join("out");
    let text = r#"curl -sS -H "Authorization: Bearer $X_KEY" -d @/etc/passwd "https://$2/a" -o "$1""#;
    let command = ["sh".into(), "-c".into(), text.into(), "sh".into(), out.clone().into(), HOST.into()];
    let routes = route_with(&bearer("secret-of-run")).replace("\"port\"", "\"exports\":[\"X_KEY\"],\"port\"");
    let (finished, notes) = run_in(&world, &routes, &command);
    assert_eq!((finished.status, notes.len()), (0, 0), "{notes:?}");
    assert_eq!(fs::read(&out).expect("written"), b"hello");
    let (head, _) = seen.recv().expect("saw");
    assert_eq!(head.fields.all("authorization").collect::<Vec<_>>(), [b"Bearer secret-of-run"]);
    assert_eq!((finished.report.requests, finished.report.injected), (1, 1));
    fs::remove_dir_all(dir).expect("cleans up");
}
