//! The command line as a table: words in, exit code and texts out (`contract/cli.md` in short: 0 ok, 2 usage, 3
//! connection, 4 provider, 7 registered already, 12 bad definition).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Stdio;

use serde_json::json;

use crate::harness::{KEY, Person, World, demo_provider};

/// Words, exit code, a part of stdout, a part of stderr.
type Case<'a> = (&'a [&'a str], i32, &'a str, &'a str);

#[track_caller]
fn hold(world: &World, cases: &[Case<'_>]) {
    for (args, code, out, err) in cases {
        world.authsome(*args).run().exits(*code).says(out).complains(err);
    }
}

#[test]
fn without_a_daemon() {
    let world = World::empty();
    hold(
        &world,
        &[
            (&["--version"], 0, concat!("authsome ", env!("CARGO_PKG_VERSION")), ""),
            (&["-v"], 0, env!("CARGO_PKG_VERSION"), ""),
            (&["--help"], 0, "Usage", ""),
            (&["run", "--help"], 0, "authsome run", ""),
            (&["export", "--help"], 0, "authsome export", ""),
            (&["login", "--help"], 0, "--key-stdin", ""),
            (&[], 2, "", "authsome"),
            (&["frobnicate"], 2, "", "frobnicate"),
            (&["run"], 2, "", "authsome: error: "),
            (&["run", "--"], 2, "", "authsome: error: "),
            (&["run", "--mode", "sideways", "--", "true"], 2, "", "sideways"),
            (&["login"], 2, "", "authsome: error: "),
            (&["export", "--format", "xml"], 2, "", "xml"),
            (&["completions", "bash"], 0, "authsome", ""),
            (&["man"], 0, "authsome", ""),
            (&["daemon", "status"], 1, "", ""),
        ],
    );
    assert_eq!(world.daemons(), [] as [u32; 0], "none of these needed a daemon");
}

#[test]
fn ui_prints_an_address_that_signs_its_opener_in_once() {
    let world = World::connected();
    let printed = world.authsome(["ui", "--no-browser"]).run().succeeds();
    let printed = printed.out();
    let url = printed.trim_end();
    let page = Person::new(&world).browse(url);
    assert!(page.status == 200 && page.text().contains("owner@localhost") && page.text().contains("demo"), "{page:?}");
    let other = Person::new(&world).browse(url);
    assert!(other.status == 404 && other.text().contains("authsome ui"), "{other:?}");
    let shown = world.authsome(["--json", "ui", "--no-browser"]).run().succeeds().json();
    assert!(shown["url"].as_str().expect("a URL").contains("/signin?token=signin_"), "{shown}");
}

#[test]
fn with_a_connection() {
    let world = World::connected();
    let twice = world.scratch.file("twice.json", demo_provider().to_string());
    let twice = twice.to_str().expect("our own path");
    hold(
        &world,
        &[
            (&["whoami"], 0, "did:key:z", ""),
            (&["list"], 0, "demo", ""),
            (&["provider", "list"], 0, "openai", ""),
            (&["provider", "inspect", "demo"], 0, "api.demo.test", ""),
            (&["connections", "list"], 0, "demo", ""),
            (&["get", "demo"], 0, "connected", ""),
            (&["log", "-n", "5"], 0, "provider.login", ""),
            (&["agent", "list"], 0, "", ""),
            (&["daemon", "status"], 0, "", ""),
            (&["provider", "inspect", "nosuch"], 4, "", "authsome: error: "),
            (&["connections", "inspect", "demo", "--connection", "work"], 3, "", "authsome login demo"),
            (&["provider", "register", twice, "--yes"], 7, "", "--force"),
            (&["provider", "register", twice, "--yes", "--force"], 0, "", ""),
            (&["provider", "register", "/nowhere/x.json"], 1, "", "/nowhere/x.json"),
            (&["export", "demo", "--connection", "work"], 3, "", ""),
            (&["logout", "demo"], 0, "", ""),
            (&["logout", "demo"], 0, "", ""),
            (&["get", "demo"], 3, "", "authsome login demo"),
        ],
    );
    world.authsome(["login", "nosuch", "--key-stdin"]).stdin(KEY).run().exits(4).complains("'nosuch' not found");
}

#[test]
fn onboarding_twice_changes_nothing() {
    let world = World::onboarded();
    let who = || world.authsome(["api", "GET", "/api/whoami"]).run().succeeds().json();
    let first = who();
    world.authsome(["onboard", "--yes"]).run().succeeds();
    assert_eq!(first["identity"], who()["identity"]);
    assert_eq!(first["registration_status"], "claimed");
    assert_eq!(first["principal_role"], "admin");
    assert_eq!(first["account_email"], "owner@localhost");
}

#[test]
fn json_has_its_version_first_wherever_the_flag_stands() {
    let world = World::connected();
    for args in [["--json", "whoami"], ["whoami", "--json"]] {
        world.authsome(args).run().succeeds().says("{\n  \"v\": 1,\n");
    }
    world.authsome(["list"]).env("AUTHSOME_JSON", "1").run().succeeds().says("{\n  \"v\": 1,\n");
    let error = world.authsome(["--json", "provider", "inspect", "nosuch"]).run().exits(4).json();
    assert_eq!((&error["v"], &error["error"]), (&json!(1), &json!("ProviderNotFoundError")));
}

#[test]
fn secrets_are_shown_only_when_asked_for() {
    let world = World::connected();
    for args in [&["get", "demo"][..], &["--json", "get", "demo"], &["list"], &["log"], &["whoami"]] {
        assert!(!world.authsome(args).run().succeeds().out().contains(KEY), "{args:?}");
    }
    world.authsome(["connections", "inspect", "demo", "--field", "api_key", "--show-secret"]).run().says(KEY);
}

#[test]
fn exported_variables_survive_the_shell() {
    let world = World::connected();
    let script = r#"eval "$("$0" export demo --format env --quiet)"; printenv DEMO_API_KEY"#;
    let shell = world.command("sh").args(["-c", script]).arg(world.program());
    assert_eq!(shell.run().succeeds().out().trim_end(), KEY);
    let export = |format| world.authsome(["export", "demo", "--quiet", "--format", format]).run().succeeds();
    assert_eq!(export("json").json()["DEMO_API_KEY"], KEY);
    assert_eq!(export("dotenv").out(), format!("DEMO_API_KEY={KEY}\n"));
    assert!(export("shell").out().starts_with("export DEMO_API_KEY='"), "not plain, so quoted");

    // A key that would run a command if it were not quoted.
    let nasty = "x'$(touch owned)`touch owned`\";#";
    world.authsome(["login", "demo", "--key-stdin", "--force"]).stdin(nasty).run().succeeds();
    let shell = world.command("sh").args(["-c", script]).arg(world.program());
    assert_eq!(shell.run().succeeds().out().trim_end(), nasty);
    assert!(!world.scratch.path().join("work/owned").exists());
}

#[test]
fn export_to_github_masks_before_it_writes() {
    let world = World::connected();
    let file = world.scratch.file("github-env", "");
    let export = world.authsome(["export", "demo", "--format", "github"]).env("GITHUB_ENV", &file);
    export.run().succeeds().says(&format!("::add-mask::{KEY}"));
    let written = std::fs::read_to_string(file).expect("the file is there");
    assert!(written.contains("DEMO_API_KEY") && written.contains(KEY), "{written}");
}

#[test]
fn arguments_and_environment_that_are_not_utf8_pass_untouched() {
    let world = World::connected();
    let odd = OsStr::from_bytes(b"\xff\xfe caf\xe9 --json");
    let printed = world.run(["printf", "%s"]).arg(odd).run().succeeds();
    assert_eq!(printed.stdout, odd.as_bytes());
    let printed = world.run(["printenv", "ODD"]).env("ODD", odd).run().succeeds();
    assert_eq!(printed.stdout.trim_ascii_end(), odd.as_bytes());
}

#[test]
fn words_of_the_command_are_not_ours() {
    let world = World::connected();
    let words = ["--json", "--quiet", "-v", "--", "--help"];
    let printed = world.run(["printf", "[%s]"]).args(words).run().succeeds();
    assert_eq!(printed.out(), "[--json][--quiet][-v][--][--help]");
    let printed = world.authsome(["run", "printf", "[%s]", "--json"]).run().succeeds();
    assert_eq!(printed.out(), "[--json]");
}

#[test]
fn a_broken_pipe_is_not_an_error() {
    let world = World::connected();
    let mut command = world.authsome(["--json", "provider", "list"]).into_inner();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let ended = command.stdin(Stdio::null()).stdout(writer).output().expect("it starts");
    let errors = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(errors.is_empty() && ended.status.code() != Some(101), "{:?} {errors}", ended.status);
}

#[test]
fn an_identity_from_the_environment_is_enough() {
    let world = World::connected();
    let who = world.authsome(["api", "GET", "/api/whoami"]).run().succeeds().json();
    let key = std::fs::read_to_string(world.identity_file("key")).expect("a key");
    let elsewhere = world
        .authsome(["api", "GET", "/api/whoami"])
        .env("AUTHSOME_HOME", world.scratch.path().join("ci"))
        .env("AUTHSOME_BASE_URL", format!("http://127.0.0.1:{}", world.daemon().port))
        .env("AUTHSOME_IDENTITY_PRIVATE_KEY", key.trim());
    let there = elsewhere.run().succeeds().json();
    assert_eq!((&there["identity"], &there["did"]), (&who["identity"], &who["did"]));
}
