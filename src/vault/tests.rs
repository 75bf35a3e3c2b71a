//! Master keys, the data key, and what a vault keeps apart.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;
use crate::clock::Clock;
use crate::error::ErrorName;
use crate::paths::{Home, create_private_dir, hex};
use crate::secret::{Secret, random_bytes};
use crate::store::{open_embedded, open_in_memory};

const KEY: &str = "GbfvK3kyAF6Qh4rXnUGhmXFOSDx4pMP5vWgpW1qo3b8=";

/// A home of its own, removed in the end.
struct Scratch(Home);

impl Scratch {
    fn new() -> Self {
        let dir = std::env::temp_dir().join(format!("authsome-vault-{}", hex(&random_bytes::<8>())));
        create_private_dir(&dir).expect("a scratch directory");
        Self(Home::new(dir))
    }

    fn file(&self, contents: &[u8]) -> PathBuf {
        let path = self.0.dir().join(hex(&random_bytes::<8>()));
        fs::write(&path, contents).expect("writes");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.0.dir());
    }
}

fn memory() -> Arc<dyn Store> {
    open_in_memory(Clock::system()).expect("opens")
}

fn key(text: &str) -> MasterKey {
    MasterKey::from_secret(&Secret::new(text.to_owned())).expect("not empty")
}

fn everything(store: &dyn Store) -> Vec<(String, Vec<u8>)> {
    store.range(&Range { prefix: "", after: None, reverse: false, limit: usize::MAX }).expect("reads")
}

/// The name of the error of opening `store` with `key`, which must not change the store.
fn refusal(store: &Arc<dyn Store>, key: &MasterKey) -> (ErrorName, String) {
    let before = everything(&**store);
    let error = Vault::open(store.clone(), key).expect_err("refuses");
    assert_eq!(everything(&**store), before, "nothing was touched");
    (error.name(), error.to_string())
}

#[test]
fn the_environment_comes_before_the_file_it_names_and_both_before_the_home() {
    let scratch = Scratch::new();
    paths_write(&scratch.0.master_key(), KEY.as_bytes());
    let file = scratch.file(KEY.as_bytes());
    let load = |env_key: Option<&str>, env_key_file: Option<&PathBuf>| {
        let env_key = env_key.map(|text| Secret::new(text.to_owned()));
        let settings = KeySettings { env_key, env_key_file: env_key_file.cloned() };
        MasterKey::load(&scratch.0, &settings).map(|key| (key.source(), key.describe()))
    };
    for (env_key, env_file, source, text) in [
        (Some(KEY), Some(&file), KeySource::Env, "256-bit master key from AUTHSOME_MASTER_KEY"),
        (
            Some("open sesame"),
            None,
            KeySource::Passphrase,
            "passphrase, stretched with Argon2id, from AUTHSOME_MASTER_KEY",
        ),
        (None, Some(&file), KeySource::File, "256-bit master key from AUTHSOME_MASTER_KEY_FILE"),
        (None, None, KeySource::File, "256-bit master key from server/master.key"),
    ] {
        let expected = (source, format!("XChaCha20-Poly1305, {text}"));
        assert_eq!(load(env_key, env_file).expect("loads"), expected);
    }
    for path in [
        &scratch.0.dir().join("nowhere"),
        &scratch.file(b""),
        &scratch.file(b" \n"),
        &scratch.file(&vec![b'x'; 100_000]),
    ] {
        let error = load(None, Some(path)).expect_err("refuses instead of looking elsewhere");
        assert_eq!(error.name(), ErrorName::EncryptionUnavailable);
    }
    assert_eq!(load(Some("  "), None).expect_err("empty").name(), ErrorName::EncryptionUnavailable);
    fs::write(scratch.0.master_key(), "").expect("writes");
    assert_eq!(load(None, None).expect_err("empty").name(), ErrorName::EncryptionUnavailable);
}

fn paths_write(path: &std::path::Path, contents: &[u8]) {
    crate::paths::write_private(path, contents).expect("writes");
}

#[test]
fn one_key_has_several_spellings() {
    let store = memory();
    Vault::open(store.clone(), &key(KEY)).expect("makes").put("k", b"v").expect("writes");
    let unpadded = KEY.trim_end_matches('=');
    let url_safe = KEY.replace('+', "-").replace('/', "_");
    for text in [KEY, unpadded, &url_safe, &format!("\n{KEY}\r\n")] {
        let vault = Vault::open(store.clone(), &key(text)).expect(text);
        assert_eq!(vault.get("k").expect("reads").expect("is there").as_slice(), b"v");
    }
    // Not 32 bytes of base64: passphrases.
    for text in ["x", &KEY[4..], &format!("{KEY}{KEY}"), &format!("{unpadded}=="), "🔑"] {
        assert_eq!(key(text).source(), KeySource::Passphrase, "{text}");
    }
}

#[test]
fn the_first_start_makes_a_key_and_the_next_ones_use_it() {
    let scratch = Scratch::new();
    let load = || MasterKey::load(&scratch.0, &KeySettings::default()).expect("loads");
    let first = load();
    assert!(!scratch.0.master_key().exists(), "nothing depends on it yet");
    let store = open_embedded(&scratch.0.store(), Clock::system()).expect("makes");
    let vault = Vault::open(store.clone(), &first).expect("makes");
    vault.put("vault:v:p:connection:c", b"a very secret value").expect("writes");
    Vault::open(store, &first).expect("the same key still opens it");
    drop(vault);

    let text = fs::read_to_string(scratch.0.master_key()).expect("exists");
    assert_eq!(text.len(), 44);
    assert_eq!(fs::metadata(scratch.0.master_key()).expect("exists").permissions().mode() & 0o777, 0o600);
    let file = fs::read(scratch.0.store()).expect("reads");
    assert!(memchr::memmem::find(&file, b"very secret").is_none(), "sealed");

    let store = open_embedded(&scratch.0.store(), Clock::system()).expect("opens");
    let vault = Vault::open(store, &load()).expect("opens");
    assert_eq!(
        vault.get("vault:v:p:connection:c").expect("reads").expect("is there").as_slice(),
        b"a very secret value"
    );
    assert_eq!(fs::read_to_string(scratch.0.master_key()).expect("exists"), text);
}

#[test]
fn a_lost_key_is_not_replaced() {
    let scratch = Scratch::new();
    let load = || MasterKey::load(&scratch.0, &KeySettings::default()).expect("loads");
    let store = memory();
    Vault::open(store.clone(), &load()).expect("makes").put("k", b"v").expect("writes");
    let saved = fs::read(scratch.0.master_key()).expect("exists");
    fs::remove_file(scratch.0.master_key()).expect("removes");
    let (name, text) = refusal(&store, &load());
    assert_eq!(name, ErrorName::EncryptionUnavailable);
    assert!(text.contains("server/master.key is missing"), "{text}");
    assert!(!scratch.0.master_key().exists());
    paths_write(&scratch.0.master_key(), &saved);
    assert!(Vault::open(store, &load()).expect("opens").get("k").expect("reads").is_some());
}

#[test]
fn a_start_that_broke_off_can_be_repeated() {
    let scratch = Scratch::new();
    let load = || MasterKey::load(&scratch.0, &KeySettings::default()).expect("loads");
    load().save().expect("writes"); // and then the power failed
    let store = memory();
    Vault::open(store.clone(), &load()).expect("makes").put("k", b"v").expect("writes");
    assert!(Vault::open(store, &load()).expect("opens").get("k").expect("reads").is_some());
    // A key that somebody else made in the meantime is not overwritten.
    let other = Scratch::new();
    let late = MasterKey::load(&other.0, &KeySettings::default()).expect("loads");
    paths_write(&other.0.master_key(), KEY.as_bytes());
    assert_eq!(refusal(&memory(), &late).0, ErrorName::EncryptionUnavailable);
    assert_eq!(fs::read(other.0.master_key()).expect("reads"), KEY.as_bytes());
}

#[test]
fn only_the_right_key_opens_and_the_wrong_one_touches_nothing() {
    for right in [KEY, "correct horse battery staple"] {
        let store = memory();
        Vault::open(store.clone(), &key(right)).expect("makes").put("k", b"v").expect("writes");
        for wrong in ["correct horse battery staplf", "QbfvK3kyAF6Qh4rXnUGhmXFOSDx4pMP5vWgpW1qo3b8="] {
            let (name, text) = refusal(&store, &key(wrong));
            assert_eq!(name, ErrorName::EncryptionUnavailable);
            assert!(!text.contains(wrong) && !text.contains(right), "{text}");
        }
        let vault = Vault::open(store, &key(right)).expect("opens");
        assert_eq!(vault.get("k").expect("reads").expect("is there").as_slice(), b"v");
    }
}

#[test]
fn a_damaged_data_key_opens_nothing() {
    let store = memory();
    Vault::open(store.clone(), &key(KEY)).expect("makes").put("k", b"v").expect("writes");
    let good = store.get(DATA_KEY).expect("reads").expect("is there");
    assert_eq!(good.len(), 102);
    let replace = |bytes: &[u8]| {
        let write = Write { key: DATA_KEY, value: Some(bytes), expected: Expected::Anything, expires_at: None };
        assert!(store.apply(&[write]).expect("writes"));
    };
    for bit in 0..good.len() * 8 {
        let mut damaged = good.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        replace(&damaged);
        assert!(Vault::open(store.clone(), &key(KEY)).is_err(), "bit {bit}");
    }
    for length in [0, 1, 29, 30, 54, 101] {
        replace(&good[..length]);
        assert_eq!(refusal(&store, &key(KEY)).0, ErrorName::StoreUnavailable, "{length} bytes");
    }
    replace(&[&good[..], &[0]].concat());
    assert_eq!(refusal(&store, &key(KEY)).0, ErrorName::StoreUnavailable);
    // Parameters that would take hours or all memory are refused before they are used.
    for (at, value) in [(2, u32::MAX), (2, 0), (6, u32::MAX), (6, 8), (10, u32::MAX), (10, 0)] {
        let mut costly = good.clone();
        costly[1] = 1;
        costly[2..6].copy_from_slice(&3_u32.to_be_bytes());
        costly[6..10].copy_from_slice(&65_536_u32.to_be_bytes());
        costly[10..14].copy_from_slice(&4_u32.to_be_bytes());
        costly[at..at + 4].copy_from_slice(&value.to_be_bytes());
        replace(&costly);
        assert_eq!(refusal(&store, &key("a passphrase")).0, ErrorName::StoreUnavailable);
    }
    replace(&good);
    assert!(Vault::open(store, &key(KEY)).expect("opens").get("k").expect("reads").is_some());
}

#[test]
fn records_without_their_data_key_are_not_given_a_new_one() {
    let store = memory();
    Vault::open(store.clone(), &key(KEY)).expect("makes").put("k", b"v").expect("writes");
    let write = Write { key: DATA_KEY, value: None, expected: Expected::Anything, expires_at: None };
    assert!(store.apply(&[write]).expect("writes"));
    assert_eq!(refusal(&store, &key(KEY)).0, ErrorName::StoreUnavailable);
}

#[test]
fn daemons_that_start_together_agree_on_one_data_key() {
    let store = memory();
    let vaults: Vec<Vault> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| Vault::open(store.clone(), &key(KEY)))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic").expect("opens")).collect()
    });
    vaults[0].put("k", b"v").expect("writes");
    for vault in vaults {
        assert_eq!(vault.get("k").expect("reads").expect("is there").as_slice(), b"v");
    }
}

#[test]
fn a_record_that_was_moved_does_not_open() {
    let store = memory();
    let vault = Vault::open(store.clone(), &key(KEY)).expect("makes");
    vault.put("vault:a:github:connection:x", b"mine").expect("writes");
    let sealed = store.get("vault:a:github:connection:x").expect("reads").expect("is there");
    let moved = Write {
        key: "vault:b:github:connection:x",
        value: Some(&sealed),
        expected: Expected::Anything,
        expires_at: None,
    };
    assert!(store.apply(&[moved]).expect("writes"));
    let error = vault.get("vault:b:github:connection:x").expect_err("moved");
    assert_eq!(error.to_string(), "a record of vault is damaged or in the wrong place");
    assert_eq!(error.name(), ErrorName::StoreUnavailable);
    let range = Range { prefix: "vault:", after: None, reverse: false, limit: 9 };
    assert!(vault.scan(&range).is_err());
    assert_eq!(vault.list("vault:").expect("lists").len(), 2);
    assert!(vault.delete("vault:b:github:connection:x").expect("what does not open can be removed"));
    assert_eq!(vault.scan(&range).expect("reads").len(), 1);
}

#[test]
fn the_data_key_is_not_a_record() {
    let vault = Vault::open(memory(), &key(KEY)).expect("makes");
    for bad in ["!data_key", "!", "", "a\nb", "a\0", &"k".repeat(513)] {
        assert_eq!(vault.put(bad, b"v").expect_err(bad).name(), ErrorName::Authsome);
        assert!(vault.delete(bad).is_err());
        assert!(vault.get(bad).expect("no record can have it").is_none());
        assert!(!bad.starts_with('!') || vault.list(bad).expect("lists").is_empty());
    }
    assert!(vault.list("").expect("lists").is_empty());
    for name in ["a", "b", "c"] {
        vault.put(name, name.as_bytes()).expect("writes");
    }
    assert_eq!(vault.list("").expect("lists"), ["a", "b", "c"]);
    let scan = |after, reverse, limit| {
        let found = vault.scan(&Range { prefix: "", after, reverse, limit }).expect("reads");
        found.iter().map(|(key, value)| (key.clone(), value.to_vec())).collect::<Vec<_>>()
    };
    let entry = |name: &str| (name.to_owned(), name.as_bytes().to_vec());
    assert_eq!(scan(None, false, 2), [entry("a"), entry("b")]);
    assert_eq!(scan(None, true, 4), [entry("c"), entry("b"), entry("a")]);
    assert_eq!(scan(Some("a"), false, 1), [entry("b")]);
    assert_eq!(scan(Some("a"), true, 1), []);
}

#[test]
fn versions_tell_writes_apart() {
    let clock = Clock::system();
    let vault = Vault::open(open_in_memory(clock.clone()).expect("opens"), &key(KEY)).expect("makes");
    let absent = VaultWrite { expected: ExpectedVersion::Absent, ..VaultWrite::put("k", b"v") };
    assert!(vault.apply(&[absent]).expect("writes"));
    assert!(!vault.apply(&[absent]).expect("writes"));
    let (value, first) = vault.get_versioned("k").expect("reads").expect("is there");
    assert_eq!(value.as_slice(), b"v");
    vault.put("k", b"v").expect("writes");
    let stale = VaultWrite { expected: ExpectedVersion::Is(&first), ..VaultWrite::put("k", b"w") };
    assert!(
        !vault.apply(&[VaultWrite::put("other", b"x"), stale]).expect("writes"),
        "the same value is not the same version"
    );
    assert!(vault.get("other").expect("reads").is_none());
    let (_, second) = vault.get_versioned("k").expect("reads").expect("is there");
    assert_ne!(first, second);
    let fresh = VaultWrite {
        expected: ExpectedVersion::Is(&second),
        expires_at: Some(clock.now().plus_seconds(60)),
        ..VaultWrite::put("k", b"w")
    };
    assert!(vault.apply(&[fresh]).expect("writes"));
    clock.test_only_advance(61);
    assert!(vault.get("k").expect("reads").is_none());
    assert_eq!(vault.remove_expired().expect("removes"), 1);
    vault.put("k", b"v").expect("writes");
    assert!(vault.apply(&[VaultWrite::delete("k"), VaultWrite::delete("never there")]).expect("writes"));
    assert!(vault.list("").expect("lists").is_empty());
}

/// If this fails, stores that exist cannot be opened any more.
#[test]
fn the_format_of_the_data_key_stays() {
    use chacha20poly1305::aead::AeadInPlace;
    use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
    let mut stretched = [0; 32];
    let params = argon2::Params::new(65_536, 3, 4, Some(32)).expect("valid");
    argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params)
        .hash_password_into(b"open sesame", &[9; 16], &mut stretched)
        .expect("stretches");
    let header = [&[1, 1][..], &[0, 0, 0, 3], &[0, 1, 0, 0], &[0, 0, 0, 4], &[9; 16]].concat();
    let associated = [&b"authsome data key 1\0"[..], &header].concat();
    let mut sealed = [0x42; 32];
    let tag = XChaCha20Poly1305::new(&stretched.into())
        .encrypt_in_place_detached(&[5; 24].into(), &associated, &mut sealed)
        .expect("encrypts");
    let wrapped = [&header[..], &[5; 24], &sealed, &tag].concat();
    assert_eq!(*wrap::unwrap(&wrapped, &key("open sesame")).expect("opens"), [0x42; 32]);
}

#[test]
fn nothing_secret_is_shown() {
    let vault = Vault::open(memory(), &key("open sesame")).expect("makes");
    vault.put("k", b"hunter2").expect("writes");
    let (_, version) = vault.get_versioned("k").expect("reads").expect("is there");
    let shown = format!("{vault:?} {:?} {version:?} {:?}", key("open sesame"), VaultWrite::put("k", b"hunter2"));
    assert!(!shown.contains("sesame") && !shown.contains("hunter2") && !shown.contains("104, 117"), "{shown}");
}
