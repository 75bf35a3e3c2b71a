//! Bad input and a bad world: a clear error, the right exit code, and nothing changed.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{KEY, World, demo_provider};

#[test]
fn bad_definitions_name_the_field() {
    let world = World::onboarded();
    let change = |field: &str, value: Value| {
        let mut definition = demo_provider();
        definition[field] = value;
        definition.to_string()
    };
    let cases = [
        ("not JSON", "{\"name\": \"demo\",".to_owned(), "JSON"),
        ("no name", json!({"auth_type": "api_key", "flow": "api_key"}).to_string(), "name"),
        ("a path for a name", change("name", json!("../demo")), "name"),
        ("an unknown kind", change("auth_type", json!("magic")), "auth_type"),
        ("a flow of another kind", change("flow", json!("pkce")), "flow"),
        ("a host with a space", change("api_url", json!("api demo.test")), "api_url"),
        ("plain http", change("api_url", json!("http://api.demo.test")), "api_url"),
        ("an address", change("api_url", json!("10.0.0.1")), "api_url"),
        ("loopback", change("api_url", json!("localhost")), "api_url"),
        ("an open pattern", change("api_url", json!("regex:.*")), "api_url"),
        ("a pattern for neighbours", change("api_url", json!("regex:.*demo\\.test")), "api_url"),
        ("a header with a newline", change("api_key", json!({"header_name": "X-A\r\nX-B"})), "header_name"),
    ];
    for (what, text, field) in cases {
        let path = world.scratch.file("definition.json", text);
        let ended = world.authsome(["provider", "register"]).arg(path).arg("--yes").run();
        assert_eq!(ended.code(), 12, "{what}: {ended}");
        assert!(ended.err().contains(field), "{what}: no {field:?} in {ended}");
    }
    world.authsome(["provider", "inspect", "demo"]).run().exits(4);
}

#[test]
fn comments_in_a_definition_are_fine() {
    let world = World::onboarded();
    let text = format!("// mine\n{}\n/* the end */", demo_provider());
    let path = world.scratch.file("demo.jsonc", text);
    world.authsome(["provider", "register"]).arg(path).arg("--yes").run().succeeds();
}

#[test]
fn keys_that_cannot_be_sent_are_not_stored() {
    let world = World::onboarded();
    world.register(&demo_provider());
    let long = "x".repeat(200_000);
    for key in ["two\nlines", "with\rreturn", "with\0nul", "with\u{1b}escape", "", " \n", &long] {
        let ended = world.authsome(["login", "demo", "--key-stdin"]).stdin(key).run();
        assert!(ended.code() != 0 && ended.code() != 101, "{key:?}: {ended}");
        assert!(!ended.err().contains("two") && !ended.err().contains("escape"), "the key is quoted: {ended}");
    }
    world.authsome(["get", "demo"]).run().exits(3);
    world.authsome(["login", "demo", "--key-stdin"]).stdin(format!("  {KEY}\n")).run().succeeds();
    let show = ["connections", "inspect", "demo", "--field", "api_key", "--show-secret"];
    assert_eq!(world.authsome(show).run().succeeds().out().trim_end(), KEY);
}

#[test]
fn a_key_that_does_not_match_its_pattern_is_stored_with_a_warning() {
    let world = World::onboarded();
    let mut definition = demo_provider();
    definition["api_key"]["key_pattern"] = json!("^never-like-this-");
    definition["api_key"]["key_pattern_hint"] = json!("keys look like never-like-this-");
    world.register(&definition);
    let login = world.authsome(["login", "demo", "--key-stdin"]).stdin(KEY);
    login.run().succeeds().complains("never-like-this-");
}

#[test]
fn the_wrong_master_key_opens_nothing_and_changes_nothing() {
    let mut world = World::connected();
    world.daemon_mut().kill();
    let serve = world.authsome(["daemon", "serve", "--port", "0"]);
    let ended = serve.env("AUTHSOME_MASTER_KEY", "some other passphrase").run();
    ended.exits(11).complains("master key");
    // What an automatic start says is what the user sees.
    let ended = world.authsome(["whoami"]).env("AUTHSOME_MASTER_KEY", "some other passphrase").run();
    assert_ne!(ended.code(), 0, "{ended}");
    world.start_daemon();
    world.run(["curl", "-sS", "https://api.demo.test/v1/echo"]).run().succeeds();
}

#[test]
fn a_lost_master_key_is_not_replaced() {
    let mut world = World::connected();
    world.daemon_mut().kill();
    let key = world.home().join("server/master.key");
    let kept = fs::read(&key).expect("the key");
    fs::remove_file(&key).expect("ours");
    world.authsome(["daemon", "serve", "--port", "0"]).run().exits(11);
    fs::write(&key, kept).expect("ours");
    world.start_daemon();
    world.authsome(["get", "demo"]).run().succeeds();
}

#[test]
fn a_damaged_store_is_reported_and_left_alone() {
    let mut world = World::connected();
    world.daemon_mut().kill();
    let store = world.home().join("server/authsome.redb");
    for damage in [&b"this is not a store, only a text of some length to look at"[..], b""] {
        fs::write(&store, damage).expect("ours");
        world.authsome(["daemon", "serve", "--port", "0"]).run().exits(11).complains("authsome: error: ");
        assert_eq!(fs::read(&store).expect("the store"), damage);
    }
}

#[test]
fn damaged_client_files_are_named() {
    let world = World::connected();
    let key = world.identity_file("key");
    let kept = fs::read(&key).expect("the key");
    fs::write(&key, "zz not hex").expect("ours");
    let ended = world.authsome(["whoami"]).run();
    assert!(ended.code() != 0 && !ended.err().contains("zz not hex"), "{ended}");
    ended.complains(".key");
    fs::write(&key, kept).expect("ours");
    fs::write(world.home().join("client/config.json"), "{").expect("ours");
    let ended = world.authsome(["whoami"]).run();
    assert_ne!(ended.code(), 0, "{ended}");
    ended.complains("config.json");
}

#[test]
fn a_bad_file_of_the_user_is_a_warning() {
    let world = World::connected();
    let dir = world.home().join("providers");
    fs::create_dir_all(&dir).expect("ours");
    fs::write(dir.join("broken.json"), "{").expect("ours");
    let mut good = demo_provider();
    good["name"] = json!("filed");
    good["api_url"] = json!("other.demo.test");
    fs::write(dir.join("filed.json"), good.to_string()).expect("ours");
    world.authsome(["provider", "inspect", "filed"]).run().succeeds();
    let doctor = world.authsome(["doctor"]).run();
    assert!(doctor.out().contains("broken.json"), "{doctor}");
}

#[test]
fn a_full_disk_loses_nothing() {
    let world = World::empty();
    let definition = world.scratch.file("demo.json", demo_provider().to_string());
    // A file system of 4 MiB in a mount namespace; everything happens inside.
    let script = r#"
        set -e
        mount -t tmpfs -o size=4m,mode=700 tmpfs "$HOME"
        export AUTHSOME_HOME=$HOME/.authsome-full
        trap '"$0" daemon stop >/dev/null 2>&1 || true' EXIT
        "$0" onboard --yes
        "$0" provider register "$1" --yes
        printf first | "$0" login demo --key-stdin
        dd if=/dev/zero of="$HOME/filler" bs=4k 2>/dev/null || true
        n=0
        while [ $n -lt 200 ] && printf 'later-%s-%s' $n "$2" | "$0" login demo --connection c$n --key-stdin; do n=$((n + 1)); done 2>"$HOME/../refused"
        code=$?
        echo "stored $n"
        cat "$HOME/../refused"
        "$0" export demo --quiet --format dotenv
        rm "$HOME/filler"
        printf after | "$0" login demo --connection after --key-stdin
        i=0
        while [ $i -lt $n ]; do "$0" get demo --connection c$i >/dev/null; i=$((i + 1)); done
        echo whole
    "#;
    let ended = world
        .command("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", script])
        .arg(world.program())
        .arg(definition)
        .arg("x".repeat(20_000))
        .run()
        .succeeds()
        .says("DEMO_API_KEY=first")
        .says("whole");
    assert!(
        ended.out().contains("authsome: error: ") && !ended.out().contains("stored 200"),
        "it never filled: {ended}"
    );
}
