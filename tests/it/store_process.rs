//! What only a process of its own can show of the store: any umask, a limit on file sizes, a disk that is really full.
//!
//! Each test runs itself again as a child that prepares its process and then works in it.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use authsome::paths::Home;
use authsome::store::{Expected, Range, Store, StoreError, Write};
use authsome::vault::{KeySettings, MasterKey, Vault};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::stat::{Mode, umask};

use crate::harness::{Scratch, open_store};

const CHILD: &str = "AUTHSOME_STORE_CHILD";

/// The argument of the child that this process is, if it is one.
fn child_argument() -> Option<PathBuf> {
    env::var_os(CHILD).map(PathBuf::from)
}

/// Runs the test `name` in a child, below `wrapper`.
fn run_child(wrapper: &[&str], name: &str, argument: &Path) -> Output {
    let this = env::current_exe().expect("this test");
    let words: Vec<_> = wrapper.iter().map(AsRef::as_ref).chain([this.as_os_str()]).collect();
    Command::new(words[0])
        .args(&words[1..])
        .args(["--exact", &format!("store_process::{name}"), "--nocapture", "--test-threads=1"])
        .env(CHILD, argument)
        .output()
        .expect("starts")
}

fn assert_success(output: &Output) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains("1 passed"), "the child did its work: {}", text(&output.stdout));
}

#[test]
fn everything_is_private_under_any_umask() {
    let name = "everything_is_private_under_any_umask";
    if let Some(argument) = child_argument() {
        let bits = argument.file_name().and_then(|name| name.to_str()?.parse().ok()).expect("a number");
        umask(Mode::from_bits_truncate(bits));
        let home = Home::new(argument.join("deep/home"));
        let key = MasterKey::load(&home, &KeySettings::default()).expect("loads");
        let store = open_store(&home.store());
        Vault::open(store, &key).expect("makes").put("key", b"value").expect("writes");
        return;
    }
    let scratch = Scratch::new();
    for mask in [0o000, 0o022, 0o077, 0o177, 0o277, 0o377, 0o777] {
        let dir = scratch.path().join(mask.to_string());
        assert_success(&run_child(&["env"], name, &dir));
        assert_private(&dir);
        assert!(dir.join("deep/home/server/master.key").exists());
    }
}

fn assert_private(path: &Path) {
    let metadata = fs::symlink_metadata(path).expect("exists");
    let mode = metadata.permissions().mode() & 0o7777;
    assert_eq!(mode, if metadata.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
    if metadata.is_dir() {
        fs::read_dir(path).expect("lists").for_each(|entry| assert_private(&entry.expect("an entry").path()));
    }
}

#[test]
fn a_limit_on_file_sizes_loses_nothing() {
    if let Some(path) = child_argument() {
        let mut blocked = SigSet::empty();
        blocked.add(Signal::SIGXFSZ); // whose default is death; the write then fails with EFBIG
        blocked.thread_block().expect("blocks");
        let (_, hard) = getrlimit(Resource::RLIMIT_FSIZE).expect("reads");
        let limit = |size| setrlimit(Resource::RLIMIT_FSIZE, size, hard).expect("limits");
        fill_up(&path, || limit(2 * 1024 * 1024), || limit(hard));
        return;
    }
    let scratch = Scratch::new();
    let path = scratch.path().join("authsome.redb");
    assert_success(&run_child(&["env"], "a_limit_on_file_sizes_loses_nothing", &path));
    assert!(fs::metadata(&path).expect("exists").len() > 2 * 1024 * 1024, "it grew when it could");
}

/// Needs the right to mount; where that is missing, the test above and the injected faults of the unit tests remain.
#[test]
fn a_full_disk_loses_nothing() {
    if let Some(dir) = child_argument() {
        let ballast = dir.join("ballast");
        fs::write(&ballast, vec![1; 1024 * 1024]).expect("fits");
        fill_up(&dir.join("authsome.redb"), || (), || fs::remove_file(&ballast).expect("removes"));
        return;
    }
    let scratch = Scratch::new();
    let mount = format!("mount -t tmpfs -o size=3m none '{}' && exec \"$0\" \"$@\"", scratch.path().display());
    let can_mount = Command::new("unshare").args(["-rm", "sh", "-c", &mount, "true"]).output();
    if can_mount.is_ok_and(|output| output.status.success()) {
        assert_success(&run_child(
            &["unshare", "-rm", "sh", "-c", &mount],
            "a_full_disk_loses_nothing",
            scratch.path(),
        ));
    }
}

/// Writes until there is no space, checks that all of it is there, and goes on when there is space again.
fn fill_up(path: &Path, limit: impl FnOnce(), relieve: impl FnOnce()) {
    let store = open_store(path);
    let mut acknowledged = 0;
    limit();
    let refusal = loop {
        match put(&store, acknowledged) {
            Ok(done) => assert!(done),
            Err(error) => break error,
        }
        acknowledged += 1;
        assert!(acknowledged < 1000, "10 MB are more than fits");
    };
    assert!(matches!(refusal, StoreError::Full(_)), "{refusal:?}");
    assert!(acknowledged > 10);
    assert!(put(&store, acknowledged).is_err(), "still full");
    assert_holds(&store, acknowledged);
    drop(store);
    let store = open_store(path);
    assert_holds(&store, acknowledged);
    assert!(put(&store, acknowledged).is_err(), "still full");
    relieve();
    for more in 0..20 {
        assert!(put(&store, acknowledged + more).expect("there is space again"));
    }
    drop(store);
    assert_holds(&open_store(path), acknowledged + 20);
}

fn put(store: &Arc<dyn Store>, number: usize) -> Result<bool, StoreError> {
    let (key, value) = (format!("{number:05}"), [7; 10_000]);
    store.apply(&[Write { key: &key, value: Some(&value), expected: Expected::Absent, expires_at: None }])
}

fn assert_holds(store: &Arc<dyn Store>, count: usize) {
    let records = store.range(&Range { prefix: "", after: None, reverse: false, limit: usize::MAX }).expect("reads");
    assert!(records.iter().map(|(key, _)| key.clone()).eq((0..count).map(|number| format!("{number:05}"))), "{count}");
    assert!(records.iter().all(|(_, value)| *value == [7; 10_000]));
}
