//! `authsome run` as a parent: environment, exit status, signals, descriptors, files.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::{KEY, PLACEHOLDER, World, eventually};

#[test]
fn success_is_silent_and_the_exit_status_is_the_childs() {
    let world = World::connected();
    world.run(["true"]).run().succeeds().silently();
    let scripts = [("exit 7", 7), ("exit 255", 255), ("kill -TERM $$", 143), ("kill -KILL $$", 137)];
    for (script, code) in scripts {
        world.run(["sh", "-c", script]).run().exits(code);
    }
    world.run(["no-such-command-here"]).run().exits(127).complains("authsome: error: ");
    let plain = world.scratch.file("work/plain", "not a program");
    world.run([plain]).run().exits(126).complains("authsome: error: ");
}

#[test]
fn the_child_has_our_streams() {
    let world = World::connected();
    let echo = world.run(["sh", "-c", "cat; echo aside >&2"]).stdin("through").run().succeeds();
    assert_eq!((echo.out().as_str(), echo.err().as_str()), ("through", "aside\n"));
}

#[test]
fn the_child_gets_placeholders_a_proxy_and_a_bundle() {
    let world = World::connected();
    let env = world
        .run(["env"])
        .env("NO_PROXY", "intra.test")
        .env("ALL_PROXY", "http://corporate.test:3128")
        .run()
        .succeeds()
        .out();
    let get = |name: &str| {
        let line = env.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
        line.unwrap_or_else(|| panic!("no {name} in {env}")).to_owned()
    };
    assert_eq!(get("DEMO_API_KEY"), PLACEHOLDER);
    assert_eq!(get("AUTHSOME_PROXY_MODE"), "true");
    assert_eq!(get("NODE_USE_ENV_PROXY"), "1");
    let proxy = get("HTTPS_PROXY");
    assert!(proxy.starts_with("http://authsome:") && proxy.contains("@127.0.0.1:"), "{proxy}");
    for name in ["HTTP_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"] {
        assert_eq!(get(name), proxy, "{name}");
    }
    for name in ["NO_PROXY", "no_proxy"] {
        assert_eq!(get(name), "intra.test,127.0.0.1,localhost,::1", "{name}");
    }
    let bundle = get("SSL_CERT_FILE");
    let replace = "REQUESTS_CA_BUNDLE CURL_CA_BUNDLE GIT_SSL_CAINFO AWS_CA_BUNDLE PIP_CERT CARGO_HTTP_CAINFO \
                   HTTPLIB2_CA_CERTS CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE GRPC_DEFAULT_SSL_ROOTS_FILE_PATH \
                   NIX_SSL_CERT_FILE PERL_LWP_SSL_CA_FILE";
    for name in replace.split_whitespace() {
        assert_eq!(get(name), bundle, "{name}");
    }
    assert_ne!(get("NODE_EXTRA_CA_CERTS"), bundle);
    assert_eq!(get("DENO_CERT"), get("NODE_EXTRA_CA_CERTS"));
    assert!(!fs::exists(&bundle).expect("our own path"), "the bundle goes with the run");
}

#[test]
fn a_bundle_of_the_user_is_kept_in_ours() {
    let world = World::connected();
    let private = crate::upstream::Authority::new().pem();
    let path = world.scratch.file("private.pem", &private);
    let script = r#"cat "$SSL_CERT_FILE""#;
    let bundle = world.run(["sh", "-c", script]).env("SSL_CERT_FILE", path).run().succeeds().out();
    assert!(bundle.contains(private.trim()), "the user's own authority is missing");
}

#[test]
fn secrets_do_not_reach_the_child_sideways() {
    let world = World::connected();
    let seed = "ab".repeat(32);
    let ended = world
        .run(["env"])
        .env("AUTHSOME_MASTER_KEY", "not-for-children")
        .env("AUTHSOME_UI_SESSION_KEY", "not-for-children")
        .env("AUTHSOME_STORE_URL", "not-for-children")
        .env("MY_OWN_COPY", format!("prefix {KEY} suffix"))
        .env("HARMLESS", &seed)
        .run()
        .succeeds()
        .complains("MY_OWN_COPY");
    let (env, errors) = (ended.out(), ended.err());
    assert!(!env.contains("not-for-children") && !env.contains(KEY) && !env.contains("MY_OWN_COPY"), "{env}");
    assert!(env.contains(&seed), "{env}");
    assert!(!errors.contains(KEY), "{errors}");
}

#[test]
fn a_dotenv_file_that_holds_the_key_is_reported_by_line() {
    let world = World::connected();
    world.scratch.file("work/.env", format!("A=1\nDEMO_API_KEY={KEY}\n"));
    let ended = world.run(["true"]).run().succeeds().complains(".env").complains("2");
    assert!(!ended.err().contains(KEY), "{ended}");
}

#[test]
fn no_descriptor_is_inherited() {
    let world = World::connected();
    let list = world.run(["ls", "/proc/self/fd"]).run().succeeds().out();
    let open: Vec<u32> = list.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert!(open.iter().all(|number| *number <= 3), "3 is the directory that ls reads: {open:?}");
}

#[test]
fn signals_reach_the_child() {
    let world = World::connected();
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT] {
        let script = "trap 'exit 9' TERM HUP INT QUIT; echo $$; while :; do read line || exit 1; done";
        let mut command = world.run(["sh", "-c", script]).into_inner();
        let mut run = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let _child = first_line(&mut run);
        kill(Pid::from_raw(run.id().try_into().expect("small")), signal).expect("it is there");
        let status = eventually("the end of the run", || run.try_wait().expect("our child"));
        assert_eq!(status.code(), Some(9), "{signal}");
    }
}

#[test]
fn a_run_that_is_killed_takes_its_child_along() {
    let world = World::connected();
    let mut command = world.run(["sh", "-c", "echo $$; exec cat >/dev/null"]).into_inner();
    let mut run = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    let child = first_line(&mut run);
    run.kill().expect("it is there");
    run.wait().expect("our child");
    eventually("the end of the child", || {
        let state = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        let ended = state.is_empty() || state.contains(") Z ");
        ended.then_some(())
    });
}

fn first_line(run: &mut std::process::Child) -> String {
    let mut line = String::new();
    BufReader::new(run.stdout.as_mut().expect("piped")).read_line(&mut line).expect("a line");
    line.trim().to_owned()
}

#[test]
fn the_report_is_one_json_line_on_stderr() {
    let world = World::connected();
    let ended =
        world.authsome(["run", "--json", "--", "curl", "-sS", "https://api.demo.test/v1/echo"]).run().succeeds();
    let errors = ended.err();
    let report = errors.lines().last().unwrap_or_default();
    let report: serde_json::Value = serde_json::from_str(report).unwrap_or_else(|_| panic!("{ended}"));
    assert_eq!(report["v"], 1);
}

#[test]
fn only_the_chosen_provider_and_connection() {
    let world = World::connected();
    world.authsome(["login", "demo", "--connection", "work", "--key-stdin"]).stdin("work-key-2").run().succeeds();
    let curl = ["--", "curl", "-sS", "https://api.demo.test/v1/echo"];
    world.authsome(["run", "--connection", "demo=work"]).args(curl).run().succeeds();
    let seen = world.api.only_request();
    assert_eq!(seen.header("authorization"), Some("Bearer work-key-2"));
    world.authsome(["run", "--connection", "demo=nope"]).args(curl).run().exits(3);
    world.authsome(["run", "--provider", "openai"]).args(curl).run();
    let seen = world.api.requests();
    assert!(seen[1..].iter().all(|one| one.header("authorization").is_none()), "{seen:#?}");
}

#[test]
fn limits_hold_and_the_report_says_what_is_left() {
    let world = World::connected();
    let script = "for method in GET DELETE GET GET; do curl -sS -w '=%{http_code}=' -X $method https://api.demo.test/v1/echo; done";
    let options = ["--json", "--read-only", "--max-requests", "2", "--rule", "* api.demo.test/v1/**=allow"];
    let ended = world.authsome(["run"]).args(options).args(["--", "sh", "-c", script]).run().succeeds();
    let ended = ended.says(r#""error":"policy""#).says("the 2 requests of the run are used up");
    let statuses: Vec<_> = ended.out().split('=').filter(|word| word.len() == 3).map(str::to_owned).collect();
    assert_eq!(statuses, ["200", "403", "200", "403"], "{ended}");
    assert!(ended.err().contains(r#""requests":2,"#) && ended.err().contains(r#""requests_left":0"#), "{ended}");
    assert_eq!(world.api.requests().len(), 2);
    let log = world.authsome(["log", "--json"]).run().succeeds();
    log.says("proxy_deny").says("DELETE to api.demo.test is refused: the run is read-only");
    let wrong = world.authsome(["run", "--rule", "GET api.demo.test", "--", "true"]).run().exits(2);
    assert!(wrong.err().contains("METHOD HOST/PATH=allow"), "{wrong}");
}
