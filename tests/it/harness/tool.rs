//! A Node.js program of `tests/browser` that talks in lines of JSON and ends with its standard input.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use serde_json::Value;

use super::{PATIENCE, World, node, to_pid};

/// How long a program may take to end after its input has. A browser writes its profile first.
const FAREWELL: Duration = Duration::from_secs(20);

/// A running program of `tests/browser`.
pub(crate) struct Tool {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<Value>,
    complaints: PathBuf,
}

impl Tool {
    /// Starts `node tests/browser/SCRIPT ARGUMENTS...` in a process group of its own.
    ///
    /// # Panics
    /// When Node.js or its packages are not there: a browser that was not tested must not look tested.
    pub(crate) fn start(world: &World, script: &str, arguments: &[impl AsRef<OsStr>]) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let packages = root.join("target/node/installed");
        assert!(packages.exists(), "no packages of Node.js at {}: run scripts/test", packages.display());
        let complaints = world.scratch.path().join(format!("{script}.log"));
        let mut command =
            world.command(node()).arg(root.join("tests/browser").join(script)).args(arguments).into_inner();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(&complaints).expect("a log file"));
        let mut child = command.process_group(0).spawn().expect("Node.js starts");
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if sender.send(value).is_err() {
                    return;
                }
            }
        });
        Self { child, stdin, lines, complaints }
    }

    /// The next line that it writes.
    pub(crate) fn next(&self) -> Value {
        self.lines.recv_timeout(PATIENCE).unwrap_or_else(|error| {
            panic!("{error}; it said: {}", fs::read_to_string(&self.complaints).unwrap_or_default())
        })
    }

    pub(crate) fn send(&mut self, command: &Value) {
        let stdin = self.stdin.as_mut().expect("open until the end");
        writeln!(stdin, "{command}").expect("it reads");
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        self.stdin = None;
        let start = Instant::now();
        while self.child.try_wait().is_ok_and(|status| status.is_none()) {
            if start.elapsed() > FAREWELL {
                // What it started ends too: Chromium when the pipe to it closes.
                let _ = killpg(to_pid(self.child.id()), Signal::SIGKILL);
                let _ = self.child.wait();
                return;
            }
            thread::sleep(Duration::from_millis(3));
        }
    }
}
