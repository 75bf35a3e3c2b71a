//! The engine, in memory and on disk: conditions, order, expiry, damage, and disks that fill up.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use redb::{Database, TableDefinition};

use super::*;
use crate::paths::{create_private_dir, hex};
use crate::secret::random_bytes;

/// A directory of its own, removed in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let dir = std::env::temp_dir().join(format!("authsome-store-{}", hex(&random_bytes::<8>())));
        create_private_dir(&dir).expect("a scratch directory");
        Self(dir)
    }

    fn path(&self) -> PathBuf {
        self.0.join("authsome.redb")
    }

    fn open(&self) -> Result<Embedded, StoreError> {
        Embedded::open(&self.path(), Clock::system())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn write<'a>(key: &'a str, value: Option<&'a [u8]>) -> Write<'a> {
    Write { key, value, expected: Expected::Anything, expires_at: None }
}

fn put(store: &dyn Store, key: &str, value: &[u8]) -> Result<bool, StoreError> {
    store.apply(&[write(key, Some(value))])
}

fn all(prefix: &str) -> Range<'_> {
    Range { prefix, after: None, reverse: false, limit: usize::MAX }
}

fn keys(store: &dyn Store, range: &Range<'_>) -> Vec<String> {
    store.range(range).expect("reads").into_iter().map(|(key, _)| key).collect()
}

#[test]
fn a_step_happens_as_a_whole_or_not_at_all() {
    let store = Embedded::in_memory(Clock::system()).expect("opens");
    assert!(put(&store, "a", b"1").expect("writes"));
    let step = |expected_b| {
        store
            .apply(&[
                Write { expected: Expected::Value(b"1"), ..write("a", Some(b"2")) },
                Write { expected: expected_b, ..write("b", Some(b"new")) },
                write("c", None),
            ])
            .expect("writes")
    };
    assert!(!step(Expected::Value(b"other")));
    assert_eq!(store.get("a").expect("reads").as_deref(), Some(&b"1"[..]));
    assert_eq!(store.get("b").expect("reads"), None);
    assert!(step(Expected::Absent));
    assert_eq!(store.get("a").expect("reads").as_deref(), Some(&b"2"[..]));
    assert_eq!(store.get("b").expect("reads").as_deref(), Some(&b"new"[..]));
    assert!(!step(Expected::Absent), "neither condition holds any more");
    let gone = Write { expected: Expected::Value(b"new"), ..write("b", None) };
    assert!(store.apply(&[gone]).expect("writes"));
    assert!(!store.apply(&[gone]).expect("writes"));
    assert!(store.apply(&[]).expect("nothing to do is done"));
}

#[test]
fn keys_have_a_length() {
    let store = Embedded::in_memory(Clock::system()).expect("opens");
    let long = "k".repeat(KEY_BYTES);
    assert!(put(&store, &long, b"").expect("writes"));
    assert_eq!(store.get(&long).expect("reads").as_deref(), Some(&b""[..]));
    for key in ["", &"k".repeat(KEY_BYTES + 1)] {
        assert!(matches!(put(&store, key, b"x"), Err(StoreError::BadKey)));
        assert_eq!(store.get(key).expect("reads"), None);
    }
}

#[test]
fn what_is_over_is_not_there() {
    let clock = Clock::system();
    let store = Embedded::in_memory(clock.clone()).expect("opens");
    let until = |seconds| Write { expires_at: Some(clock.now().plus_seconds(seconds)), ..write("session", Some(b"s")) };
    assert!(store.apply(&[until(10), write("stays", Some(b"x"))]).expect("writes"));
    assert_eq!(keys(&store, &all("")), ["session", "stays"]);
    clock.test_only_advance(11);
    assert_eq!(store.get("session").expect("reads"), None);
    assert_eq!(keys(&store, &all("")), ["stays"]);
    assert_eq!(keys(&store, &Range { limit: 1, ..all("") }), ["stays"], "what is over does not count");
    assert!(
        store.apply(&[Write { expected: Expected::Absent, ..until(10) }]).expect("writes"),
        "and is not in the way"
    );
    assert!(store.apply(&[Write { expected: Expected::Value(b"s"), ..until(20) }]).expect("writes"));
    assert_eq!(store.remove_expired().expect("removes"), 0, "renewed twice");
    clock.test_only_advance(21);
    assert_eq!(store.remove_expired().expect("removes"), 1);
    assert_eq!(store.remove_expired().expect("removes"), 0);
    assert!(store.apply(&[until(10)]).expect("writes"));
    assert!(put(&store, "session", b"now for ever").expect("writes"));
    clock.test_only_advance(11);
    assert_eq!(store.remove_expired().expect("removes"), 0);
    assert_eq!(store.get("session").expect("reads").as_deref(), Some(&b"now for ever"[..]));
}

#[test]
fn many_that_are_over_go_in_several_steps() {
    let clock = Clock::system();
    let store = Embedded::in_memory(clock.clone()).expect("opens");
    let end = Some(clock.now().plus_seconds(1));
    let names: Vec<String> = (0..2_500).map(|at| format!("s:{at}")).collect();
    let writes: Vec<_> = names.iter().map(|name| Write { expires_at: end, ..write(name, Some(b"x")) }).collect();
    assert!(store.apply(&writes).expect("writes"));
    clock.test_only_advance(2);
    assert_eq!(store.remove_expired().expect("removes"), 2_500);
}

#[test]
fn ranges_agree_with_a_simple_map() {
    let store = Embedded::in_memory(Clock::system()).expect("opens");
    let names = ["a", "a:", "a:1", "a:2", "a:\u{10ffff}", "a;", "b", "ä", "ä:1", "\u{10ffff}", "\u{10ffff}x"];
    let model: BTreeMap<&str, &[u8]> = names.into_iter().map(|name| (name, name.as_bytes())).collect();
    for name in names {
        put(&store, name, name.as_bytes()).expect("writes");
    }
    let edges =
        [None, Some("a"), Some("a:"), Some("a:1"), Some("a:9"), Some("b"), Some("z"), Some("\u{10ffff}"), Some("A")];
    for prefix in ["", "a", "a:", "a:1", "b", "ä", "\u{10ffff}", "zz"] {
        for (after, reverse, limit) in edges.into_iter().flat_map(|after| {
            [(after, false, 9), (after, true, 9), (after, false, 2), (after, true, 1), (after, true, 0)]
        }) {
            let inside = |key: &&str| {
                key.starts_with(prefix) && after.is_none_or(|after| if reverse { *key < after } else { *key > after })
            };
            let mut expected: Vec<&str> = model.keys().copied().filter(inside).collect();
            if reverse {
                expected.reverse();
            }
            expected.truncate(limit);
            let range = Range { prefix, after, reverse, limit };
            assert_eq!(keys(&store, &range), expected, "{range:?}");
        }
    }
}

#[test]
fn concurrent_writers_lose_nothing() {
    const THREADS: usize = 8;
    const ROUNDS: usize = 25;
    let scratch = Scratch::new();
    let store = scratch.open().expect("makes");
    assert!(put(&store, "count", b"0").expect("writes"));
    let increment = |own: &str| loop {
        let old = store.get("count").expect("reads").expect("is there");
        let next = (String::from_utf8_lossy(&old).parse::<usize>().expect("a number") + 1).to_string();
        let step = [
            Write { expected: Expected::Value(&old), ..write("count", Some(next.as_bytes())) },
            write(own, Some(next.as_bytes())),
        ];
        if store.apply(&step).expect("writes") {
            return;
        }
    };
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let increment = &increment;
            scope.spawn(move || (0..ROUNDS).for_each(|round| increment(&format!("{thread}:{round}"))));
        }
    });
    let expected = THREADS * ROUNDS;
    assert_eq!(store.get("count").expect("reads"), Some(expected.to_string().into_bytes()));
    drop(store);
    let store = scratch.open().expect("opens");
    assert_eq!(keys(&store, &all("")).len(), expected + 1);
    let distinct: std::collections::BTreeSet<_> =
        store.range(&all("")).expect("reads").into_iter().map(|(_, v)| v).collect();
    assert_eq!(distinct.len(), expected, "every number was taken once");
}

#[test]
fn files_are_private_and_contents_stay() {
    let scratch = Scratch::new();
    let path = scratch.0.join("new/server/authsome.redb");
    let store = open_embedded(&path, Clock::system()).expect("makes");
    assert!(put(&*store, "key", b"value").expect("writes"));
    let mode = |path: &Path| fs::metadata(path).expect("exists").permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().expect("parent")), 0o700);
    assert_eq!(fs::read_dir(path.parent().expect("parent")).expect("lists").count(), 1, "no temporary file stays");
    assert!(store.describe().contains("redb"));
    drop(store);
    let store = open_embedded(&path, Clock::system()).expect("opens");
    assert_eq!(store.get("key").expect("reads").as_deref(), Some(&b"value"[..]));
}

#[test]
fn one_process_at_a_time() {
    let scratch = Scratch::new();
    let store = scratch.open().expect("makes");
    assert!(matches!(scratch.open(), Err(StoreError::Locked)));
    drop(store);
    scratch.open().expect("the lock is gone");
}

#[test]
fn what_is_no_store_is_left_alone() {
    let scratch = Scratch::new();
    for contents in [&b""[..], b"x", b"SQLite format 3\0", &[0; 8192], &[0xff; 10_000], b"redb\x1a\x0a\xa9\x0d\x0a"] {
        fs::write(scratch.path(), contents).expect("writes");
        let error = scratch.open().expect_err("refuses");
        assert!(matches!(error, StoreError::Corrupt(_)), "{error:?}");
        assert_eq!(fs::read(scratch.path()).expect("reads"), contents);
    }
    fs::remove_file(scratch.path()).expect("removes");
    fs::create_dir(scratch.path()).expect("makes");
    assert!(matches!(scratch.open(), Err(StoreError::Corrupt(_))));
    fs::remove_dir(scratch.path()).expect("removes");
    std::os::unix::fs::symlink("nowhere", scratch.path()).expect("links");
    assert!(matches!(scratch.open(), Err(StoreError::Io(_))), "a link to nothing is not followed to make a file");
}

#[test]
fn a_foreign_database_and_a_newer_one_are_left_alone() {
    let scratch = Scratch::new();
    let prepare = |schema: Option<u32>| {
        let _ = fs::remove_file(scratch.path());
        let database = Database::create(scratch.path()).expect("makes");
        let step = database.begin_write().expect("begins");
        if let Some(schema) = schema {
            let meta: TableDefinition<'_, &str, u32> = TableDefinition::new("meta");
            step.open_table(meta).expect("opens").insert("schema", schema).expect("inserts");
        } else {
            let other: TableDefinition<'_, u64, u64> = TableDefinition::new("other");
            step.open_table(other).expect("opens").insert(1, 2).expect("inserts");
        }
        step.commit().expect("commits");
        drop(database);
        fs::read(scratch.path()).expect("reads")
    };
    for (schema, newer) in [(None, false), (Some(0), false), (Some(2), true), (Some(u32::MAX), true)] {
        let before = prepare(schema);
        match (newer, scratch.open().expect_err("refuses")) {
            (true, StoreError::NewerSchema { found, known: 1 }) => assert_eq!(Some(found), schema),
            (false, StoreError::Corrupt(_)) => {}
            (_, other) => panic!("{schema:?}: {other:?}"),
        }
        assert_eq!(fs::read(scratch.path()).expect("reads"), before);
    }
}

#[test]
fn a_damaged_file_is_refused_untouched_or_harmlessly_damaged() {
    let scratch = Scratch::new();
    let store = scratch.open().expect("makes");
    let names: Vec<String> = (0..60).map(|at| format!("vault:v:{at:03}")).collect();
    for name in &names {
        put(&store, name, &[name.as_bytes(); 40].concat()).expect("writes");
    }
    drop(store);
    let good = fs::read(scratch.path()).expect("reads");
    let mut refused = 0;
    let mut judge = |damaged: &[u8], what: &str| {
        fs::write(scratch.path(), damaged).expect("writes");
        match scratch.open() {
            Ok(store) => {
                let found = store.range(&all("vault:")).expect("reads");
                assert!(found.iter().map(|(key, _)| key).eq(&names), "{what}");
                assert!(found.iter().all(|(key, value)| *value == [key.as_bytes(); 40].concat()), "{what}");
            }
            Err(StoreError::Corrupt(_)) => {
                refused += 1;
                assert!(fs::read(scratch.path()).expect("reads") == damaged, "{what} was written to");
            }
            Err(other) => panic!("{what}: {other:?}"),
        }
    };
    for length in (0..good.len()).step_by(4096).chain([1, 8, 9, 63, 64, 100, 319, 320, good.len() - 1]) {
        judge(&good[..length], &format!("cut to {length}"));
    }
    for _ in 0..150 {
        let mut damaged = good.clone();
        let [at, bit] = [0; 2].map(|_| usize::try_from(u64::from_le_bytes(random_bytes())).expect("64 bits"));
        let at = at % if bit & 8 == 0 { 512 } else { good.len() }; // the header is where damage matters most
        damaged[at] ^= 1 << (bit & 7);
        judge(&damaged, &format!("bit {} of byte {at}", bit & 7));
    }
    for block in 0..good.len() / 4096 {
        let mut damaged = good.clone();
        damaged[block * 4096..][..4096].fill(0xa5);
        judge(&damaged, &format!("block {block}"));
    }
    assert!(refused > 30, "{refused}");
}

/// At every write, growth and flush in turn, the disk is full. Nothing that was acknowledged may be missing, then or
/// after a restart, and the store must work when there is space again.
#[test]
fn a_full_disk_loses_nothing_and_passes() {
    let value = [7; 12_000];
    for operations in 0..400 {
        let scratch = Scratch::new();
        let store = scratch.open().expect("makes");
        let mut acknowledged = Vec::new();
        let mut refused = Vec::new();
        store.faults().fail_after(operations);
        for at in 0..12 {
            let key = format!("k{at}");
            match put(&store, &key, &value) {
                Ok(done) => {
                    assert!(done);
                    acknowledged.push(key);
                }
                Err(error) => refused.push((key, error)),
            }
            if refused.len() == 2 {
                break;
            }
        }
        let healthy = refused.is_empty();
        for (key, error) in &refused {
            let there = || store.get(key).ok().flatten();
            match error {
                StoreError::Full(_) => assert!(there().is_none(), "{key} after {operations}"),
                StoreError::Io(_) => {} // unknown
                other => panic!("{operations}: {other:?}"),
            }
        }
        store.faults().heal();
        for key in &acknowledged {
            assert!(store.get(key).expect("reads").is_some(), "{key} after {operations}");
        }
        for (key, error) in &refused {
            if matches!(error, StoreError::Full(_)) {
                assert!(store.get(key).expect("reads").is_none(), "{key} after {operations}");
            }
        }
        assert!(put(&store, "later", &value).expect("there is space again"));
        acknowledged.push("later".to_owned());
        drop(store);
        let store = scratch.open().expect("opens");
        for key in &acknowledged {
            assert!(store.get(key).expect("reads").is_some(), "{key} after {operations} and a restart");
        }
        if healthy {
            assert!(operations > 30, "the faults were felt: {operations}");
            return;
        }
    }
    panic!("12 writes take fewer than 400 operations");
}

#[test]
fn a_full_disk_does_not_hide_what_is_there() {
    let scratch = Scratch::new();
    let store = scratch.open().expect("makes");
    put(&store, "key", b"value").expect("writes");
    store.faults().fail_after(0);
    assert!(put(&store, "other", b"value").is_err());
    store.faults().heal();
    assert_eq!(store.get("key").expect("reads").as_deref(), Some(&b"value"[..]));
}
