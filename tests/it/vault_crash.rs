//! `kill -9` in the middle of writing: nothing that was acknowledged may be missing afterwards (`P4`).
//!
//! The test runs itself again as a child that writes through the vault and acknowledges each step on its standard
//! output. `AUTHSOME_CRASH_ROUNDS` says how often (default 20).

use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use authsome::paths::Home;
use authsome::secret::random_bytes;
use authsome::vault::{ExpectedVersion, KeySettings, MasterKey, Vault, VaultWrite};

use crate::harness::{Scratch, open_store};

const TEST: &str = "vault_crash::crash_loses_no_acknowledged_write";
const CHILD: &str = "AUTHSOME_CRASH_CHILD";
/// So many threads write at once, each in records of its own; their steps share commits.
const WRITERS: usize = 3;
/// Each writer keeps so many records of its past and removes older ones.
const KEPT: u64 = 20;

#[test]
fn crash_loses_no_acknowledged_write() {
    if let Some(home) = env::var_os(CHILD) {
        write_until_killed(&PathBuf::from(home));
    }
    let rounds: u32 = env::var("AUTHSOME_CRASH_ROUNDS").map_or(20, |text| text.parse().expect("a number"));
    let mut scratch = Scratch::new();
    let mut written = 0;
    for round in 0..rounds {
        if random_below(4) == 0 {
            scratch = Scratch::new(); // so that starts in an empty home are killed too
            written = 0;
        }
        let acknowledged = kill_after(random_below(150), scratch.path());
        let found = check(scratch.path(), &acknowledged, round);
        assert!(found >= written, "round {round}: {found} steps, {written} before");
        written = found;
    }
}

/// Starts a writer and kills it when it has acknowledged `count` steps (with 0: while it opens the store). The last
/// step that each of its threads acknowledged.
fn kill_after(count: u64, home: &Path) -> BTreeMap<usize, u64> {
    let (mut child, output) = start(home);
    let mut acknowledged = BTreeMap::new();
    let mut remaining = count;
    let mut opening = false;
    for line in BufReader::new(output).lines() {
        let line = line.expect("a pipe");
        // The test harness of the child writes lines too, and to the same line as the first of ours.
        opening |= line.ends_with("opening");
        if let Some((writer, step)) = line.strip_prefix("ack ").and_then(|ack| ack.split_once(' ')) {
            acknowledged.insert(writer.parse().expect("a number"), step.parse().expect("a number"));
            remaining = remaining.saturating_sub(1);
        }
        if opening && remaining == 0 {
            child.kill().expect("a child"); // what it wrote before is still in the pipe
        }
    }
    let status = child.wait().expect("a child");
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "it ended by itself: {status}");
    acknowledged
}

fn start(home: &Path) -> (Child, ChildStdout) {
    let mut child = Command::new(env::current_exe().expect("this test"))
        .args(["--exact", TEST, "--nocapture", "--test-threads=1"])
        .env(CHILD, home)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let output = child.stdout.take().expect("piped");
    (child, output)
}

/// Opens what the killed writer left, and counts the steps in it.
fn check(home: &Path, acknowledged: &BTreeMap<usize, u64>, round: u32) -> u64 {
    let vault = open(home);
    let number = |key: &str| vault.get(key).expect("reads").map(|value| from_bytes(&value));
    let mut found = 0;
    for writer in 0..WRITERS {
        let last = number(&format!("{writer}:last"));
        assert_eq!(last, number(&format!("{writer}:same")), "round {round}: half a step of writer {writer}");
        assert!(last >= acknowledged.get(&writer).copied(), "round {round}: {last:?} of {acknowledged:?}");
        let steps = last.map_or(0, |last| last + 1);
        let kept: Vec<String> = (steps.saturating_sub(KEPT)..steps).map(|step| past(writer, step)).collect();
        assert_eq!(vault.list(&format!("{writer}:past:")).expect("lists"), kept, "round {round}: writer {writer}");
        for (key, step) in kept.iter().zip(steps.saturating_sub(KEPT)..) {
            assert_eq!(number(key), Some(step), "round {round}: {key}");
        }
        found += steps;
    }
    found
}

fn write_until_killed(home: &Path) -> ! {
    say("opening");
    let vault = open(home);
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let vault = &vault;
            scope.spawn(move || keep_writing(vault, writer));
        }
    });
    unreachable!("writers do not end");
}

/// Each step reads the last one, and replaces it by compare-and-swap together with three other records.
fn keep_writing(vault: &Vault, writer: usize) -> ! {
    let (last, same) = (format!("{writer}:last"), format!("{writer}:same"));
    loop {
        let before = vault.get_versioned(&last).expect("reads");
        let step = before.as_ref().map_or(0, |(value, _)| from_bytes(value) + 1);
        let expected = before.as_ref().map_or(ExpectedVersion::Absent, |(_, version)| ExpectedVersion::Is(version));
        let value = step.to_be_bytes();
        let (new, old) = (past(writer, step), step.checked_sub(KEPT).map(|step| past(writer, step)));
        let mut step_writes = vec![
            VaultWrite { expected, ..VaultWrite::put(&last, &value) },
            VaultWrite::put(&same, &value),
            VaultWrite { expected: ExpectedVersion::Absent, ..VaultWrite::put(&new, &value) },
        ];
        step_writes.extend(old.as_deref().map(VaultWrite::delete));
        assert!(vault.apply(&step_writes).expect("writes"), "nobody else writes these");
        say(&format!("ack {writer} {step}"));
    }
}

/// One line in one piece, whatever the other threads say.
fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    output.write_all(format!("{line}\n").as_bytes()).expect("the parent listens");
    output.flush().expect("the parent listens");
}

fn open(home: &Path) -> Vault {
    let home = Home::new(home);
    let key = MasterKey::load(&home, &KeySettings::default()).expect("a key");
    Vault::open(open_store(&home.store()), &key).expect("opens")
}

fn past(writer: usize, step: u64) -> String {
    format!("{writer}:past:{step:020}")
}

fn from_bytes(value: &[u8]) -> u64 {
    u64::from_be_bytes(value.try_into().expect("eight bytes"))
}

fn random_below(limit: u64) -> u64 {
    u64::from_le_bytes(random_bytes()) % limit
}
